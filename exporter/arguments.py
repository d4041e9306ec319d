"""What the commands of the command line have in common: flags, and errors that are one line and quote no value."""

import argparse
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from exporter import log
from exporter.config.loader import ConfigError

PROGRAM = "smspartner-exporter"
_FLAG = re.compile(r"--[a-z.-]{1,40}\Z")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line. What is given where nothing is expected may be the key: it is not shown."""

    def parse(self, words: Sequence[str] | None) -> argparse.Namespace:
        """Return the flags, or exit with status 2."""
        flags, unknown = self.parse_known_args(words)
        if unknown:
            name = next((word.partition("=")[0] for word in unknown if word.startswith("--")), "")
            self.error(f"unknown flag {name}" if _FLAG.match(name) else "unexpected argument")
        return flags

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        message = re.sub("ignored explicit argument .*", "takes no value", message, flags=re.DOTALL)
        self.exit(2, f"{PROGRAM}: {message}; see {self.prog} --help\n")


def one_of(known: Collection[str]) -> Callable[[str], str]:
    """Return a type of arguments. Unlike argparse's choices, it does not quote what is wrong."""

    def check(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"expected {', '.join(known)}")
        return text

    return check


def add_common_flags(parser: Parser) -> None:
    """Add the flags that every command takes."""
    parser.add_argument(
        "--config.file", dest="config_file", type=Path, metavar="FILE", help="configuration (YAML)"
    )
    parser.add_argument(
        "--state.dir",
        dest="state_dir",
        type=Path,
        metavar="DIR",
        help="where figures and pace outlive the process (default: $STATE_DIRECTORY, else the user's state directory)",
    )
    parser.add_argument(
        "--demo",
        action="store_true",
        help="poll a simulated SMS Partner API: needs no key and no configuration",
    )
    parser.add_argument(
        "--log.level",
        dest="log_level",
        type=one_of(log.LEVELS),
        default="info",
        metavar=f"{{{','.join(log.LEVELS)}}}",
        help="(default: info)",
    )
    parser.add_argument(
        "--log.format",
        dest="log_format",
        type=one_of(log.FORMATS),
        default="logfmt",
        metavar=f"{{{','.join(log.FORMATS)}}}",
        help="(default: logfmt)",
    )


def state_dir(flag: Path | None, environment: Mapping[str, str]) -> Path:
    """Return where the state is kept. Raises ConfigError where nothing says where."""
    if flag:
        return flag
    if given := environment.get("STATE_DIRECTORY"):
        return Path(given.partition(":")[0])
    home = environment.get("XDG_STATE_HOME", "")
    if not os.path.isabs(home):
        home = os.path.expanduser("~/.local/state")
    if not os.path.isabs(home):
        raise ConfigError(
            "this user has no home directory to keep the state in: name a directory with --state.dir"
        )
    return Path(home) / PROGRAM
