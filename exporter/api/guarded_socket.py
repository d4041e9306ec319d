"""The connection of one exchange: it can be cut off from outside, is used once, and is read no further than a limit."""

import contextlib
import io
import socket
import struct
import threading
from contextvars import ContextVar
from http.client import HTTPResponse
from typing import Any, cast

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import LocationParseError, NameResolutionError

from exporter.api.connect import connect
from exporter.clock import Clock
from exporter.model import Failure, Reason

MAX_REPLY = 512 << 10
"""Bytes that a reply may have, headers included: enough for eleven years by day. Parsed, the worst takes 11 MB."""
_ABORT = struct.pack("ii", 1, 0)
_ORDERLY = struct.pack("ii", 0, 0)


class GuardedSocket:
    """The socket of one exchange, and the right to cut it off.

    It holds a duplicate of the socket, since TLS takes the original over. The socket is set to be reset when closed,
    so that a request that was given up, or whose process was killed, is not delivered later.
    """

    def __init__(self, deadline: float, clock: Clock) -> None:
        self.clock = clock
        self._deadline = deadline
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._cut_off = False
        self.was_sent = False
        """Whether the request has begun to be sent."""
        self.unanswered: tuple[str, ...] = ()
        """The addresses of the host that did not answer, each with the reason, if another did."""

    def adopt(self, sock: socket.socket) -> None:
        """Take the socket that the exchange goes over."""
        with self._lock:
            if self._cut_off:
                raise TimeoutError
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            self._socket = sock.dup()

    def begin_to_send(self) -> None:
        """Note that the request is sent from now on. Raises TimeoutError after the deadline."""
        self.check()
        self.was_sent = True

    def check(self) -> None:
        """Refuse to go on after the deadline, as the rate limiter expects: the process may have been stopped."""
        if self._cut_off or self.clock.monotonic() >= self._deadline:
            raise TimeoutError

    def cut_off(self) -> None:
        """End it at once, from any thread: the request is reset, and no socket will be taken any more."""
        with self._lock:
            self._cut_off = True
            if self._socket:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
                self._socket.close()
                self._socket = None

    def close(self) -> None:
        """End it in good order: the reply is there."""
        with self._lock:
            if self._socket:
                with contextlib.suppress(OSError):
                    self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ORDERLY)
                self._socket.close()
                self._socket = None


current: ContextVar[GuardedSocket] = ContextVar("exchange of this thread")


class _Bounded(io.RawIOBase):
    """Limits all that the peer sends, with status line, headers and framing, which http.client hardly limits."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._left = MAX_REPLY

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        received = self._raw.readinto(buffer)
        self._left -= received or 0
        if self._left < 0:
            raise Failure(Reason.INVALID_REPLY, f"the reply is larger than {MAX_REPLY >> 10} KiB")
        return received

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(HTTPResponse):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fp = io.BufferedReader(_Bounded(self.fp.detach()))


class _GuardedConnection(HTTPConnection):
    response_class = _BoundedResponse

    def _new_conn(self) -> socket.socket:
        exchange = current.get()
        timeout = cast(float, self.timeout)
        try:
            sock, exchange.unanswered = connect(self.host, self.port, timeout, exchange.clock)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except UnicodeError:
            raise LocationParseError(self.host) from None
        try:
            sock.settimeout(timeout)
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            exchange.adopt(sock)
        except BaseException:
            sock.close()
            raise
        return sock

    def connect(self) -> None:
        super().connect()
        current.get().begin_to_send()


class _GuardedTLSConnection(_GuardedConnection, HTTPSConnection):
    pass


class _GuardedPool(HTTPConnectionPool):
    ConnectionCls = _GuardedConnection

    def _put_conn(self, conn: Any) -> None:
        """Keep no connection for another exchange: there it would be used unguarded."""
        if conn:
            conn.close()


class _GuardedTLSPool(_GuardedPool, HTTPSConnectionPool):
    ConnectionCls = _GuardedTLSConnection


_POOLS = {"http": _GuardedPool, "https": _GuardedTLSPool}


class GuardedAdapter(HTTPAdapter):
    """Connects for the exchange that is `current` in its thread."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Set requests' own pools up as guarded ones."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> urllib3.ProxyManager:
        """Do the same for a proxy."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return cast(urllib3.ProxyManager, manager)
