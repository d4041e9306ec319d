"""The web configuration: every message a user may get, and every form that is accepted."""

import ssl
from pathlib import Path

import pytest

from exporter.config.loader import ConfigError
from exporter.web import config as web_config
from exporter.web.config import WebConfig
from tests.support.web_security import WebFiles, hashed

CONFIGS = Path(__file__).parents[1] / "configs" / "web"
HASH = "expected a bcrypt hash of cost 4 to 13, such as htpasswd -nBC 10 prints it"
SUITES = (
    "expected a list of TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256; those of TLS 1.3 cannot be chosen"
)
AUTH_TYPE = (
    "expected NoClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert: none is taken unverified"
)
HEADERS = (
    "Content-Security-Policy, Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, "
    "X-XSS-Protection"
)
SECTIONS = "tls_server_config, http_server_config, basic_auth_users"
TLS = "tls_server_config"
MESSAGES = {
    "allowed-sans-text": f"{TLS}.client_allowed_sans: expected a list of names, addresses and URIs",
    "allowed-sans-unverified": f"{TLS}.client_allowed_sans: needs client_auth_type: RequireAndVerifyClientCert",
    "cert-file-list": "tls_server_config.cert_file: expected the path of a file",
    "cert-file-missing": "tls_server_config.cert_file: is missing",
    "cert": "tls_server_config.cert: is not supported: name a file with cert_file",
    "cipher-suite-unknown": f"{TLS}.cipher_suites: {SUITES}",
    "cipher-suites-text": f"{TLS}.cipher_suites: {SUITES}",
    "client-ca-file-number": "tls_server_config.client_ca_file: expected the path of a file",
    "client-ca-without-type": "tls_server_config.client_ca_file: does nothing without client_auth_type",
    "client-ca": "tls_server_config.client_ca: is not supported: name a file with client_ca_file",
    "client-type-unknown": f"{TLS}.client_auth_type: {AUTH_TYPE}",
    "client-type-unverified": f"{TLS}.client_auth_type: {AUTH_TYPE}",
    "client-type-without-ca": f"{TLS}.client_ca_file: is missing: RequireAndVerifyClientCert needs it",
    "curve-preferences": f"{TLS}.curve_preferences: is not supported: leave it out; OpenSSL's own order is used",
    "header-line-break": (
        "http_server_config.headers.Content-Security-Policy: expected printable ASCII, without spaces around it"
    ),
    "header-unknown": "http_server_config.headers.X-Frame-Option: unknown header; did you mean X-Frame-Options?",
    "header-value": "http_server_config.headers.X-Frame-Options: expected deny or sameorigin",
    "headers-list": f"http_server_config.headers: expected a value for some of {HEADERS}",
    "http-list": "http_server_config: expected http2 and headers",
    "http2-text": "http_server_config.http2: expected false, or no such key: HTTP/2 is not spoken here",
    "http2": "http_server_config.http2: expected false, or no such key: HTTP/2 is not spoken here",
    "key-file-missing": "tls_server_config.key_file: is missing",
    "key-file-number": "tls_server_config.key_file: expected the path of a file",
    "key": "tls_server_config.key: is not supported: name a file with key_file",
    "list": f"expected keys and values: {SECTIONS}",
    "max-version-number": "tls_server_config.max_version: expected TLS12 or TLS13",
    "min-version-old": "tls_server_config.min_version: expected TLS12 or TLS13",
    "prefer-server-cipher-suites": "tls_server_config.prefer_server_cipher_suites: expected true or false",
    "rate-limit": (
        "rate_limit: is not supported: leave it out; a scrape costs next to nothing here, and connections are bounded"
    ),
    "tls-empty": "tls_server_config.cert_file: is missing",
    "tls-list": "tls_server_config: expected keys and values, with cert_file and key_file among them",
    "unknown-key-in-http": "http_server_config.compression: unknown key; known here: http2, headers",
    "unknown-key-in-tls": "tls_server_config.cert_fil: unknown key; did you mean cert_file?",
    "unknown-section-unlike-any": f"oauth: unknown key; known here: {SECTIONS}",
    "unknown-section": "tls_config: unknown key; did you mean tls_server_config?",
    "user-colon": "basic_auth_users.…: a name cannot have a colon in it",
    "user-cost-too-high": f"basic_auth_users.alice: {HASH}",
    "user-cost-too-low": f"basic_auth_users.alice: {HASH}",
    "user-md5": f"basic_auth_users.alice: {HASH}",
    "user-number": "basic_auth_users: has a key that is not text: put it in quotes",
    "user-password-number": f"basic_auth_users[...]: {HASH}",
    "user-password": f"basic_auth_users.alice: {HASH}",
    "user-twice": "line 3, column 3: alice: given twice",
    "users-list": "basic_auth_users: expected names, each with its bcrypt hash",
    "versions-reversed": "tls_server_config.max_version: must not be below min_version",
    "yaml-colon": "line 1, column 21: mapping values are not allowed here",
}


@pytest.fixture
def files(tmp_path: Path) -> WebFiles:
    return WebFiles(tmp_path)


@pytest.mark.parametrize("name", MESSAGES)
def test_refuses(name: str) -> None:
    path = CONFIGS / f"invalid-web-{name}.yml"
    with pytest.raises(ConfigError) as caught:
        web_config.load(path)
    message = str(caught.value)
    assert message == f"{path}: {MESSAGES[name]}"
    assert message.isprintable()
    assert "S3CR3T" not in message
    assert "mDwo" not in message


def test_every_file_has_its_message() -> None:
    assert {path.stem.removeprefix("invalid-web-") for path in CONFIGS.glob("*.yml")} == set(MESSAGES)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yml: no such file or directory$"):
        web_config.load(tmp_path / "nowhere.yml")


@pytest.mark.parametrize(
    "text", ["", "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\n", "basic_auth_users: {}"]
)
def test_nothing_asked_is_nothing_done(files: WebFiles, text: str) -> None:
    files.path.write_text(text)
    assert web_config.load(files.path) == WebConfig(tls=None, users={}, headers={})


def test_the_defaults_of_tls_are_those_of_the_format(files: WebFiles) -> None:
    tls = web_config.load(files.write(tls={})).tls
    assert tls
    assert tls.files == (files.directory / "server.crt", files.directory / "server.key")
    assert tls.client_verification == ssl.CERT_NONE
    assert (tls.min_version, tls.max_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    assert tls.ciphers is None
    assert tls.prefer_server_ciphers


def test_everything_that_is_supported(files: WebFiles) -> None:
    path = files.write(
        tls={
            "cert_file": "/etc/server.crt",
            "client_ca_file": "ca.crt",
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_allowed_sans": ["prometheus", "0:0:0:0:0:0:0:1"],
            "min_version": "TLS13",
            "max_version": "TLS13",
            "cipher_suites": [
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            ],
            "prefer_server_cipher_suites": False,
        },
        http_server_config={
            "http2": False,
            "headers": {
                "X-Frame-Options": "deny",
                "X-XSS-Protection": "",
                "X-Content-Type-Options": "nosniff",
            },
        },
        basic_auth_users={"alice": hashed(), "Zoé 2": hashed().replace("$2b$", "$2y$")},
    )
    config = web_config.load(path)
    assert config.tls
    assert config.tls.files == (Path("/etc/server.crt"), files.directory / "server.key", files.ca_file)
    assert config.tls.client_verification == ssl.CERT_REQUIRED
    assert config.tls.client_allowed_sans == frozenset({"prometheus", "::1"})
    assert config.tls.min_version == ssl.TLSVersion.TLSv1_3
    assert config.tls.ciphers == "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"
    assert not config.tls.prefer_server_ciphers
    assert config.headers == {b"x-frame-options": b"deny", b"x-content-type-options": b"nosniff"}
    assert list(config.users) == [b"alice", "Zoé 2".encode()]
