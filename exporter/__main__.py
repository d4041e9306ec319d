"""Where the process starts, by the command ``smspartner-exporter`` and by ``python -m exporter``."""

import contextlib
import os
import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command; told to end before it polls, end at once."""
    if_told_early = 1 if sys.argv[1:2] == ["backfill"] else 0
    for number in (signal.SIGINT, signal.SIGTERM):
        # Not by an exception: Python's own ending restores the default action, by which a second signal kills.
        signal.signal(number, lambda *_: os._exit(if_told_early))
    if if_told_early == 0:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is a configuration to read again
    from exporter import log  # noqa: PLC0415
    from exporter.cli import main as run  # noqa: PLC0415

    status = run()
    log.flush()
    # A thread may be left in a call that nothing ends: a name being resolved, a password being checked. Python's own
    # ending can crash on such a thread.
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
