"""The web configuration, in the format of Prometheus's own exporters: YAML in, WebConfig out, or one message.

A key that cannot be honoured is refused by name, never ignored.
"""

import ipaddress
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from exporter.config.loader import ConfigError
from exporter.config.yaml_file import read_yaml
from exporter.validation import SchemaError, boolean, convert, known_keys, showable
from exporter.web.config_schema import (
    BCRYPT_HASH,
    CLIENT_AUTH_TYPES,
    COSTS,
    EXPECTED,
    HEADERS,
    KEYS,
    UNSUPPORTED_TLS,
    VERSIONS,
    HttpSection,
    RateLimitSection,
    TlsSection,
    WebFile,
)

_T = TypeVar("_T")
_SLOW_COST = 14  # takes about a second
_HASH = re.compile(r"\$2[abxy]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}", re.ASCII)
_UNVERIFIED = {"RequestClientCert", "RequireAnyClientCert", "RequireClientCert"}
_CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
"""Suites of TLS 1.2: Go's names, which the format uses, and OpenSSL's."""
_TLS13_CIPHERS = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")


@dataclass(frozen=True)
class TlsConfig:
    """The section ``tls_server_config``. Relative paths have been resolved beside the file."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None
    client_verification: ssl.VerifyMode
    client_allowed_sans: frozenset[str] | None
    """A client's certificate must have one of these names; None if any certificate will do."""
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

    @property
    def slow_users(self) -> dict[str, int]:
        """The bcrypt costs, by user, that make a first login take about a second or more."""
        costs = {name.decode(): int(hashed[4:6]) for name, hashed in self.users.items()}
        return {name: cost for name, cost in costs.items() if cost >= _SLOW_COST}


_RATE_LIMIT_OFF = {None, "", "0", "0s"}


def load(path: Path) -> WebConfig:
    """Read the file. Certificates are named, not yet read. Raises ConfigError."""
    try:
        web = convert(read_yaml(path), WebFile, EXPECTED)
        _check_rate_limit(web.rate_limit or RateLimitSection())
        return WebConfig(
            tls=_tls(web.tls_server_config or TlsSection(), path.parent),
            users=_users(web.basic_auth_users or {}),
            headers=_headers(web.http_server_config or HttpSection()),
        )
    except SchemaError as error:
        raise ConfigError(f"{path}: {_explain(error)}") from None


def _explain(error: SchemaError) -> str:
    if error.unknown is None:
        return str(error)
    known = KEYS[error.path.rpartition(".")[0]]
    return str(error) + known_keys(
        error.unknown, [key for key in known if key not in {"rate_limit", *UNSUPPORTED_TLS}]
    )


def _check_rate_limit(rate_limit: RateLimitSection) -> None:
    if rate_limit.interval not in _RATE_LIMIT_OFF:
        raise SchemaError(
            "rate_limit",
            "is not supported: leave it out; a scrape costs next to nothing, and connections are bounded",
        )


def _tls(tls: TlsSection, directory: Path) -> TlsConfig | None:
    section = "tls_server_config."
    if not any(getattr(tls, key) for key in TlsSection.__struct_fields__):
        return None
    for key, problem in UNSUPPORTED_TLS.items():
        if getattr(tls, key):
            raise SchemaError(f"{section}{key}", problem)
    if not tls.cert_file:
        raise SchemaError(f"{section}cert_file", "is missing")
    if not tls.key_file:
        raise SchemaError(f"{section}key_file", "is missing")
    verification = _client_verification(section, tls)
    min_version = _choice(f"{section}min_version", tls.min_version, "TLS12", VERSIONS)
    max_version = _choice(f"{section}max_version", tls.max_version, "TLS13", VERSIONS)
    if max_version < min_version:
        raise SchemaError(f"{section}max_version", "must not be below min_version")
    ciphers = _ciphers(f"{section}cipher_suites", tls.cipher_suites or [])
    if tls.cipher_suites and not ciphers:
        min_version = ssl.TLSVersion.TLSv1_3
        if max_version < min_version:
            raise SchemaError(
                f"{section}cipher_suites", "names no suite of TLS 1.2, but max_version is TLS12"
            )
    sans = tls.client_allowed_sans
    return TlsConfig(
        cert_file=directory / tls.cert_file,
        key_file=directory / tls.key_file,
        client_ca_file=directory / tls.client_ca_file if tls.client_ca_file else None,
        client_verification=verification,
        client_allowed_sans=None if sans is None else frozenset(map(normal_name, sans)),
        min_version=min_version,
        max_version=max_version,
        ciphers=":".join(ciphers) or None,
        prefer_server_ciphers=boolean(
            f"{section}prefer_server_cipher_suites", tls.prefer_server_cipher_suites or "true"
        ),
    )


def _client_verification(section: str, tls: TlsSection) -> ssl.VerifyMode:
    path = f"{section}client_auth_type"
    if tls.client_auth_type in _UNVERIFIED:
        raise SchemaError(
            path,
            f"{tls.client_auth_type} is not supported, as anyone can make a certificate that nobody "
            "verifies: expected RequireAndVerifyClientCert",
        )
    verification = _choice(path, tls.client_auth_type, "NoClientCert", CLIENT_AUTH_TYPES)
    if verification == ssl.CERT_NONE and tls.client_ca_file:
        raise SchemaError(f"{section}client_ca_file", "does nothing without client_auth_type")
    if verification != ssl.CERT_REQUIRED and tls.client_allowed_sans is not None:
        raise SchemaError(
            f"{section}client_allowed_sans", "needs client_auth_type: RequireAndVerifyClientCert"
        )
    return verification


def _ciphers(path: str, names: list[str]) -> list[str]:
    """Return OpenSSL's names of the suites of TLS 1.2. Those of TLS 1.3 cannot be chosen, nor can they in Go."""
    for number, name in enumerate(names):
        if name not in _CIPHERS and name not in _TLS13_CIPHERS:
            known = known_keys(name, (*_CIPHERS, *_TLS13_CIPHERS))
            raise SchemaError(f"{path}[{number}]", f"{_quoted(name)}is not supported{known}")
    return [_CIPHERS[name] for name in names if name in _CIPHERS]


def _choice(path: str, value: str | None, default: str, choices: Mapping[str, _T]) -> _T:
    try:
        return choices[value or default]
    except KeyError:
        problem = f"{_quoted(value or '')}is not supported: expected {' or '.join(choices)}"
        raise SchemaError(path, problem) from None


def _quoted(value: str) -> str:
    """Return a wrong value and a space, if it can only be a name of the format and no secret."""
    return f"{value} " if re.fullmatch(r"TLS\w{1,60}|[A-Za-z]{1,40}|[0-9.]{1,4}", value, re.ASCII) else ""


def normal_name(name: str) -> str:
    """Return a subject alternative name as it is compared: an IP address in one spelling, all else as it is."""
    try:
        return str(ipaddress.ip_address(name.strip()))
    except ValueError:
        return name


def _users(users: Mapping[str, str | None]) -> dict[bytes, bytes]:
    hashes = {}
    for name, text in users.items():
        path = f"basic_auth_users.{showable(name)}"
        if ":" in name:
            raise SchemaError(path, "a name cannot contain a colon")
        match = _HASH.fullmatch(text or "")
        if not match or int(match["cost"]) not in COSTS:
            raise SchemaError(path, f"expected {BCRYPT_HASH}")
        hashes[name.encode()] = match[0].encode()
    return hashes


def _headers(http: HttpSection) -> dict[bytes, bytes]:
    # Checked only: HTTP/1.1 is spoken either way.
    boolean("http_server_config.http2", http.http2 or "true")
    headers = {}
    for name, text in (http.headers or {}).items():
        path = f"http_server_config.headers.{showable(name)}"
        if name not in HEADERS:
            raise SchemaError(path, f"unknown header{known_keys(name, tuple(HEADERS))}")
        value = re.sub(r"[\r\n\t]", " ", text or "").strip()
        accepted = HEADERS[name]
        if accepted and value and value not in accepted:
            raise SchemaError(path, f"{_quoted(value)}is not supported: expected {' or '.join(accepted)}")
        if re.search(r"[\x00-\x1f\x7f]", value):
            raise SchemaError(path, "contains a control character")
        if value:
            headers[name.lower().encode()] = value.encode()
    return headers
