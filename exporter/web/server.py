"""The web server: uvicorn on a socket and connections of ours, which ends when told to."""

import asyncio
import contextlib
import functools
import os
import socket
from collections.abc import Iterator

import uvicorn

from exporter.web.app import ASGIApplication
from exporter.web.connection import Connection
from exporter.web.security import WebSecurity
from exporter.web.tls_transport import HandshakeLog

_KEEP_ALIVE = 120  # longer than any scrape interval in use
_DRAIN = 1
_BACKLOG = 1024
_ACCEPTED_AT_ONCE = 8  # asyncio accepts as many as wait, up to its backlog: a burst of them would cost memory


class ListenError(Exception):
    """The address cannot be listened on. The text is one line."""


def parse_listen_address(text: str) -> tuple[str, int]:
    """Split ``[HOST]:PORT``; an IPv6 address is in brackets. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not [HOST]:PORT, such as :10035 or 127.0.0.1:10035")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: write an IPv6 address in brackets, such as [::1]:10035")
    return host, int(port)


def format_address(host: str, port: int) -> str:
    """Write an address as ``parse_listen_address`` reads it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; an empty host is every address of the machine. Raises ListenError."""
    try:
        host.encode("idna")  # if create_server fails on it, a socket stays open
        if not host and socket.has_dualstack_ipv6():
            with contextlib.suppress(OSError):  # no IPv6 here after all: what follows says what is wrong
                return _listen("::", port, socket.AF_INET6, dualstack=True)
        return _listen(host, port, socket.AF_INET6 if ":" in host else socket.AF_INET, dualstack=False)
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None) or -1
        reason = os.strerror(number).lower() if number > 0 else "no such host"  # below 0 it is the resolver's
        raise ListenError(
            f"cannot listen on {format_address(host, port)}: {reason}; choose another with --web.listen-address"
        ) from None


def _listen(host: str, port: int, family: int, dualstack: bool) -> socket.socket:
    listening = socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=dualstack)
    # Connections inherit it. asyncio would set it, but not on sockets made without naming the protocol; without it,
    # a body waits 40 ms behind its head for the client's delayed acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


class Server(uvicorn.Server):
    """uvicorn without its signal handlers, and without waking up ten times a second to see whether it should end."""

    def __init__(
        self,
        application: ASGIApplication,
        security: WebSecurity | None = None,
    ) -> None:
        self._open: set[Connection] = set()
        super().__init__(
            uvicorn.Config(
                application,
                http=functools.partial(Connection, self._open, security, HandshakeLog()),  # type: ignore[arg-type]
                ws="none",
                loop="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                backlog=_ACCEPTED_AT_ONCE,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE,
                timeout_graceful_shutdown=_DRAIN,
            )
        )
        self._ending = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to whoever runs the server."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. asyncio also uses its own limit as the listen backlog, so set the backlog again."""
        await super().startup(sockets)
        for listening in sockets or ():
            listening.listen(_BACKLOG)

    async def main_loop(self) -> None:
        """Serve until told to end."""
        await self._ending.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close what waits for no answer, and stop accepting."""
        for connection in tuple(self._open):
            if not connection.is_answering:
                connection.abort()
        await super().shutdown(sockets)

    def end(self) -> None:
        """Stop accepting, let running requests finish within a second, and return from `serve`."""
        self._ending.set()
