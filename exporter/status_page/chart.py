"""The cost of each month as a bar chart: where each bar, line and label is. ``chart.svg`` draws it. Pure.

Horizontal positions are per cent of the width, so that text keeps its size on a phone. Vertical ones are pixels.
"""

import calendar
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from exporter.model import MonthFigures
from exporter.months import months_between
from exporter.status_page.formatting import money, month_name, short

_TOP, _BASE, _HEIGHT = 22, 172, 210
_MAX_LABELS = 13
_MAX_GRID_LINES = 4


@dataclass(frozen=True)
class GridLine:
    """A horizontal line and the amount it stands for."""

    y: float
    amount: str


@dataclass(frozen=True)
class Bar:
    """One month. `cost` is written above the bar if there is room."""

    x: float
    y: float
    width: float
    height: float
    middle: float
    title: str
    cost: str | None
    unfinished: bool


@dataclass(frozen=True)
class Label:
    """A month or a year below the bars. Narrow screens leave out those that are `wide_only`."""

    x: float
    y: float
    text: str
    wide_only: bool = False


@dataclass(frozen=True)
class Chart:
    """What ``chart.svg`` draws. `id` is unique in the page."""

    id: str
    height: int
    description: str
    grid: list[GridLine]
    bars: list[Bar]
    budget_y: float | None
    labels: list[Label]


def cost_chart(
    ident: str,
    months: Mapping[str, MonthFigures],
    unfinished: Collection[str],
    budget: float | None,
    currency: str | None,
) -> Chart:
    """Lay out `months` (at least one), oldest left. A month without figures leaves a gap.

    `unfinished` are the months whose figures were fetched before the month ended.
    """
    shown = months_between(min(months), max(months))
    highest = max([figures.cost for figures in months.values()] + ([budget] if budget else []))
    step = grid_step(highest)
    steps = max(1, math.ceil(highest / step))

    def y(cost: float) -> float:
        return _BASE - max(cost, 0) / (steps * step) * (_BASE - _TOP)  # refunds have no bar

    def bar(index: int, month: str, figures: MonthFigures) -> Bar:
        width, middle = min(76 / len(shown), 12), _middle(index, len(shown))
        so_far = ", so far" if month in unfinished else ""
        return Bar(
            x=middle - width / 2,
            y=y(figures.cost),
            width=width,
            height=_BASE - y(figures.cost),
            middle=middle,
            title=f"{month_name(month)}{so_far}: {money(figures.cost, currency)}, {figures.sent:,} SMS sent",
            cost=short(figures.cost) if len(shown) <= _MAX_LABELS else None,
            unfinished=month in unfinished,
        )

    return Chart(
        id=ident,
        height=_HEIGHT,
        description=_description(months, unfinished, currency),
        grid=[GridLine(y(number * step), short(number * step)) for number in range(steps + 1)],
        bars=[bar(index, month, months[month]) for index, month in enumerate(shown) if month in months],
        budget_y=y(budget) if budget else None,
        labels=_labels(shown),
    )


def grid_step(highest: float) -> float:
    """Return a round distance between grid lines, such that at most four reach `highest`."""
    if highest <= 0:
        return 1.0
    magnitude: float = 10.0 ** math.floor(math.log10(highest / _MAX_GRID_LINES))
    return next(
        (factor * magnitude for factor in (1, 2, 2.5, 5) if highest <= _MAX_GRID_LINES * factor * magnitude),
        10 * magnitude,
    )


def _labels(shown: list[str]) -> list[Label]:
    """Name as many months and years as fit, and always the newest month."""
    count = len(shown)
    months_per_label = math.ceil(count / _MAX_LABELS)
    years_per_label = math.ceil(count / 120)
    labels = []
    for index, text in enumerate(shown):
        year, month = map(int, text.split("-"))
        x = _middle(index, count)
        from_newest, between = divmod(count - 1 - index, months_per_label)
        if not between:
            labels.append(Label(x, _BASE + 16, calendar.month_abbr[month], wide_only=from_newest % 2 == 1))
        # The first year is named at the first bar, unless the next year's label is too close.
        first_year = index == 0 and (13 - month) % 12 > count / 9
        if first_year or (month == 1 and year % years_per_label == 0):
            labels.append(Label(x, _BASE + 32, str(year)))
    return labels


def _middle(index: int, count: int) -> float:
    return 100 * (index + 0.5) / count


def _description(
    months: Mapping[str, MonthFigures], unfinished: Collection[str], currency: str | None
) -> str:
    dearest = max(months, key=lambda month: months[month].cost)
    span = f"{month_name(min(months))} to {month_name(max(months))}"
    parts = [f"{span}. Highest: {month_name(dearest)}, {money(months[dearest].cost, currency)}."]
    parts += [
        f"{month_name(month)} so far: {money(months[month].cost, currency)}." for month in sorted(unfinished)
    ]
    return " ".join([*parts, "A table with all figures follows."])
