"""Containers of the image, run as an operator would who trusts nobody."""

import datetime
import re
import time
from pathlib import Path

import requests

from tests.deploy.container.engine import IMAGE, LOCKED_UP, Engine
from tests.support.running import free_port


class Container:
    """A running container of the image, and where to reach it. `program` is what Python runs in it."""

    def __init__(
        self,
        podman: Engine,
        *words: str | Path,
        options: tuple[str, ...] = (),
        program: tuple[str, ...] = (),
    ) -> None:
        self.podman = podman
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        address = f"--web.listen-address=127.0.0.1:{self.port}"
        other = ("--entrypoint=python3",) if program else ()
        run = ("run", "--detach", "--network=host", *LOCKED_UP, *options, *other)
        self.name = podman(*run, IMAGE, *program, address, *words)

    def get(self, path: str = "/metrics") -> requests.Response:
        return requests.get(self.url + path, timeout=10)

    def samples(self, prefix: str) -> dict[str, float]:
        lines = [line for line in self.get().text.splitlines() if line.startswith(prefix)]
        return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines)}

    def execute(self, *words: str) -> str:
        return self.podman("exec", self.name, *words)

    def output(self) -> str:
        done = self.podman.attempt("logs", self.name)
        return done.stdout + done.stderr

    def healthy(self) -> bool:
        return self.podman.attempt("healthcheck", "run", self.name).returncode == 0

    def is_alive(self) -> bool:
        state = self.podman.inspect("container", self.name)["State"]
        return bool(state["Running"]) and not state["OOMKilled"]

    def stop(self) -> tuple[int, float]:
        """End it as a machine does that shuts down; return its exit status and how many seconds that took."""
        asked = time.time()
        self.podman("kill", "--signal=TERM", self.name)
        self.podman("wait", self.name)
        state = self.podman.inspect("container", self.name)["State"]
        # Microseconds of an instant such as 2026-11-23T06:20:00.846566897Z
        ended = datetime.datetime.fromisoformat(re.sub(r"(\.\d{1,6})\d*", r"\1", state["FinishedAt"]))
        return state["ExitCode"], ended.timestamp() - asked


def mounted_web_files(directory: Path) -> tuple[str, str]:
    """Return the option that mounts a web configuration where the image's user can read it, and the flag for it."""
    for path in (directory, *directory.iterdir()):
        path.chmod(0o755)
    return f"--volume={directory}:/etc/web:ro", "--web.config.file=/etc/web/web.yml"
