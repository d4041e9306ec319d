"""API keys: values that print as nothing, and the one place that takes them out of text."""

import re
from typing import NoReturn
from urllib.parse import quote

HIDDEN = "<hidden>"
_LONGEST_SPELLING = 20  # one character as four percent-encoded bytes, encoded twice
_LONGEST_ESCAPE = 10  # \U00000041
_PLAIN = re.compile(r"[A-Za-z0-9+=_.~-]*")
_ESCAPE = re.compile(
    r"(?:%(?:25)?|\\x|\\u000000|\\u00)(?P<hex>[0-9a-f]{2})|&#x0*(?P<hexadecimal>[0-9a-f]{1,2});"
    r"|&#0*(?P<decimal>[0-9]{1,3});",
    re.IGNORECASE,
)


class _Pattern:
    """Finds a key in text, however it is encoded there.

    Few texts have a key in them, and what finds it exactly takes milliseconds and 20 kB to make: so that is made when
    something looks like it. In a key of plain characters no escape begins; so where escapes are undone one after the
    other, only one that began before the key can take characters of it away, and its end is found as it is.
    """

    def __init__(self, value: str) -> None:
        self._value = value
        self._end = value[_LONGEST_ESCAPE:] if _PLAIN.fullmatch(value) else ""
        self._spellings: re.Pattern[str] | None = None

    def may_be_in(self, unescaped: str) -> bool:
        """Say whether the key may be in a text whose escapes were undone."""
        return self._end in unescaped

    def take_out(self, text: str) -> str:
        """Return the text with something else in the key's place."""
        self._spellings = self._spellings or _spellings(self._value)
        return self._spellings.sub(HIDDEN, text)


_patterns: dict[str, _Pattern] = {}
"""Every key that this process ever held."""


class Secret:
    """An API key. Whoever needs the value asks for it by name; printing or logging it shows nothing.

    Raises ValueError where the value cannot be a key: empty, or with white space or control characters inside.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not value:
            raise ValueError("is empty")
        if any(character.isspace() for character in value):
            raise ValueError("has white space inside")
        if not value.isprintable():
            raise ValueError("has an unprintable character inside")
        self._value = value
        if value not in _patterns:
            _patterns[value] = _Pattern(value)

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
        raise TypeError("a key is not copied or pickled")


def redact(text: str) -> str:
    """Return `text` without any key that this process ever held, however it is encoded there."""
    unescaped = _ESCAPE.sub(_unescape, text)
    suspects = [value for value, pattern in tuple(_patterns.items()) if pattern.may_be_in(unescaped)]
    for value in sorted(suspects, key=len, reverse=True):  # one key may be the beginning of another
        text = _patterns[value].take_out(text)
    return text


def redacted_start(text: str, length: int) -> str:
    """Return the first `length` characters of `text` without any key, however long it is.

    Only so much is looked through as can become that: keys, which become shorter, and what is between them.
    """
    longest = max(map(len, _patterns), default=0) * _LONGEST_SPELLING
    return redact(text[: length + (length // len(HIDDEN) + 2) * longest])[:length]


def _unescape(escape: re.Match[str]) -> str:
    code = escape["hex"] or escape["hexadecimal"]
    return chr(int(code, 16) if code else int(escape["decimal"]))


def _spellings(value: str) -> re.Pattern[str]:
    """Match the key with each of its characters plain, percent-encoded, or escaped for JSON, Python or HTML."""
    return re.compile("".join(f"(?:{'|'.join(_spelling(character))})" for character in value))


def _spelling(character: str) -> list[str]:
    percent = "".join(f"%{byte:02x}" for byte in character.encode())
    code = ord(character)
    json_escape = "".join(rf"\\u{unit:04x}" for unit in _utf16(code))
    return [
        *([rf"\\{re.escape(character)}"] if character in _ESCAPED else []),
        f"(?i:{quote(percent, safe='')})",
        f"(?i:{percent})",
        f"(?i:{json_escape})",
        rf"(?i:\\x{code:02x})",
        rf"\\U{code:08x}",
        f"&#0*{code};",
        f"(?i:&#x0*{code:x};)",
        *([f"&{name};"] if (name := _HTML.get(character)) else []),
        re.escape(character),  # the shortest last: it may be the beginning of the others
    ]


def _utf16(code: int) -> list[int]:
    # By hand: the codec is a module that nothing else needs.
    return [code] if code < 0x10000 else [0xD7C0 + (code >> 10), 0xDC00 + (code & 0x3FF)]


_ESCAPED = "\\\"'/"
_HTML = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
