"""The cost of each month as a bar chart: one SVG element that is as wide as it has room. Pure.

Across, everything stands in per cent of the width, so that text keeps its size on a phone; down, in pixels.
Colours, and what is left out where it is narrow, are up to the style sheet.
"""

import calendar
import math
from collections.abc import Collection, Mapping

from exporter.model import MonthFigures
from exporter.months import months_between
from exporter.status_page.formatting import money, month_name, short

_TOP, _BASE, _HEIGHT = 22, 172, 210
_MOST_LABELS = 13
_MOST_GRID_LINES = 4


def cost_chart(
    ident: str,
    months: Mapping[str, MonthFigures],
    so_far: Collection[str],
    budget: float | None,
    currency: str | None,
) -> str:
    """Draw `months` (at least one), oldest left; a month that is not there leaves its place empty.

    `so_far` are the months that are not over yet in the figures. `ident` makes the element's ids unique in the page.
    """
    places = months_between(min(months), max(months))
    highest = max([figures.cost for figures in months.values()] + ([budget] if budget else []))
    step = grid_step(highest)
    top = max(1, math.ceil(highest / step)) * step

    def y(cost: float) -> float:
        return _BASE - cost / top * (_BASE - _TOP)

    parts = [
        f'<svg role="img" aria-labelledby="{ident}-t" aria-describedby="{ident}-d" width="100%" height="{_HEIGHT}">',
        f'<title id="{ident}-t">Cost of each month</title>',
        f'<desc id="{ident}-d">{_description(months, so_far, currency)}</desc>',
    ]
    for number in range(round(top / step) + 1):
        level = y(number * step)
        parts.append(f'<line x2="100%" y1="{level:.4g}" y2="{level:.4g}"/>')
        parts.append(f'<text class="g" x="-8" y="{level + 4:.4g}">{short(number * step)}</text>')
    known = [(index, month, months[month]) for index, month in enumerate(places) if month in months]
    for index, month, figures in known:
        parts.append(_bar(index, len(places), y(figures.cost), month, figures, month in so_far, currency))
    if budget:
        parts.append(f'<line class="b" x2="100%" y1="{y(budget):.4g}" y2="{y(budget):.4g}"/>')
    if len(places) <= _MOST_LABELS:
        for index, _, figures in known:
            x, level = _middle(index, len(places)), y(figures.cost) - 6
            parts.append(f'<text class="v" x="{x}" y="{level:.4g}">{short(figures.cost)}</text>')
    return "".join([*parts, *_labels(places), "</svg>"])


def grid_step(highest: float) -> float:
    """Return the distance of round grid lines, of which `highest` needs four at most."""
    if highest <= 0:
        return 1.0
    magnitude: float = 10.0 ** math.floor(math.log10(highest / _MOST_GRID_LINES))
    return next(
        (factor * magnitude for factor in (1, 2, 2.5, 5) if highest <= _MOST_GRID_LINES * factor * magnitude),
        10 * magnitude,
    )


def _bar(
    index: int, count: int, y: float, month: str, figures: MonthFigures, so_far: bool, currency: str | None
) -> str:
    title = f"{month_name(month)}{', so far' * so_far}: {money(figures.cost, currency)}, {figures.sent:,} SMS sent"
    kind = ' class="p"' if so_far else ""
    width = min(76 / count, 12)
    return (
        f'<rect{kind} x="{100 * (index + 0.5) / count - width / 2:.4g}%" y="{y:.4g}" '
        f'width="{width:.4g}%" height="{_BASE - y:.4g}"><title>{title}</title></rect>'
    )


def _labels(places: list[str]) -> list[str]:
    """Name as many months and years as there is room for, the newest month always."""
    count = len(places)
    every = math.ceil(count / _MOST_LABELS)
    years_every = math.ceil(count / 120)
    parts = []
    for index, place in enumerate(places):
        year, month = map(int, place.split("-"))
        nth, beside = divmod(count - 1 - index, every)
        if not beside:
            # Every other name is for wide screens only.
            kind = ' class="w"' if nth % 2 else ""
            parts.append(
                f'<text{kind} x="{_middle(index, count)}" y="{_BASE + 16}">{calendar.month_abbr[month]}</text>'
            )
        first = index == 0 and (13 - month) % 12 > count / 9
        if first or (month == 1 and year % years_every == 0):
            parts.append(f'<text x="{_middle(index, count)}" y="{_BASE + 32}">{year}</text>')
    return parts


def _middle(index: int, count: int) -> str:
    return f"{100 * (index + 0.5) / count:.4g}%"


def _description(months: Mapping[str, MonthFigures], so_far: Collection[str], currency: str | None) -> str:
    dearest = max(months, key=lambda month: months[month].cost)
    span = f"{month_name(min(months))} to {month_name(max(months))}"
    parts = [f"{span}. Highest: {month_name(dearest)}, {money(months[dearest].cost, currency)}."]
    parts += [
        f"{month_name(month)} so far: {money(months[month].cost, currency)}." for month in sorted(so_far)
    ]
    return " ".join([*parts, "A table with every figure follows."])
