"""Keys: nothing shows them, and they are found in text however they are encoded there."""

import copy
import html
import json
import logging
import pickle
import re
import string
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import markupsafe
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from requests import Request

from exporter import secret
from exporter.secret import HIDDEN, Secret, redact

KEYS = st.text(
    st.characters(exclude_categories=("C", "Z")) | st.sampled_from(string.punctuation),
    min_size=1,
    max_size=24,
).filter(lambda key: key.isprintable() and not any(map(str.isspace, key)))
LONG_KEYS = st.text(string.ascii_letters + string.digits + "+/=-_", min_size=12, max_size=40)


@pytest.fixture(autouse=True)
def _no_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret, "_spellings", [])


def only(*values: str) -> list[Secret]:
    secret._spellings.clear()
    return [Secret(value) for value in values]


def lower_hex(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), text)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "quote": quote,
    "quote without safe": lambda key: quote(key, safe=""),
    "quote, lower case": lambda key: lower_hex(quote(key, safe="")),
    "quote_plus": quote_plus,
    "quoted twice": lambda key: quote(quote(key, safe=""), safe=""),
    "quoted twice, lower case": lambda key: lower_hex(quote(quote(key, safe=""), safe="")),
    "urlencode": lambda key: urlencode({"apiKey": key}).partition("=")[2],
    "requests": lambda key: str(Request("GET", "http://h/", params={"k": key}).prepare().url).split("k=")[1],
    "JSON": lambda key: json.dumps(key)[1:-1],
    "JSON, not ASCII": lambda key: json.dumps(key, ensure_ascii=False)[1:-1],
    "JSON of PHP": lambda key: json.dumps(key).replace("/", "\\/")[1:-1],
    "repr": lambda key: repr(key)[1:-1],
    "repr of bytes": lambda key: repr(key.encode())[2:-1],
    "repr with both quotes": lambda key: repr(key + "'\"")[1:-4],
    "ascii": lambda key: ascii(key)[1:-1],
    "HTML": html.escape,
    "HTML, quotes left": lambda key: html.escape(key, quote=False),
    "HTML of Jinja": lambda key: str(markupsafe.escape(key)),
}


@given(
    key=KEYS,
    before=st.sampled_from(["", "?apiKey=", '"', "a b "]),
    behind=st.sampled_from(["", "&x=1", '"', "\n"]),
)
@example(key="S3CR+T", before="?apiKey=", behind="")
@example(key="plain-characters-and-%41", before="", behind="")
@example(key="\\'\"", before="", behind="")
@example(key="😀é&<>\"'", before="", behind="")
def test_a_key_is_taken_out_in_each_spelling_of_a_library(key: str, before: str, behind: str) -> None:
    assume(key not in before + behind + HIDDEN)
    only(key)
    texts = {name: f"{before}{spell(key)}{behind}" for name, spell in SPELLINGS.items()}
    redacted = {name: redact(text) for name, text in texts.items()}
    assert redacted == dict.fromkeys(SPELLINGS, f"{before}{HIDDEN}{behind}")


@given(key=LONG_KEYS, text=st.text(max_size=200))
def test_other_text_stays(key: str, text: str) -> None:
    assume(key not in text)
    only(key)
    assert redact(text) == text


def test_a_key_that_begins_like_another_leaves_nothing_behind() -> None:
    only("S3CR3T", "S3CR3T-AND-MORE")
    assert redact("S3CR3T-AND-MORE S3CR3T") == f"{HIDDEN} {HIDDEN}"


@given(key=LONG_KEYS)
def test_nothing_prints_it(key: str) -> None:
    (value,) = only(key)
    printed = [
        repr(value),
        str(value),
        f"{value}",
        f"{value!r}",
        f"{value!s}",
        format(value, ""),
        "%s %r" % (value, value),  # noqa: UP031 - as logging does it
        "{}".format(value),  # noqa: UP032
        str([value]),
        str({"key": value}),
        logging.makeLogRecord({"msg": "%s", "args": (value,)}).getMessage(),
        json.dumps({"key": value}, default=str),
    ]
    assert not [text for text in printed if key in text]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        pickle.dumps(Secret("S3CR3T"), protocol)


def test_is_not_copied_into_places_unknown() -> None:
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        copy.copy(Secret("S3CR3T"))
    with pytest.raises(TypeError):
        vars(Secret("S3CR3T"))
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(Secret("S3CR3T"))


def test_is_equal_to_the_same_key_and_not_to_text() -> None:
    assert Secret("S3CR3T") == Secret("S3CR3T")
    assert hash(Secret("S3CR3T")) == hash(Secret("S3CR3T"))
    assert Secret("S3CR3T") != Secret("another")
    assert Secret("S3CR3T") != "S3CR3T"
    assert Secret("S3CR3T").reveal() == "S3CR3T"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "is empty"),
        ("two words", "contains whitespace"),
        ("line\n", "contains whitespace"),
        ("no\N{NO-BREAK SPACE}break", "contains whitespace"),
        ("nul\0", "contains an unprintable character"),
        ("zero\N{ZERO WIDTH SPACE}width", "contains an unprintable character"),
        ("\N{ZERO WIDTH NO-BREAK SPACE}mark", "contains an unprintable character"),
        ("\ud800", "contains an unprintable character"),
    ],
)
def test_what_cannot_be_a_key_is_refused(value: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}$"):
        Secret(value)
