"""Months are those of Europe/Paris, on whatever machine this runs."""

from datetime import UTC, date, datetime

import pytest

from exporter.months import (
    PARIS,
    first_and_last_day,
    month_end,
    month_of,
    month_start,
    months_between,
    next_month,
    paris_date,
    running_month,
)


def utc(*moment: int) -> float:
    return datetime(*moment, tzinfo=UTC).timestamp()  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("month", "start"),
    [
        ("2021-10", 1633039200),
        ("2021-11", 1635721200),
        ("2022-01", utc(2021, 12, 31, 23)),
        ("2026-03", utc(2026, 2, 28, 23)),
        ("2026-04", utc(2026, 3, 31, 22)),
        ("2024-03", utc(2024, 2, 29, 23)),
    ],
)
def test_a_month_starts_at_midnight_in_paris(month: str, start: float) -> None:
    assert month_start(month) == start
    assert month_of(paris_date(start)) == month
    assert month_of(paris_date(start - 1)) < month


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
def test_the_day_is_that_of_paris(moment: float, day: date) -> None:
    assert paris_date(moment) == day


@pytest.mark.parametrize(
    ("moment", "month", "passed", "length"),
    [  # hours of the month that have passed, and that it has
        (utc(2026, 11, 15, 23), "2026-11", 15 * 24, 30 * 24),
        (utc(2026, 12, 31, 23), "2027-01", 0, 31 * 24),
        (utc(2026, 3, 29, 0), "2026-03", 28 * 24 + 1, 31 * 24 - 1),
        (utc(2026, 3, 29, 2), "2026-03", 28 * 24 + 3, 31 * 24 - 1),
        (utc(2026, 3, 31, 21), "2026-03", 31 * 24 - 2, 31 * 24 - 1),
        (utc(2026, 10, 25, 0), "2026-10", 24 * 24 + 2, 31 * 24 + 1),
        (utc(2026, 10, 25, 2), "2026-10", 24 * 24 + 4, 31 * 24 + 1),
        (utc(2026, 10, 31, 22), "2026-10", 31 * 24, 31 * 24 + 1),
    ],
)
def test_the_share_of_the_running_month_counts_the_hours_that_its_clock_changes_leave(
    moment: float, month: str, passed: int, length: int
) -> None:
    name, elapsed = running_month(moment)
    assert name == month
    assert elapsed == pytest.approx(passed / length, abs=1e-12)


@pytest.mark.parametrize(
    "month", ["2026-01", "2026-02", "2026-03", "2026-04", "2026-10", "2026-11", "2028-02"]
)
def test_a_month_runs_from_its_first_second_in_paris_to_its_last(month: str) -> None:
    first, last = month_start(month), month_start(next_month(month)) - 1
    assert running_month(first) == (month, 0)
    assert running_month(first - 1)[0] < month
    name, elapsed = running_month(last)
    assert name == month
    assert 1 - 1e-6 < elapsed < 1


def test_months_sort_as_text() -> None:
    days = [date(999, 12, 1), date(2021, 9, 30), date(2021, 10, 1), date(2022, 1, 31)]
    assert [month_of(day) for day in days] == ["0999-12", "2021-09", "2021-10", "2022-01"]


def test_months_from_the_first_to_the_last() -> None:
    assert months_between("2023-11", "2024-02") == ["2023-11", "2023-12", "2024-01", "2024-02"]
    assert months_between("2024-02", "2024-02") == ["2024-02"]


def test_a_month_is_sampled_at_its_last_second_in_paris() -> None:
    for month, following in zip(
        months_between("2000-01", "2040-11"), months_between("2000-02", "2040-12"), strict=True
    ):
        first, last = first_and_last_day(month)
        end = datetime.fromtimestamp(month_end(month), PARIS)
        assert (first.day, end.date()) == (1, last)
        assert f"{end:%Y-%m %H:%M:%S}" == f"{month} 23:59:59"
        assert month_end(month) + 1 == month_start(following)
