"""TLS on a connection. Unlike asyncio's, it sends the alert of a failed handshake, and leaves no cycles behind."""

import asyncio
import contextlib
import logging
import math
import ssl
from typing import Any

logger = logging.getLogger(__name__)

_READ_AT_ONCE = 16 << 10
_ONE_LINE_EACH = 10.0


class TlsSession:
    """The server's side of TLS. Bytes from and to the client go in and out; there is no socket."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.connection = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.is_established = False
        """True once the handshake is done."""
        self.is_ended = False
        """True once the client has said that nothing follows."""

    def decrypt(self, data: bytes) -> bytes:
        """Take what the client sent, and return what it means, empty within the handshake. Raises ssl.SSLError."""
        self._incoming.write(data)
        plain = bytearray()
        with contextlib.suppress(ssl.SSLWantReadError):
            if not self.is_established:
                self.connection.do_handshake()
                self.is_established = True
            while chunk := self.connection.read(_READ_AT_ONCE):
                plain += chunk
            self.is_ended = True
        return bytes(plain)

    def encrypt(self, data: bytes) -> bytes:
        """Return what to send to the client for these bytes."""
        self.connection.write(data)
        return self.pending()

    def pending(self) -> bytes:
        """Return what the session itself has to send: its part of the handshake, or an alert."""
        return self._outgoing.read()

    def close(self) -> bytes:
        """Return what tells the client that nothing follows."""
        with contextlib.suppress(ssl.SSLError):
            self.connection.unwrap()
        return self.pending()


class TlsTransport(asyncio.Transport):
    """What is written to it goes to the client in TLS."""

    def __init__(self, raw: asyncio.Transport, session: TlsSession) -> None:
        super().__init__({"sslcontext": session.connection.context})
        self._raw = raw
        self._session = session

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the connection, such as its ``peername``."""
        return super().get_extra_info(name, self._raw.get_extra_info(name, default))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes."""
        if data and not self._raw.is_closing():
            self._raw.write(self._session.encrypt(bytes(data)))

    def is_closing(self) -> bool:
        """Say whether it is closed or about to be."""
        return self._raw.is_closing()

    def close(self) -> None:
        """Close once everything is sent."""
        if not self._raw.is_closing():
            self._raw.write(self._session.close())
            self._raw.close()

    def abort(self) -> None:
        """Close at once."""
        self._raw.abort()

    def pause_reading(self) -> None:
        """Take nothing from the client."""
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Go on after `pause_reading`."""
        self._raw.resume_reading()


class HandshakeLog:
    """Logs clients that were refused: at most one line in ten seconds, with a count of those not logged before."""

    def __init__(self) -> None:
        self._silent_until = -math.inf
        self._not_logged = 0

    def refused(self, client: str, reason: str, now: float) -> None:
        """Note a client that was turned away. `now` is seconds on the monotonic clock."""
        if now < self._silent_until:
            self._not_logged += 1
            return
        extra = {"client": client, "reason": reason, "not_logged_before": self._not_logged}
        logger.warning("TLS connection refused", extra=extra)
        self._silent_until = now + _ONE_LINE_EACH
        self._not_logged = 0


def describe(error: ssl.SSLError) -> str:
    """Say why a handshake failed, in OpenSSL's words."""
    reason = (error.reason or "protocol error").lower().replace("_", " ")
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{reason}: {error.verify_message}"
    return reason
