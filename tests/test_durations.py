"""Durations as Prometheus writes them, and counted nouns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.durations import format_duration, parse_duration, plural


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("30s", 30),
        ("15m", 900),
        ("90m", 5400),
        ("1h30m", 5400),
        ("1d", 86_400),
        ("1w", 604_800),
        ("1y", 31_536_000),
        ("1y2w3d4h5m6s", 31_536_000 + 2 * 604_800 + 3 * 86_400 + 4 * 3600 + 5 * 60 + 6),
    ],
)
def test_a_duration_may_combine_units_from_years_to_seconds(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


INVALID = (
    ",0,15,m,15 m, 15m,15m\n,-15m,+15m,1.5h,15min,15M,5m1h,1h1h,100ms,1e3s,1_5m,9999999999s,inf,"
    "\N{ARABIC-INDIC DIGIT ONE}m"
)


@pytest.mark.parametrize("text", INVALID.split(","))
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="30s, 15m, 1h30m or 1d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-5, "0s"),
        (0.1, "1s"),
        (12.2, "13s"),
        (59.5, "1m"),
        (900, "15m"),
        (3294, "54m54s"),
        (86_460, "1d1m"),
    ],
)
def test_seconds_are_written_in_the_largest_units_and_rounded_up(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, 10**11))
def test_every_written_duration_reads_back_as_the_same_seconds(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 accounts"), (1, "1 account"), (2, "2 accounts"), (1000, "1000 accounts")]
)
def test_only_one_is_singular(count: int, text: str) -> None:
    assert plural(count, "account") == text
