"""The running exporter, without its process: reload, readiness and health as people and probes see them."""

import asyncio
import logging
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from exporter.config.api_key import KeySource
from exporter.config.loader import ConfigError
from exporter.config.settings import AccountSettings, Settings
from exporter.metrics import families
from exporter.model import Query
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.service import Service
from exporter.state.store import Store
from exporter.web.security import WebSecurity
from exporter.web.server import listen
from tests.support.fakes import FakeClock
from tests.support.web_security import WebFiles, hashed

REASON = "config.yml: poll_interval: expected a duration"


class Configuration:
    """What the configuration says now."""

    def __init__(self) -> None:
        self.settings = Settings((AccountSettings(None, KeySource(Secret("S3CR3T-K3Y"))),))
        self.is_valid = True

    def read(self) -> Settings:
        if not self.is_valid:
            raise ConfigError(REASON)
        return self.settings


class Running:
    """A service, its store and its limiters, as they are wired together."""

    def __init__(self, clock: FakeClock, security: WebSecurity | None = None) -> None:
        self.configuration = Configuration()
        self.store = Store()
        self.limiters = RateLimiters(5, clock)
        self.service = Service(
            self.configuration.settings,
            self.configuration.read,
            self.limiters,
            self.store,
            None,
            clock,
            "/metrics",
            security,
        )
        self._application = self.service.application()

    def ask(self, method: str, path: str) -> tuple[int, str]:
        reply = self._application.answer({"type": "http", "method": method, "path": path, "headers": []})
        return reply.status, reply.body.decode()

    def sample(self, name: str) -> float:
        (value,) = [
            one.value
            for family in families.of_exporter(self.service.status())
            for one in family.samples
            if one.name == name
        ]
        return float(value)

    def publish_figures(self) -> None:
        for account in self.store.snapshot:
            figures = msgspec.structs.replace(account.figures, fetched={Query.STATISTICS: 1.0})
            self.store.publish(msgspec.structs.replace(account, figures=figures))


def test_it_is_ready_once_there_are_figures(clock: FakeClock) -> None:
    running = Running(clock)
    assert running.ask("GET", "/-/healthy") == (200, "healthy\n")
    assert running.ask("GET", "/-/ready") == (503, "not ready: no figures yet\n")
    running.publish_figures()
    assert running.ask("GET", "/-/ready") == (200, "ready\n")


def test_until_then_it_says_how_long_the_first_request_waits(clock: FakeClock) -> None:
    running = Running(clock)
    running.limiters.for_key(Secret("any")).try_acquire(30)
    clock.advance(5)
    assert running.ask("GET", "/-/ready")[1] == (
        "not ready: no figures yet; requests before this start are unknown, so the first one waits: "
        "10s left\n"
    )


def test_if_polling_ends_by_an_error_it_is_not_healthy_and_ends_with_status_1(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    running = Running(clock)

    def fail(key: Secret) -> NoReturn:
        raise RuntimeError("S3CR3T-K3Y")

    running.limiters.for_key = fail  # type: ignore[method-assign]
    with listen("127.0.0.1", 0) as listening:
        assert asyncio.run(running.service.run([listening])) == 1
    assert running.ask("GET", "/-/healthy") == (503, "not healthy: polling has ended\n")
    assert "CRITICAL" in [record.levelname for record in caplog.records]


def test_reload_takes_the_new_configuration(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    running = Running(clock)
    loaded = running.sample("smspartner_config_last_reload_success_timestamp_seconds")
    clock.advance(60)
    running.configuration.settings = Settings(
        running.configuration.settings.accounts, poll_interval=1800, requests_per_minute=2
    )
    with caplog.at_level(logging.INFO):
        assert running.ask("POST", "/-/reload") == (200, "reloaded\n")
    assert running.sample("smspartner_poll_interval_seconds") == 1800
    assert running.sample("smspartner_api_requests_per_minute_limit") == 2
    assert running.sample("smspartner_config_last_reload_successful") == 1
    assert running.sample("smspartner_config_last_reload_success_timestamp_seconds") == loaded + 60
    assert [record.message for record in caplog.records] == ["configuration reloaded"]


def test_an_invalid_configuration_changes_nothing(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    running = Running(clock)
    loaded = running.sample("smspartner_config_last_reload_success_timestamp_seconds")
    running.configuration.is_valid = False
    clock.advance(60)
    assert running.ask("POST", "/-/reload") == (500, f"{REASON}\n")
    assert running.sample("smspartner_poll_interval_seconds") == 900
    assert running.sample("smspartner_config_last_reload_successful") == 0
    assert running.sample("smspartner_config_last_reload_success_timestamp_seconds") == loaded
    (record,) = caplog.records
    assert (record.message, vars(record)["reason"]) == ("configuration not reloaded", REASON)
    running.configuration.is_valid = True
    assert running.service.reload() is None
    assert running.sample("smspartner_config_last_reload_successful") == 1


def test_a_reload_answers_with_what_is_wrong_with_the_web_configuration(
    clock: FakeClock, tmp_path: Path
) -> None:
    files = WebFiles(tmp_path)
    security = WebSecurity(files.write(basic_auth_users={"a": hashed()}))
    running = Running(clock, security=security)
    loaded = running.sample("smspartner_config_last_reload_success_timestamp_seconds")
    files.path.write_text("basic_auth_users: {a: plain}")
    wrong = f"{files.path}: basic_auth_users.a: expected a bcrypt hash"
    clock.advance(60)
    status, text = running.ask("POST", "/-/reload")
    assert status == 500
    assert text.startswith(wrong)
    running.configuration.is_valid = False
    assert running.ask("POST", "/-/reload")[1].startswith(f"{REASON}; {wrong}")
    running.configuration.is_valid = True
    assert running.sample("smspartner_config_last_reload_successful") == 0
    assert running.sample("smspartner_config_last_reload_success_timestamp_seconds") == loaded
    files.write(basic_auth_users={"b": hashed()})
    assert running.ask("POST", "/-/reload") == (200, "reloaded\n")
    assert running.sample("smspartner_config_last_reload_successful") == 1
    assert running.sample("smspartner_config_last_reload_success_timestamp_seconds") == loaded + 60


def test_a_web_configuration_that_is_spoilt_without_a_reload_shows_in_the_metrics(
    clock: FakeClock, tmp_path: Path
) -> None:
    files = WebFiles(tmp_path)
    running = Running(clock, security=WebSecurity(files.write(tls={})))
    assert running.sample("smspartner_config_last_reload_successful") == 1
    key = (files.directory / "server.key").read_bytes()
    (files.directory / "server.key").write_text("no key")
    assert running.sample("smspartner_config_last_reload_successful") == 0
    (files.directory / "server.key").write_bytes(key)
    assert running.sample("smspartner_config_last_reload_successful") == 1


def test_a_reload_takes_posts_only(clock: FakeClock) -> None:
    running = Running(clock)
    assert running.ask("GET", "/-/reload") == (405, "Method Not Allowed\n")


def test_clocks_that_are_read_one_after_the_other_do_not_change_what_is_exposed(clock: FakeClock) -> None:
    running = Running(clock)
    before = running.service.status()
    clock.step(0.003)
    assert running.service.status() == before
    clock.step(3600)
    assert running.service.status().wall_clock_offset == before.wall_clock_offset + 3600
