"""The status page, read back from its HTML."""

import base64
import hashlib
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import msgspec
import pytest

from exporter.api.envelope import RawReply
from exporter.api.replies import parse_statistics
from exporter.config.api_key import KeySource
from exporter.config.settings import AccountSettings, Settings
from exporter.metrics.exposition import Exposition
from exporter.model import Account, Failure, MonthFigures, Poll, Query, Reason, Snapshot
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.service import Service
from exporter.state.store import Store
from exporter.status_page.assets import CONTENT_SECURITY_POLICY
from exporter.status_page.formatting import ago, ahead, duration, instant, month_name
from exporter.status_page.page import render
from exporter.status_page.remedies import REMEDIES
from exporter.web.app import Application, Pages, Response
from tests.support.fakes import FakeClock
from tests.support.running import run
from tests.support.snapshots import (
    BROKEN,
    CASES,
    HOSTILE,
    NOW,
    RUNNING,
    STATUS,
    account,
    failing,
    fresh,
    months,
)

VOID = {"meta", "link", "br"}


class Element:
    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.parts: list[str] = []

    @property
    def text(self) -> str:
        return " ".join("".join(self.parts).split())


class Page(HTMLParser):
    """A parsed page. Parsing fails if a tag is not closed, or closed in the wrong order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {tag} {attrs}"
        self.elements.append(Element(tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(self.elements[-1])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert self._open[0].tag == "html"
        assert any(element.tag == "svg" for element in self._open), f"<{tag}/> is SVG's"
        self.elements.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.parts.append(data)

    def all(self, *tags: str) -> list[Element]:
        return [element for element in self.elements if element.tag in tags]

    def texts(self, *tags: str) -> list[str]:
        return [element.text for element in self.all(*tags)]

    @property
    def text(self) -> str:
        return self.texts("body")[0]

    def rows(self) -> list[list[str]]:
        rows = re.findall(r"<tr>(.*?)</tr>", self.html, re.S)
        return [
            [
                " ".join(re.sub("<.*?>", "", cell).split())
                for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.S)
            ]
            for row in rows
        ]


def page(snapshot: Snapshot, **arguments: str) -> Page:
    return Page(render(snapshot, STATUS, NOW, "/metrics", **arguments))


@pytest.mark.parametrize("snapshot", CASES.values(), ids=CASES)
class TestEveryPage:
    def test_has_unique_ids_and_no_dangling_references(self, snapshot: Snapshot) -> None:
        read = page(snapshot, not_ready_reason="no figures yet", chosen="account 7 & co")
        ids = [element.attributes["id"] for element in read.elements if "id" in element.attributes]
        assert len(ids) == len(set(ids))
        for element in read.elements:
            for reference in ("aria-labelledby", "aria-describedby"):
                assert element.attributes.get(reference) in {None, *ids}
            link = element.attributes.get("href") or ""
            assert not link.startswith("#") or link[1:] in ids

    def test_has_the_headings_and_landmarks_a_screen_reader_navigates_by(self, snapshot: Snapshot) -> None:
        read = page(snapshot)
        levels = [int(element.tag[1]) for element in read.all("h1", "h2", "h3", "h4")]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        assert [element.tag for element in read.all("header", "nav", "main", "footer")] == [
            "header",
            "nav",
            "main",
            "footer",
        ]
        assert all(cell.attributes.get("scope") in {"row", "col"} for cell in read.all("th"))
        assert read.all("html")[0].attributes["lang"] == "en"

    def test_loads_nothing_but_its_own_script_and_obeys_its_content_security_policy(
        self, snapshot: Snapshot
    ) -> None:
        read = page(snapshot)
        (style,) = read.all("style")
        digest = base64.b64encode(hashlib.sha256("".join(style.parts).encode()).digest()).decode()
        assert f"style-src 'sha256-{digest}';" in CONTENT_SECURITY_POLICY
        assert "unsafe" not in CONTENT_SECURITY_POLICY
        assert [script.attributes["src"] for script in read.all("script")] == ["./-/page.js"]
        assert read.texts("script") == [""]
        for element in read.elements:
            assert not [name for name in element.attributes if name == "style" or name.startswith("on")]
            for name in ("href", "src"):
                assert (element.attributes.get(name) or ".").startswith((".", "#", "?", "data:"))

    def test_contains_only_well_formed_svg(self, snapshot: Snapshot) -> None:
        for svg in re.findall(r"<svg.*?</svg>", render(snapshot, STATUS, NOW, "/metrics"), re.S):
            assert ElementTree.fromstring(svg).tag == "svg"

    def test_shows_every_month_of_every_account(self, snapshot: Snapshot) -> None:
        for one in snapshot:
            read = page(snapshot, chosen=one.name or "")
            shown = {(cells[0], cells[1], cells[2]) for cells in read.rows()}
            for month, figures in one.figures.months.items():
                so_far = ", so far" if month == RUNNING else ""
                row = (f"{month_name(month)}{so_far}", f"{figures.cost:,.3f}", f"{figures.sent:,}")
                assert row in shown


def test_before_the_first_poll_it_says_that_there_are_no_figures_yet() -> None:
    read = page(CASES["fresh"], not_ready_reason="no figures yet; 12s left")
    assert "No figures yet" in read.texts("title")[0]
    assert "No figures yet; 12s left." in read.texts("p")
    assert "No monthly figures yet." in read.texts("p")
    assert "Months: not fetched yet; next poll as soon as the request limit allows" in read.texts("li")
    assert read.all("dl", "table", "svg") == []


def test_a_single_account_without_a_name_shows_all_its_figures() -> None:
    read = page(CASES["one"])
    assert "Up to date" in read.texts("title")[0]
    assert read.texts("h2") == ["Account"]
    assert read.texts("dt") == [
        "November 2026, so far",
        "Budget used",
        "Balance",
        "Balance pays for",
        "Waiting to be sent",
    ]
    assert read.texts("dd") == [
        "500.12 EUR1,012 SMS sent",
        "83.4 %99.88 EUR left of 600.00 EUR",
        "1,234.57 EUR",
        "26,000 SMSor 52,000 low-cost SMS, or 246,000 HLR look-ups",
        "7 SMS",
    ]
    assert "Months: fetched 3 minutes ago (10:57 UTC, 11:57 in Paris); next poll in 12 minutes" in read.text


def test_the_table_has_the_newest_month_first() -> None:
    months_shown = [row[0] for row in page(CASES["three_years"]).rows()[1:]]
    assert len(months_shown) == 36
    assert (months_shown[0], months_shown[-1]) == ("November 2026, so far", "December 2023")


def test_several_accounts_have_an_overview_that_begins_with_the_failing_ones() -> None:
    read = page(CASES["three"])
    assert "1 of 3 accounts fails" in read.texts("title")[0]
    assert read.texts("h2") == ["Accounts", *(one.name for one in CASES["three"])]
    assert read.rows()[1:4] == [
        ["shop fails: the API key is rejected", "500.12 EUR", "no budget", "1,234.57 EUR"],
        ["marketing up to date", "500.12 EUR", "83.4 %", "1,234.57 EUR"],
        [f"{CASES['three'][2].name} up to date", "500.12 EUR", "10.0 %", "1,234.57 EUR"],
    ]
    links = [link.attributes["href"] for link in read.all("a")]
    assert links == ["./metrics", "./-/healthy", "./-/ready", "#a2", "#a1", "#a3"]


@pytest.mark.parametrize("reason", Reason)
def test_a_failure_of_several_polls_is_shown_once_with_its_remedy(reason: Reason) -> None:
    read = page((failing(account(), reason, "the detail"),))
    assert "Polling fails" in read.texts("title")[0]
    assert read.texts("h3")[0] == f"Fails: {REMEDIES[reason].problem}"
    assert read.text.count(REMEDIES[reason].what_to_do) == 1
    assert "balance and credits: the detail. The figures shown are the last good ones." in read.text
    assert "the last attempt failed, next attempt in 59 minutes" in read.text


def test_each_different_failure_is_shown_with_the_polls_it_affects() -> None:
    polls = {
        **account().polls,
        Query.CREDITS: Poll(0, False, Reason.TIMEOUT, "no complete reply within the timeout"),
        Query.CURRENT_MONTH: Poll(0, False, Reason.SERVER_ERROR, "HTTP 502"),
    }
    read = page((msgspec.structs.replace(account(), polls=polls),))
    assert "No new figures for balance and credits: no complete reply within the timeout." in read.text
    assert "No new figures for running month: HTTP 502." in read.text
    assert "Months: fetched 3 minutes ago (10:57 UTC, 11:57 in Paris); next poll" in read.text


def test_problems_of_the_exporter_itself_are_shown_first() -> None:
    read = Page(render(CASES["one"], BROKEN, NOW, "/metrics"))
    assert "The state directory cannot be written" in read.texts("h2")
    assert "The configuration was not reloaded" in read.texts("h2")
    assert page(CASES["one"]).texts("h2") == ["Account"]


def test_without_the_credits_query_there_is_neither_balance_nor_currency() -> None:
    read = page(CASES["without_credits"])
    assert read.texts("dd") == ["500.121,012 SMS sent"]
    assert "EUR" not in read.text
    assert not [line for line in read.texts("li") if "credits" in line]


def test_an_exceeded_budget_shows_by_how_much() -> None:
    read = page((account(budget=400),))
    assert "125.0 %100.12 EUR over of 400.00 EUR" in read.texts("dd")
    assert [row[3] for row in read.rows()][:2] == ["Budget used", "125.0 %"]


@pytest.mark.parametrize(
    ("cost", "width", "kind"),
    [
        (-0.5, "0%", None),
        (0.0, "0%", None),
        (0.69, "50%", None),
        (1.38, "100%", None),
        (1.39, "100%", "over"),
    ],
)
def test_a_gauge_is_filled_by_what_is_used_of_the_budget(cost: float, width: str, kind: str | None) -> None:
    read = page((account(budget=1.38, history={RUNNING: MonthFigures(cost, 1)}),))
    filled = next(element.attributes for element in read.elements if element.tag == "rect")
    assert (filled["width"], filled.get("class")) == (width, kind)


def test_a_budget_is_shown_even_without_figures_of_this_month() -> None:
    read = page((account(budget=400, history=months(3, "2025-01")),))
    assert read.texts("dd")[0] == "400.00 EUR"


def test_markup_in_names_and_error_details_is_shown_as_text() -> None:
    read = page(CASES["hostile"])
    assert HOSTILE in read.texts("h2")
    assert f"code 9: {HOSTILE}" in read.texts("q")
    assert read.all("b") == []
    assert len(read.all("script")) == 1


def test_the_telemetry_path_is_escaped() -> None:
    path = '/m"><script>alert(1)</script>&amp;'
    read = Page(render(CASES["one"], STATUS, NOW, path))
    assert read.all("a")[0].attributes["href"] == f".{path}"
    assert len(read.all("script")) == 1


def test_an_exporter_nobody_looks_at_does_not_load_the_template_engine() -> None:
    loaded = "import sys, exporter.cli, exporter.service; print('jinja2' in sys.modules)"
    assert run(sys.executable, "-c", loaded) == "False\n"


def test_a_month_is_marked_so_far_until_it_is_fetched_after_its_end() -> None:
    stale = msgspec.structs.replace(
        account().figures,
        current_month={"2026-10": MonthFigures(1.5, 2)},
        history=months(2, "2026-08"),
        fetched={Query.STATISTICS: NOW - 30 * 86400, Query.CURRENT_MONTH: NOW - 30 * 86400},
    )
    read = page((msgspec.structs.replace(account(), figures=stale),))
    assert [row[0] for row in read.rows()[1:]] == ["October 2026, so far", "September 2026", "August 2026"]
    assert "November 2026" not in read.text


def test_a_month_that_was_fetched_in_part_stays_so_far_when_later_months_are_known() -> None:
    figures = msgspec.structs.replace(
        account().figures,
        current_month={"2026-08": MonthFigures(1.5, 2), "2026-11": MonthFigures(2.5, 3)},
        history=months(2, "2026-06"),
        fetched={Query.STATISTICS: NOW - 120 * 86400, Query.CURRENT_MONTH: NOW},
    )
    read = page((msgspec.structs.replace(account(), figures=figures),))
    assert [row[0] for row in read.rows()[1:3]] == ["November 2026, so far", "August 2026, so far"]


def test_with_more_than_ten_accounts_only_the_chosen_one_is_shown_in_full() -> None:
    snapshot = CASES["hundred"]
    listed = page(snapshot)
    assert len(listed.html) < 60_000
    assert listed.texts("h2") == ["Accounts"]
    links = [link.attributes["href"] or "" for link in listed.all("a")][3:]
    assert [parse_qs(urlsplit(link).query)["account"] for link in links] == [[one.name] for one in snapshot]
    chosen = page(snapshot, chosen="account 7 & co")
    assert chosen.texts("h2") == ["Accounts", "account 7 & co"]
    assert [section.attributes["id"] for section in chosen.all("section") if "id" in section.attributes] == [
        urlsplit(links[6]).fragment
    ]
    assert page(snapshot, chosen="nobody").texts("h2") == ["Accounts"]


def test_the_key_is_not_shown_even_if_the_provider_repeats_it() -> None:
    key = Secret("S3CR+T/status-page")
    body = b'{"success": false, "code": 10, "message": "Incorrect API Key S3CR+T/status-page"}'
    with pytest.raises(Failure) as failure:
        parse_statistics(RawReply(200, body))
    read = page((failing(fresh(), failure.value.reason, failure.value.detail),))
    assert "code 10: Incorrect API Key <hidden>" in read.texts("q")
    assert key.reveal() not in read.html


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1 second"),
        (59.9, "59 seconds"),
        (60, "1 minute"),
        (3599, "59 minutes"),
        (7200, "2 hours"),
        (86400 * 400, "400 days"),
    ],
)
def test_a_duration_is_shown_in_its_largest_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_time_within_twelve_hours_is_shown_without_its_day() -> None:
    noon = "11:00 UTC, 12:00 in Paris"
    assert instant(NOW) == ("2026-11-23T11:00:00Z", f"2026-11-23 {noon}")
    assert ago(NOW, NOW + 120) == ("2 minutes ago", ("2026-11-23T11:00:00Z", noon))
    assert ahead(NOW, NOW - 86400) == ("in 1 day", ("2026-11-23T11:00:00Z", f"2026-11-23 {noon}"))


def test_figures_from_the_future_were_fetched_a_second_ago() -> None:
    assert "1 second ago" in Page(render(CASES["one"], STATUS, NOW - 86400, "/metrics")).text


def application(asked: list[str | None]) -> Application:
    def status_page(chosen: str | None) -> str:
        asked.append(chosen)
        return "é"

    pages = Pages(Exposition(lambda: iter(()), FakeClock()), status_page, *[lambda: None] * 3)
    return Application(pages, "/metrics")


def get(app: Application, path: str, query: bytes = b"") -> Response:
    return app.answer({"type": "http", "method": "GET", "path": path, "query_string": query, "headers": []})


@pytest.mark.parametrize(
    ("query", "account_asked"),
    [
        (b"", None),
        (b"account=a%20%26%20b", "a & b"),
        (b"account=%C3%A9", "é"),
        (b"account=a&account=b", "a"),
        (b"account=%ff%00\xff", "\ufffd\0ÿ"),
        (b"account=" + b"x" * 100_000, "x" * 8184),
        (b"other", None),
    ],
)
def test_the_query_string_chooses_the_account(query: bytes, account_asked: str | None) -> None:
    asked: list[str | None] = []
    reply = get(application(asked), "/", query)
    assert asked == [account_asked]
    assert reply.body == "é".encode()
    assert dict(reply.headers)["content-security-policy"] == CONTENT_SECURITY_POLICY


def test_the_script_is_served_at_its_own_path() -> None:
    reply = get(application([]), "/-/page.js")
    assert (reply.status, reply.content_type) == (200, "text/javascript; charset=utf-8")
    assert b"Intl.DateTimeFormat" in reply.body


def test_the_service_shows_its_own_accounts_readiness_and_telemetry_path() -> None:
    settings = Settings((AccountSettings("shop", KeySource(Secret("S3CR+T/of-shop")), monthly_budget=50),))
    clock = FakeClock()
    service = Service(
        settings, lambda: settings, RateLimiters(5, clock, None), Store(), None, clock, "/other"
    )
    read = Page(get(service.application(), "/").body.decode())
    assert "No figures yet of shop." in read.texts("p")
    assert read.texts("h2") == ["Not ready", "shop"]
    assert read.texts("dd") == ["50.00"]
    assert read.all("a")[0].attributes["href"] == "./other"
    assert "S3CR" not in read.html


def test_the_footer_compares_the_last_minutes_requests_with_the_limit() -> None:
    busy = replace(STATUS, requests_last_minute=1, requests_per_minute=2)
    assert "1 of at most 2 API requests" in " ".join(Page(render((), busy, NOW, "/m")).text.split())


def test_the_footer_names_the_busiest_key_if_each_key_has_its_own_limit() -> None:
    per_key = replace(STATUS, limit_per_key=True)
    shown = Page(render((), per_key, NOW, "/m")).texts("footer")
    assert "3 of at most 5 API requests in the last minute with the busiest key." in shown[0]


def test_the_title_counts_the_accounts_without_figures() -> None:
    two = (fresh("a"), account("b"))
    assert "1 of 2 accounts has no figures yet" in page(two).texts("title")[0]
    healthy: tuple[Account, ...] = (account("a"), account("b"))
    assert "All 2 accounts are up to date" in page(healthy).texts("title")[0]
