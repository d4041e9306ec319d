"""TLS contexts from the web configuration."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from exporter.validation import SchemaError
from exporter.web.config import TlsConfig, normal_name


def build_context(config: TlsConfig) -> ssl.SSLContext:
    """Read certificate, key and client CA, and return the context of a server. Raises SchemaError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = config.min_version
    context.maximum_version = config.max_version
    context.options |= ssl.OP_NO_RENEGOTIATION
    if not config.prefer_server_ciphers:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if config.ciphers:
        try:
            context.set_ciphers(config.ciphers)
        except ssl.SSLError:
            raise SchemaError("tls_server_config.cipher_suites", "this OpenSSL has none of them") from None
    context.set_alpn_protocols(["http/1.1"])
    _load_certificate(context, config)
    if config.client_verification != ssl.CERT_NONE:
        _trust_client_ca(context, config.client_ca_file)
    context.verify_mode = config.client_verification
    return context


def _load_certificate(context: ssl.SSLContext, config: TlsConfig) -> None:
    _check_readable("cert_file", config.cert_file)
    _check_readable("key_file", config.key_file)
    try:
        context.load_cert_chain(config.cert_file, config.key_file, password=_no_password)
    except _EncryptedKeyError:
        raise SchemaError(
            "tls_server_config.key_file", "is encrypted: a key without a passphrase is needed"
        ) from None
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        is_mismatch = isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH"
        problem = (
            "is not the key of cert_file"
            if is_mismatch
            else "with cert_file: not a key and certificate in PEM"
        )
        raise SchemaError("tls_server_config.key_file", problem) from None


def _trust_client_ca(context: ssl.SSLContext, path: Path | None) -> None:
    """Trust the certificates in a file; without one, the system's certificate authorities, as Go does."""
    if path is None:
        system = ssl.get_default_verify_paths()
        if not (system.cafile or system.capath):
            raise SchemaError(
                "tls_server_config.client_ca_file",
                "is missing, and this system has no certificate authorities",
            )
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    _check_readable("client_ca_file", path)
    try:
        context.load_verify_locations(path)
    except (OSError, ValueError):
        raise SchemaError("tls_server_config.client_ca_file", "holds no certificates in PEM") from None
    # The issuing CA alone is enough, without the root above it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def allows_client(config: TlsConfig, certificate: Mapping[str, Any] | None) -> bool:
    """Say whether a client may come in. `certificate` is what ``getpeercert`` returned: it has been verified."""
    if config.client_allowed_sans is None:
        return True
    names = (certificate or {}).get("subjectAltName", ())
    # A directory name is no text.
    texts = (value for _, value in names if isinstance(value, str))
    return any(normal_name(text) in config.client_allowed_sans for text in texts)


class _EncryptedKeyError(Exception):
    pass


def _no_password() -> NoReturn:
    raise _EncryptedKeyError  # without this, OpenSSL asks on the terminal


def _check_readable(key: str, path: Path) -> None:
    try:
        path.open("rb").close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "cannot be read"
        shown = "" if "-----BEGIN" in str(path) else f"{path.absolute()}: "  # a key in the place of its file
        raise SchemaError(f"tls_server_config.{key}", f"{shown}{reason.lower()}") from None
