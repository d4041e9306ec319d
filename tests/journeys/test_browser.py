"""The status page in a real browser. `make check-browser` leaves pictures of it in .browser."""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

import pytest

from exporter.metrics.exposition import Exposition
from exporter.status_page.formatting import month_name
from exporter.status_page.page import render
from exporter.web.app import Application, Pages
from exporter.web.server import Server, listen
from tests.support.browser import Browser
from tests.support.fakes import FakeClock
from tests.support.running import ROOT, Running, Started, eventually
from tests.support.snapshots import BROKEN, CASES, NOW, STATUS

pytestmark = [pytest.mark.journey, pytest.mark.browser]

PICTURES = ROOT / ".browser"
LOOKS = [(width, scheme) for width in (360, 1280) for scheme in ("light", "dark")]

CONTRASTS = """
const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
const rgba = colour => {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const luminance = ([r, g, b]) => [r, g, b]
  .map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = element => {
  for (let one = element; one; one = one.parentElement) {
    const colour = rgba(getComputedStyle(one).backgroundColor);
    if (colour[3] === 255) return colour;
  }
  throw new Error("no background");
};
return [...document.body.querySelectorAll("*")]
  .filter(element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
  .filter(element => element.checkVisibility() && !["title", "desc"].includes(element.tagName))
  .map(element => {
    const style = getComputedStyle(element);
    const colour = element instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [luminance(rgba(colour)), luminance(behind(element))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), element.tagName, element.textContent.slice(0, 40)];
  });
"""

ROWS = """
return [...document.querySelectorAll("details tbody tr")].map(row => [...row.cells].map(cell => cell.textContent));
"""


@pytest.fixture(scope="module")
def browser(processes: Started, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir()
    opened = Browser(processes, tmp_path_factory.mktemp("profile"))
    try:
        yield opened
    finally:
        opened.quit()


@pytest.fixture(autouse=True)
def nothing_emulated(browser: Browser) -> None:
    browser.look(1280, "light")
    browser.devtools("Emulation.setTimezoneOverride", timezoneId="Asia/Tokyo")
    browser.devtools("Emulation.setScriptExecutionDisabled", value=False)
    browser.console()
    browser.requested()


@pytest.fixture(scope="module")
def exporter(processes: Started) -> Running:
    """A running exporter that has fetched all figures of its account."""
    exporter = processes.exporter("--demo")
    eventually(lambda: exporter.series("smspartner_balance"), within=120)
    return exporter


@contextmanager
def serving(case: str) -> Iterator[str]:
    """Serve the page of a made-up snapshot with the exporter's own web server, and yield its address."""
    status = BROKEN if case.startswith("failing") else STATUS
    pages = Pages(
        exposition=Exposition(lambda: iter(()), FakeClock()),
        status_page=lambda account: render(CASES[case], status, NOW, "/metrics", None, account),
        health_problem=lambda: None,
        not_ready_reason=lambda: None,
        reload=lambda: None,
    )
    with listen("127.0.0.1", 0) as listening:
        loop = asyncio.new_event_loop()
        server = Server(Application(pages, "/metrics"))
        thread = threading.Thread(target=lambda: loop.run_until_complete(server.serve([listening])))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            loop.call_soon_threadsafe(server.end)
            thread.join()
            loop.close()


def check_every_look(browser: Browser, address: str, name: str) -> None:
    """Check layout, contrast and requests of a page, with its tables open. Take a picture of every look."""
    for width, scheme in LOOKS:
        browser.look(width, scheme)
        browser.open(address)
        browser.run("for (const details of document.querySelectorAll('details')) details.open = true;")
        browser.picture(PICTURES / f"{name}-{width}-{scheme}.png")
        assert browser.run("return document.documentElement.scrollWidth") == width
        contrasts = browser.run(CONTRASTS)
        assert len(contrasts) > 10
        assert not [found for found in contrasts if found[0] < 4.5]
        background = browser.run("return getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 29)"}[scheme]
    assert browser.console() == []
    asked = {request for request in browser.requested() if not request.startswith("data:")}
    assert {urlsplit(request)._replace(query="", fragment="").geturl() for request in asked} == {
        urlsplit(address)._replace(query="", fragment="").geturl(),
        urlsplit(address)._replace(query="", fragment="", path="/-/page.js").geturl(),
    }


def test_the_page_of_a_running_exporter_is_readable_in_every_look(
    browser: Browser, exporter: Running
) -> None:
    check_every_look(browser, exporter.url + "/", "demo")


def test_the_page_shows_the_same_figures_as_the_metrics(browser: Browser, exporter: Running) -> None:
    def same_figures() -> bool:
        browser.open(exporter.url + "/")
        shown = {row[0].removesuffix(", so far"): row[1:3] for row in browser.run(ROWS)}
        costs, sent = exporter.series("sms_cost_monthly"), exporter.series("sms_sent_monthly")
        exposed = {
            month_name(series.split('"')[1]): [f"{cost:,.3f}", f"{sent[series.replace('cost', 'sent')]:,.0f}"]
            for series, cost in costs.items()
        }
        return len(exposed) >= 12 and shown == exposed

    eventually(same_figures)


@pytest.mark.parametrize("case", [case for case in CASES if case != "hundred"])
def test_every_page_is_readable_in_every_look(browser: Browser, case: str) -> None:
    with serving(case) as address:
        check_every_look(browser, address, case)


def test_a_click_in_the_list_of_a_hundred_accounts_shows_the_account(browser: Browser) -> None:
    with serving("hundred") as address:
        check_every_look(browser, f"{address}?account={quote('account 7 & co')}", "hundred")
        browser.open(address)
        browser.run("document.querySelectorAll('tbody a')[41].click()")
        headings = "return [...document.querySelectorAll('h2')].map(heading => heading.textContent)"
        eventually(lambda: browser.run(headings) == ["Accounts", "account 42 & co"])
        assert browser.run("return document.querySelector(':target h2').textContent") == "account 42 & co"


def test_times_are_local_with_the_script_and_utc_without_it(browser: Browser) -> None:
    times = "return [...document.querySelectorAll('time')].map(time => time.textContent)"
    with serving("one") as address:
        browser.open(address)
        assert browser.run(times)[:2] == ["23 Nov 2026, 20:00 GMT+9", "19:57 GMT+9"]
        title = browser.run("return document.querySelector('time').title")
        assert title == "2026-11-23 11:00 UTC, 12:00 in Paris"
        browser.devtools("Emulation.setScriptExecutionDisabled", value=True)
        browser.open(address)
        assert browser.run(times)[:2] == ["2026-11-23 11:00 UTC, 12:00 in Paris", "10:57 UTC, 11:57 in Paris"]
        assert len(browser.run(ROWS)) == 13


def test_a_screen_reader_finds_landmarks_headings_and_the_charts_summary(browser: Browser) -> None:
    with serving("three") as address:
        browser.open(address)
        nodes = browser.devtools("Accessibility.getFullAXTree")["nodes"]
    found = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]
    for expected in [
        ("banner", ""),
        ("navigation", "Other pages"),
        ("main", ""),
        ("contentinfo", ""),
        ("region", "marketing"),
        ("region", "Accounts"),
        ("image", "Cost of each month"),
        ("columnheader", "Budget used"),
        ("rowheader", "marketing up to date"),
        ("heading", "Fails: the API key is rejected"),
    ]:
        assert expected in found
    (chart, *_) = [node for node in nodes if node.get("role", {}).get("value") == "image"]
    assert "Highest: March 2026, 700.12 EUR." in chart["description"]["value"]


def test_the_keyboard_reaches_every_link_and_opens_the_table(browser: Browser) -> None:
    with serving("one") as address:
        browser.open(address)
        reached = []
        for _ in range(4):
            browser.press("Tab", 9)
            reached.append(browser.run("return document.activeElement.textContent"))
            assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert reached == ["Metrics", "Health", "Readiness", "All months as a table"]
        browser.press("Enter", 13)
        assert browser.run("return document.querySelector('details').open")


def test_the_content_security_policy_blocks_injected_scripts_and_styles(browser: Browser) -> None:
    with serving("one") as address:
        browser.open(address)
        browser.run(
            """
            const script = document.createElement("script");
            script.textContent = "window.injected = true";
            document.body.append(script);
            document.body.setAttribute("style", "color: red");
            """
        )
        assert browser.run("return window.injected === undefined")
        assert browser.run("return getComputedStyle(document.body).color") == "rgb(27, 36, 48)"
        assert len([line for line in browser.console() if "Content Security Policy" in line]) == 2
