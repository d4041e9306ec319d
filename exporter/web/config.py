"""The web configuration, in the format of Prometheus's own exporters: YAML in, WebConfig out, or one message.

What Python's ssl and an HTTP/1.1 server cannot do is refused by name, never passed over in silence.
"""

import ipaddress
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from exporter.config.loader import ConfigError
from exporter.config.yaml_file import read_yaml
from exporter.validation import SchemaError, convert, known_keys, showable

_MAX_COST = 13
_HASH = re.compile(r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}", re.ASCII)
_VERIFY = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
"""Go's names, which the format uses, and OpenSSL's. The CBC suites are left out: nothing that scrapes needs them."""
_HEADERS: Mapping[str, tuple[str, ...] | None] = {
    "Content-Security-Policy": None,
    "Strict-Transport-Security": None,
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": None,
}


@dataclass(frozen=True)
class TlsConfig:
    """The section ``tls_server_config``, its paths relative to nothing any more."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None
    client_verification: ssl.VerifyMode
    client_allowed_sans: frozenset[str] | None
    """Names of which a client's certificate must have one; None where any will do."""
    min_version: ssl.TLSVersion
    max_version: ssl.TLSVersion
    ciphers: str | None
    """For TLS 1.2, in OpenSSL's notation; None for its default."""
    prefer_server_ciphers: bool

    @property
    def files(self) -> tuple[Path, ...]:
        """All files it names."""
        return tuple(path for path in (self.cert_file, self.key_file, self.client_ca_file) if path)


@dataclass(frozen=True)
class WebConfig:
    """The whole web configuration."""

    tls: TlsConfig | None
    users: Mapping[bytes, bytes]
    """bcrypt hashes by name; without any, nobody is asked for a password."""
    headers: Mapping[bytes, bytes]
    """What is set in every reply, by name in lower case."""


class _Tls(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""
    client_auth_type: Literal["", "NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"] = (
        ""
    )
    client_allowed_sans: list[str] | None = None
    min_version: Literal["TLS12", "TLS13"] = "TLS12"
    max_version: Literal["TLS12", "TLS13"] = "TLS13"
    cipher_suites: list[str] = []
    prefer_server_cipher_suites: bool = True


class _Http(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    http2: bool = False
    headers: dict[str, str] | None = None


class _Web(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    tls_server_config: _Tls | None = None
    http_server_config: _Http | None = None
    basic_auth_users: dict[str, str] | None = None


_BCRYPT = f"a bcrypt hash of cost 4 to {_MAX_COST}, such as htpasswd -nBC 10 prints it"
_EXPECTED = {
    "": "keys and values: tls_server_config, http_server_config, basic_auth_users",
    "basic_auth_users": "names, each with its bcrypt hash",
    "basic_auth_users[]": _BCRYPT,
    "cert_file": "the path of a file",
    "cipher_suites": f"a list of {', '.join(_CIPHERS)}; those of TLS 1.3 cannot be chosen",
    "client_allowed_sans": "a list of names, addresses and URIs",
    "client_auth_type": "NoClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert: none is taken unverified",
    "client_ca_file": "the path of a file",
    "headers": f"a value for some of {', '.join(_HEADERS)}",
    "http2": "false, or no such key: HTTP/2 is not spoken here",
    "http_server_config": "http2 and headers",
    "key_file": "the path of a file",
    "max_version": "TLS12 or TLS13",
    "min_version": "TLS12 or TLS13",
    "prefer_server_cipher_suites": "true or false",
    "tls_server_config": "keys and values, with cert_file and key_file among them",
}
_UNSUPPORTED = {
    "rate_limit": "is not supported: leave it out; a scrape costs next to nothing here, and connections are bounded",
    "tls_server_config.cert": "is not supported: name a file with cert_file",
    "tls_server_config.client_ca": "is not supported: name a file with client_ca_file",
    "tls_server_config.curve_preferences": "is not supported: leave it out; OpenSSL's own order is used",
    "tls_server_config.key": "is not supported: name a file with key_file",
}
_KEYS = {
    "": _Web.__struct_encode_fields__,
    "tls_server_config": _Tls.__struct_encode_fields__,
    "http_server_config": _Http.__struct_encode_fields__,
}


def load(path: Path) -> WebConfig:
    """Read the file. Certificates are named, not yet read. Raises ConfigError."""
    try:
        web = convert(read_yaml(path), _Web, _EXPECTED)
        return WebConfig(
            tls=_tls(web.tls_server_config, path.parent) if web.tls_server_config else None,
            users=_users(web.basic_auth_users or {}),
            headers=_headers(web.http_server_config or _Http()),
        )
    except SchemaError as error:
        raise ConfigError(f"{path}: {_explain(error)}") from None


def _explain(error: SchemaError) -> str:
    if error.unknown is None:
        return str(error)
    if reason := _UNSUPPORTED.get(error.path):
        return f"{error.path}: {reason}"
    return str(error) + known_keys(error.unknown, _KEYS[error.path.rpartition(".")[0]])


def _tls(tls: _Tls, directory: Path) -> TlsConfig:
    section = "tls_server_config"
    for name in ("cert_file", "key_file"):
        if not getattr(tls, name):
            raise SchemaError(f"{section}.{name}", "is missing")
    verification = _VERIFY[tls.client_auth_type or "NoClientCert"]
    if verification == ssl.CERT_NONE and tls.client_ca_file:
        raise SchemaError(f"{section}.client_ca_file", "does nothing without client_auth_type")
    if verification != ssl.CERT_NONE and not tls.client_ca_file:
        raise SchemaError(f"{section}.client_ca_file", f"is missing: {tls.client_auth_type} needs it")
    if verification != ssl.CERT_REQUIRED and tls.client_allowed_sans is not None:
        raise SchemaError(
            f"{section}.client_allowed_sans", "needs client_auth_type: RequireAndVerifyClientCert"
        )
    if _VERSIONS[tls.max_version] < _VERSIONS[tls.min_version]:
        raise SchemaError(f"{section}.max_version", "must not be below min_version")
    if not all(name in _CIPHERS for name in tls.cipher_suites):
        raise SchemaError(f"{section}.cipher_suites", f"expected {_EXPECTED['cipher_suites']}")
    sans = tls.client_allowed_sans
    return TlsConfig(
        cert_file=directory / tls.cert_file,
        key_file=directory / tls.key_file,
        client_ca_file=directory / tls.client_ca_file if tls.client_ca_file else None,
        client_verification=verification,
        client_allowed_sans=None if sans is None else frozenset(map(normal_name, sans)),
        min_version=_VERSIONS[tls.min_version],
        max_version=_VERSIONS[tls.max_version],
        ciphers=":".join(_CIPHERS[name] for name in tls.cipher_suites) or None,
        prefer_server_ciphers=tls.prefer_server_cipher_suites,
    )


def normal_name(name: str) -> str:
    """Return a subject alternative name as it is compared: an IP address in one spelling, all else as it is."""
    try:
        return str(ipaddress.ip_address(name.strip()))
    except ValueError:
        return name


def _users(users: dict[str, str]) -> dict[bytes, bytes]:
    for name, text in users.items():
        path = f"basic_auth_users.{showable(name)}"
        if ":" in name:
            raise SchemaError(path, "a name cannot have a colon in it")
        match = _HASH.fullmatch(text)
        if not match or not 4 <= int(match["cost"]) <= _MAX_COST:
            raise SchemaError(path, f"expected {_BCRYPT}")
    return {name.encode(): text.encode() for name, text in users.items()}


def _headers(http: _Http) -> dict[bytes, bytes]:
    if http.http2:
        raise SchemaError("http_server_config.http2", f"expected {_EXPECTED['http2']}")
    headers = {}
    for name, value in (http.headers or {}).items():
        path = f"http_server_config.headers.{showable(name)}"
        if name not in _HEADERS:
            raise SchemaError(path, f"unknown header{known_keys(name, tuple(_HEADERS))}")
        accepted = _HEADERS[name]
        if accepted and value and value not in accepted:
            raise SchemaError(path, f"expected {' or '.join(accepted)}")
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise SchemaError(path, "expected printable ASCII, without spaces around it")
        if value:
            headers[name.lower().encode()] = value.encode()
    return headers
