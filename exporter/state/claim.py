"""Whether another machine uses the state directory.

Instants in the directory are on this machine's monotonic clock and mean nothing to another machine. So each process
holds a shared lock, for as long as it lives, on a file that names the machine. Whoever gets the exclusive lock knows
that nobody else is alive, and puts its own machine there. The operating system drops the locks of a process that ends:
neither a kill nor a reboot leaves any behind.
"""

import contextlib
import errno
import fcntl
import os
import socket

_MAX_BYTES = 512


def register(descriptor: int, boot: str) -> None:
    """Name this machine in a file that is open for writing, unless somebody holds a claim on it. Raises OSError."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        line = f"{boot} {socket.gethostname()}\n".encode()
        if os.pread(descriptor, _MAX_BYTES, 0) != line:
            overwrite(descriptor, line)
            os.ftruncate(descriptor, len(line))


def hold(descriptor: int, boot: str) -> str | None:
    """Hold a claim until the file is closed. Return the host name of another machine if the file names one.

    Raises OSError; BlockingIOError if another process registers at this very moment.
    """
    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    held_by, _, host = os.pread(descriptor, _MAX_BYTES, 0).decode(errors="replace").partition(" ")
    return None if held_by == boot else ascii(host.strip())[1:-1]


def overwrite(descriptor: int, line: bytes) -> None:
    """Write a line over the beginning of a file. Raises OSError, also if there is space for a part of it only."""
    if os.pwrite(descriptor, line, 0) < len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
