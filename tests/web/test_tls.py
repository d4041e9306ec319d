"""TLS contexts, and what a handshake with them comes to."""

import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from exporter.validation import SchemaError
from exporter.web import config as web_config
from exporter.web import tls
from exporter.web.config import TlsConfig
from tests.support.web_security import WebFiles


@pytest.fixture
def files(tmp_path: Path) -> WebFiles:
    return WebFiles(tmp_path)


def config_of(files: WebFiles, **keys: object) -> TlsConfig:
    config = web_config.load(files.write(tls=keys)).tls
    assert config
    return config


def shake_hands(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Return both ends of a finished handshake, made in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname="localhost")
    waiting = [client, server]
    for _ in range(10):
        for end in tuple(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
    assert not waiting
    return server, client


def problem_of(config: TlsConfig) -> str:
    with pytest.raises(SchemaError) as caught:
        tls.build_context(config)
    return str(caught.value)


def test_a_client_that_trusts_the_ca_can_connect(files: WebFiles) -> None:
    server, client = shake_hands(tls.build_context(config_of(files)), files.client_context())
    assert server.version() == "TLSv1.3"
    assert client.getpeercert()
    assert tls.allows_client(config_of(files), server.getpeercert())


@pytest.mark.parametrize(("server_only", "client_only"), [("TLS12", "TLSv1_3"), ("TLS13", "TLSv1_2")])
def test_only_the_configured_tls_versions_are_spoken(
    files: WebFiles, server_only: str, client_only: str
) -> None:
    context = tls.build_context(config_of(files, min_version=server_only, max_version=server_only))
    client = files.client_context()
    client.minimum_version = client.maximum_version = ssl.TLSVersion[client_only]
    with pytest.raises(ssl.SSLError):
        shake_hands(context, client)
    spoken = shake_hands(context, files.client_context())[0].version()
    assert spoken == server_only.replace("TLS1", "TLSv1.")


@pytest.mark.parametrize("prefer_server", [True, False])
def test_only_the_configured_cipher_suites_are_used_in_the_preferred_order(
    files: WebFiles, prefer_server: bool
) -> None:
    context = tls.build_context(
        config_of(
            files,
            max_version="TLS12",
            cipher_suites=[
                "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
                "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            ],
            prefer_server_cipher_suites=prefer_server,
        )
    )
    client = files.client_context()
    client.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256")
    chosen = shake_hands(context, client)[0].cipher()
    assert chosen
    assert (
        chosen[0] == f"ECDHE-ECDSA-AES{128 if prefer_server else 256}-GCM-SHA{256 if prefer_server else 384}"
    )
    client.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305")
    with pytest.raises(ssl.SSLError):
        shake_hands(context, client)


@pytest.mark.parametrize(
    ("kind", "without", "own", "strange"),
    [
        ("NoClientCert", True, True, True),
        ("VerifyClientCertIfGiven", True, True, False),
        ("RequireAndVerifyClientCert", False, True, False),
    ],
)
def test_client_auth_type_decides_which_certificates_are_accepted(
    files: WebFiles, kind: str, without: bool, own: bool, strange: bool
) -> None:
    ca = {} if kind == "NoClientCert" else {"client_ca_file": "ca.crt"}
    context = tls.build_context(config_of(files, client_auth_type=kind, **ca))

    assert connects(context, files, None) is without
    assert connects(context, files, files.ca.issue_cert("prometheus")) is own
    assert connects(context, files, trustme.CA().issue_cert("prometheus")) is strange


def connects(context: ssl.SSLContext, files: WebFiles, certificate: trustme.LeafCert | None) -> bool:
    """Say whether a client with a certificate, and all above it but the root, gets through the handshake."""
    client = files.client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2  # in 1.3, a client is done before it is refused
    if certificate:
        certificate.configure_cert(client)
    try:
        shake_hands(context, client)
    except ssl.SSLError:
        return False
    return True


def test_the_issuing_ca_alone_is_enough_as_client_ca(files: WebFiles) -> None:
    root = trustme.CA()
    issuing, sibling = root.create_child_ca(), root.create_child_ca()
    issuing.cert_pem.write_to_path(files.directory / "issuing.crt")
    keys = {"client_ca_file": "issuing.crt", "client_auth_type": "RequireAndVerifyClientCert"}
    context = tls.build_context(config_of(files, **keys))
    assert connects(context, files, issuing.issue_cert("prometheus"))
    for stranger in (root, sibling, trustme.CA(), files.ca):
        assert not connects(context, files, stranger.issue_cert("prometheus"))
    assert not connects(context, files, None)


def test_without_a_client_ca_the_system_decides_which_clients_are_known(
    files: WebFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = trustme.CA()
    system.cert_pem.write_to_path(files.directory / "system.crt")
    monkeypatch.setenv("SSL_CERT_FILE", str(files.directory / "system.crt"))
    monkeypatch.setenv("SSL_CERT_DIR", str(files.directory / "nowhere"))
    context = tls.build_context(config_of(files, client_auth_type="RequireAndVerifyClientCert"))
    assert connects(context, files, system.issue_cert("prometheus"))
    assert not connects(context, files, files.ca.issue_cert("prometheus"))
    assert not connects(context, files, None)


def test_a_client_ca_is_needed_if_the_system_has_none(
    files: WebFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(files.directory / "nowhere"))
    monkeypatch.setenv("SSL_CERT_DIR", str(files.directory / "nowhere"))
    message = problem_of(config_of(files, client_auth_type="RequireAndVerifyClientCert"))
    assert message == (
        "tls_server_config.client_ca_file: is missing, and this system has no certificate authorities"
    )


@pytest.mark.parametrize("key", ["ECDSA", "RSA"])
@pytest.mark.parametrize(
    ("suite", "cipher"),
    [
        ("AES_128_CBC_SHA", "AES128-SHA"),
        ("AES_256_CBC_SHA", "AES256-SHA"),
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
    ],
)
def test_every_cipher_suite_of_tls_1_2_that_go_has_is_spoken(
    files: WebFiles, key: str, suite: str, cipher: str
) -> None:
    certificate = files.ca.issue_cert("localhost", key_type=trustme.KeyType[key])
    certificate.private_key_and_cert_chain_pem.write_to_path(files.directory / "server.pem")
    keys = {"cert_file": "server.pem", "key_file": "server.pem", "max_version": "TLS12"}
    context = tls.build_context(config_of(files, **keys, cipher_suites=[f"TLS_ECDHE_{key}_WITH_{suite}"]))
    client = files.client_context()
    client.set_ciphers("ALL")
    chosen = shake_hands(context, client)[0].cipher()
    assert chosen
    assert chosen[0] == f"ECDHE-{key}-{cipher}"


@pytest.mark.parametrize(
    ("allowed", "name", "is_allowed"),
    [
        ("prometheus.example", "prometheus.example", True),
        ("prometheus.example", "prometheus.example.org", False),
        ("prometheus.example", "*.example", False),
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.70", False),
        ("2001:DB8::0001", "2001:db8:0:0:0:0:0:1", True),
        ("ops@example.org", "ops@example.org", True),
        ("spiffe://example.org/prometheus", None, False),
    ],
)
def test_a_client_needs_one_of_the_allowed_names(
    files: WebFiles, allowed: str, name: str | None, is_allowed: bool
) -> None:
    config = config_of(
        files,
        client_ca_file="ca.crt",
        client_auth_type="RequireAndVerifyClientCert",
        client_allowed_sans=[allowed],
    )
    client = files.client_context()
    client.load_cert_chain(*files.client(name or "elsewhere.example"))
    server, _ = shake_hands(tls.build_context(config), client)
    assert tls.allows_client(config, server.getpeercert()) is is_allowed


def test_names_that_are_no_text_are_passed_over(files: WebFiles) -> None:
    config = config_of(
        files,
        client_ca_file="ca.crt",
        client_auth_type="RequireAndVerifyClientCert",
        client_allowed_sans=["prometheus.example"],
    )
    directory_name = ("DirName", ((("commonName", "prometheus.example"),),))
    assert tls.allows_client(config, {"subjectAltName": (directory_name, ("DNS", "prometheus.example"))})
    assert not tls.allows_client(config, {"subjectAltName": (directory_name,)})


def test_an_empty_list_of_allowed_names_refuses_every_client(files: WebFiles) -> None:
    config = config_of(
        files, client_ca_file="ca.crt", client_auth_type="RequireAndVerifyClientCert", client_allowed_sans=[]
    )
    assert not tls.allows_client(config, {"subjectAltName": (("DNS", "any"),)})
    assert not tls.allows_client(config, None)


@pytest.mark.parametrize("name", ["cert_file", "key_file", "client_ca_file"])
def test_a_file_that_cannot_be_read_is_named(files: WebFiles, name: str) -> None:
    keys = {"client_ca_file": "ca.crt", "client_auth_type": "RequireAndVerifyClientCert", name: "missing"}
    place = f"tls_server_config.{name}: {files.directory}"
    assert problem_of(config_of(files, **keys)) == f"{place}/missing: no such file or directory"
    keys[name] = "."
    assert problem_of(config_of(files, **keys)) == f"{place}: is a directory"


def test_a_private_key_in_the_place_of_its_file_is_not_shown(files: WebFiles) -> None:
    config = config_of(files, key_file="-----BEGIN PRIVATE KEY----- S3CR3T -----END PRIVATE KEY-----")
    assert problem_of(config) == "tls_server_config.key_file: no such file or directory"


def test_a_file_without_a_certificate_or_key_is_refused(files: WebFiles) -> None:
    pair = "tls_server_config.key_file: with cert_file: not a key and certificate in PEM"
    assert problem_of(config_of(files, cert_file="server.key")) == pair
    assert problem_of(config_of(files, key_file="server.crt")) == pair
    (files.directory / "empty").touch()
    assert problem_of(config_of(files, cert_file="empty", key_file="empty")) == pair
    keys = {"client_ca_file": "empty", "client_auth_type": "VerifyClientCertIfGiven"}
    assert (
        problem_of(config_of(files, **keys))
        == "tls_server_config.client_ca_file: holds no certificates in PEM"
    )


def test_suites_that_openssl_does_not_have_are_refused(files: WebFiles) -> None:
    config = replace(config_of(files), ciphers="NO-SUCH-SUITE")
    assert problem_of(config) == "tls_server_config.cipher_suites: this OpenSSL has none of them"


def test_a_key_of_another_certificate_is_refused(files: WebFiles) -> None:
    files.client("other")
    message = problem_of(config_of(files, key_file="client.key"))
    assert message == "tls_server_config.key_file: is not the key of cert_file"


def test_an_encrypted_key_is_refused_without_asking_for_its_passphrase(files: WebFiles) -> None:
    key = files.directory / "server.key"
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    message = problem_of(config_of(files))
    assert message == "tls_server_config.key_file: is encrypted: a key without a passphrase is needed"
