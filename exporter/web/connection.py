"""One connection of the web server. uvicorn by itself never ends one that is silent, drips, or stays in a handshake."""

import asyncio
import ssl
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from exporter.web.security import WebSecurity

MAX_OPEN = 32
"""Connections at once. Under TLS, each costs half a megabyte; a Prometheus server keeps one."""
DEADLINE = 10
"""Seconds from a connection's or a request's first byte to the end of the answer."""
MAX_REQUEST = 16 << 10
"""Bytes that a request may have, its body included: no page here takes a body."""
MAX_UNPARSED = 64 << 10
"""Bytes of further requests that may wait, when more come, for the answer to another."""
_PARSED_AT_ONCE = 1024  # pipelined requests wait as bytes: parsed, they take fifty times the memory


class Connection(HttpToolsProtocol):
    """Speaks TLS if it is configured, and closes itself when a request takes too long.

    Between requests it stays open as long as uvicorn's keep-alive. Where too many are open, the least worth goes.
    """

    def __init__(
        self,
        open_connections: set["Connection"],
        security: WebSecurity | None,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self._open = open_connections
        self._security = security
        self._raw: asyncio.Transport
        self._unparsed = bytearray()
        self._request_size = 0
        self._made = False
        self._answered = False
        self._since = 0.0
        self._deadline: asyncio.TimerHandle | None = None
        self._handshake: asyncio.Task[None] | None = None

    @property
    def is_answering(self) -> bool:
        """True while a request waits for the end of its answer."""
        return self.cycle is not None and not self.cycle.response_complete

    def _worth(self) -> tuple[bool, bool, float]:
        return self.is_answering, self._answered, self._since

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection."""
        if len(self._open) >= MAX_OPEN:
            min(self._open, key=Connection._worth).abort()
        self._open.add(self)
        self._raw = transport
        self._since = self.loop.time()
        self._deadline = self.loop.call_later(DEADLINE, self.abort)
        if self._security and (context := self._security.context):
            self._handshake = self.loop.create_task(self._start_tls(self._security, context))
        else:
            self._made = True
            super().connection_made(transport)

    async def _start_tls(self, security: WebSecurity, context: ssl.SSLContext) -> None:
        if self._raw.is_closing():
            return
        try:
            transport = await self.loop.start_tls(
                self._raw, self, context, server_side=True, ssl_handshake_timeout=DEADLINE
            )
        except OSError:
            transport = None
        if transport is None or not security.allows_client(transport.get_extra_info("ssl_object")):
            self.abort()
            return
        self._made = True
        super().connection_made(transport)
        self._parse()

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        if len(self._unparsed) > MAX_UNPARSED:
            self.abort()
            return
        self._unparsed += data
        if self._made:  # TLS hands on what came with the handshake before it says that it is done
            self._parse()

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
        """Begin to answer a request. What this raises, uvicorn answers with 400."""
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
        elif not self._deadline:
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
        """Forget the connection."""
        self._open.discard(self)
        self._stop_deadline()
        self._unparsed.clear()
        if self._made:
            super().connection_lost(exc)
