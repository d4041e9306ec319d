"""The command line: flags in, exit status out. It reads the configuration and starts the service."""

import argparse
import asyncio
import contextlib
import logging
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from exporter import __version__, config, log
from exporter.clock import SystemClock
from exporter.door import Door
from exporter.durations import format_duration
from exporter.flags import PROGRAM, Parser, add_common_flags, state_dir
from exporter.pace import Pace
from exporter.server import ListenError, format_address, listen, parse_listen_address
from exporter.service import Service
from exporter.settings import Settings
from exporter.state import StateDirectory

logger = logging.getLogger("exporter")


def parser() -> Parser:
    """Return the parser of the command line."""
    flags = Parser(
        prog=PROGRAM,
        description="Prometheus exporter for SMS Partner: what was sent and spent each month, and what is left.",
        allow_abbrev=False,
    )
    flags.add_argument(
        "command",
        nargs="?",
        default="run",
        metavar="run",
        help="poll and serve (the default)",
    )
    flags.add_argument(
        "--config.check", dest="config_check", action="store_true", help="check the configuration and exit"
    )
    flags.add_argument(
        "--web.listen-address",
        dest="listen_address",
        type=_listen_address,
        default=":10035",
        metavar="[HOST]:PORT",
        help="address to serve on (default: %(default)s)",
    )
    flags.add_argument(
        "--web.telemetry-path",
        dest="telemetry_path",
        type=_telemetry_path,
        default="/metrics",
        metavar="PATH",
        help="path of the metrics (default: %(default)s)",
    )
    flags.add_argument(
        "--web.config.file",
        dest="web_config_file",
        type=Path,
        metavar="FILE",
        help="TLS and basic auth, in the format of Prometheus's own exporters",
    )
    add_common_flags(flags)
    flags.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    flags = parser().parse(argv)
    if flags.command != "run":
        parser().error("unexpected argument: the command is run, and need not be given")
    log.configure(flags.log_level, flags.log_format)
    try:
        with _simulated_api(flags.demo) as demo_url:
            if flags.config_check:
                settings = config.load(flags.config_file, os.environ, demo_url)
                _door(flags.web_config_file)
                print(_describe(settings))
                return 0
            return _run(flags, demo_url)
    except (config.ConfigError, ListenError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1


def _run(flags: argparse.Namespace, demo_url: str | None) -> int:
    def read_settings() -> Settings:
        return config.load(flags.config_file, os.environ, demo_url)

    settings = read_settings()
    door = _door(flags.web_config_file)
    host, port = flags.listen_address
    with listen(host, port) as listening:
        clock = SystemClock()
        directory = (
            None
            if demo_url and not flags.state_dir
            else StateDirectory(state_dir(flags.state_dir, os.environ))
        )
        # Nobody but this process can have asked the simulated API: it was born with it.
        pace = Pace(
            settings.requests_per_minute, clock, None if demo_url else directory, past_is_empty=bool(demo_url)
        )
        service = Service(settings, read_settings, pace, directory, clock, flags.telemetry_path, door)
        logger.info(
            "listening",
            extra={
                "version": __version__,
                "address": format_address(host, listening.getsockname()[1]),
                "api": "simulated" if demo_url else settings.base_url,
                "accounts": len(settings.accounts),
                "poll_interval": format_duration(settings.poll_interval),
                "state_dir": directory.path if directory else None,
                "web_config_file": flags.web_config_file,
            },
        )
        return asyncio.run(service.run(listening))


@contextlib.contextmanager
def _simulated_api(wanted: bool) -> Iterator[str | None]:
    """Serve the simulated API on loopback for as long as it is needed; give its base URL."""
    if not wanted:
        yield None
        return
    from exporter.simulator import Simulator, serve  # noqa: PLC0415 - costs memory, and only a demo needs it

    with serve(Simulator()) as server:
        yield server.base_url


def _door(path: Path | None) -> Door | None:
    return Door(path) if path else None


def _describe(settings: Settings) -> str:
    accounts, queries = len(settings.accounts), len(settings.queries)
    return (
        f"configuration is fine: {accounts} account{'s' * (accounts != 1)}, {accounts * queries} requests every "
        f"{format_duration(settings.poll_interval)}, at most {settings.requests_per_minute} a minute"
    )


def _listen_address(text: str) -> tuple[str, int]:
    try:
        return parse_listen_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _telemetry_path(text: str) -> str:
    if not re.fullmatch(r"/(?!-/)[^\s?#%]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a path such as /metrics")
    return text
