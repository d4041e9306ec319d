"""The bar chart: what it draws, read back from its SVG."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import MonthFigures
from exporter.status_page.chart import cost_chart, grid_step
from exporter.status_page.formatting import short
from exporter.status_page.page import TEMPLATES
from tests.support.snapshots import months


def chart(
    history: dict[str, MonthFigures], unfinished: set[str] | None = None, budget: float | None = None
) -> ElementTree.Element:
    drawn = cost_chart("a1", history, unfinished or set(), budget, "EUR")
    return ElementTree.fromstring(TEMPLATES.get_template("chart.svg").render(chart=drawn))


def texts(svg: ElementTree.Element, kind: str | None = None) -> list[str]:
    return [text.text or "" for text in svg.iter("text") if kind is None or text.get("class") == kind]


def number(element: ElementTree.Element, attribute: str) -> float:
    return float(element.attrib[attribute].removesuffix("%"))


def test_bars_are_in_order_and_proportional_to_cost() -> None:
    costs = {"2026-08": 100.0, "2026-09": 300.0, "2026-10": 200.0}
    bars = list(chart({month: MonthFigures(cost, 1) for month, cost in costs.items()}).iter("rect"))
    assert [number(bar, "x") for bar in bars] == sorted(number(bar, "x") for bar in bars)
    unit = number(bars[0], "height")
    assert [number(bar, "height") for bar in bars] == pytest.approx([unit, 3 * unit, 2 * unit], rel=0.01)
    assert len({round(number(bar, "y") + number(bar, "height"), 1) for bar in bars}) == 1


def test_hovering_over_a_bar_shows_its_month_and_figures() -> None:
    svg = chart({"2026-10": MonthFigures(49.174, 1210), "2026-11": MonthFigures(1e6, 5)}, {"2026-11"})
    assert [bar.findtext("title") for bar in svg.iter("rect")] == [
        "October 2026: 49.17 EUR, 1,210 SMS sent",
        "November 2026, so far: 1,000,000.00 EUR, 5 SMS sent",
    ]


def test_an_unfinished_month_looks_different() -> None:
    svg = chart(months(3, "2026-09"), {"2026-11"})
    assert [bar.get("class") for bar in svg.iter("rect")] == [None, None, "unfinished"]


def test_a_month_without_figures_leaves_a_gap() -> None:
    history = months(4, "2026-08")
    del history["2026-10"]
    positions = [number(bar, "x") for bar in chart(history).iter("rect")]
    assert positions[2] - positions[1] == pytest.approx(2 * (positions[1] - positions[0]), rel=0.01)


def test_the_budget_is_a_line_at_the_height_of_an_equal_cost() -> None:
    svg = chart({"2026-10": MonthFigures(300, 1)}, budget=300)
    (line,) = (line for line in svg.iter("line") if line.get("class") == "budget")
    (bar,) = svg.iter("rect")
    assert number(line, "y1") == number(line, "y2") == number(bar, "y")
    assert not [line for line in chart(months(3)).iter("line") if line.get("class") == "budget"]


def test_a_budget_above_all_costs_fits_into_the_chart() -> None:
    svg = chart({"2026-10": MonthFigures(10, 1)}, budget=1000)
    assert min(number(line, "y1") for line in svg.iter("line")) >= 0
    assert texts(svg, "amount")[-1] == "1,000"


def test_months_without_cost_are_bars_of_no_height() -> None:
    svg = chart({"2026-10": MonthFigures(0, 0), "2026-11": MonthFigures(0, 0)})
    assert [number(bar, "height") for bar in svg.iter("rect")] == [0, 0]
    assert texts(svg, "cost") == ["0", "0"]


@pytest.mark.parametrize("highest", [10.0, -2.0])
def test_a_month_whose_refunds_exceed_its_cost_has_no_bar_and_its_amount(highest: float) -> None:
    svg = chart({"2026-10": MonthFigures(-5, 0), "2026-11": MonthFigures(highest, 0)})
    assert [number(bar, "height") >= 0 for bar in svg.iter("rect")] == [True, True]
    assert number(next(svg.iter("rect")), "height") == 0
    assert texts(svg, "cost") == ["-5", short(highest)]
    assert all(0 <= number(text, "y") <= number(svg, "height") for text in svg.iter("text"))


def test_thirteen_months_are_each_labelled_with_name_and_cost() -> None:
    svg = chart(months(13))
    assert texts(svg, "cost") == [short(figures.cost) for figures in months(13).values()]
    assert [text for text in texts(svg) if text.isalpha()] == (
        ["Nov", "Dec", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov"]
    )
    assert [text for text in texts(svg) if re.fullmatch("20..", text)] == ["2025", "2026"]


@pytest.mark.parametrize("count", [14, 36, 120, 600])
def test_labels_never_exceed_thirteen_months_and_eleven_years(count: int) -> None:
    svg = chart(months(count, "2030-03"))
    assert len(list(svg.iter("rect"))) == count
    assert texts(svg, "cost") == []
    assert len([text for text in texts(svg) if text.isalpha()]) <= 13
    assert 1 <= len([text for text in texts(svg) if re.fullmatch("20[3-9].", text)]) <= 11


def test_a_screen_reader_gets_a_title_and_a_summary() -> None:
    svg = chart(months(13), {"2026-11"})
    assert svg.get("role") == "img"
    named = {element.get("id"): element.text for element in svg if element.get("id")}
    assert named[svg.attrib["aria-labelledby"]] == "Cost of each month"
    assert named[svg.attrib["aria-describedby"]] == (
        "November 2025 to November 2026. Highest: March 2026, 700.12 EUR. "
        "November 2026 so far: 500.12 EUR. A table with all figures follows."
    )


@given(st.floats(min_value=0.001, max_value=1e14))
def test_at_most_four_grid_lines_at_round_amounts(highest: float) -> None:
    step = grid_step(highest)
    assert 1.5 < highest / step <= 4.000001
    assert float(f"{step:.2g}") == pytest.approx(step)


@given(st.floats(min_value=0.01, max_value=9.9e8))
def test_abbreviated_amounts_have_at_most_six_characters_and_stay_close(amount: float) -> None:
    text = short(amount)
    assert len(text) <= 6
    value = float(text.strip("kM").replace(",", "")) * {"k": 1e3, "M": 1e6}.get(text[-1], 1)
    assert value == pytest.approx(amount, rel=0.06)
