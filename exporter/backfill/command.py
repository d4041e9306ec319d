"""The command `backfill`: flags in, past months fetched, OpenMetrics text out."""

import argparse
import logging
import os
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TextIO

from exporter import log, signals
from exporter.api.client import Client
from exporter.api.transport import Transport
from exporter.arguments import PROGRAM, Parser, add_common_flags, state_dir
from exporter.backfill.fetcher import Backfill, BackfillError, choose_months
from exporter.backfill.openmetrics import render
from exporter.clock import Clock
from exporter.config.settings import Settings
from exporter.durations import format_duration
from exporter.ratelimit.per_key import RateLimiters
from exporter.state.directory import StateDirectory
from exporter.state.files import replace_file

logger = logging.getLogger(__name__)

SERVICE_STATE_DIRECTORY = Path("/var/lib/smspartner-exporter")
"""Where the systemd unit and the container image keep the state."""

_ENDS_WITHIN = 1.0


class _ProgressBar:
    """A bar on the last line of a terminal. As the stream of a log, it puts the log's lines above itself."""

    def __init__(self, months: int, terminal: TextIO) -> None:
        from tqdm import tqdm  # noqa: PLC0415 - costs memory, and only a terminal needs it

        self._terminal = terminal
        layout = "{percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} months{postfix}"
        self._bar = tqdm(total=months, file=terminal, leave=False, dynamic_ncols=True, bar_format=layout)

    def show(self, fetched: int, months: int, seconds_left: float) -> None:
        self._bar.n, self._bar.total = fetched, months
        self._bar.set_postfix_str(f"about {format_duration(seconds_left)} left")

    def close(self) -> None:
        self._bar.close()

    def write(self, text: str) -> None:
        self._bar.write(text, file=self._terminal, end="")

    def flush(self) -> None:
        self._terminal.flush()


def parse(words: Sequence[str], now: float) -> argparse.Namespace:
    """Return the flags that follow `backfill`, or exit with status 2. `now` is Unix time."""
    parser = _parser()
    flags = parser.parse(words)
    try:
        flags.months = choose_months(flags.first, flags.last, now)
    except ValueError as error:
        parser.error(str(error))
    return flags


def find_state_dir(flag: Path | None, environment: Mapping[str, str]) -> Path:
    """Return the state directory of the exporter that runs here. By sharing it, the two keep to the limit together.

    Raises BackfillError if nothing says which it is.
    """
    if flag or environment.get("STATE_DIRECTORY"):
        path = state_dir(flag, environment)
    else:
        candidates = (state_dir(None, environment), SERVICE_STATE_DIRECTORY)
        found = [candidate for candidate in candidates if os.path.lexists(candidate)]
        if len(found) != 1:
            problem = "both of these exist" if found else "neither of these exists"
            raise BackfillError(
                f"which state directory is the exporter's? {problem}: {candidates[0]}, {candidates[1]}; "
                "name it with --state.dir, or if no exporter runs, name any directory"
            )
        path = found[0]
    if os.geteuid() == 0 and path.exists() and path.stat().st_uid != 0:
        raise BackfillError(
            f"{path}: belongs to user {path.stat().st_uid}, who could not write the files that root leaves there: "
            "run the command as that user"
        )
    return path


def run(
    flags: argparse.Namespace,
    settings: Settings,
    limiters: RateLimiters,
    directory: StateDirectory | None,
    clock: Clock,
) -> int:
    """Fetch the months and write them. Return the exit status. Raises BackfillError."""
    bar = (
        _ProgressBar(len(settings.accounts) * len(flags.months), sys.stderr) if sys.stderr.isatty() else None
    )
    if bar:
        log.configure(flags.log_level, flags.log_format, bar)
    client = Client(Transport(settings.base_url, clock), clock, settings.statistics)
    backfill = Backfill(settings, flags.months, client, limiters, directory, clock, bar.show if bar else None)
    requests = len(backfill.missing)
    logger.info(
        "backfill begins",
        extra={
            "from": flags.months[0],
            "to": flags.months[-1],
            "months": backfill.total,
            "kept": backfill.total - requests,
            "requests": requests,
            "takes": format_duration(backfill.seconds_left),
        },
    )
    try:
        _run_until_signal(backfill)
        text = render({"job": flags.job, "instance": flags.instance}, backfill.figures())
        _write(flags.output, text)
    except BackfillError as error:
        raise BackfillError(f"{error}; {_what_is_kept(backfill, directory)}") from None
    finally:
        if bar:
            bar.close()
    logger.info("backfill complete", extra={"output": flags.output or "standard output"})
    return 0


def _run_until_signal(backfill: Backfill) -> None:
    """Run in a thread of its own, which a signal to the main thread ends. Raises BackfillError."""
    outcome: Future[None] = Future()
    ended: SimpleQueue[None] = SimpleQueue()  # a signal's handler may put, whatever it interrupts

    def work() -> None:
        try:
            backfill.run()
            outcome.set_result(None)
        except Exception as error:
            outcome.set_exception(error)
        ended.put(None)

    with signals.handled(end=partial(ended.put, None)):
        thread = threading.Thread(target=work, name="backfill", daemon=True)
        thread.start()
        ended.get()
        backfill.stop()
        thread.join(_ENDS_WITHIN)
    if not outcome.done():
        raise BackfillError("stopped")
    outcome.result()


def _what_is_kept(backfill: Backfill, directory: StateDirectory | None) -> str:
    fetched = f"{backfill.total - len(backfill.missing)} of {backfill.total} months are fetched"
    if directory and directory.writable:
        return f"{fetched} and kept for this key: run the same command again to continue"
    return f"{fetched}, but not kept"


def _write(path: Path | None, text: bytes) -> None:
    try:
        if path:
            replace_file(path.resolve(), text, mode=0o666)
        else:
            with open(sys.stdout.fileno(), "wb", closefd=False) as output:
                output.write(text)
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else type(error).__name__
        raise BackfillError(f"{path or 'standard output'}: {reason}") from None


def _parser() -> Parser:
    parser = Parser(
        prog=f"{PROGRAM} backfill",
        description="Fetches past months and writes them as OpenMetrics text, from which promtool makes blocks.",
        allow_abbrev=False,
    )
    parser.add_flag("--from", _month, dest="first", required=True, metavar="YYYY-MM", help="first month")
    parser.add_flag(
        "--to",
        _month,
        dest="last",
        metavar="YYYY-MM",
        help="last month (default: the previous one; it is complete 3 h after its end)",
    )
    parser.add_flag(
        "--output",
        _output,
        metavar="FILE",
        help="output file, replaced only when everything is fetched (default: -, standard output)",
    )
    for label, default in (("job", "smspartner"), ("instance", "localhost:10035")):
        parser.add_flag(
            f"--{label}",
            _label_value,
            default=default,
            metavar="TEXT",
            help=f"label {label} that Prometheus gives the live series (default: %(default)s)",
        )
    add_common_flags(parser)
    return parser


def _month(text: str) -> str:
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text):
        raise ValueError("expected a month such as 2024-01")
    return text


def _output(text: str) -> Path | None:
    if text == "-":
        return None
    path = Path(text)
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError("is not a regular file; for standard output, give -")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ValueError("its directory is missing or cannot be written")
    return path


def _label_value(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected printable text")
    return text
