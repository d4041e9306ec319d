"""A TCP connection to a host with several addresses, some of which may be silent: RFC 8305's idea."""

import errno
import os
import selectors
import socket
from collections import deque
from typing import Any

from exporter.clock import Clock

STAGGER = 0.25
"""Seconds without an answer after which the next address is tried as well; RFC 8305 recommends them."""

_AddressInfo = tuple[int, int, int, str, Any]  # as socket.getaddrinfo returns it


def connect(host: str, port: int, timeout: float, clock: Clock) -> tuple[socket.socket, tuple[str, ...]]:
    """Connect within `timeout` seconds to the address of a host that answers first. Nothing is sent yet.

    Return the socket, and what was wrong with the addresses that were tried before its own.

    Raises socket.gaierror, TimeoutError, or the OSError of the first address if none can be connected to.
    """
    deadline = clock.monotonic() + timeout
    waiting = deque(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    attempts = _Attempts(clock)
    try:
        while waiting:
            attempts.begin(waiting.popleft())
            until = min(deadline, clock.monotonic() + STAGGER) if waiting else deadline
            if sock := attempts.wait(until):
                return sock, attempts.unanswered()
            if clock.monotonic() >= deadline:
                raise TimeoutError
        raise next(iter(attempts.failed.values()))
    finally:
        attempts.close()


class _Attempts:
    """Connections under way, and the errors of those that failed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._pending: dict[socket.socket, str] = {}
        self.failed: dict[str, OSError] = {}

    def unanswered(self) -> tuple[str, ...]:
        failed = [
            f"{address}: {(error.strerror or 'failed').lower()}" for address, error in self.failed.items()
        ]
        return (*failed, *(f"{address}: no answer" for address in self._pending.values()))

    def begin(self, info: _AddressInfo) -> None:
        family, kind, protocol, _, address = info
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # this machine does not have the family
            self.failed[address[0]] = error
            return
        sock.setblocking(False)
        self._pending[sock] = address[0]
        number = sock.connect_ex(address)
        if number in {0, errno.EINPROGRESS}:
            self._selector.register(sock, selectors.EVENT_WRITE)
        else:
            self._fail(sock, number)

    def wait(self, until: float) -> socket.socket | None:
        """Return the first connection; None at the time `until`, or as soon as all attempts have failed."""
        while self._pending and (left := until - self._clock.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                sock: socket.socket = key.fileobj  # type: ignore[assignment]
                self._selector.unregister(sock)
                if number := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self._fail(sock, number)
                else:
                    del self._pending[sock]
                    return sock
        return None

    def _fail(self, sock: socket.socket, number: int) -> None:
        self.failed[self._pending.pop(sock)] = OSError(number, os.strerror(number))
        sock.close()

    def close(self) -> None:
        self._selector.close()
        for sock in self._pending:
            sock.close()
