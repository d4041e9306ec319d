"""Log lines: each one parses, none shows a key, nothing else is written to stderr."""

import gc
import io
import json
import logging
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import SystemTimeWarning

from exporter import log, secret
from exporter.secret import HIDDEN, Secret

KEY = "S3CR3T-of-the-log"
PAIR = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s"=]+)(?: |\Z)')


def parse_logfmt(line: str) -> dict[str, Any]:
    assert "".join(match[0] for match in PAIR.finditer(line)) == line
    return {key: json.loads(text) if text[0] == '"' else text for key, text in PAIR.findall(line)}


PARSERS: dict[str, Callable[[str], dict[str, Any]]] = {"logfmt": parse_logfmt, "json": json.loads}


@pytest.fixture(autouse=True)
def _known_key(restored: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret, "_spellings", [])  # other tests know keys that are ordinary words
    Secret(KEY)


def configured(style: str, level: str = "debug") -> io.StringIO:
    stream = io.StringIO()
    log.configure(level, style, stream)
    return stream


def written(stream: io.StringIO) -> str:
    log.flush()
    return stream.getvalue()


def only_line(stream: io.StringIO, style: str = "logfmt") -> dict[str, Any]:
    text = written(stream)
    assert text.endswith("\n")
    assert text[:-1].isprintable()
    assert KEY not in text
    return PARSERS[style](text[:-1])


def fail() -> None:
    raise RuntimeError(f"https://api/v1/me?apiKey={KEY}")


def formatted(style: str, message: str, **fields: object) -> str:
    record = logging.makeLogRecord({"msg": message, "levelname": "INFO", "created": 0.25, **fields})
    return log.Formatter(style).format(record)


@pytest.mark.parametrize("style", log.FORMATS)
@given(message=st.text(), value=st.text())
def test_every_line_parses_back(style: str, message: str, value: str) -> None:
    line = formatted(style, message, account=value)
    assert line.isprintable()
    assert PARSERS[style](line) == {
        "time": "1970-01-01T00:00:00.250Z",
        "level": "info",
        "msg": message,
        "account": value,
    }


ODD = '|two words|"quoted"|back\\slash|a=b|line\nbreak|tab\t|\x1b[31mred|\x9b31m|\u2028|\x85|\u202etxt|\udcff|é|😀'


@pytest.mark.parametrize("style", log.FORMATS)
@pytest.mark.parametrize("value", ODD.split("|"))
def test_odd_values_stay_on_the_line(style: str, value: str) -> None:
    line = formatted(style, "x", field=value)
    assert line.isprintable()
    assert PARSERS[style](line)["field"] == value


def test_plain_values_stand_without_quotes() -> None:
    line = formatted(
        "logfmt", "poll failed", account="marketing", count=3, seconds=1.5, url="http://h?a=b", no=None
    )
    assert line == (
        'time=1970-01-01T00:00:00.250Z level=info msg="poll failed" account=marketing count=3 seconds=1.5 '
        'url="http://h?a=b"'
    )


def test_numbers_are_numbers_in_json() -> None:
    assert json.loads(formatted("json", "x", count=3, seconds=1.5)) == {
        "time": "1970-01-01T00:00:00.250Z",
        "level": "info",
        "msg": "x",
        "count": 3,
        "seconds": 1.5,
    }


@pytest.mark.parametrize("style", log.FORMATS)
@pytest.mark.parametrize(
    "value",
    [
        KEY,
        f"https://h/v1/me?apiKey={KEY}&x=1",
        f"back\\{KEY}",
        {"key": KEY},
        [KEY],
        ValueError(KEY),
        KEY.encode(),
    ],
)
def test_keys_are_taken_out(style: str, value: object) -> None:
    line = formatted(style, f"message {KEY}", field=value)
    fields = PARSERS[style](line)
    assert KEY not in line
    assert fields["msg"] == f"message {HIDDEN}"
    assert HIDDEN in fields["field"]


@pytest.mark.parametrize("style", log.FORMATS)
def test_a_key_of_digits_is_taken_out_of_numbers(style: str) -> None:
    Secret("8172635445362718")
    fields = PARSERS[style](formatted(style, "x", count=8172635445362718, other=12))
    assert fields["count"] == HIDDEN
    assert str(fields["other"]) == "12"


@pytest.mark.parametrize("style", log.FORMATS)
def test_an_exception_is_named_without_its_text(style: str) -> None:
    stream = configured(style)
    try:
        fail()
    except RuntimeError:
        logging.getLogger("exporter").exception("failed")
    fields = only_line(stream, style)
    assert re.fullmatch(r"RuntimeError at \S*test_log\.py:\d+", fields["error"])
    assert set(fields) == {"time", "level", "msg", "error"}


def test_an_exception_that_was_never_raised_is_named() -> None:
    assert log.where_raised(KeyError(KEY)) == "KeyError"


@pytest.mark.parametrize("style", log.FORMATS)
def test_what_nobody_caught_is_one_line(style: str) -> None:
    stream = configured(style)
    try:
        fail()
    except RuntimeError as error:
        sys.excepthook(RuntimeError, error, error.__traceback__)
    fields = only_line(stream, style)
    assert (fields["level"], fields["msg"]) == ("critical", "internal error")
    assert fields["error"].startswith("RuntimeError at ")


@pytest.mark.parametrize("style", log.FORMATS)
def test_what_nobody_caught_in_a_thread_is_one_line(style: str) -> None:
    stream = configured(style)
    thread = threading.Thread(target=fail, name="poller")
    thread.start()
    thread.join()
    fields = only_line(stream, style)
    assert (fields["msg"], fields["thread_name"]) == ("internal error", "poller")
    assert fields["error"].startswith("RuntimeError at ")


def test_what_fails_where_nobody_can_catch_it_is_one_line() -> None:
    stream = configured("logfmt")

    class Failing:
        def __del__(self) -> None:
            raise RuntimeError(KEY)

    Failing()
    gc.collect()
    fields = only_line(stream)
    assert (fields["level"], fields["msg"]) == ("error", "error ignored")
    assert fields["error"].startswith("RuntimeError at ")


def test_a_warning_is_one_line_without_source_code() -> None:
    stream = configured("logfmt")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"two\nlines {KEY}", SystemTimeWarning, stacklevel=1)
    fields = only_line(stream)
    assert (fields["level"], fields["msg"]) == ("warning", f"two\nlines {HIDDEN}")
    assert fields["warning"] == "SystemTimeWarning"
    assert re.fullmatch(r"\S*test_log\.py:\d+", fields["where"])
    assert set(fields) == {"time", "level", "msg", "warning", "where"}


class Paused(io.StringIO):
    """A stream that takes nothing until it is told to, as a full pipe."""

    def __init__(self) -> None:
        super().__init__()
        self.flows = threading.Event()
        self.fails: Exception | None = None

    def write(self, text: str) -> int:
        self.flows.wait()
        if self.fails:
            raise self.fails
        return super().write(text)


def test_while_nobody_reads_a_thousand_lines_wait_and_what_is_dropped_is_told_afterwards() -> None:
    stream = Paused()
    log.configure("info", "logfmt", stream)
    logger = logging.getLogger("exporter")
    for number in range(2000):
        logger.info("line", extra={"number": number})
    stream.flows.set()
    *lines, told = [parse_logfmt(line) for line in written(stream).splitlines()]
    assert [line["number"] for line in lines] == [str(number) for number in range(len(lines))]
    assert len(lines) in {1000, 1001}
    assert (told["level"], told["msg"], told["lines"]) == (
        "warning",
        "log lines dropped: nobody read them",
        str(2000 - len(lines)),
    )
    logger.info("again")
    assert parse_logfmt(written(stream).splitlines()[-1])["msg"] == "again"


@pytest.mark.parametrize("error", [OSError(28, "no space left"), BrokenPipeError(), ValueError("closed")])
def test_a_line_that_cannot_be_written_is_counted_and_told_with_the_next_that_can(error: Exception) -> None:
    stream = Paused()
    stream.fails = error
    stream.flows.set()
    log.configure("info", "logfmt", stream)
    logger = logging.getLogger("exporter")
    logger.info("lost")
    logger.info("lost")
    assert written(stream) == ""
    stream.fails = None
    logger.info("kept")
    kept, told = [parse_logfmt(line) for line in written(stream).splitlines()]
    assert (kept["msg"], told["lines"]) == ("kept", "2")


def test_to_wait_for_a_log_that_nobody_reads_takes_at_most_half_a_second() -> None:
    log.configure("info", "logfmt", Paused())
    logging.getLogger("exporter").info("x")
    before = time.monotonic()
    log.flush()
    assert 0.4 < time.monotonic() - before < 5


def test_the_thread_of_a_log_that_is_replaced_writes_what_is_left_and_ends() -> None:
    threads = set(threading.enumerate())
    stream = Paused()
    log.configure("info", "logfmt", stream)
    logging.getLogger("exporter").info("the last line")
    log.configure("info", "logfmt", io.StringIO())
    stream.flows.set()
    for thread in set(threading.enumerate()) - threads:
        thread.join(0.2)
    assert "the last line" in stream.getvalue()
    assert len(set(threading.enumerate()) - threads) == 1


def test_a_wrong_log_call_prints_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configured("logfmt")
    logging.getLogger("exporter").info("%d", KEY)
    assert capsys.readouterr() == ("", "")


def test_levels() -> None:
    stream = configured("logfmt", "warning")
    logger = logging.getLogger("exporter.somewhere")
    logger.info("hidden")
    assert written(stream) == ""
    logger.warning("shown")
    assert only_line(stream)["msg"] == "shown"


def test_urllib3_is_silent_even_at_debug() -> None:
    stream = configured("logfmt", "debug")
    logging.getLogger("urllib3.connectionpool").warning("Retrying /v1/me?apiKey=%s", KEY)
    logging.getLogger("urllib3").error("x")
    for chatty in ("asyncio", "uvicorn.access"):
        logging.getLogger(chatty).info("x")
    with pytest.raises(urllib3.exceptions.HTTPError):
        urllib3.PoolManager().request("GET", f"http://127.0.0.1:1/?apiKey={KEY}", retries=1)
    assert written(stream) == ""


def test_configuring_again_does_not_double_the_lines() -> None:
    first, second = configured("logfmt"), configured("json")
    logging.getLogger("exporter").info("once")
    assert written(first) == ""
    assert only_line(second, "json")["msg"] == "once"
