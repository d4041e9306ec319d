"""What went wrong in an exchange, in words of our own: the texts of requests' exceptions quote the URL with the key."""

import http.client
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import requests
import urllib3

from exporter.model import Failure, Reason

TOO_LATE = "no complete reply within the timeout"

_PROXY_ERRORS = (requests.exceptions.ProxyError, urllib3.exceptions.ProxyError)
_TUNNEL = re.compile(r"Tunnel connection failed: ([0-9]{3})\b")


def failure_of(error: Exception, *, was_sent: bool) -> Failure:
    """Return what an exception means. `was_sent` says whether the request had begun to be sent."""
    causes = list(_causes(error))
    through = "the proxy: " if any(isinstance(cause, _PROXY_ERRORS) for cause in causes) else ""
    for kinds, reason, describe in _MEANINGS:
        for cause in causes:
            detail = describe(cause) if isinstance(cause, kinds) else None
            if detail is None:
                continue
            if reason is Reason.INVALID_REPLY and not was_sent:
                return Failure(Reason.UNREACHABLE, f"the request could not be sent: {type(cause).__name__}")
            return Failure(reason, f"{through}{detail}")
    raise AssertionError("the last line of the table fits every exception")


def _describe_tunnel(error: OSError) -> str | None:
    """Return the status of a proxy that refuses a tunnel. http.client has it in the exception's text alone."""
    refused = _TUNNEL.match(str(error))
    if not refused:
        return None
    status = int(refused[1])
    known = status in {one.value for one in HTTPStatus}
    return f"HTTP {status} {HTTPStatus(status).phrase}" if known else f"HTTP {status}"


def _describe_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: the certificate is not trusted: {getattr(error, 'verify_message', 'unknown')}"
    return "TLS: " + (getattr(error, "reason", None) or type(error).__name__).replace("_", " ").lower()


def _describe_errno(error: OSError) -> str | None:
    return os.strerror(error.errno).lower() if error.errno else None


def _always(detail: str) -> Callable[[Any], str]:
    return lambda _: detail


# One failure is wrapped in several exceptions: the first line that fits any of them counts.
_MEANINGS: tuple[tuple[tuple[type[BaseException], ...], Reason, Callable[[Any], str | None]], ...] = (
    ((socket.gaierror,), Reason.UNREACHABLE, _always("the host's name cannot be resolved")),
    ((OSError,), Reason.UNREACHABLE, _describe_tunnel),
    ((ssl.SSLError,), Reason.UNREACHABLE, _describe_tls),
    (
        (http.client.RemoteDisconnected,),
        Reason.UNREACHABLE,
        _always("the connection was closed without a reply"),
    ),
    (
        (TimeoutError, requests.exceptions.Timeout, urllib3.exceptions.ReadTimeoutError),
        Reason.TIMEOUT,
        _always(TOO_LATE),
    ),
    ((OSError,), Reason.UNREACHABLE, _describe_errno),
    (_PROXY_ERRORS, Reason.UNREACHABLE, _always("it refused the connection")),
    (
        (requests.exceptions.InvalidProxyURL,),
        Reason.UNREACHABLE,
        _always("the proxy's URL is not valid"),
    ),
    (
        (
            requests.exceptions.InvalidURL,
            requests.exceptions.InvalidSchema,
            urllib3.exceptions.LocationParseError,
        ),
        Reason.UNREACHABLE,
        _always("base_url is not a valid URL"),
    ),
    (
        (http.client.IncompleteRead, urllib3.exceptions.IncompleteRead),
        Reason.INVALID_REPLY,
        _always("the reply ended before its announced length"),
    ),
    (
        (http.client.HTTPException,),
        Reason.INVALID_REPLY,
        lambda error: f"the reply is not valid HTTP: {type(error).__name__}",
    ),
    (
        (urllib3.exceptions.HTTPError,),
        Reason.INVALID_REPLY,
        lambda error: f"the reply is not valid HTTP: {type(error).__name__}",
    ),
    ((requests.exceptions.ConnectionError,), Reason.UNREACHABLE, _always("the connection failed")),
    (
        (Exception,),
        Reason.INVALID_REPLY,
        lambda error: f"the reply could not be processed: {type(error).__name__}",
    ),
)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk an exception and all that it wraps, outermost first."""
    waiting, seen = [error], set()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            inner = [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
            waiting += [one for one in inner if isinstance(one, BaseException)]
