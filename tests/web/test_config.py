"""The web configuration: every message a user may get, and every form that is accepted."""

import ssl
from pathlib import Path

import pytest

from exporter.config.loader import ConfigError
from exporter.web import config as web_config
from exporter.web.config import WebConfig
from tests.support.web_security import WebFiles, hashed

HASH = "expected a bcrypt hash of cost 4 to 18, such as htpasswd -nBC 10 prints it"
VERIFICATIONS = "expected NoClientCert or VerifyClientCertIfGiven or RequireAndVerifyClientCert"
HEADERS = (
    "Content-Security-Policy, Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, "
    "X-XSS-Protection"
)
SECTIONS = "tls_server_config, http_server_config, basic_auth_users"
TLS = "tls_server_config"
BCRYPT = "$2b$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze"


def with_tls(keys: str) -> str:
    """Return a web configuration with a certificate and more keys, in YAML."""
    return f"tls_server_config: {{cert_file: server.crt, key_file: server.key, {keys}}}"


INVALID = [
    ("a list", "- tls_server_config", f"expected keys and values: {SECTIONS}"),
    (
        "no YAML",
        "tls_server_config: x: S3CR3T-K3Y",
        "line 1, column 21: mapping values are not allowed here",
    ),
    ("unknown section", "oauth: {}", f"oauth: unknown key; known here: {SECTIONS}"),
    (
        "misspelt section",
        "tls_config: {cert_file: server.crt}",
        "tls_config: unknown key; did you mean tls_server_config?",
    ),
    (
        "rate limit",
        "rate_limit: {interval: 1s, burst: 20}",
        "rate_limit: is not supported: leave it out; a scrape costs next to nothing, and connections are bounded",
    ),
    (
        "misspelt key of the rate limit",
        "rate_limit: {intervall: 0}",
        "rate_limit.intervall: unknown key; did you mean interval?",
    ),
    (
        "TLS as a list",
        "tls_server_config: [server.crt]",
        f"{TLS}: expected keys and values, with cert_file and key_file among them",
    ),
    (
        "TLS without a certificate",
        "tls_server_config: {min_version: TLS13}",
        f"{TLS}.cert_file: is missing",
    ),
    ("no certificate", "tls_server_config: {key_file: server.key}", f"{TLS}.cert_file: is missing"),
    ("no key", "tls_server_config: {cert_file: server.crt}", f"{TLS}.key_file: is missing"),
    ("misspelt TLS key", with_tls("cert_fil: a"), f"{TLS}.cert_fil: unknown key; did you mean cert_file?"),
    (
        "certificate as a list",
        "tls_server_config: {cert_file: [server.crt]}",
        f"{TLS}.cert_file: expected the path of a file",
    ),
    (
        "key as keys and values",
        "tls_server_config: {cert_file: server.crt, key_file: {path: a}}",
        f"{TLS}.key_file: expected the path of a file",
    ),
    (
        "client CA as a list",
        with_tls("client_ca_file: [a]"),
        f"{TLS}.client_ca_file: expected the path of a file",
    ),
    (
        "inline certificate",
        with_tls("cert: PEM"),
        f"{TLS}.cert: is not supported: name a file with cert_file",
    ),
    ("inline key", with_tls("key: S3CR3T-K3Y"), f"{TLS}.key: is not supported: name a file with key_file"),
    (
        "inline client CA",
        with_tls("client_ca: PEM"),
        f"{TLS}.client_ca: is not supported: name a file with client_ca_file",
    ),
    (
        "curves",
        with_tls("curve_preferences: [X25519]"),
        f"{TLS}.curve_preferences: is not supported: leave it out; OpenSSL's own order is used",
    ),
    (
        "client_auth_type unknown",
        with_tls("client_auth_type: Sometimes"),
        f"{TLS}.client_auth_type: Sometimes is not supported: {VERIFICATIONS}",
    ),
    (
        "client_auth_type that may be a secret",
        with_tls("client_auth_type: S3CR3T-K3Y"),
        f"{TLS}.client_auth_type: is not supported: {VERIFICATIONS}",
    ),
    *(
        (
            f"client certificates unverified: {kind}",
            with_tls(f"client_auth_type: {kind}, client_ca_file: ca.crt"),
            f"{TLS}.client_auth_type: {kind} is not supported, as anyone can make a certificate that nobody "
            "verifies: expected RequireAndVerifyClientCert",
        )
        for kind in ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
    ),
    (
        "client CA without client_auth_type",
        with_tls("client_ca_file: ca.crt"),
        f"{TLS}.client_ca_file: does nothing without client_auth_type",
    ),
    (
        "allowed names as text",
        with_tls("client_allowed_sans: prometheus"),
        f"{TLS}.client_allowed_sans: expected a list of names, addresses and URIs",
    ),
    (
        "allowed names of optional certificates",
        with_tls(
            "client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt, client_allowed_sans: [a]"
        ),
        f"{TLS}.client_allowed_sans: needs client_auth_type: RequireAndVerifyClientCert",
    ),
    (
        "min_version too old",
        with_tls("min_version: TLS10"),
        f"{TLS}.min_version: TLS10 is not supported: expected TLS12 or TLS13",
    ),
    (
        "max_version as a number",
        with_tls("max_version: 1.3"),
        f"{TLS}.max_version: 1.3 is not supported: expected TLS12 or TLS13",
    ),
    (
        "versions reversed",
        with_tls("min_version: TLS13, max_version: TLS12"),
        f"{TLS}.max_version: must not be below min_version",
    ),
    (
        "cipher suites as text",
        with_tls("cipher_suites: TLS_A"),
        f"{TLS}.cipher_suites: expected a list of names such as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    ),
    (
        "misspelt cipher suite",
        with_tls("cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_RSA_AES_128_GCM_SHA256]"),
        f"{TLS}.cipher_suites[1]: TLS_ECDHE_RSA_AES_128_GCM_SHA256 is not supported; "
        "did you mean TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256?",
    ),
    (
        "cipher suites of TLS 1.3 for TLS 1.2",
        with_tls("cipher_suites: [TLS_AES_128_GCM_SHA256], max_version: TLS12"),
        f"{TLS}.cipher_suites: names no suite of TLS 1.2, but max_version is TLS12",
    ),
    (
        "no boolean",
        with_tls("prefer_server_cipher_suites: 1"),
        f"{TLS}.prefer_server_cipher_suites: expected true or false",
    ),
    ("HTTP as a list", "http_server_config: []", "http_server_config: expected http2 and headers"),
    (
        "unknown HTTP key",
        "http_server_config: {compression: true}",
        "http_server_config.compression: unknown key; known here: http2, headers",
    ),
    (
        "HTTP/2 as text",
        "http_server_config: {http2: perhaps}",
        "http_server_config.http2: expected true or false",
    ),
    (
        "headers as a list",
        "http_server_config: {headers: [X-Frame-Options]}",
        f"http_server_config.headers: expected a value for some of {HEADERS}",
    ),
    (
        "misspelt header",
        "http_server_config: {headers: {X-Frame-Option: deny}}",
        "http_server_config.headers.X-Frame-Option: unknown header; did you mean X-Frame-Options?",
    ),
    (
        "header value unknown",
        "http_server_config: {headers: {X-Frame-Options: allow}}",
        "http_server_config.headers.X-Frame-Options: allow is not supported: expected deny or sameorigin",
    ),
    (
        "header with a control character",
        r'http_server_config: {headers: {Content-Security-Policy: "a\0b"}}',
        "http_server_config.headers.Content-Security-Policy: contains a control character",
    ),
    (
        "users as a list",
        "basic_auth_users: [alice]",
        "basic_auth_users: expected names, each with its bcrypt hash",
    ),
    (
        "colon in a name",
        f"basic_auth_users: {{'alice:admin': {BCRYPT}}}",
        "basic_auth_users.…: a name cannot contain a colon",
    ),
    (
        "name given twice",
        f"basic_auth_users:\n  alice: {BCRYPT}\n  alice: {BCRYPT}",
        "line 3, column 3: alice: given twice",
    ),
    ("plain password", "basic_auth_users: {alice: S3CR3T-K3Y}", f"basic_auth_users.alice: {HASH}"),
    ("number as a password", "basic_auth_users: {alice: 4711}", f"basic_auth_users.alice: {HASH}"),
    ("no password", "basic_auth_users: {alice: }", f"basic_auth_users.alice: {HASH}"),
    (
        "MD5 hash",
        "basic_auth_users: {alice: $apr1$lYp0Yd4K$S3CR3TK3Ywq6vSFgWMb0}",
        f"basic_auth_users.alice: {HASH}",
    ),
    (
        "cost too low",
        f"basic_auth_users: {{alice: {BCRYPT.replace('$10$', '$03$')}}}",
        f"basic_auth_users.alice: {HASH}",
    ),
    (
        "cost too high",
        f"basic_auth_users: {{alice: {BCRYPT.replace('$10$', '$19$')}}}",
        f"basic_auth_users.alice: {HASH}",
    ),
    ("more after the hash", f"basic_auth_users: {{alice: {BCRYPT}a}}", f"basic_auth_users.alice: {HASH}"),
]


@pytest.fixture
def files(tmp_path: Path) -> WebFiles:
    return WebFiles(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"), [case[1:] for case in INVALID], ids=[case[0] for case in INVALID]
)
def test_an_invalid_file_is_refused_with_one_line(files: WebFiles, text: str, message: str) -> None:
    files.path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        web_config.load(files.path)
    shown = str(caught.value)
    assert shown == f"{files.path}: {message}"
    assert shown.isprintable()
    assert "S3CR3T" not in shown
    assert "mDwo" not in shown


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yml: no such file or directory$"):
        web_config.load(tmp_path / "nowhere.yml")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\nrate_limit:\n",
        "tls_server_config: {}\nhttp_server_config: {}\nbasic_auth_users: {}\nrate_limit: {}\n",
        "tls_server_config: {cert_file: '', key_file: ~, cert: null, curve_preferences: []}",
        "http_server_config: {http2: ~, headers: ~}",
        "http_server_config: {headers: {X-Frame-Options: ~, X-XSS-Protection: ''}}",
        "rate_limit: {interval: 0, burst: 0}",
    ],
)
def test_empty_sections_and_keys_count_as_absent(files: WebFiles, text: str) -> None:
    files.path.write_text(text)
    assert web_config.load(files.path) == WebConfig(tls=None, users={}, headers={})


@pytest.mark.parametrize(
    "key",
    [
        "client_ca_file",
        "client_auth_type",
        "client_allowed_sans",
        "min_version",
        "max_version",
        "cipher_suites",
        "prefer_server_cipher_suites",
        "cert",
        "key",
        "client_ca",
        "curve_preferences",
    ],
)
def test_a_key_of_tls_without_a_value_counts_as_absent(files: WebFiles, key: str) -> None:
    assert web_config.load(files.write(tls={key: None})) == web_config.load(files.write(tls={}))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1", b"1"),
        ("true", b"true"),
        ("0x10", b"0x10"),
        ("1_0.50", b"1_0.50"),
        ("2026-11-23", b"2026-11-23"),
        ("1; mode=block", b"1; mode=block"),
        ('"é"', "é".encode()),
        ("|\n      a\n      b\n", b"a b"),
    ],
)
def test_a_header_has_the_value_that_is_written(files: WebFiles, written: str, value: bytes) -> None:
    files.path.write_text(f"http_server_config:\n  headers:\n    X-XSS-Protection: {written}")
    assert web_config.load(files.path).headers == {b"x-xss-protection": value}


def test_names_that_yaml_takes_for_numbers_and_booleans_are_text(files: WebFiles) -> None:
    files.path.write_text(
        with_tls("client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: [10, 0500, yes]")
        + f"\nbasic_auth_users: {{42: {BCRYPT}, 0500: {BCRYPT}, no: {BCRYPT}}}"
    )
    config = web_config.load(files.path)
    assert list(config.users) == [b"42", b"0500", b"no"]
    assert config.tls
    assert config.tls.client_allowed_sans == frozenset({"10", "0500", "yes"})


@pytest.mark.parametrize("http2", ["true", "false", "yes", "off"])
def test_http2_is_accepted_either_way(files: WebFiles, http2: str) -> None:
    files.path.write_text(f"http_server_config: {{http2: {http2}}}")
    assert web_config.load(files.path) == WebConfig(tls=None, users={}, headers={})


@pytest.mark.parametrize(
    ("suites", "ciphers", "min_version"),
    [
        (["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"], "ECDHE-RSA-AES128-SHA", "TLSv1_2"),
        (["TLS_CHACHA20_POLY1305_SHA256"], None, "TLSv1_3"),
    ],
)
def test_cipher_suites_of_tls_1_3_are_accepted_and_no_others_of_tls_1_2_are_used(
    files: WebFiles, suites: list[str], ciphers: str | None, min_version: str
) -> None:
    tls = web_config.load(files.write(tls={"cipher_suites": suites})).tls
    assert tls
    assert (tls.ciphers, tls.min_version.name) == (ciphers, min_version)


@pytest.mark.parametrize(("cost", "slow"), [(4, False), (13, False), (14, True), (18, True)])
def test_a_high_bcrypt_cost_is_accepted_and_named_as_slow(files: WebFiles, cost: int, slow: bool) -> None:
    hash_ = BCRYPT.replace("$10$", f"${cost:02}$")
    config = web_config.load(files.write(basic_auth_users={"alice": hash_}))
    assert config.users == {b"alice": hash_.encode()}
    assert config.slow_users == ({"alice": cost} if slow else {})


def test_the_defaults_of_tls_are_the_ones_of_the_format(files: WebFiles) -> None:
    tls = web_config.load(files.write(tls={})).tls
    assert tls
    assert tls.files == (files.directory / "server.crt", files.directory / "server.key")
    assert tls.client_verification == ssl.CERT_NONE
    assert (tls.min_version, tls.max_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    assert tls.ciphers is None
    assert tls.prefer_server_ciphers


def test_every_supported_key_is_read(files: WebFiles) -> None:
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
