"""What does not fit is named by its path and by what would be right, and never quoted."""

from typing import Any, Literal

import msgspec
import pytest

from exporter.validation import SchemaError, convert, showable

SECRET = "S3CR3T"


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    count: int = 0


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    items: list[Inner] = []
    table: dict[str, int] = {}
    mode: Literal["a", "b"] = "a"
    one: Inner | None = None


EXPECTED = {"": "keys and values", "count": "a whole number", "items": "a list", "items[]": "an item"}


def test_a_value_that_fits_is_converted() -> None:
    assert convert({"items": [{"name": "x"}]}, Outer, EXPECTED) == Outer(items=[Inner("x")])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (SECRET, "expected keys and values"),
        ({"items": SECRET}, "items: expected a list"),
        ({"items": [SECRET]}, "items[0]: expected an item"),
        (
            {"items": [{"name": "x"}, {"name": "y", "count": SECRET}]},
            "items[1].count: expected a whole number",
        ),
        ({"items": [{"count": 1}]}, "items[0].name: is missing"),
        ({"one": {"name": "x", "other": SECRET}}, "one.other: unknown key"),
        ({"one": {"name": "x", SECRET: 1}}, "one.…: unknown key"),
        ({"one": {"name": "x", 5: SECRET}}, "one: has a key that is not text: put it in quotes"),
        ({1: SECRET}, "has a key that is not text: put it in quotes"),
        ({"one": {"name": 1}}, "one.name: expected str, got int"),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_its_path(value: Any, message: str) -> None:
    with pytest.raises(SchemaError) as caught:
        convert(value, Outer, EXPECTED)
    assert str(caught.value) == message


@pytest.mark.parametrize("value", [{"mode": SECRET}, {"table": {"x": SECRET}}, {"table": {SECRET: "x"}}])
def test_a_wrong_value_is_never_quoted(value: Any) -> None:
    with pytest.raises(SchemaError) as caught:
        convert(value, Outer, EXPECTED)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


def test_an_error_carries_the_unknown_key_so_that_a_near_one_can_be_offered() -> None:
    with pytest.raises(SchemaError) as caught:
        convert({"itms": []}, Outer, EXPECTED)
    assert (caught.value.path, caught.value.unknown) == ("itms", "itms")


@pytest.mark.parametrize("name", ["poll_intervall", "apiKey", "api-key", "a b", "a.b"])
def test_the_name_of_a_key_is_shown(name: str) -> None:
    assert showable(name) == name


@pytest.mark.parametrize("name", ["", SECRET, "a\nb", "x" * 41, "a'b", "é"])
def test_a_name_that_may_be_a_secret_is_not_shown(name: str) -> None:
    assert showable(name) == "…"
