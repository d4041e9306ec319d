"""Checking of parsed YAML and JSON against types, with one message that says where and what would be right."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

_T = TypeVar("_T")
_PATH = re.compile(r" - at `(?P<key>key` in `)?\$(?P<path>.*)`\Z")
_FIELD = re.compile(r"Object (?P<what>contains unknown|missing required) field `(?P<name>.*)`\Z", re.DOTALL)
_SHOWABLE = re.compile(r"[A-Za-z_. -]{1,40}\Z")
_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "y"), True),
    **dict.fromkeys(("false", "no", "off", "n"), False),
}


def showable(name: str) -> str:
    """Return the name of a key that may be shown. With a digit in it, it might be a secret in the wrong place."""
    return name if _SHOWABLE.match(name) else "…"


def known_keys(unknown: str, known: Sequence[str]) -> str:
    """Return the end of a message about an unknown key: the known one it resembles, or all of them."""
    near = difflib.get_close_matches(unknown, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(known)}"


class SchemaError(ValueError):
    """A value that does not fit. `path` is like ``accounts[1].name``; `unknown` is a key that should not be there."""

    def __init__(self, path: str, problem: str, unknown: str | None = None) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem
        self.unknown = unknown


def convert(value: Any, kind: type[_T], expected: Mapping[str, str]) -> _T:
    """Return `value` as `kind`. `expected` says, by the name of a field, what would be right there.

    Raises SchemaError, whose text never quotes the value.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _schema_error(str(error), expected) from None


def boolean(path: str, text: str) -> bool:
    """Return what one of YAML's words for true and false says, in any case. Raises SchemaError."""
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise SchemaError(path, "expected true or false") from None


def _schema_error(message: str, expected: Mapping[str, str]) -> SchemaError:
    match = _PATH.search(message)
    path = match["path"].removeprefix(".") if match else ""
    problem = message[: match.start()] if match else message
    if match and match["key"]:
        return SchemaError(path, "has a key that is not text: put it in quotes")
    field = _FIELD.match(problem)
    if field:
        full = f"{path}.{showable(field['name'])}".removeprefix(".")
        if field["what"] == "missing required":
            return SchemaError(full, "is missing")
        return SchemaError(full, "unknown key", unknown=field["name"])
    name = re.sub(r"\[[^\]]*\]", "[]", path).rpartition(".")[2]
    words = expected.get(name) or expected.get(name.removesuffix("[]"))
    if words:
        return SchemaError(path, f"expected {words}")
    without_value = re.sub(" '.*'", "", problem, flags=re.DOTALL)
    return SchemaError(path, without_value[:1].lower() + without_value[1:].replace("`", ""))
