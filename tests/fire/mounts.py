"""A file system to fill, to make read-only and to take away, for processes of its own.

Mounts need privileges, and must not be seen by anybody else: each lives in a mount namespace of its own. Root makes
that directly; a plain user is root in a user namespace of its own, where the kernel allows those.
"""

import functools
import os
import subprocess
from pathlib import Path

import pytest

from tests.running import ROOT, Started

_WAYS = {
    "root": (("unshare", "--mount"), ("nsenter", "--mount")),
    "user namespace": (
        ("unshare", "--user", "--map-root-user", "--mount"),
        ("nsenter", "--user", "--preserve-credentials", "--mount"),
    ),
}
_WITHOUT_ROOTS_PRIVILEGES = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


class Mount:
    """A small tmpfs at `directory`, which only processes that are started `under` see; its content is in `path`."""

    def __init__(self, started: Started, directory: Path) -> None:
        unshare, enter = _way()
        self.directory = directory
        directory.mkdir()
        script = 'mount -t tmpfs -o size=256k,nr_inodes=32 tmpfs "$1" && echo mounted && exec sleep 600'
        holder = started.command(*unshare, "sh", "-c", script, "sh", directory)
        holder.line("^mounted$")
        self._enter = (*enter, f"--target={holder.process.pid}", f"--wd={ROOT}", "--")
        self.under = (*self._enter, *_WITHOUT_ROOTS_PRIVILEGES)
        """Runs a program to which the file system's modes apply, though it may be root's."""
        self.path = Path(f"/proc/{holder.process.pid}/root{directory}")

    def run(self, *command: str) -> None:
        """Run a command that sees the mount, with every privilege there."""
        subprocess.run([*self._enter, *command, str(self.directory)], check=True, capture_output=True)


@functools.cache
def _way() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the commands that make such a namespace and enter it. Fail where there is no way."""
    for way, (unshare, enter) in _WAYS.items():
        if way == "root" and os.geteuid() != 0:
            continue
        if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode == 0:
            return unshare, enter
    pytest.fail(
        "No file system can be mounted here, so what a broken one does cannot be tested. Run the tests as root (in a "
        "container with the capability SYS_ADMIN), or where a plain user may have user namespaces "
        "(`unshare --user --map-root-user --mount true` must succeed)."
    )
