"""What went wrong in an exchange, in words of our own: the texts of requests' exceptions quote the URL with the key."""

import http.client
import os
import socket
import ssl
from collections.abc import Iterator

import requests
import urllib3

from exporter.model import Failure, Reason

TOO_LATE = "no complete reply within the timeout"


def failure_of(error: Exception) -> Failure:
    """Return what an exception means. The order matters: one failure is wrapped in several exceptions."""
    causes = list(_causes(error))

    def find(*kinds: type[BaseException]) -> BaseException | None:
        return next((cause for cause in causes if isinstance(cause, kinds)), None)

    through = "the proxy: " if find(requests.exceptions.ProxyError, urllib3.exceptions.ProxyError) else ""
    if find(socket.gaierror):
        return Failure(Reason.UNREACHABLE, f"{through}the host's name cannot be resolved")
    if isinstance(tls := find(ssl.SSLError), ssl.SSLError):
        return Failure(Reason.UNREACHABLE, f"{through}TLS: {_describe_tls(tls)}")
    if find(http.client.RemoteDisconnected):
        return Failure(Reason.UNREACHABLE, f"{through}the connection was closed without a reply")
    if find(TimeoutError, requests.exceptions.Timeout, urllib3.exceptions.ReadTimeoutError):
        return Failure(Reason.TIMEOUT, through + TOO_LATE)
    if errors := [cause.errno for cause in causes if isinstance(cause, OSError) and cause.errno]:
        return Failure(Reason.UNREACHABLE, through + os.strerror(errors[0]).lower())
    if through:
        return Failure(Reason.UNREACHABLE, f"{through}it refused the connection")
    if find(
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        urllib3.exceptions.LocationParseError,
    ):
        return Failure(Reason.UNREACHABLE, "base_url is no URL that can be asked")
    if find(http.client.IncompleteRead, urllib3.exceptions.IncompleteRead):
        return Failure(Reason.INVALID_REPLY, "the reply ended before its announced length")
    if find(http.client.HTTPException, urllib3.exceptions.HTTPError):
        return Failure(Reason.INVALID_REPLY, f"the reply is not valid HTTP: {type(causes[-1]).__name__}")
    if find(requests.exceptions.ConnectionError):
        return Failure(Reason.UNREACHABLE, "the connection failed")
    return Failure(Reason.INVALID_REPLY, f"the reply could not be processed: {type(error).__name__}")


def _describe_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {getattr(error, 'verify_message', 'unknown')}"
    return (getattr(error, "reason", None) or type(error).__name__).replace("_", " ").lower()


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
