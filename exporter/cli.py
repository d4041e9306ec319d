"""The command line: flags in, exit status out. It reads the configuration and starts the service."""

import argparse
import asyncio
import contextlib
import logging
import os
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from exporter import __version__, log
from exporter.api.environment import check_environment
from exporter.arguments import PROGRAM, Parser, add_common_flags, state_dir
from exporter.backfill import command as backfill_command
from exporter.backfill.fetcher import BackfillError
from exporter.clock import SystemClock
from exporter.config import loader as config
from exporter.config.settings import Settings
from exporter.durations import format_duration, plural
from exporter.ratelimit.per_key import RateLimiters
from exporter.service import Service
from exporter.state.directory import DirectoryInUseError, StateDirectory
from exporter.state.store import Store
from exporter.web.security import WebSecurity
from exporter.web.server import ListenError, format_address, listen, parse_listen_address

logger = logging.getLogger("exporter")

_DEFAULT_ADDRESS = ":10035"


def parser() -> Parser:
    """Return the parser of the command `run`."""
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
        help=f"poll and serve (the default); for past months, see {PROGRAM} backfill --help",
    )
    flags.add_switch("--config.check", dest="config_check", help="check the configuration and exit")
    flags.add_flag(
        "--web.listen-address",
        parse_listen_address,
        is_repeatable=True,
        dest="listen_addresses",
        default=[parse_listen_address(_DEFAULT_ADDRESS)],
        metavar="[HOST]:PORT",
        help=f"address to serve on; may be given several times (default: {_DEFAULT_ADDRESS})",
    )
    flags.add_flag(
        "--web.telemetry-path",
        _telemetry_path,
        dest="telemetry_path",
        default="/metrics",
        metavar="PATH",
        help="path of the metrics (default: %(default)s)",
    )
    flags.add_flag(
        "--web.config.file",
        Path,
        dest="web_config_file",
        metavar="FILE",
        help="TLS and basic auth, in the format of Prometheus's own exporters",
    )
    add_common_flags(flags)
    flags.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    is_backfill = words[:1] == ["backfill"]
    clock = SystemClock()
    flags = backfill_command.parse(words[1:], clock.time()) if is_backfill else _parse_run(words)
    log.configure(flags.log_level, flags.log_format, sys.stderr)
    try:
        with _simulated_api(flags) as demo_url:
            return (_backfill if is_backfill else _run)(flags, demo_url, clock)
    except (config.ConfigError, ListenError, BackfillError, DirectoryInUseError) as error:
        log.flush()  # this line is the last
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1


def _parse_run(words: Sequence[str]) -> argparse.Namespace:
    flags = parser().parse(words)
    if flags.command == "backfill":
        parser().error("unexpected argument: backfill goes before all flags")
    if flags.command != "run":
        parser().error("unexpected argument: the only commands are run, the default, and backfill")
    return flags


def _run(flags: argparse.Namespace, demo_url: str | None, clock: SystemClock) -> int:
    read_settings = partial(_read_settings, flags, demo_url)
    settings = read_settings()
    security = WebSecurity(flags.web_config_file) if flags.web_config_file else None
    if flags.config_check:
        print(_describe(settings))
        return 0
    with _listening(flags.listen_addresses) as sockets:
        limiters, directory = _limiters_and_directory(flags, settings, demo_url, clock)
        service = Service(
            settings,
            read_settings,
            limiters,
            Store(directory),
            directory,
            clock,
            flags.telemetry_path,
            security,
        )
        logger.info(
            "listening",
            extra={
                "version": __version__,
                "address": " ".join(sockets),
                "api": "simulated" if demo_url else settings.base_url,
                "accounts": len(settings.accounts),
                "poll_interval": format_duration(settings.poll_interval),
                "state_dir": directory.path if directory else None,
                "web_config_file": flags.web_config_file,
                "tls": "on" if security and security.config.tls else "off",
                "logins": "on" if security and security.config.users else "off",
            },
        )
        return asyncio.run(service.run(list(sockets.values())))


@contextlib.contextmanager
def _listening(addresses: Sequence[tuple[str, int]]) -> Iterator[dict[str, socket.socket]]:
    """Listen on all addresses; give the sockets by address. Raises ListenError."""
    with contextlib.ExitStack() as stack:
        sockets = {}
        for host, port in addresses:
            listening = stack.enter_context(listen(host, port))
            sockets[format_address(host, listening.getsockname()[1])] = listening
        yield sockets


def _read_settings(flags: argparse.Namespace, demo_url: str | None) -> Settings:
    settings = config.load(flags.config_file, os.environ, demo_url)
    check_environment(settings.base_url)
    if settings.key_in_clear_text:
        logger.warning(
            "base_url is http to another machine: anyone on the network path can read the API key",
            extra={"base_url": settings.base_url},
        )
    return settings


def _backfill(flags: argparse.Namespace, demo_url: str | None, clock: SystemClock) -> int:
    settings = _read_settings(flags, demo_url)
    if not demo_url:
        flags.state_dir = backfill_command.find_state_dir(flags.state_dir, os.environ)
    limiters, directory = _limiters_and_directory(flags, settings, demo_url, clock)
    # Each start has a new simulated API, so figures that were kept could not be used again.
    return backfill_command.run(flags, settings, limiters, None if demo_url else directory, clock)


def _limiters_and_directory(
    flags: argparse.Namespace, settings: Settings, demo_url: str | None, clock: SystemClock
) -> tuple[RateLimiters, StateDirectory | None]:
    limit, scope = settings.requests_per_minute, settings.limit_scope
    if demo_url:
        # The simulated API starts with this process, so nobody can have sent it a request before.
        limiters = RateLimiters(limit, clock, past_is_empty=True, scope=scope)
        return limiters, StateDirectory(flags.state_dir) if flags.state_dir else None
    directory = StateDirectory(state_dir(flags.state_dir, os.environ))
    limiters = RateLimiters(limit, clock, directory, scope=scope)
    limiters.claim_directory()
    return limiters, directory


@contextlib.contextmanager
def _simulated_api(flags: argparse.Namespace) -> Iterator[str | None]:
    """Serve the simulated API on loopback for as long as it is needed; give its base URL. Raises ConfigError."""
    if not flags.demo:
        yield None
        return
    from exporter.simulator.simulator import Simulator, serve  # noqa: PLC0415 - costs memory, and only a demo needs it

    scope = config.load(flags.config_file, os.environ, demo_url="http://localhost").limit_scope
    with serve(Simulator(limit_per_key=scope == "account").answer) as server:
        yield server.base_url


def _describe(settings: Settings) -> str:
    accounts, queries = len(settings.accounts), len(settings.queries)
    per_key = " with each key" if settings.limit_scope == "account" else ""
    return (
        f"configuration is fine: {plural(accounts, 'account')}, {plural(accounts * queries, 'request')} every "
        f"{format_duration(settings.poll_interval)}, at most {settings.requests_per_minute} a minute{per_key}"
    )


def _telemetry_path(text: str) -> str:
    if not re.fullmatch(r"/(?!-/)[^\s?#%]*", text):
        raise ValueError(f"{text!r} is not a path such as /metrics")
    return text
