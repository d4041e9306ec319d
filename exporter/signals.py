"""Signals: SIGTERM and SIGINT end the process, SIGHUP reads the configuration again."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

_ENDING = (signal.SIGTERM, signal.SIGINT)


def end_at_once(status: int) -> None:
    """Let a signal end the process with this status, until `handled` says what else to do."""
    for number in _ENDING:
        # Not by an exception: Python's shutdown restores the default action, so a second signal would kill the process.
        signal.signal(number, lambda *_: os._exit(status))


def ignore_reload() -> None:
    """Ignore SIGHUP: there is no configuration yet to read again."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@contextlib.contextmanager
def handled(end: Callable[[], object], reload: Callable[[], object] | None = None) -> Iterator[None]:
    """Within the block, call `end` for SIGTERM and SIGINT, and `reload` for SIGHUP. Then restore the old handlers.

    Both are called in the main thread between any two instructions: they must not take a lock that it may hold.
    """
    handlers = dict.fromkeys(_ENDING, end)
    if reload:
        handlers[signal.SIGHUP] = reload
    before = {
        number: signal.signal(number, lambda *_, call=handler: call()) for number, handler in handlers.items()
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
