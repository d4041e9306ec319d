"""Where the process starts, by the command ``smspartner-exporter`` and by ``python -m exporter``."""

import contextlib
import os
import sys
from typing import NoReturn

from exporter import signals


def main() -> NoReturn:
    """Run the command."""
    is_backfill = sys.argv[1:2] == ["backfill"]
    signals.end_at_once(1 if is_backfill else 0)
    if not is_backfill:
        signals.ignore_reload()
    # These imports take a while. A signal during them must already end the process cleanly.
    from exporter import log  # noqa: PLC0415
    from exporter.cli import main as run  # noqa: PLC0415

    status = run()
    log.flush()
    # A thread may be left in a call that nothing ends: a name being resolved, a password being checked. Python's own
    # shutdown can crash on such a thread.
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
