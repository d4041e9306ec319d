"""The page in parts: the same as a page made at once, and encoded again only where something changed."""

from dataclasses import replace
from types import SimpleNamespace

import msgspec
import pytest
from prometheus_client import generate_latest

from exporter.metrics import families
from exporter.metrics.exposition import Exposition
from exporter.metrics.negotiation import TEXT, Format
from exporter.metrics.parts import parts
from exporter.model import Credits
from tests.support.fakes import FakeClock
from tests.support.families import collect
from tests.support.snapshots import CASES, STATUS


@pytest.mark.parametrize("case", CASES)
def test_the_page_in_parts_is_the_page_of_all_accounts_at_once(clock: FakeClock, case: str) -> None:
    shown = CASES[case]
    exposition = Exposition(lambda: parts(shown, STATUS, clock.time()), clock)

    def at_once() -> bytes:
        return generate_latest(SimpleNamespace(collect=lambda: collect(shown, STATUS, clock.time())))

    assert exposition.render(Format(TEXT, compressed=False)).startswith(at_once())
    account, *others = shown
    spent = msgspec.structs.replace(account.figures, credits=Credits(0.5, "EUR", {}, None))
    shown = (msgspec.structs.replace(account, figures=spent), *others)
    clock.advance(1)
    assert exposition.render(Format(TEXT, compressed=False)).startswith(at_once())


def test_when_the_clock_is_stepped_the_next_poll_moves_with_it(clock: FakeClock) -> None:
    status = STATUS
    exposition = Exposition(lambda: parts(CASES["one"], status, clock.time()), clock)

    def next_poll() -> float:
        clock.advance(1)
        page = exposition.render(Format(TEXT, compressed=False))
        series = b'smspartner_next_poll_timestamp_seconds{endpoint="credits"} '
        return float(page.partition(series)[2].split()[0])

    before = next_poll()
    status = replace(STATUS, wall_clock_offset=STATUS.wall_clock_offset + 3600)
    assert next_poll() == before + 3600


def test_the_running_month_changes_at_midnight_in_paris_and_nothing_else_is_encoded_again(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    exposition = Exposition(lambda: parts(CASES["one"], STATUS, clock.time()), clock)
    clock.set_paris(2026, 12, 31, 23, 59, 58)

    def ratios() -> list[bytes]:
        clock.advance(1)
        shown = exposition.render(Format(TEXT, compressed=False)).splitlines()
        return [line for line in shown if line.startswith(b"smspartner_month_elapsed_ratio{")]

    last = 1 - 1 / (31 * 86400)
    assert ratios() == [f'smspartner_month_elapsed_ratio{{month="2026-12"}} {last}'.encode()]
    monkeypatch.setattr(families, "of_accounts", lambda *_: pytest.fail("the accounts did not change"))
    assert ratios() == [b'smspartner_month_elapsed_ratio{month="2027-01"} 0.0']
