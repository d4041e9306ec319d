"""What each exception of an exchange means, and that no text of it lets the key out."""

import http.client
import socket
import ssl

import pytest
import requests
import urllib3

from exporter.api.errors import failure_of
from exporter.model import Reason

KEY = "S3CR+T/key"
URL = f"http://api.example/v1/me?apiKey=S3CR%2BT%2Fkey {KEY}"
UNSENT = "the request could not be sent: "


@pytest.mark.parametrize(
    ("error", "reason", "detail"),
    [
        (requests.ConnectTimeout(URL), Reason.TIMEOUT, "no complete reply within the timeout"),
        (requests.ReadTimeout(URL), Reason.TIMEOUT, "no complete reply within the timeout"),
        (requests.Timeout(URL), Reason.TIMEOUT, "no complete reply within the timeout"),
        (requests.ConnectionError(URL), Reason.UNREACHABLE, "the connection failed"),
        (
            requests.ConnectionError(socket.gaierror(-2, URL)),
            Reason.UNREACHABLE,
            "the host's name cannot be resolved",
        ),
        (
            requests.ConnectionError(ConnectionRefusedError(111, URL)),
            Reason.UNREACHABLE,
            "connection refused",
        ),
        (
            requests.ConnectionError(http.client.RemoteDisconnected(URL)),
            Reason.UNREACHABLE,
            "the connection was closed without a reply",
        ),
        (requests.exceptions.SSLError(ssl.SSLError(1, URL)), Reason.UNREACHABLE, "TLS: sslerror"),
        (
            requests.exceptions.SSLError(ssl.SSLCertVerificationError(1, URL)),
            Reason.UNREACHABLE,
            "TLS: the certificate is not trusted: unknown",
        ),
        (requests.exceptions.ProxyError(URL), Reason.UNREACHABLE, "the proxy: it refused the connection"),
        (
            requests.exceptions.ProxyError(ConnectionRefusedError(111, URL)),
            Reason.UNREACHABLE,
            "the proxy: connection refused",
        ),
        (
            requests.exceptions.ProxyError(OSError("Tunnel connection failed: 403 " + URL)),
            Reason.UNREACHABLE,
            "the proxy: HTTP 403 Forbidden",
        ),
        (
            requests.exceptions.ProxyError(OSError("Tunnel connection failed: 499 " + URL)),
            Reason.UNREACHABLE,
            "the proxy: HTTP 499",
        ),
        (
            requests.exceptions.InvalidProxyURL(URL),
            Reason.UNREACHABLE,
            "the proxy's URL is not valid",
        ),
        (requests.exceptions.InvalidURL(URL), Reason.UNREACHABLE, "base_url is not a valid URL"),
        (requests.exceptions.InvalidSchema(URL), Reason.UNREACHABLE, "base_url is not a valid URL"),
        (
            urllib3.exceptions.LocationParseError(URL),
            Reason.UNREACHABLE,
            "base_url is not a valid URL",
        ),
        (
            requests.exceptions.ChunkedEncodingError(http.client.IncompleteRead(URL.encode())),
            Reason.INVALID_REPLY,
            "the reply ended before its announced length",
        ),
        (
            requests.ConnectionError(urllib3.exceptions.ProtocolError(URL, http.client.BadStatusLine(URL))),
            Reason.INVALID_REPLY,
            "the reply is not valid HTTP: BadStatusLine",
        ),
        (
            urllib3.exceptions.ProtocolError(URL),
            Reason.INVALID_REPLY,
            "the reply is not valid HTTP: ProtocolError",
        ),
        (
            requests.exceptions.InvalidHeader(URL),
            Reason.INVALID_REPLY,
            "the reply could not be processed: InvalidHeader",
        ),
        (ValueError(URL), Reason.INVALID_REPLY, "the reply could not be processed: ValueError"),
        (MemoryError(URL), Reason.INVALID_REPLY, "the reply could not be processed: MemoryError"),
    ],
)
def test_every_exception_has_a_reason_and_words_of_our_own(
    error: Exception, reason: Reason, detail: str
) -> None:
    failure = failure_of(error, was_sent=True)
    assert (failure.reason, failure.detail) == (reason, detail)
    assert "S3CR" not in f"{failure} {failure!r}"


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (
            OSError("Could not find a suitable TLS CA certificate bundle, invalid path: " + URL),
            UNSENT + "OSError",
        ),
        (requests.exceptions.MissingSchema(URL), UNSENT + "MissingSchema"),
        (ValueError(URL), UNSENT + "ValueError"),
        (http.client.BadStatusLine(URL), UNSENT + "BadStatusLine"),
    ],
)
def test_what_fails_before_anything_was_sent_is_no_invalid_reply(error: Exception, detail: str) -> None:
    failure = failure_of(error, was_sent=False)
    assert (failure.reason, failure.detail) == (Reason.UNREACHABLE, detail)
