"""The web configuration of a running process: when it is read again, and what a change may not do."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from exporter.web import tls
from exporter.web.security import WebSecurity
from tests.support.web_security import WebFiles, hashed


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


VERIFIED = {
    "client_ca_file": "ca.crt",
    "client_auth_type": "RequireAndVerifyClientCert",
    "client_allowed_sans": ["a"],
}


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ({"tls": VERIFIED}, "basic_auth_users cannot be emptied without a restart"),
        ({"basic_auth_users": {"a": hashed()}}, "TLS cannot be turned on or off without a restart"),
        (
            {"tls": {**VERIFIED, "client_allowed_sans": None}, "basic_auth_users": {"a": hashed()}},
            "client certificates cannot be asked for less strictly without a restart",
        ),
        (
            {"tls": {}, "basic_auth_users": {"a": hashed()}},
            "client certificates cannot be asked for less strictly without a restart",
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
    assert [vars(record)["reason"] for record in caplog.records] == [reason]


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
