"""The keys of the web configuration, in the format of Prometheus's own exporters, and what would be right for each."""

import ssl
from collections.abc import Mapping
from typing import Any

import msgspec

COSTS = range(4, 19)
CLIENT_AUTH_TYPES = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
HEADERS: Mapping[str, tuple[str, ...] | None] = {
    "Content-Security-Policy": None,
    "Strict-Transport-Security": None,
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": None,
}


class TlsSection(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The section ``tls_server_config``."""

    cert_file: str | None = None
    key_file: str | None = None
    client_ca_file: str | None = None
    client_auth_type: str | None = None
    client_allowed_sans: list[str] | None = None
    min_version: str | None = None
    max_version: str | None = None
    cipher_suites: list[str] | None = None
    prefer_server_cipher_suites: str | None = None
    cert: Any = None
    key: Any = None
    client_ca: Any = None
    curve_preferences: Any = None


class HttpSection(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The section ``http_server_config``."""

    http2: str | None = None
    headers: dict[str, str | None] | None = None


class RateLimitSection(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The section ``rate_limit``."""

    interval: str | None = None
    burst: str | None = None


class WebFile(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    tls_server_config: TlsSection | None = None
    http_server_config: HttpSection | None = None
    basic_auth_users: dict[str, str | None] | None = None
    rate_limit: RateLimitSection | None = None


BCRYPT_HASH = f"a bcrypt hash of cost {COSTS.start} to {COSTS[-1]}, such as htpasswd -nBC 10 prints it"
EXPECTED = {
    "": "keys and values: tls_server_config, http_server_config, basic_auth_users",
    "basic_auth_users": "names, each with its bcrypt hash",
    "basic_auth_users[]": BCRYPT_HASH,
    "cert_file": "the path of a file",
    "cipher_suites": "a list of names such as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "client_allowed_sans": "a list of names, addresses and URIs",
    "client_auth_type": " or ".join(CLIENT_AUTH_TYPES),
    "client_ca_file": "the path of a file",
    "headers": f"a value for some of {', '.join(HEADERS)}",
    "http2": "true or false",
    "http_server_config": "http2 and headers",
    "key_file": "the path of a file",
    "max_version": " or ".join(VERSIONS),
    "min_version": " or ".join(VERSIONS),
    "prefer_server_cipher_suites": "true or false",
    "rate_limit": "no such section: it is not supported",
    "tls_server_config": "keys and values, with cert_file and key_file among them",
}
UNSUPPORTED_TLS = {
    "cert": "is not supported: name a file with cert_file",
    "client_ca": "is not supported: name a file with client_ca_file",
    "curve_preferences": "is not supported: leave it out; OpenSSL's own order is used",
    "key": "is not supported: name a file with key_file",
}
KEYS = {
    "": WebFile.__struct_fields__,
    "tls_server_config": TlsSection.__struct_fields__,
    "http_server_config": HttpSection.__struct_fields__,
    "rate_limit": RateLimitSection.__struct_fields__,
}
"""All keys of the format, by section."""
