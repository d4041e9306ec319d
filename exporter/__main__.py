"""Where the process starts, by the command ``smspartner-exporter`` and by ``python -m exporter``."""

import os
import signal
import sys


def main() -> int:
    """Run the command; told to end while its modules are still loading, end at once."""
    status = 1 if sys.argv[1:2] == ["backfill"] else 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(status))
    if status == 0:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is a configuration to read again
    from exporter.cli import main as run  # noqa: PLC0415

    return run()


if __name__ == "__main__":
    sys.exit(main())
