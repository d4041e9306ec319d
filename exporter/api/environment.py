"""What the environment says about the network: a proxy, and the certificate authorities to trust."""

import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import requests

from exporter.config.loader import ConfigError

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
_PROXY_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def check_environment(base_url: str) -> None:
    """Raise ConfigError if the environment names a proxy or certificate authorities that cannot be used."""
    for problem in (ca_problem(base_url), _proxy_problem(base_url)):
        if problem:
            raise ConfigError(f"environment: {problem}")


def proxies(base_url: str) -> Mapping[str, str]:
    """Return the proxies for a URL as requests takes them: none for http, where a proxy would see the key."""
    if not base_url.startswith("https:"):
        return {}
    return requests.utils.get_environ_proxies(base_url)


def ca_path() -> str | None:
    """Return the path of the certificate authorities to trust; None for the usual ones."""
    named = _ca_variable()
    return os.environ[named] if named else None


def ca_problem(base_url: str) -> str | None:
    """Say which variable names certificate authorities that cannot be read, and why; None if all is well."""
    name = _ca_variable()
    if not name or not base_url.startswith("https:"):
        return None
    path = Path(os.environ[name])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if path.is_dir():
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        return f"{name}: {path}: holds no certificates in PEM"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "cannot be read"
        return f"{name}: {path}: {reason.lower()}"
    return None


def _ca_variable() -> str | None:
    return next((name for name in _CA_VARIABLES if os.environ.get(name)), None)


def _proxy_problem(base_url: str) -> str | None:
    proxy = requests.utils.select_proxy(base_url, proxies(base_url))
    if not proxy:
        return None
    name = next((name for name in _PROXY_VARIABLES if os.environ.get(name) == proxy), "the proxy")
    expected = "expected a proxy such as http://proxy.example:3128"
    scheme, separator, _ = proxy.partition("://")
    if separator and scheme.lower() not in {"http", "https"}:
        kind = (
            f"{scheme.lower()} proxies are"
            if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,15}", scheme)
            else "it is"
        )
        return f"{name}: {kind} not supported: {expected}"
    try:
        parts = urlsplit(proxy if separator else f"http://{proxy}")
        is_complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_complete = False
    return None if is_complete else f"{name}: {expected}"
