"""Log lines in logfmt or JSON, from which every known API key is taken out.

Fields go into ``extra``: ``logger.warning("poll failed", extra={"account": name})``. A formatter sees all that a
handler writes, tracebacks included, which a filter does not: so the redaction stands here.
"""

import json
import logging
import re
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol

from exporter.secret import redact

FORMATS = ("logfmt", "json")
LEVELS = ("debug", "info", "warning", "error")
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


def configure(level: str, style: str, stream: Stream = sys.stderr) -> None:
    """Send every log line of the process, and what nobody caught, to `stream`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Formatter(style))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # urllib3 logs the URL, key included, even at WARNING.
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    # Its warnings are requests that are not HTTP, of which anybody may send as many as they like.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # it prints tracebacks of its own
    logger = logging.getLogger("exporter")
    sys.unraisablehook = lambda args: logger.error("error ignored", exc_info=args.exc_value)
    sys.excepthook = lambda _kind, error, _frame: logger.critical("internal error", exc_info=error)
    threading.excepthook = lambda args: logger.critical(
        "internal error", exc_info=args.exc_value, extra={"thread_name": args.thread and args.thread.name}
    )
