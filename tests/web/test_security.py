"""The web configuration of a running process: when it is read again, and what a change may not do."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from exporter.web import config as web_config
from exporter.web import tls
from exporter.web.security import WebSecurity
from tests.support.web_security import WebFiles, hashed

NO_HASH = "basic_auth_users.a: expected a bcrypt hash of cost 4 to 18, such as htpasswd -nBC 10 prints it"


@pytest.fixture
def files(tmp_path: Path) -> WebFiles:
    return WebFiles(tmp_path)


def test_unchanged_files_are_not_read_again(files: WebFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    security = WebSecurity(files.write(tls={}))
    monkeypatch.setattr(tls, "build_context", None)
    assert security.context is security.context
    assert security.config is security.config


def test_a_changed_file_takes_effect_as_a_whole(files: WebFiles) -> None:
    security = WebSecurity(files.write(tls={}))
    files.write(
        tls={
            "min_version": "TLS13",
            "client_ca_file": "ca.crt",
            "client_auth_type": "VerifyClientCertIfGiven",
        }
    )
    context = security.context
    assert context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3
    assert context.verify_mode == ssl.CERT_OPTIONAL


LESS_STRICT = "tls_server_config: client certificates cannot be checked less strictly without a restart"
VERIFIED = {
    "client_ca_file": "ca.crt",
    "client_auth_type": "RequireAndVerifyClientCert",
    "client_allowed_sans": ["a"],
}


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ({"tls": VERIFIED}, "basic_auth_users: cannot be emptied without a restart"),
        (
            {"basic_auth_users": {"a": hashed()}},
            "tls_server_config: cannot be added or removed without a restart",
        ),
        (
            {"tls": {**VERIFIED, "client_allowed_sans": None}, "basic_auth_users": {"a": hashed()}},
            LESS_STRICT,
        ),
        (
            {"tls": {}, "basic_auth_users": {"a": hashed()}},
            LESS_STRICT,
        ),
    ],
)
def test_a_changed_file_cannot_weaken_the_security_of_a_running_process(
    files: WebFiles, caplog: pytest.LogCaptureFixture, now: dict[str, Any], reason: str
) -> None:
    security = WebSecurity(files.write(tls=VERIFIED, basic_auth_users={"a": hashed()}))
    config, context = security.config, security.context
    files.write(**now)
    for _ in range(3):
        assert security.config is config
        assert security.context is context
    assert [vars(record)["reason"] for record in caplog.records] == [f"{files.path}: {reason}"]


def test_a_missing_file_changes_nothing_and_is_read_when_it_is_back(
    files: WebFiles, caplog: pytest.LogCaptureFixture
) -> None:
    security = WebSecurity(files.write(tls={}))
    context = security.context
    key = (files.directory / "server.key").read_bytes()
    (files.directory / "server.key").unlink()
    files.path.unlink()
    for _ in range(3):
        assert security.context is context
    assert len(caplog.records) == 1
    files.write(tls={})
    assert security.context is context
    assert len(caplog.records) == 2
    (files.directory / "server.key").write_bytes(key)
    assert security.context is not context


def test_a_file_that_is_written_in_two_parts_is_read_again_after_the_second(
    files: WebFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files.write(basic_auth_users={"a": hashed()})
    load = web_config.load

    def load_half(path: Path) -> web_config.WebConfig:
        config = load(path)
        files.write(basic_auth_users={"a": hashed(), "b": hashed()})
        return config

    with monkeypatch.context() as slow_writer:
        slow_writer.setattr(web_config, "load", load_half)
        security = WebSecurity(path)
    assert list(security.config.users) == [b"a", b"b"]


def test_a_problem_lasts_until_the_file_is_mended(files: WebFiles) -> None:
    security = WebSecurity(files.write(basic_auth_users={"a": hashed()}))
    problems = [security.problem]
    files.path.write_text("basic_auth_users: {a: plain}")
    problems += [security.problem, security.problem]
    files.write(basic_auth_users={"b": hashed()})
    problems.append(security.problem)
    problem = f"{files.path}: {NO_HASH}"
    assert problems == [None, problem, problem, None]
    assert list(security.config.users) == [b"b"]


def test_a_reload_reads_even_unchanged_files_and_returns_the_problem(
    files: WebFiles, caplog: pytest.LogCaptureFixture
) -> None:
    security = WebSecurity(files.write(basic_auth_users={"a": hashed()}))
    files.path.write_text("basic_auth_users: {a: plain}")
    assert [security.reload(), security.reload()] == [f"{files.path}: {NO_HASH}"] * 2
    assert [record.message for record in caplog.records] == ["web configuration not reloaded"] * 2
    files.write(basic_auth_users={"a": hashed()})
    assert security.reload() is None


def test_a_high_bcrypt_cost_is_warned_of_at_the_start_and_after_a_change(
    files: WebFiles, caplog: pytest.LogCaptureFixture
) -> None:
    slow = hashed().replace("$04$", "$18$")
    security = WebSecurity(files.write(basic_auth_users={"a": hashed(), "b": slow}))
    files.write(basic_auth_users={"b": slow})
    assert security.problem is None
    warnings = [vars(record) for record in caplog.records if record.levelname == "WARNING"]
    assert [(one["user"], one["cost"], one["seconds"]) for one in warnings] == [("b", 18, 17.9)] * 2
