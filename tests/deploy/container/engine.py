"""podman, with storage of its own in a temporary directory: the machine's images are neither seen nor touched."""

import json
import os
import resource
import secrets
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.running import ROOT, eventually

BASE = ROOT / ".tools" / "container" / "base.tar"
DEBIAN = "localhost/debian:check"
OFFICIAL = "docker.io/library/python:3.13-slim"
IMAGE = "localhost/smspartner-exporter:check"
STACK = ROOT / ".tools" / "stack"
NAMED_BASE = os.environ.get("PYTHON_IMAGE")
MARK = f"check-{secrets.token_hex(16)}"
"""Stands in the secret of the build."""
LOCKED_UP = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--memory=64m",
    "--memory-swap=64m",
    "--pids-limit=32",
)
"""How an operator runs it who trusts nobody."""
AS_ROOT = () if os.geteuid() == 0 else ("sudo",)


def trusted_authorities() -> Path:
    """Return the file with the certificate authorities that this machine trusts."""
    found = os.environ.get("PIP_CERT") or ssl.get_default_verify_paths().cafile
    assert found, "this machine has no file with the certificate authorities that it trusts"
    return Path(found)


def as_root(*words: str | Path) -> None:
    """Run a command that only root may."""
    subprocess.run([*AS_ROOT, *map(str, words)], check=True)


class Engine:
    """Builds and runs containers as an init-less machine can: without systemd, and within its own limits.

    With networks, containers can have one of their own, in which they know each other by name.
    """

    def __init__(self, *, with_networks: bool = False) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="check-"))  # podman wants short paths
        limits = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
        lowered = {name: min(4096, resource.getrlimit(limit)[1] % 2**63) for name, limit in limits.items()}
        ulimits = json.dumps([f"{name}={value}:{value}" for name, value in lowered.items()])
        (self.directory / "containers.conf").write_text(
            '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nlock_type = "file"\n'
            f'helper_binaries_dir = ["{STACK}/network/usr/lib/podman", "/usr/lib/podman", "/usr/libexec/podman"]\n'
            f"[containers]\ndefault_ulimits = {ulimits}\n"
            f'[network]\nnetwork_config_dir = "{self.directory}/networks"\n'
            + 'network_backend = "netavark"\n'
            * with_networks
        )
        self._command = (
            *AS_ROOT,
            "env",
            f"CONTAINERS_CONF={self.directory}/containers.conf",
            "DISABLE_HC_SYSTEMD=true",
            "podman",
            f"--root={self.directory}/root",
            f"--runroot={self.directory}/run",
            f"--tmpdir={self.directory}/tmp",
        )

    def attempt(self, *words: str | Path, within: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command of podman's."""
        return subprocess.run(
            [*self._command, *map(str, words)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=within,
            check=False,
        )

    def __call__(self, *words: str | Path, within: float = 60) -> str:
        """Run a command of podman's that must succeed; return what it printed."""
        done = self.attempt(*words, within=within)
        assert done.returncode == 0, f"podman {' '.join(map(str, words))}:\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self(kind, "inspect", name))
        return found[0]

    def stored_files_with(self, text: str) -> list[str]:
        """Return the files of all layers, those of intermediate stages included, in which a text stands."""
        command = [*AS_ROOT, "grep", "-rlaF", "-e", text, str(self.directory / "root")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode in {0, 1}, done.stderr
        return done.stdout.splitlines()

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Answer Docker's API; give its address."""
        socket = self.directory / "api"
        process = subprocess.Popen(
            [*self._command, "system", "service", "--time=0", f"unix://{socket}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            eventually(socket.exists)
            yield f"unix://{socket}"
        finally:
            process.terminate()
            process.wait(10)

    def end(self) -> None:
        """Remove all containers, all images and the directory."""
        self("rm", "--all", "--force", "--time=0", "--volumes")
        eventually(self._removed, within=30)

    def _removed(self) -> bool:
        # A container that has just ended is still cleaned up in the background, which mounts this once more.
        subprocess.run([*AS_ROOT, "umount", "--quiet", f"{self.directory}/root/overlay"], check=False)
        command = [*AS_ROOT, "rm", "-rf", "--one-file-system", str(self.directory)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
