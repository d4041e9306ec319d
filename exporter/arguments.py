"""What the commands of the command line have in common: flags, and errors that are one line and quote no value."""

import argparse
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from exporter import log
from exporter.config.loader import ConfigError

PROGRAM = "smspartner-exporter"
_FLAG = re.compile(r"--[a-z.-]{1,40}\Z")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line. An unexpected argument may be the key: it is not shown.

    A flag with an empty value, as templates leave it, counts as not given. A flag given twice is refused.
    """

    def add_flag(
        self, name: str, convert: Callable[[str], object], *, is_repeatable: bool = False, **options: Any
    ) -> None:
        """Add a flag with a value. A repeatable one is a list. `convert` raises ValueError."""
        self.add_argument(name, action=_Value, convert=convert, is_repeatable=is_repeatable, **options)

    def add_switch(self, name: str, **options: Any) -> None:
        """Add a flag without a value."""
        self.add_argument(name, action=_Switch, nargs=0, default=False, **options)

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


class _Switch(argparse.Action):
    def __call__(self, _parser: argparse.ArgumentParser, namespace: argparse.Namespace, *_: object) -> None:
        _note_given(self, namespace, value=True)
        setattr(namespace, self.dest, True)


class _Value(argparse.Action):
    def __init__(
        self, *args: Any, convert: Callable[[str], object], is_repeatable: bool, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._convert = convert
        self._is_repeatable = is_repeatable

    def __call__(
        self, _parser: argparse.ArgumentParser, namespace: argparse.Namespace, text: Any, *_: object
    ) -> None:
        if not text and self.required:
            raise argparse.ArgumentError(self, "expected one argument")
        if not text:
            return
        try:
            value = self._convert(text)
        except ValueError as error:
            raise argparse.ArgumentError(self, str(error)) from None
        values = _note_given(self, namespace, value, is_repeatable=self._is_repeatable)
        setattr(namespace, self.dest, values if self._is_repeatable else value)


def _note_given(
    flag: argparse.Action, namespace: argparse.Namespace, value: object, *, is_repeatable: bool = False
) -> list[object]:
    """Return all values of a flag so far."""
    given: dict[str, list[object]] = vars(namespace).setdefault("given", {})
    values = given.setdefault(flag.dest, [])
    if values and not is_repeatable:
        raise argparse.ArgumentError(flag, "given twice")
    values.append(value)
    return values


def one_of(known: Collection[str], **aliases: str) -> Callable[[str], str]:
    """Return a converter that accepts known words in any case. Unlike argparse's choices, its error quotes no input."""

    def convert(text: str) -> str:
        word = aliases.get(text.lower(), text.lower())
        if word not in known:
            raise ValueError(f"expected {', '.join(known)}")
        return word

    return convert


def add_common_flags(parser: Parser) -> None:
    """Add the flags that every command takes."""
    parser.add_flag("--config.file", Path, dest="config_file", metavar="FILE", help="configuration (YAML)")
    parser.add_flag(
        "--state.dir",
        Path,
        dest="state_dir",
        metavar="DIR",
        help="where figures and the time of the last request are kept (default: $STATE_DIRECTORY, else "
        f"$XDG_STATE_HOME/{PROGRAM}, else ~/.local/state/{PROGRAM})",
    )
    parser.add_switch("--demo", help="poll a simulated SMS Partner API: needs no key and no configuration")
    parser.add_flag(
        "--log.level",
        one_of(log.LEVELS, warn="warning"),
        dest="log_level",
        default="info",
        metavar=f"{{{','.join(log.LEVELS)}}}",
        help="the least severe lines to log (default: info)",
    )
    parser.add_flag(
        "--log.format",
        one_of(log.FORMATS),
        dest="log_format",
        default="logfmt",
        metavar=f"{{{','.join(log.FORMATS)}}}",
        help="form of the log lines (default: logfmt)",
    )


def state_dir(flag: Path | None, environment: Mapping[str, str]) -> Path:
    """Return where the state is kept. Raises ConfigError if there is no home directory either."""
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
