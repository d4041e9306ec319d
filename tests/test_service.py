"""The running exporter, without its process: reload, readiness and health as people and probes see them."""

import itertools
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from prometheus_client import generate_latest

from exporter.config.api_key import KeySource
from exporter.config.loader import ConfigError
from exporter.config.settings import AccountSettings, Settings
from exporter.metrics import families as metrics
from exporter.metrics.exposition import Exposition
from exporter.model import Credits, Query, Reason
from exporter.ratelimit.decision import LimitScope
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.service import Service
from exporter.state.store import Store
from exporter.web.security import WebSecurity
from tests.support.fakes import FakeClock
from tests.support.snapshots import CASES
from tests.support.web_security import WebFiles, hashed

REASON = "config.yml: poll_interval: expected a duration"


class Configuration:
    """What the configuration says now."""

    def __init__(self, *names: str | None, scope: LimitScope = "all") -> None:
        accounts = tuple(AccountSettings(name, KeySource(Secret("S3CR3T-K3Y"))) for name in names)
        self.settings = Settings(accounts, limit_scope=scope)
        self.is_valid = True

    def read(self) -> Settings:
        if not self.is_valid:
            raise ConfigError(REASON)
        return self.settings


Made = tuple[Service, Configuration]


def made(
    clock: FakeClock, *names: str | None, scope: LimitScope = "all", security: WebSecurity | None = None
) -> Made:
    configuration = Configuration(*names or (None,), scope=scope)
    limiters = RateLimiters(5, clock, scope=scope)
    service = Service(configuration.settings, configuration.read, limiters, None, clock, "/metrics", security)
    return service, configuration


def store_of(service: Service) -> Store:
    return service._store


def with_figures(service: Service) -> None:
    for account in store_of(service).snapshot:
        figures = msgspec.structs.replace(account.figures, fetched={Query.STATISTICS: 1.0})
        store_of(service).publish(msgspec.structs.replace(account, figures=figures))


def failing(service: Service, reason: Reason, name: str | None = None) -> None:
    for account in store_of(service).snapshot:
        if account.name == name:
            poll = msgspec.structs.replace(account.polls[Query.STATISTICS], succeeded=False, reason=reason)
            polls = {**account.polls, Query.STATISTICS: poll}
            store_of(service).publish(msgspec.structs.replace(account, polls=polls))


def sample(service: Service, name: str) -> float:
    families = itertools.chain.from_iterable(part.collect() for part in service.parts())
    (value,) = [one.value for family in families for one in family.samples if one.name == name]
    return float(value)


def test_is_ready_once_there_are_figures(clock: FakeClock) -> None:
    service, _ = made(clock)
    assert service.not_ready_reason() == "no figures yet"
    with_figures(service)
    assert service.not_ready_reason() == ""


def test_says_what_fails_as_long_as_there_are_none(clock: FakeClock) -> None:
    service, _ = made(clock)
    failing(service, Reason.KEY_REJECTED)
    assert service.not_ready_reason() == "no figures yet; polling fails: key_rejected"


def test_figures_that_are_known_stay_ready_though_polling_fails(clock: FakeClock) -> None:
    service, _ = made(clock)
    with_figures(service)
    failing(service, Reason.TIMEOUT)
    assert service.not_ready_reason() == ""


def test_says_that_the_first_request_waits(clock: FakeClock) -> None:
    service, _ = made(clock)
    service._limiters.for_key(Secret("any")).try_acquire(30)
    clock.advance(5)
    assert service.not_ready_reason() == (
        "no figures yet; what was requested before this start is unknown, so the first request waits: 10s left"
    )


def test_says_that_the_first_request_with_each_key_waits(clock: FakeClock) -> None:
    service, _ = made(clock, "a", "b", scope="account")
    service._poller.step()
    assert service.not_ready_reason().endswith(
        "; what was requested with a key before is unknown, so its first request waits: 15s left"
    )


def test_names_the_accounts_that_have_none(clock: FakeClock) -> None:
    service, _ = made(clock, "a", "b")
    assert service.not_ready_reason() == "no figures yet of a, b"
    failing(service, Reason.TIMEOUT, "b")
    failing(service, Reason.ACCESS_DENIED, "a")
    assert service.not_ready_reason() == "no figures yet of a, b; polling fails: access_denied, timeout"


def test_names_five_accounts_at_most(clock: FakeClock) -> None:
    service, _ = made(clock, *"abcdefg")
    assert service.not_ready_reason() == "no figures yet of a, b, c, d, e and 2 more"


def test_pages_say_so(clock: FakeClock) -> None:
    service, _ = made(clock)
    get = asking(service, "GET")
    assert get("/-/healthy") == (200, "healthy\n")
    assert get("/-/ready") == (503, "not ready: no figures yet\n")
    with_figures(service)
    assert get("/-/ready") == (200, "ready\n")


def asking(service: Service, method: str) -> Callable[[str], tuple[int, str]]:
    application = service.application()

    def ask(path: str) -> tuple[int, str]:
        reply = application.answer({"type": "http", "method": method, "path": path, "headers": []})
        return reply.status, reply.body.decode()

    return ask


def test_is_not_healthy_once_polling_has_ended(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    service, _ = made(clock)

    def fail() -> None:
        raise RuntimeError("S3CR3T-K3Y")

    ended: list[bool] = []
    service._poller.run = fail  # type: ignore[method-assign]
    service._poll(lambda: ended.append(True))
    assert ended == [True]
    assert asking(service, "GET")("/-/healthy") == (503, "not healthy: polling has ended\n")
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]


def test_reload_takes_the_new_configuration(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    service, configuration = made(clock)
    loaded = sample(service, "smspartner_config_last_reload_success_timestamp_seconds")
    clock.advance(60)
    configuration.settings = Settings(
        configuration.settings.accounts, poll_interval=1800, requests_per_minute=2
    )
    with caplog.at_level(logging.INFO):
        assert asking(service, "POST")("/-/reload") == (200, "reloaded\n")
    assert sample(service, "smspartner_poll_interval_seconds") == 1800
    assert sample(service, "smspartner_api_requests_per_minute_limit") == 2
    assert sample(service, "smspartner_config_last_reload_successful") == 1
    assert sample(service, "smspartner_config_last_reload_success_timestamp_seconds") == loaded + 60
    assert [record.message for record in caplog.records] == ["configuration reloaded"]


def test_an_invalid_configuration_changes_nothing(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    service, configuration = made(clock)
    loaded = sample(service, "smspartner_config_last_reload_success_timestamp_seconds")
    configuration.is_valid = False
    clock.advance(60)
    assert asking(service, "POST")("/-/reload") == (500, f"{REASON}\n")
    assert sample(service, "smspartner_poll_interval_seconds") == 900
    assert sample(service, "smspartner_config_last_reload_successful") == 0
    assert sample(service, "smspartner_config_last_reload_success_timestamp_seconds") == loaded
    (record,) = caplog.records
    assert (record.message, vars(record)["reason"]) == ("configuration not reloaded", REASON)
    configuration.is_valid = True
    assert service.reload() == ""
    assert sample(service, "smspartner_config_last_reload_successful") == 1


def test_a_reload_answers_with_what_is_wrong_with_the_web_configuration(
    clock: FakeClock, tmp_path: Path
) -> None:
    files = WebFiles(tmp_path)
    security = WebSecurity(files.write(basic_auth_users={"a": hashed()}))
    service, configuration = made(clock, security=security)
    loaded = sample(service, "smspartner_config_last_reload_success_timestamp_seconds")
    files.path.write_text("basic_auth_users: {a: plain}")
    wrong = f"{files.path}: basic_auth_users.a: expected a bcrypt hash"
    clock.advance(60)
    status, text = asking(service, "POST")("/-/reload")
    assert status == 500
    assert text.startswith(wrong)
    configuration.is_valid = False
    assert asking(service, "POST")("/-/reload")[1].startswith(f"{REASON}; {wrong}")
    configuration.is_valid = True
    assert sample(service, "smspartner_config_last_reload_successful") == 0
    assert sample(service, "smspartner_config_last_reload_success_timestamp_seconds") == loaded
    files.write(basic_auth_users={"b": hashed()})
    assert asking(service, "POST")("/-/reload") == (200, "reloaded\n")
    assert sample(service, "smspartner_config_last_reload_successful") == 1
    assert sample(service, "smspartner_config_last_reload_success_timestamp_seconds") == loaded + 60


def test_a_web_configuration_that_is_spoilt_without_a_reload_shows_in_the_metrics(
    clock: FakeClock, tmp_path: Path
) -> None:
    files = WebFiles(tmp_path)
    service, _ = made(clock, security=WebSecurity(files.write(tls={})))
    assert sample(service, "smspartner_config_last_reload_successful") == 1
    key = (files.directory / "server.key").read_bytes()
    (files.directory / "server.key").write_text("no key")
    assert sample(service, "smspartner_config_last_reload_successful") == 0
    (files.directory / "server.key").write_bytes(key)
    assert sample(service, "smspartner_config_last_reload_successful") == 1


def test_a_reload_takes_posts_only(clock: FakeClock) -> None:
    service, _ = made(clock)
    assert asking(service, "GET")("/-/reload") == (405, "Method Not Allowed\n")


def test_accounts_come_and_go_with_a_reload(clock: FakeClock) -> None:
    service, configuration = made(clock, "a", "b")
    with_figures(service)
    configuration.settings = Configuration("b", "c").settings
    service.reload()
    service._poller.step()
    assert [account.name for account in store_of(service).snapshot] == ["b", "c"]
    assert service.not_ready_reason().startswith("no figures yet of c")


def page(exposition: Exposition, clock: FakeClock) -> bytes:
    clock.advance(1)
    return exposition.render("", compress=False).body


@pytest.mark.parametrize("case", CASES)
def test_account_by_account_the_page_is_that_of_all_at_once(clock: FakeClock, case: str) -> None:
    service, _ = made(clock)
    exposition = Exposition(service.parts, clock)
    account, *others = CASES[case]
    spent = msgspec.structs.replace(account.figures, credits=Credits(0.5, "EUR", {}, None))
    changed = (msgspec.structs.replace(account, figures=spent), *others)
    for snapshot in (CASES[case], changed):
        store_of(service).replace(snapshot)
        registry = SimpleNamespace(
            collect=lambda: metrics.collect(store_of(service).snapshot, service._status(), clock.time())
        )
        assert page(exposition, clock).startswith(generate_latest(registry))


def test_the_running_month_changes_at_midnight_in_paris_and_nothing_else_is_encoded_again(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, _ = made(clock, "a", "b")
    exposition = Exposition(service.parts, clock)
    clock.set_paris(2026, 12, 31, 23, 59, 58)

    def ratios() -> list[bytes]:
        shown = page(exposition, clock).splitlines()
        return [line for line in shown if line.startswith(b"smspartner_month_elapsed_ratio{")]

    last = 1 - 1 / (31 * 86400)
    assert ratios() == [
        f'smspartner_month_elapsed_ratio{{account="{name}",month="2026-12"}} {last}'.encode() for name in "ab"
    ]
    monkeypatch.setattr(metrics, "of_accounts", lambda *_: pytest.fail("the accounts did not change"))
    assert ratios() == [
        f'smspartner_month_elapsed_ratio{{account="{name}",month="2027-01"}} 0.0'.encode() for name in "ab"
    ]


def test_when_the_clock_is_stepped_the_next_poll_moves_with_it(clock: FakeClock) -> None:
    service, _ = made(clock, "a", "b")
    exposition = Exposition(service.parts, clock)

    def next_poll() -> float:
        series = b'smspartner_next_poll_timestamp_seconds{account="b",endpoint="credits"} '
        return float(page(exposition, clock).partition(series)[2].split()[0])

    before = next_poll()
    clock.step(3600)
    assert next_poll() == before + 3600
