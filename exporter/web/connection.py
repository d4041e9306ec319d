"""One connection of the web server. uvicorn by itself never ends one that is silent, drips, or stays in a handshake."""

import asyncio
import ssl
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from exporter.web.repeats import Repeats
from exporter.web.security import WebSecurity

MAX_OPEN = 32
"""Connections at once. Under TLS, each costs half a megabyte; a Prometheus server keeps one."""
DEADLINE = 10
"""Seconds from a connection's or a request's first byte to the end of the answer."""


class Connection(H11Protocol):
    """Speaks TLS if it is configured, and closes itself when a request takes too long.

    Between requests it stays open as long as uvicorn's keep-alive. Where too many are open, the least worth goes.
    """

    def __init__(
        self,
        open_connections: set["Connection"],
        security: WebSecurity | None,
        repeats: Repeats | None,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self._open = open_connections
        self._security = security
        self._repeats = repeats
        self._raw: asyncio.Transport
        self._early = b""
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
        if self._early:
            self.data_received(self._early)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        if not self._made:  # TLS hands on what came with the handshake before it says that it is done
            self._early += data
            return
        if not self._repeats or not self._is_at_rest:
            super().data_received(data)
        elif answer := self._repeats.answer(data):
            self.transport.write(answer)
            self.on_response_complete()
        else:
            super().data_received(data)
            if self.conn.their_state is h11.DONE and not self.conn.trailing_data[0]:
                self._repeats.learn(data, self.scope)  # type: ignore[arg-type]
        self._watch()

    @property
    def _is_at_rest(self) -> bool:
        """True where the next byte begins a request, and its answer need not wait for the client to read others."""
        at_start = self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
        return at_start and not self.flow.write_paused and not self.transport.is_closing()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self._answered = True
        self._since = self.loop.time()
        self._stop_deadline()
        super().on_response_complete()
        self._watch()

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
        if self._made:
            super().connection_lost(exc)
