"""Log lines in logfmt or JSON, from which every known API key is taken out.

Fields go into ``extra``: ``logger.warning("poll failed", extra={"account": name})``. Keys are removed in
the formatter, because it sees everything that a handler writes, tracebacks included; a filter does not.
"""

import json
import logging
import queue
import re
import sys
import threading
import warnings
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, TextIO

from exporter.secret import redact

FORMATS = ("logfmt", "json")
LEVELS = ("debug", "info", "warning", "error")
_MOST_WAITING = 1000
_FLUSH_WITHIN = 0.5
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_BARE = re.compile(r"[^\s\"=\\]+\Z")


class Stream(Protocol):
    """Where log lines go."""

    def write(self, text: str, /) -> object:
        """Write a line, its end included."""

    def flush(self) -> object:
        """Write what is not yet written."""


class Formatter(logging.Formatter):
    """One line a record: time, level, message, then its fields."""

    def __init__(self, style: str) -> None:
        super().__init__()
        self._as_json = style == "json"

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line without any key in it."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields: dict[str, object] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "msg": _safe(record.getMessage()),
        }
        fields |= {
            key: _safe(value)
            for key, value in vars(record).items()
            if key not in _STANDARD and value is not None
        }
        if record.exc_info and record.exc_info[1]:
            fields["error"] = where_raised(record.exc_info[1])
        return json.dumps(fields) if self._as_json else " ".join(map(_logfmt, fields.items()))


def _safe(value: object) -> object:
    """Return a number as it is, anything else as text, without any key in it."""
    text = redact(str(value))
    return value if isinstance(value, (int, float)) and text == str(value) else text


def _logfmt(field: tuple[str, object]) -> str:
    key, value = field
    text = str(value)
    if text.isprintable() and _BARE.match(text):
        return f"{key}={text}"
    return f"{key}={json.dumps(text, ensure_ascii=not text.isprintable())}"


def where_raised(error: BaseException) -> str:
    """Name an exception and the line that raised it. Its text stays out: it may quote a URL with the key."""
    frame: TracebackType | None = error.__traceback__
    if frame is None:
        return type(error).__name__
    while frame.tb_next:
        frame = frame.tb_next
    return f"{type(error).__name__} at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}"


class Handler(logging.Handler):
    """Writes lines from a thread of its own, so that nothing waits for whoever reads the log.

    A line that finds 1,000 others waiting, or that cannot be written, is dropped. How many were dropped is logged once
    lines can be written again.
    """

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream
        self._waiting: queue.SimpleQueue[str | threading.Event | None] = queue.SimpleQueue()
        self._dropped = 0  # changed by whoever logs, under the handler's lock
        self._failed = 0  # changed by the thread alone, as is the next
        self._told = 0
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the record's line to the thread."""
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
            return
        if self._waiting.qsize() < _MOST_WAITING:
            self._waiting.put(f"{line}\n")
        else:
            self._dropped += 1

    def flush(self) -> None:
        """Wait until every line is written, at most half a second."""
        written = threading.Event()
        self._waiting.put(written)
        written.wait(_FLUSH_WITHIN)

    def close(self) -> None:
        """Let the thread end after the last line."""
        self._waiting.put(None)
        super().close()

    def _write_all(self) -> None:
        while item := self._waiting.get():
            if isinstance(item, threading.Event):
                self._tell_dropped()
                item.set()
            elif not self._write(item):
                self._failed += 1
            elif self._waiting.empty():
                self._tell_dropped()

    def _write(self, line: str) -> bool:
        try:
            self._stream.write(line)
            self._stream.flush()
        except Exception:  # a full disk, a reader that is gone, no stderr at all: later lines may be written
            return False
        return True

    def _tell_dropped(self) -> None:
        dropped = self._dropped + self._failed
        if lines := dropped - self._told:
            record = {"levelname": "WARNING", "msg": "log lines dropped: nobody read them", "lines": lines}
            if self._write(f"{self.format(logging.makeLogRecord(record))}\n"):
                self._told = dropped


def configure(level: str, style: str, stream: Stream = sys.stderr) -> None:
    """Send every log line of the process, and what nobody caught, to `stream`."""
    root = logging.getLogger()
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = [Handler(stream)]
    root.handlers[0].setFormatter(Formatter(style))
    root.setLevel(level.upper())
    # urllib3 logs the URL, key included, even at WARNING.
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    # It warns of each request that is not HTTP, and anybody can send any number of those.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    warnings.showwarning = _log_warning
    logging.raiseExceptions = False  # it prints tracebacks of its own
    logger = logging.getLogger("exporter")
    sys.unraisablehook = lambda args: logger.error("error ignored", exc_info=args.exc_value)
    sys.excepthook = lambda _kind, error, _frame: logger.critical("internal error", exc_info=error)
    threading.excepthook = lambda args: logger.critical(
        "internal error", exc_info=args.exc_value, extra={"thread_name": args.thread and args.thread.name}
    )


def flush() -> None:
    """Wait until every line is written; not for long, if nobody reads them."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Log a library's warning. Python's own form of it is several lines, one of them source code."""
    where = {"warning": category.__name__, "where": f"{filename}:{lineno}"}
    logging.getLogger("py.warnings").warning("%s", message, extra=where)
