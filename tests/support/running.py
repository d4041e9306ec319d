"""Real processes for the journeys: the exporter, the simulated API, Prometheus and its companions."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import requests

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".tools" / "bin"
# A process left over from tests that were killed asks on: at a port that other tests may have got since.
_NO_ORPHAN = ("setpriv", "--pdeathsig", "KILL")
_T = TypeVar("_T")


def eventually(what: Callable[[], _T], within: float = 15.0) -> _T:
    """Return the first true value of `what`; fail after `within` seconds. What takes long is looked at less often."""
    began = time.monotonic()
    while True:
        refused = ""
        try:
            if value := what():
                return value
        except requests.ConnectionError as error:
            refused = f": {error}"
        elapsed = time.monotonic() - began
        assert elapsed < within, f"not within {within} s{refused}"
        time.sleep(min(max(0.05, elapsed / 20), 0.5))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def run(*command: str | Path, within: float = 300) -> str:
    """Run a command in the checkout that must succeed; return what it printed."""
    done = subprocess.run(
        [str(word) for word in command], cwd=ROOT, capture_output=True, text=True, timeout=within, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Running:
    """A process, and every line it wrote so far."""

    def __init__(
        self, command: Sequence[str | Path], environment: Mapping[str, str], cwd: Path | None
    ) -> None:
        self.process = subprocess.Popen(
            [str(word) for word in (*_NO_ORPHAN, *command)],
            env=dict(environment),
            cwd=cwd or ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
        )
        self.lines: list[str] = []
        self.url = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as output:
            self.lines.extend(line.rstrip("\n") for line in iter(output.readline, ""))

    def line(self, pattern: str, within: float = 15.0) -> re.Match[str]:
        """Wait for a line of output."""

        def find() -> re.Match[str] | None:
            if self.process.poll() is not None:
                self._reader.join(2)
            found = next((match for line in tuple(self.lines) if (match := re.search(pattern, line))), None)
            assert found or self.process.poll() is None, "\n".join(self.lines)
            return found

        match = eventually(find, within)
        assert match
        return match

    def get(self, path: str = "/metrics") -> requests.Response:
        return requests.get(self.url + path, timeout=10)

    def series(self, prefix: str = "") -> dict[str, float]:
        """Return the samples of /metrics whose series begin with `prefix`."""
        lines = [line for line in self.get().text.splitlines() if line.startswith(prefix) and line[0] != "#"]
        return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines)}

    def end(self, number: int = signal.SIGTERM, within: float = 10.0) -> int:
        """Send a signal and return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self._reader.join(2)
        return status


class Started:
    """Starts processes and ends those that still run."""

    def __init__(self) -> None:
        self._running: list[Running] = []

    def command(self, *command: str | Path, cwd: Path | None = None, **environment: str) -> Running:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        running = Running(command, {**kept, "PYTHONUNBUFFERED": "1", **environment}, cwd)
        self._running.append(running)
        return running

    def exporter(self, *flags: str | Path, under: Sequence[str | Path] = (), **environment: str) -> Running:
        """Start the exporter on a free port, by the command `under` if there is one, and wait until it listens."""
        running = self.command(
            *under,
            sys.executable,
            "-m",
            "exporter",
            "--web.listen-address=127.0.0.1:0",
            *flags,
            cwd=None,
            **environment,
        )
        running.url = "http://" + running.line(r"msg=listening .*\baddress=(\S+)")[1]
        return running

    def simulator(self, *flags: str) -> Running:
        """Start the simulated API. Its `url` is the base_url for the exporter."""
        running = self.command(sys.executable, "-m", "tests.support.simulator", *flags)
        running.url = running.line(r"(http://\S+)")[1]
        return running

    def prometheus(self, directory: Path, config: str, *flags: str) -> Running:
        """Start Prometheus with a configuration, its data in `directory`."""
        return self._server(
            "prometheus", directory, config, f"--storage.tsdb.path={directory / 'data'}", *flags
        )

    def alertmanager(self, directory: Path, config: str) -> Running:
        """Start Alertmanager with a configuration, its data in `directory`."""
        storage = f"--storage.path={directory / 'alertmanager'}"
        return self._server("alertmanager", directory, config, storage, "--cluster.listen-address=")

    def _server(self, program: str, directory: Path, config: str, *flags: str) -> Running:
        file = directory / f"{program}.yml"
        file.write_text(config)
        address = f"127.0.0.1:{free_port()}"
        running = self.command(
            TOOLS / program, f"--config.file={file}", f"--web.listen-address={address}", *flags
        )
        running.url = f"http://{address}"
        eventually(lambda: running.get("/-/ready").ok)
        return running

    def end(self) -> None:
        for running in self._running:
            running.end(signal.SIGKILL)


@dataclass(frozen=True)
class Sample:
    """One element of an instant query's result."""

    labels: dict[str, str]
    value: float


def query(prometheus: Running, promql: str) -> list[Sample]:
    """Return the result of an instant query."""
    reply = requests.get(f"{prometheus.url}/api/v1/query", params={"query": promql}, timeout=10).json()
    assert reply["status"] == "success", reply
    return [Sample(each["metric"], float(each["value"][1])) for each in reply["data"]["result"]]


def order(simulator: Running, **orders: object) -> None:
    """Tell the simulated API how to behave from now on, with the fields that its `order` takes."""
    reply = requests.post(simulator.url.removesuffix("/v1") + "/simulator", json=orders, timeout=5)
    assert reply.ok, reply.text
