"""Months are those of Europe/Paris, whatever time zone this machine is in."""

from datetime import UTC, date, datetime

import pytest

from exporter.months import (
    first_and_last_day,
    month_end,
    month_of,
    month_start,
    months_between,
    next_month,
    paris_date,
)


def utc(*moment: int) -> float:
    return datetime(*moment, tzinfo=UTC).timestamp()  # type: ignore[arg-type, misc]


# month, the one after it, its first instant in Unix time, its last day
MONTHS = [
    ("2021-09", "2021-10", utc(2021, 8, 31, 22), date(2021, 9, 30)),
    ("2021-10", "2021-11", 1633039200, date(2021, 10, 31)),  # summer time ends
    ("2021-11", "2021-12", 1635721200, date(2021, 11, 30)),
    ("2021-12", "2022-01", utc(2021, 11, 30, 23), date(2021, 12, 31)),
    ("2022-01", "2022-02", utc(2021, 12, 31, 23), date(2022, 1, 31)),
    ("1999-12", "2000-01", utc(1999, 11, 30, 23), date(1999, 12, 31)),
    ("2000-02", "2000-03", utc(2000, 1, 31, 23), date(2000, 2, 29)),
    ("2024-02", "2024-03", utc(2024, 1, 31, 23), date(2024, 2, 29)),
    ("2026-02", "2026-03", utc(2026, 1, 31, 23), date(2026, 2, 28)),
    ("2100-02", "2100-03", utc(2100, 1, 31, 23), date(2100, 2, 28)),
    ("2026-03", "2026-04", utc(2026, 2, 28, 23), date(2026, 3, 31)),  # summer time begins
    ("2026-04", "2026-05", utc(2026, 3, 31, 22), date(2026, 4, 30)),
    ("2026-05", "2026-06", utc(2026, 4, 30, 22), date(2026, 5, 31)),
    ("2026-06", "2026-07", utc(2026, 5, 31, 22), date(2026, 6, 30)),
    ("2026-07", "2026-08", utc(2026, 6, 30, 22), date(2026, 7, 31)),
    ("2026-08", "2026-09", utc(2026, 7, 31, 22), date(2026, 8, 31)),
]


@pytest.mark.parametrize(("month", "following"), [row[:2] for row in MONTHS])
def test_one_month_follows_another(month: str, following: str) -> None:
    assert next_month(month) == following


@pytest.mark.parametrize(("month", "start"), [(row[0], row[2]) for row in MONTHS])
def test_a_month_starts_at_midnight_in_paris(month: str, start: float) -> None:
    assert month_start(month) == start


@pytest.mark.parametrize(("month", "last"), [(row[0], row[3]) for row in MONTHS])
def test_a_month_lasts_from_its_first_day_to_its_last(month: str, last: date) -> None:
    assert first_and_last_day(month) == (last.replace(day=1), last)


@pytest.mark.parametrize(
    ("month", "end"),
    [
        ("2021-09", 1633039200 - 1),
        ("2021-10", 1635721200 - 1),
        ("2021-12", utc(2021, 12, 31, 22, 59, 59)),
        ("2024-02", utc(2024, 2, 29, 22, 59, 59)),
        ("2026-02", utc(2026, 2, 28, 22, 59, 59)),
        ("2026-03", utc(2026, 3, 31, 21, 59, 59)),
    ],
)
def test_a_month_ends_at_its_last_whole_second_in_paris(month: str, end: float) -> None:
    assert month_end(month) == end


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (utc(2026, 11, 30, 22, 59, 59), date(2026, 11, 30)),
        (utc(2026, 11, 30, 23), date(2026, 12, 1)),
        (utc(2026, 6, 30, 21, 59, 59), date(2026, 6, 30)),
        (utc(2026, 6, 30, 22), date(2026, 7, 1)),
        (utc(2026, 12, 31, 23), date(2027, 1, 1)),
        (utc(2026, 3, 29, 22), date(2026, 3, 30)),
        (utc(2026, 3, 28, 23), date(2026, 3, 29)),
        (utc(2026, 10, 24, 22), date(2026, 10, 25)),
        (utc(2026, 10, 25, 22, 59), date(2026, 10, 25)),
        (utc(2026, 10, 25, 23), date(2026, 10, 26)),
        (utc(2028, 2, 28, 23), date(2028, 2, 29)),
    ],
)
def test_a_day_begins_at_midnight_in_paris(moment: float, day: date) -> None:
    assert paris_date(moment) == day


@pytest.mark.parametrize(
    ("day", "month"),
    [
        (date(2021, 9, 30), "2021-09"),
        (date(2021, 10, 1), "2021-10"),
        (date(2021, 12, 31), "2021-12"),
        (date(2022, 1, 1), "2022-01"),
        (date(999, 12, 1), "0999-12"),
    ],
)
def test_a_month_is_written_so_that_text_sorts_by_time(day: date, month: str) -> None:
    assert month_of(day) == month


@pytest.mark.parametrize(
    ("first", "last", "months"),
    [
        ("2023-11", "2024-02", ["2023-11", "2023-12", "2024-01", "2024-02"]),
        ("2024-02", "2024-02", ["2024-02"]),
        ("2024-03", "2024-02", []),
    ],
)
def test_a_range_of_months_includes_both_ends(first: str, last: str, months: list[str]) -> None:
    assert months_between(first, last) == months


def test_months_follow_each_other_without_a_gap() -> None:
    months = months_between("1970-01", "2100-12")
    assert months == [f"{year}-{month:02d}" for year in range(1970, 2101) for month in range(1, 13)]
