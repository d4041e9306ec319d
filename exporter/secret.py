"""API keys: values that print as ``<hidden>``, and the one place that removes them from text."""

import html
import json
import re
import threading
from collections.abc import Iterator
from typing import NoReturn
from urllib.parse import quote

HIDDEN = "<hidden>"
_MIN_LENGTH = 8

_spellings: list[str] = []
"""Every key that this process ever held, as each library writes it, the longest first: one may be in another."""
_adding = threading.Lock()


class Secret:
    """An API key. Only `reveal` returns the value; printing or logging the key shows ``<hidden>``.

    Raises ValueError if the value cannot be a key: empty, or containing whitespace or control characters.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not value:
            raise ValueError("is empty")
        if any(character.isspace() for character in value):
            raise ValueError("contains whitespace")
        if not value.isprintable():
            raise ValueError("contains an unprintable character")
        self._value = value
        with _adding:
            _spellings[:] = sorted({*_spellings, *_spellings_of(value)}, key=len, reverse=True)

    def reveal(self) -> str:
        """Return the key itself."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return HIDDEN

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key cannot be copied or pickled")


def received_key(text: str) -> Secret:
    """Return a key that came from outside. Raises ValueError if it cannot be one, and never quotes it.

    A key of a few letters is refused, because it would be taken out of every line that has them in it.
    """
    if 0 < len(text) < _MIN_LENGTH:
        raise ValueError(f"is shorter than {_MIN_LENGTH} characters, which no API key is")
    return Secret(text)


def redact(text: str) -> str:
    """Return `text` without any key that this process ever held: plain, or as a library encodes a whole text."""
    for spelling in tuple(_spellings):
        text = text.replace(spelling, HIDDEN)
    return text


def _spellings_of(value: str) -> Iterator[str]:
    yield value
    for once in (quote(value), quote(value, safe="")):
        for quoted in (once, re.sub("%..", lambda match: match[0].lower(), once)):
            yield from (quoted, quote(quoted, safe=""))
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        yield from (text[1:-1], text[1:-1].replace("/", r"\/"))  # PHP's JSON
    yield from (repr(value)[1:-1], ascii(value)[1:-1], repr(value.encode())[2:-1])
    yield repr(f"'\"{value}")[4:-1]  # in a text with both quotes
    text = html.escape(value, quote=False)
    yield from (text, html.escape(value), text.replace('"', "&#34;").replace("'", "&#39;"))  # Jinja's
