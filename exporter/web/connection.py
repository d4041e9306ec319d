"""One connection of the web server. It ends if its client is silent or slow; uvicorn alone would keep it open."""

import asyncio
import ssl
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from exporter.web.security import WebSecurity
from exporter.web.tls_transport import HandshakeLog, TlsSession, TlsTransport, describe

MAX_OPEN = 32
"""Connections at once. Under TLS, each costs half a megabyte; a Prometheus server keeps one."""
DEADLINE = 10
"""Seconds from a connection's or a request's first byte to the end of the answer."""
MAX_REQUEST = 16 << 10
"""Bytes that a request may have, its body included: no page here takes a body."""
MAX_UNPARSED = 64 << 10
"""Bytes of pipelined requests that may wait for an earlier answer. If more arrive, the connection is closed."""
_PARSED_AT_ONCE = 1024  # pipelined requests wait as bytes: parsed, they take fifty times the memory


_PLAIN_HTTP = (
    b"HTTP/1.0 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\r\n"
    b"Client sent an HTTP request to an HTTPS server.\n"
)
_WRONG_NAME = (
    b"HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\r\n"
    b"The client certificate has no name that client_allowed_sans lists.\n"
)


class Connection(HttpToolsProtocol):
    """Speaks TLS if it is configured, and closes itself when a request takes too long.

    Between requests it stays open as long as uvicorn's keep-alive. If too many are open, the least useful is closed.
    """

    def __init__(
        self,
        open_connections: set["Connection"],
        security: WebSecurity | None,
        handshake_log: HandshakeLog,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self._open = open_connections
        self._security = security
        self._handshake_log = handshake_log
        self._raw: asyncio.Transport
        self._tls: TlsSession | None = None
        self._may_ask = True
        self._unparsed = bytearray()
        self._request_size = 0
        self._answered = False
        self._since = 0.0
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def is_answering(self) -> bool:
        """True while a request waits for the end of its answer."""
        return self.cycle is not None and not self.cycle.response_complete

    def _usefulness(self) -> tuple[bool, bool, float]:
        return self.is_answering, self._answered, self._since

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection."""
        if len(self._open) >= MAX_OPEN:
            min(self._open, key=Connection._usefulness).abort()
        self._open.add(self)
        self._raw = transport
        self._since = self.loop.time()
        self._deadline = self.loop.call_later(DEADLINE, self.abort)
        if self._security and (context := self._security.context):
            self._tls = TlsSession(context)
        else:
            super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        plain = self._decrypt(self._tls, self._security, data) if self._tls and self._security else data
        if len(self._unparsed) > MAX_UNPARSED:
            self.abort()
        elif plain and not self._may_ask:
            self.transport.write(_WRONG_NAME)
            self.transport.close()
        elif plain:
            self._unparsed += plain
            self._parse()

    def _decrypt(self, tls: TlsSession, security: WebSecurity, data: bytes) -> bytes:
        was_established = tls.is_established
        try:
            plain = tls.decrypt(data)
        except ssl.SSLError as error:
            self._end_tls(tls, error)
            return b""
        self._raw.write(tls.pending())
        if tls.is_established and not was_established:
            super().connection_made(TlsTransport(self._raw, tls))
            self._may_ask = security.allows_client(tls.connection)
            if not self._may_ask:
                self._log_refusal("no name in its certificate is one of client_allowed_sans")
        if tls.is_ended:
            self.transport.close()
        return plain

    def _end_tls(self, tls: TlsSession, error: ssl.SSLError) -> None:
        """Close the connection, and tell the client and the log why."""
        self._raw.write(_PLAIN_HTTP if error.reason == "HTTP_REQUEST" else tls.pending())
        self._raw.close()
        self._log_refusal(describe(error))

    def _log_refusal(self, reason: str) -> None:
        client, *_ = self._raw.get_extra_info("peername") or ("unknown",)
        self._handshake_log.refused(client, reason, self.loop.time())

    def _parse(self) -> None:
        """Parse what the client sent, as far as no request waits for the answer to another."""
        while self._unparsed and not (self.pipeline or self.transport.is_closing()):
            piece = bytes(self._unparsed[:_PARSED_AT_ONCE])
            del self._unparsed[:_PARSED_AT_ONCE]
            self._request_size += len(piece)
            super().data_received(piece)
            if self._request_size > MAX_REQUEST:
                self.send_400_response("The request is too large.")
        if self._unparsed:
            self.flow.pause_reading()
        self._watch()

    def on_headers_complete(self) -> None:
        """Begin to answer a request. If this raises, uvicorn answers 400."""
        version = self.parser.get_http_version()
        hosts = sum(name == b"host" for name, _ in self.headers)
        if version not in {"1.0", "1.1"} or hosts > 1 or (version == "1.1" and hosts == 0):
            raise ValueError("a request needs HTTP/1.0 or 1.1, and with 1.1 one Host")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Begin to count the next request's bytes."""
        self._request_size = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self._answered = True
        self._since = self.loop.time()
        self._stop_deadline()
        super().on_response_complete()
        self._parse()

    def _watch(self) -> None:
        if self.timeout_keep_alive_task:
            self._stop_deadline()
        elif not self._deadline and self in self._open:
            self._deadline = self.loop.call_later(DEADLINE, self.abort)

    def _stop_deadline(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def timeout_keep_alive_handler(self) -> None:
        """End a connection that was not used for long, whether or not the client has read its last answer."""
        self.abort()

    def abort(self) -> None:
        """Close without a word. Nothing that the client does can keep it open."""
        self._open.discard(self)
        self._stop_deadline()
        self._raw.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and whatever would keep it in memory until the next garbage collection."""
        self._open.discard(self)
        self._stop_deadline()
        self._unparsed.clear()
        if self.transport:
            super().connection_lost(exc)
        self._unset_keepalive_if_required()
        # All of these refer back to this connection.
        self.pipeline.clear()
        del self.cycle, self.parser
