"""A progress bar for a terminal.

The pace says beforehand how long it takes, so nothing has to be estimated from what has passed, and log lines have to
go through one redacting formatter: a library would bring more than is needed, and not that.
"""

import os
from typing import TextIO

_WIDTH = 30
_CLEAR_LINE = "\r\x1b[K"


class Bar:
    """A bar on the last line of a terminal. As the stream of a log, it puts the log's lines above itself."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal
        self._line = ""

    def draw(self, done: int, total: int, note: str) -> None:
        """Show how far it is."""
        filled = _WIDTH * done // total
        line = f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {done}/{total} months, {note}"
        self._line = line[: _columns(self._terminal) - 1]
        self.write("")

    def clear(self) -> None:
        """Take the bar away."""
        self._line = ""
        self.write("")

    def write(self, text: str) -> None:
        """Write whole lines above the bar."""
        self._terminal.write(f"{_CLEAR_LINE}{text}{self._line}")
        self._terminal.flush()

    def flush(self) -> None:
        """Do nothing: all is written at once."""


def _columns(terminal: TextIO) -> int:
    try:
        return os.get_terminal_size(terminal.fileno()).columns or 80
    except OSError:
        return 80
