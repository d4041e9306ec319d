"""Clients that TLS turns away: what they are told, and what the log says."""

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from exporter.web.app import Response, send_reply
from exporter.web.security import WebSecurity
from exporter.web.server import Server
from exporter.web.tls_transport import HandshakeLog
from tests.support.serving import Open, with_server
from tests.support.web_security import WebFiles

REQUEST = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
CLIENT_CERTIFICATES: dict[str, object] = {
    "client_ca_file": "ca.crt",
    "client_auth_type": "RequireAndVerifyClientCert",
    "client_allowed_sans": ["prometheus.example"],
}


async def answer(scope: Any, _receive: Any, send: Any) -> None:
    await send_reply(Response(200, b"answer\n"), scope, send)


def ask(port: int, context: ssl.SSLContext | None) -> str:
    """Return the reply, or the alert."""
    raw = socket.create_connection(("127.0.0.1", port), timeout=10)
    try:
        with context.wrap_socket(raw, server_hostname="localhost") if context else raw as connection:
            connection.sendall(REQUEST)
            return connection.recv(1000).decode()
    except ssl.SSLError as error:
        return error.reason or ""


def without_certificate(_: WebFiles, context: ssl.SSLContext) -> ssl.SSLContext:
    return context


def of_another_ca(files: WebFiles, context: ssl.SSLContext) -> ssl.SSLContext:
    context.load_cert_chain(*files.client("prometheus.example", ca=trustme.CA()))
    return context


def of_another_name(files: WebFiles, context: ssl.SSLContext) -> ssl.SSLContext:
    context.load_cert_chain(*files.client("other.example"))
    return context


def with_an_old_version(_: WebFiles, context: ssl.SSLContext) -> ssl.SSLContext:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def that_does_not_trust_the_server(_: WebFiles, context: ssl.SSLContext) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=trustme.CA().cert_pem.bytes().decode())


def without_tls(_: WebFiles, context: ssl.SSLContext) -> None:
    return None


@pytest.mark.parametrize(
    ("client", "told", "logged"),
    [
        (without_certificate, "CERTIFICATE_REQUIRED", "peer did not return a certificate"),
        (
            of_another_ca,
            "UNKNOWN_CA",
            r"certificate verify failed: unable to get (local )?issuer certificate",
        ),
        (
            of_another_name,
            "403 Forbidden.*client_allowed_sans",
            "no name in its certificate is one of client_all",
        ),
        (with_an_old_version, "PROTOCOL_VERSION", "unsupported protocol"),
        (that_does_not_trust_the_server, "CERTIFICATE_VERIFY_FAILED", "alert unknown ca"),
        (without_tls, "400 Bad.*\n\nClient sent an HTTP request to an HTTPS server.\n", "http request"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_client_and_the_log_are_told_why_it_is_refused(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    client: Callable[[WebFiles, ssl.SSLContext], ssl.SSLContext | None],
    told: str,
    logged: str,
) -> None:
    files = WebFiles(tmp_path)
    version: dict[str, object] = {"min_version": "TLS13"} if client is with_an_old_version else {}
    security = WebSecurity(files.write(tls=CLIENT_CERTIFICATES | version))
    context = client(files, files.client_context())

    async def test(open_connection: Open) -> None:
        _, writer = await open_connection()
        port = writer.get_extra_info("peername")[1]
        said = await asyncio.to_thread(ask, port, context)
        assert re.search(told, said.replace("\r", ""), re.DOTALL), said

    with_server(test, lambda: Server(answer, security))
    (record,) = [one for one in caplog.records if one.message == "TLS connection refused"]
    assert re.search(logged, vars(record)["reason"]), vars(record)["reason"]
    assert vars(record)["client"] == "127.0.0.1"


def test_refusals_are_logged_once_in_ten_seconds_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    log = HandshakeLog()
    for second in range(25):
        log.refused(f"client {second}", "unknown ca", now=1000.0 + second)
    with caplog.at_level(logging.WARNING):
        lines = [(vars(one)["client"], vars(one)["not_logged_before"]) for one in caplog.records]
    assert lines == [("client 0", 0), ("client 10", 9), ("client 20", 9)]


def test_a_client_that_leaves_within_the_handshake_is_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(open_connection: Open) -> None:
        _, writer = await open_connection()
        writer.write(b"\x16\x03\x01\x02\x00\x01")
        writer.close()
        await asyncio.sleep(0.1)

    security = WebSecurity(WebFiles(tmp_path).write(tls={}))
    with_server(test, lambda: Server(answer, security))
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]
