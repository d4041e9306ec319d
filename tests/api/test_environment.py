"""A proxy and certificate authorities from the environment: what is refused at the start, and in which words."""

from pathlib import Path

import pytest

from exporter.api.environment import check_environment
from exporter.api.transport import Transport
from exporter.cli import main
from exporter.clock import SystemClock
from exporter.config.loader import ConfigError
from exporter.model import Failure, Reason
from tests.support.peer import PEM

HTTPS = "https://api.example/v1"
EXPECTED = "expected a proxy such as http://proxy.example:3128"
VARIABLES = (
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def problem(base_url: str = HTTPS) -> str | None:
    try:
        check_environment(base_url)
    except ConfigError as error:
        return str(error)
    return None


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_certificate_authorities_that_cannot_be_read_are_named_with_variable_path_and_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    for path, reason in (
        (tmp_path / "missing.pem", "no such file or directory"),
        (Path(__file__), "holds no certificates in PEM"),
        (PEM / "x", "not a directory"),
    ):
        monkeypatch.setenv(variable, str(path))
        assert problem() == f"environment: {variable}: {path}: {reason}"
        assert problem("http://api.example/v1") is None
    for good in (PEM, tmp_path):
        monkeypatch.setenv(variable, str(good))
        assert problem() is None


def test_certificate_authorities_that_vanish_while_running_make_the_api_unreachable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = tmp_path / "corp-ca.pem"
    bundle.write_bytes(PEM.read_bytes())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    clock = SystemClock()
    transport = Transport("https://127.0.0.1:9/v1", clock)
    bundle.unlink()
    with pytest.raises(Failure) as caught:
        transport.get("/me", {}, clock.monotonic() + 10)
    assert caught.value.reason is Reason.UNREACHABLE
    assert caught.value.detail == f"REQUESTS_CA_BUNDLE: {bundle}: no such file or directory"


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("socks5://user:S3CR3T@proxy:1080", "socks5 proxies are not supported: " + EXPECTED),
        ("SOCKS5H://proxy:1080", "socks5h proxies are not supported: " + EXPECTED),
        ("socks4://proxy:1080", "socks4 proxies are not supported: " + EXPECTED),
        ("S3CR3T K3Y://proxy", "it is not supported: " + EXPECTED),
        ("http://", EXPECTED),
        ("http://proxy:S3CR3T", EXPECTED),
        ("http://proxy:99999", EXPECTED),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str, said: str
) -> None:
    monkeypatch.setenv(variable, proxy)
    assert problem() == f"environment: {variable}: {said}"
    assert problem("http://api.example/v1") is None
    monkeypatch.setenv("no_proxy", "api.example")
    assert problem() is None


@pytest.mark.parametrize(
    "proxy", ["http://proxy:3128", "https://user:pw@proxy", "proxy.example:3128", "HTTP://proxy"]
)
def test_an_http_proxy_is_accepted(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert problem() is None


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("REQUESTS_CA_BUNDLE", "/nowhere/corp-ca.pem", "/nowhere/corp-ca.pem: no such file or directory"),
        ("HTTPS_PROXY", "socks5://proxy:1080", "socks5 proxies are not supported: " + EXPECTED),
    ],
)
@pytest.mark.parametrize("words", [["--config.check"], [], ["backfill", "--from=2024-01"]])
def test_the_program_does_not_start_with_them(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    said: str,
    words: list[str],
) -> None:
    monkeypatch.setenv("SMSPARTNER_API_KEY", "a-key-of-nobody")
    monkeypatch.setenv(variable, value)
    assert main(words) == 1
    assert capsys.readouterr().err == f"smspartner-exporter: environment: {variable}: {said}\n"
