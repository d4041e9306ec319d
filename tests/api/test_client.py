"""What is asked of the API, and what its answers change."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime

import pytest

from exporter.api.client import Client
from exporter.api.envelope import RawReply
from exporter.config.settings import DateRange, Interval
from exporter.model import FIGURE_QUERIES, Credits, Failure, Figures, MonthFigures, Query, Reason
from exporter.polling.queries import ask
from exporter.secret import Secret
from tests.support.fakes import FakeClock

KEY = "S3CR+T/key"
DEADLINE = 1030.0
NOTHING = Figures()


class Replies:
    """A transport that gives the replies it was handed, in order, and keeps what it was asked."""

    def __init__(self, *replies: bytes, date: float | None = None) -> None:
        self.replies = list(replies)
        self.date = date
        self.asked: list[tuple[str, dict[str, str], float]] = []
        self.cut_offs = 0

    def get(self, path: str, parameters: Mapping[str, str], deadline: float) -> RawReply:
        self.asked.append((path, dict(parameters), deadline))
        return RawReply(200, self.replies.pop(0), date=self.date)

    def cut_off(self) -> None:
        self.cut_offs += 1


def months(**figures: tuple[str, int]) -> bytes:
    """A reply with months: `m2026_11=("49.174", 1210)`."""
    datas = [
        {"year": name[1:5], "m": name[6:], "type": "month", "cost": cost, "nb_send": str(sent)}
        for name, (cost, sent) in figures.items()
    ]
    return json.dumps({"success": True, "datas": datas}).encode()


def fetch(
    transport: Replies,
    clock: FakeClock,
    query: Query,
    figures: Figures = NOTHING,
    statistics: Interval = "last_twelve_months",
) -> Figures:
    return ask(Client(transport, clock, statistics), query, Secret(KEY), DEADLINE, clock)(figures)


@pytest.mark.parametrize(
    ("statistics", "parameters"),
    [
        ("last_twelve_months", {"interval": "last_twelve_months"}),
        ("last_month", {"interval": "last_month"}),
        (
            DateRange(date(2024, 2, 9), date(2025, 12, 31)),
            {"interval": "custom", "from": "09-02-2024", "to": "31-12-2025"},
        ),
    ],
)
def test_the_history_is_asked_for_as_configured(
    clock: FakeClock, statistics: Interval, parameters: dict[str, str]
) -> None:
    transport = Replies(months(m2024_02=("49.174", 1210)))
    figures = fetch(transport, clock, Query.STATISTICS, statistics=statistics)
    assert transport.asked == [("/statistics/cost-resume", {"apiKey": KEY, **parameters}, DEADLINE)]
    assert figures == Figures(
        history={"2024-02": MonthFigures(49.174, 1210)}, fetched={Query.STATISTICS: clock.time()}
    )


def test_credits_are_asked_for_with_the_key_alone(clock: FakeClock) -> None:
    transport = Replies(b'{"success": true, "credits": {"balance": "10.5", "currency": "EUR"}}')
    figures = fetch(transport, clock, Query.CREDITS)
    assert transport.asked == [("/me", {"apiKey": KEY}, DEADLINE)]
    assert figures == Figures(credits=Credits(10.5, "EUR", {}, None), fetched={Query.CREDITS: clock.time()})


@pytest.mark.parametrize(
    ("moment", "first", "today"),
    [
        (datetime(2026, 11, 23, 11, tzinfo=UTC), "01-11-2026", "23-11-2026"),
        (datetime(2026, 11, 30, 22, 59, 59, tzinfo=UTC), "01-11-2026", "30-11-2026"),
        (datetime(2026, 11, 30, 23, 30, tzinfo=UTC), "01-12-2026", "01-12-2026"),
        (datetime(2026, 6, 30, 22, 30, tzinfo=UTC), "01-07-2026", "01-07-2026"),
        (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), "01-03-2026", "29-03-2026"),
        (datetime(2026, 3, 29, 22, 0, tzinfo=UTC), "01-03-2026", "30-03-2026"),
        (datetime(2026, 10, 24, 22, 0, tzinfo=UTC), "01-10-2026", "25-10-2026"),
        (datetime(2026, 10, 25, 22, 59, tzinfo=UTC), "01-10-2026", "25-10-2026"),
        (datetime(2026, 10, 31, 23, 0, tzinfo=UTC), "01-11-2026", "01-11-2026"),
        (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), "01-01-2027", "01-01-2027"),
        (datetime(2028, 2, 29, 12, tzinfo=UTC), "01-02-2028", "29-02-2028"),
        (datetime(2028, 2, 29, 23, tzinfo=UTC), "01-03-2028", "01-03-2028"),
    ],
)
def test_the_running_month_is_that_of_paris(moment: datetime, first: str, today: str) -> None:
    clock = FakeClock(wall=moment.timestamp())
    transport = Replies(months())
    figures = fetch(transport, clock, Query.CURRENT_MONTH)
    expected = {"apiKey": KEY, "interval": "custom", "from": first, "to": today}
    assert transport.asked == [("/statistics/cost-resume", expected, DEADLINE)]
    month = f"{first[6:]}-{first[3:5]}"
    assert figures.months == {month: MonthFigures(0, 0)}, "nothing was sent yet"


def test_days_make_up_the_running_month(clock: FakeClock) -> None:
    days = [
        {
            "year": "2026",
            "m": "11",
            "type": "day",
            "cost": "1.1",
            "nb_send": "22",
            "date": 1793487600 + 86400 * day,
        }
        for day in range(23)
    ]
    transport = Replies(json.dumps({"success": True, "datas": days}).encode())
    assert fetch(transport, clock, Query.CURRENT_MONTH).months == {"2026-11": MonthFigures(25.3, 506)}


def test_the_running_month_wins_over_the_history_in_either_order(clock: FakeClock) -> None:
    history, running = months(m2026_10=("50", 1000), m2026_11=("20", 400)), months(m2026_11=("21", 420))
    expected = {"2026-10": MonthFigures(50, 1000), "2026-11": MonthFigures(21, 420)}
    for order in ([Query.STATISTICS, Query.CURRENT_MONTH], [Query.CURRENT_MONTH, Query.STATISTICS]):
        figures = Figures()
        for query in order:
            reply = history if query is Query.STATISTICS else running
            figures = fetch(Replies(reply), clock, query, figures)
        assert figures.months == expected


@pytest.mark.parametrize(
    ("query", "reply"),
    [
        (Query.CURRENT_MONTH, months(m2026_10=("50", 1000))),
        (Query.CURRENT_MONTH, months(m2026_11=("50", 1000), m2026_12=("0", 0))),
        (Query.CURRENT_MONTH, months(m2025_11=("50", 1000))),
        (Query.STATISTICS, months(m2023_12=("50", 1000))),
        (Query.STATISTICS, months(m2024_05=("50", 1000), m2024_07=("50", 1000))),
    ],
)
def test_a_month_nobody_asked_for_spoils_the_reply(clock: FakeClock, query: Query, reply: bytes) -> None:
    asked = DateRange(date(2024, 1, 1), date(2024, 6, 30))
    with pytest.raises(Failure) as caught:
        fetch(Replies(reply), clock, query, statistics=asked)
    assert caught.value.reason is Reason.INVALID_REPLY
    assert "was not asked for" in caught.value.detail


def test_a_month_to_come_is_taken_as_the_api_tells_it(clock: FakeClock) -> None:
    """A clock may be wrong, and SMS may be planned."""
    clock.set_paris(2026, 11, 29, 23, 59)
    december = months(m2026_11=("50", 1000), m2026_12=("1", 20))
    assert fetch(Replies(december), clock, Query.STATISTICS).months["2026-12"] == MonthFigures(1.0, 20)


def test_the_full_month_replaces_the_partial_one_once_it_is_over(clock: FakeClock) -> None:
    clock.set_paris(2026, 11, 30, 23, 50)
    figures = fetch(Replies(months(m2026_11=("99", 1980))), clock, Query.CURRENT_MONTH)
    figures = fetch(
        Replies(months(m2026_10=("50", 1000), m2026_11=("98", 1960))), clock, Query.STATISTICS, figures
    )
    assert figures.months["2026-11"] == MonthFigures(99, 1980)
    clock.set_paris(2026, 12, 1, 0, 5)
    figures = fetch(Replies(months()), clock, Query.CURRENT_MONTH, figures)
    assert figures.months["2026-11"] == MonthFigures(99, 1980), "the best that is known until asked again"
    assert figures.months["2026-12"] == MonthFigures(0, 0)
    figures = fetch(
        Replies(months(m2026_10=("50", 1000), m2026_11=("100", 2000))), clock, Query.STATISTICS, figures
    )
    assert list(figures.months.items()) == [
        ("2026-10", MonthFigures(50, 1000)),
        ("2026-11", MonthFigures(100, 2000)),
        ("2026-12", MonthFigures(0, 0)),
    ]


@pytest.mark.parametrize("query", [Query.STATISTICS, Query.CURRENT_MONTH])
@pytest.mark.parametrize(
    ("off", "how"), [(2 * 86400, "2d ahead of"), (-2 * 86400, "2d behind"), (-86401, "1d1s behind")]
)
def test_with_a_clock_that_is_off_by_more_than_a_day_no_month_is_certain(
    clock: FakeClock, query: Query, off: float, how: str
) -> None:
    transport = Replies(months(m2026_11=("50", 1000)), date=clock.time() - off)
    with pytest.raises(Failure) as caught:
        fetch(transport, clock, query)
    assert caught.value.reason is Reason.INVALID_REPLY
    assert (
        caught.value.detail
        == f"this machine's clock is {how} the provider's: no month's figures can be trusted"
    )


@pytest.mark.parametrize("off", [86400, 0, -86400])
def test_a_clock_may_be_off_by_a_day(clock: FakeClock, off: float) -> None:
    transport = Replies(months(m2026_11=("50", 1000)), date=clock.time() - off)
    assert fetch(transport, clock, Query.STATISTICS).months == {"2026-11": MonthFigures(50, 1000)}


def test_the_balance_is_the_same_by_any_clock(clock: FakeClock) -> None:
    transport = Replies(b'{"success": true, "credits": {"balance": "10.5"}}', date=0)
    assert fetch(transport, clock, Query.CREDITS).credits


def test_a_refusal_is_one_by_any_clock(clock: FakeClock) -> None:
    with pytest.raises(Failure) as caught:
        fetch(
            Replies(b'{"success": false, "code": 10, "message": "Bad key"}', date=0), clock, Query.STATISTICS
        )
    assert caught.value.reason is Reason.KEY_REJECTED


@pytest.mark.parametrize("query", list(FIGURE_QUERIES))
def test_a_refusal_is_passed_on(clock: FakeClock, query: Query) -> None:
    with pytest.raises(Failure) as caught:
        fetch(Replies(b'{"success": false, "code": 10, "message": "Bad key"}'), clock, query)
    assert (caught.value.reason, caught.value.detail) == (Reason.KEY_REJECTED, "code 10: Bad key")


def test_cutting_off_is_passed_on(clock: FakeClock) -> None:
    transport = Replies()
    Client(transport, clock, "last_month").cut_off()
    assert transport.cut_offs == 1


def test_a_running_month_without_figures_is_unknown_and_not_0(clock: FakeClock) -> None:
    known = Figures().with_current_month("2026-10", MonthFigures(1.0, 1), 1)
    known = known.with_current_month("2026-11", MonthFigures(2.0, 2), 2)
    empty = months(m2026_11=("1", 1)).replace(b'"1"', b"null")
    figures = fetch(Replies(empty), clock, Query.CURRENT_MONTH, known)
    assert figures.months == {"2026-10": MonthFigures(1.0, 1)}
    assert figures.fetched[Query.CURRENT_MONTH] == clock.time()
    assert fetch(Replies(months()), clock, Query.CURRENT_MONTH).months == {"2026-11": MonthFigures(0.0, 0)}


def test_an_odd_field_of_the_credits_is_logged_once(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    body = b'{"success": true, "credits": {"balance": "1", "currency": "credits", "creditHlr": "many"}}'
    client = Client(Replies(body, body), clock, "last_month")
    for _ in range(2):
        assert client.fetch_credits(Secret(KEY), DEADLINE) == Credits(1.0, None, {}, None)
    problems = [vars(record)["problem"] for record in caplog.records]
    assert problems == [
        "credits.currency: expected an ISO 4217 code such as EUR",
        "credits.creditHlr: expected a whole number",
    ]
