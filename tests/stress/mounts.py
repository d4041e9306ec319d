"""A file system to fill, to make read-only and to take away, for processes of its own.

Mounts need privileges, and should not be seen by anybody else: each lives in a mount namespace of its own. Root makes
that directly; a plain user is root in a user namespace of its own, where the kernel allows those. Below a changed root
directory there is neither: there root mounts for all to see, and the mount goes with the process that holds it.
"""

import functools
import os
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.running import ROOT, Started

Words = tuple[str, ...]


class Way(NamedTuple):
    """The commands that make a place for a mount, and run a command there."""

    make: Words
    enter: Words


_OWN = Way(("unshare", "--mount"), ("nsenter", "--mount", "--target={holder}", f"--wd={ROOT}", "--"))
_AS_USER = Way(
    ("unshare", "--user", "--map-root-user", "--mount"),
    ("nsenter", "--user", "--preserve-credentials", *_OWN.enter[1:]),
)
_FOR_ALL = Way((), ("env", f"--chdir={ROOT}"))
_HOLD = 'mount -t tmpfs -o size=256k,nr_inodes=32 tmpfs "$1" && echo mounted && exec sleep 600'
_HOLD_FOR_ALL = f"""
(while kill -0 $$; do sleep 0.5; done; while umount -l "$1"; do :; done) >/dev/null 2>&1 &
{_HOLD}"""
_WITHOUT_ROOTS_PRIVILEGES = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


class Mount:
    """A small tmpfs at `directory`, which only processes that are started `under` see; its content is in `path`."""

    def __init__(self, started: Started, directory: Path) -> None:
        way = _way()
        self.directory = directory
        directory.mkdir()
        holder = started.command(
            *way.make, "sh", "-c", _HOLD if way is not _FOR_ALL else _HOLD_FOR_ALL, "sh", directory
        )
        holder.line("^mounted$")
        self._enter = tuple(word.format(holder=holder.process.pid) for word in way.enter)
        self.under = (*self._enter, *_WITHOUT_ROOTS_PRIVILEGES)
        """Runs a program to which the file system's modes apply, though it may be root's."""
        self.path = Path(f"/proc/{holder.process.pid}/root{directory}")

    def run(self, *command: str) -> None:
        """Run a command that sees the mount, with every privilege there."""
        subprocess.run([*self._enter, *command, str(self.directory)], check=True, capture_output=True)


@functools.cache
def _way() -> Way:
    """Return the first way there is. Fail where there is none."""
    is_root = os.geteuid() == 0
    if is_root and _succeeds(*_OWN.make, "true"):
        return _OWN
    if _succeeds(*_AS_USER.make, "true"):
        return _AS_USER
    with tempfile.TemporaryDirectory() as tried:
        if is_root and _succeeds("mount", "-t", "tmpfs", "tmpfs", tried):
            subprocess.run(["umount", tried], check=True)
            return _FOR_ALL
    pytest.fail(
        "No file system can be mounted here, so what a broken one does cannot be tested. Run the tests as root (in a "
        "container with the capability SYS_ADMIN), or where a plain user may have user namespaces "
        "(`unshare --user --map-root-user --mount true` must succeed)."
    )


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
