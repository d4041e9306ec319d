"""Any reply there can be: figures that can be shown, to the letter where it is a good one, or a failure."""

import json
import math
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.api.envelope import RawReply
from exporter.api.replies import parse_credits, parse_statistics
from exporter.metrics.exposition import Exposition, Part
from exporter.metrics.negotiation import OPENMETRICS, TEXT, Format
from exporter.model import (
    FIGURE_QUERIES,
    Account,
    Credits,
    Failure,
    Figures,
    MonthFigures,
    Poll,
    Query,
    Status,
)
from tests.stress.hostile_bodies import DATA
from tests.support.bodies import statistics
from tests.support.fakes import FakeClock
from tests.support.families import collect

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=8)
)
KNOWN = "success code datas credits message error year m cost nb_send type balance currency creditSms toSend"
NAMES = st.sampled_from(KNOWN.split()) | st.text(st.characters(codec=None), max_size=3)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=15,
)
ENTRIES = st.fixed_dictionaries(
    {
        "year": st.just("2021") | SCALARS,
        "m": st.just("10") | SCALARS,
        "cost": st.just("1") | SCALARS,
        "nb_send": st.just(1) | SCALARS,
    },
    optional={"type": st.just("day") | SCALARS},
)
NEAR = st.fixed_dictionaries(
    {
        "success": st.just(True) | SCALARS,
        "datas": st.lists(ENTRIES, max_size=3) | JSON,
        "credits": st.dictionaries(NAMES, SCALARS, max_size=5),
    },
    optional={"code": SCALARS, "message": JSON, "error": JSON},
)
STATUS = Status(900, 5, 0, True, True, 0.0, 0.0)


def key(raw: RawReply, query: Query) -> Figures | Failure:
    """What becomes of a reply. Any other exception is an error of the program."""
    try:
        if query is Query.CREDITS:
            return Figures().with_credits(parse_credits(raw, lambda _: None), 0.0)
        months = parse_statistics(raw)
        known = {month: figures for month, figures in months.items() if figures}
        return Figures().with_history(known, "2021-11", 0.0)
    except Failure as failure:
        return failure


def shown(figures: Figures) -> dict[tuple[str, ...], float]:
    """What a scrape finds, the same in both formats: the names, the label values, the values."""
    account = Account("a", None, figures, {query: Poll(due=0.0) for query in FIGURE_QUERIES}, {})
    parts = (Part("all", lambda: collect((account,), STATUS, 0)),)
    exposition = Exposition(lambda: parts, FakeClock())
    formats = [
        {
            (sample.name, *sample.labels.values()): sample.value
            for family in parse(exposition.render(Format(content_type, compressed=False)).decode())
            for sample in family.samples
        }
        for parse, content_type in ((parse_text, TEXT), (parse_openmetrics, OPENMETRICS))
    ]
    assert formats[0] == formats[1]
    return formats[0]


def check(raw: RawReply) -> None:
    """Figures that can be shown, or a failure that can."""
    for query in (Query.STATISTICS, Query.CREDITS):
        outcome = key(raw, query)
        if isinstance(outcome, Failure):
            assert outcome.detail.isprintable()
            assert len(outcome.detail) < 250
        else:
            for series, value in shown(outcome).items():
                assert math.isfinite(value)
                assert value >= 0 or series[0] in MAY_BE_NEGATIVE


MAY_BE_NEGATIVE = {"smspartner_balance", "smspartner_credits", "sms_cost_monthly"}


@given(st.binary(max_size=200), st.integers(100, 999))
def test_any_bytes_are_taken_or_refused(body: bytes, status: int) -> None:
    check(RawReply(status, body))


@given(JSON | NEAR, st.sampled_from([200, 200, 400, 429, 500]))
def test_any_json_is_taken_or_refused(value: object, status: int) -> None:
    check(RawReply(status, json.dumps(value).encode()))


SAMPLES = st.sampled_from(
    [(DATA / name).read_bytes() for name in ("cost-resume.json", "me.json", "me-2018.json")]
)


@given(SAMPLES, st.integers(0, 400), st.integers(0, 8), st.binary(max_size=8))
def test_any_damage_is_taken_or_refused(sample: bytes, position: int, length: int, written: bytes) -> None:
    check(RawReply(200, sample[:position] + written + sample[position + length :]))


# --- good replies, however they are written

Month = tuple[int, int]
Pair = tuple[int, int]
"""Thousandths of the cost, and SMS."""
MONTHS = st.tuples(st.integers(2000, 2099), st.integers(1, 12))
THOUSANDTHS = st.integers(0, 10**9)
COUNTS = st.integers(0, 10**9)
PAIRS = st.tuples(THOUSANDTHS, COUNTS)
MANY_MONTHS = st.dictionaries(MONTHS, PAIRS, max_size=15)
UNREAD = st.dictionaries(
    st.sampled_from(["month", "date", "delivered", "x"]),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**28), 10**28)
        | st.text(max_size=8)
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
        max_leaves=3,
    ),
    max_size=2,
)


def spellings(number: int | Decimal, digits: int = 0) -> st.SearchStrategy[object]:
    """A number as a JSON number, whole or not, or as text, with or without zeros around it."""
    plain = str(number)
    ways: list[object] = [plain, plain.rjust(digits, "0"), float(number)]
    if number == int(number):
        ways.append(int(number))
    if isinstance(number, Decimal):
        ways.append(plain + "000")
    return st.sampled_from(ways)


def shuffled(fields: dict[str, object]) -> st.SearchStrategy[dict[str, object]]:
    return st.permutations([*fields.items()]).map(dict)


@st.composite
def entry(draw: st.DrawFn, /, month: Month, figures: Pair, **fields: object) -> dict[str, object]:
    cost, sent = figures
    fields |= draw(UNREAD) | {
        "year": draw(spellings(month[0])),
        "m": draw(spellings(month[1], digits=2)),
        "cost": draw(spellings(Decimal(cost).scaleb(-3), digits=12)),
        "nb_send": draw(spellings(sent, digits=15)),
    }
    return draw(shuffled(fields))


@st.composite
def text(draw: st.DrawFn, reply: dict[str, object]) -> bytes:
    """A reply as JSON, in any order and layout."""
    layout: dict[str, Any] = {
        "ensure_ascii": draw(st.booleans()),
        "indent": draw(st.sampled_from([None, 0, 2])),
    }
    space = draw(st.sampled_from(["", "\n", "\r\n\t "]))
    return (space + json.dumps(draw(shuffled(draw(UNREAD) | reply)), **layout) + space).encode()


def expected(months: dict[Month, Pair]) -> dict[str, MonthFigures]:
    return {f"{year}-{m:02d}": MonthFigures(cost / 1000, sent) for (year, m), (cost, sent) in months.items()}


@given(st.data(), MANY_MONTHS)
def test_a_good_reply_gives_its_figures_however_it_is_written(
    data: st.DataObject, months: dict[Month, Pair]
) -> None:
    whole: st.SearchStrategy[dict[str, Any]] = st.sampled_from([{}, {"type": None}, {"type": "month"}])
    datas = [data.draw(entry(*each, **data.draw(whole))) for each in months.items()]
    code = data.draw(st.sampled_from([None, 200, "200", 200.0]))
    body = data.draw(text({"success": True, "datas": datas, "code": code}))
    figures = key(RawReply(200, body), Query.STATISTICS)
    assert isinstance(figures, Figures)
    assert figures.months == expected(months)
    series = shown(figures)
    for month, one in expected(months).items():
        assert series["sms_cost_monthly", "a", month] == one.cost
        assert series["sms_sent_monthly", "a", month] == one.sent
    assert sum(name[0] == "sms_cost_monthly" for name in series) == len(months)


@given(st.data(), st.lists(PAIRS, min_size=1, max_size=31))
def test_the_sum_of_the_days_is_the_month(data: st.DataObject, days: list[Pair]) -> None:
    datas = [data.draw(entry((2021, 10), day, type="day")) for day in days]
    total = (sum(cost for cost, _ in days), sum(sent for _, sent in days))
    figures = key(RawReply(200, statistics(*datas)), Query.STATISTICS)
    assert isinstance(figures, Figures)
    assert figures.months == expected({(2021, 10): total})


@given(st.data(), THOUSANDTHS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_good_credits_give_their_figures_however_they_are_written(
    data: st.DataObject, balance: int, sms: int, eco: int, hlr: int, queued: int
) -> None:
    eco_name = data.draw(st.sampled_from(["creditSmsECO", "creditSmsLowCost"]))
    counts = {"creditSms": sms, eco_name: eco, "creditHlr": hlr, "toSend": queued}
    fields = {name: data.draw(spellings(count, digits=15)) for name, count in counts.items()}
    money = data.draw(spellings(Decimal(balance).scaleb(-3), digits=12))
    names = data.draw(st.sampled_from([["balance"], ["solde"], ["balance", "solde"]]))
    credit = data.draw(shuffled(fields | dict.fromkeys(names, money) | {"currency": "EUR"}))
    body = data.draw(text({"success": True, "credits": credit, "user": data.draw(UNREAD)}))
    figures = key(RawReply(200, body), Query.CREDITS)
    assert isinstance(figures, Figures)
    assert figures.credits == Credits(balance / 1000, "EUR", {"sms": sms, "sms_eco": eco, "hlr": hlr}, queued)
    assert shown(figures)["smspartner_balance", "a", "EUR"] == balance / 1000


# --- good replies of which one field was changed

CHANGED = st.sampled_from(["year", "m", "cost", "nb_send", "type"])
ODD = JSON | st.sampled_from(
    ["1 234,50", "1e3", "-1", "-0", " 1", "1\n", "0x1", "٣", "\uff11", "", "+1", "1_0", ".5", "5.", -0.0]
)


@given(MANY_MONTHS.filter(bool), st.data(), CHANGED, ODD)
def test_a_changed_field_spoils_all_or_changes_its_month_alone(
    months: dict[Month, Pair], data: st.DataObject, field: str, value: object
) -> None:
    datas = [data.draw(entry(*each, type="month")) for each in months.items()]
    index = data.draw(st.integers(0, len(datas) - 1))
    raw = RawReply(200, statistics(*datas[:index], datas[index] | {field: value}, *datas[index + 1 :]))
    check(raw)
    outcome = key(raw, Query.STATISTICS)
    if isinstance(outcome, Figures):
        others = {month: figures for number, (month, figures) in enumerate(months.items()) if number != index}
        assert expected(others).items() <= outcome.months.items()
        assert len(outcome.months) == len(months)
        if field in {"year", "m", "cost", "nb_send"}:
            assert not isinstance(value, bool | None | list | dict)


@given(MANY_MONTHS.filter(bool), st.data(), st.sampled_from(["year", "m", "cost", "nb_send"]))
def test_a_missing_field_spoils_the_reply(months: dict[Month, Pair], data: st.DataObject, field: str) -> None:
    datas = [data.draw(entry(*each)) for each in months.items()]
    del data.draw(st.sampled_from(datas))[field]
    outcome = key(RawReply(200, statistics(*datas)), Query.STATISTICS)
    assert isinstance(outcome, Failure)
    assert f"{field}: is missing" in outcome.detail


@given(PAIRS, st.data(), st.integers(-(10**9), -1))
def test_a_negative_cost_is_a_refund(pair: Pair, data: st.DataObject, number: int) -> None:
    cost = Decimal(number).scaleb(-3)
    body = statistics(data.draw(entry((2021, 10), pair)) | {"cost": data.draw(spellings(cost))})
    outcome = key(RawReply(200, body), Query.STATISTICS)
    assert isinstance(outcome, Figures)
    assert outcome.history["2021-10"].cost == float(cost)


@given(PAIRS, st.data(), st.integers(-(10**9), -1))
def test_a_negative_count_spoils_the_reply(pair: Pair, data: st.DataObject, number: int) -> None:
    negative = {"nb_send": data.draw(spellings(number))}
    body = statistics(data.draw(entry((2021, 10), pair)) | negative)
    outcome = key(RawReply(200, body), Query.STATISTICS)
    assert isinstance(outcome, Failure)
    assert "datas[0].nb_send: expected" in outcome.detail
