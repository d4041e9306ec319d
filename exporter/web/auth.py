"""Basic auth in front of every path, and the headers that the web configuration sets in every reply."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping, MutableMapping
from typing import Any

from exporter.web.app import ASGIApplication, Receive, Response, Scope, Send, header, send_reply
from exporter.web.security import WebSecurity

_MAX_REMEMBERED = 64
_MAX_WAITING = 16
_MAX_PASSWORD = 72  # bcrypt looks at no more
_CHALLENGE = (("www-authenticate", 'Basic realm="smspartner-exporter", charset="UTF-8"'),)


class TooManyLoginsError(Exception):
    """Too many passwords wait to be checked."""


class PasswordChecker:
    """Checks passwords against bcrypt hashes, one at a time and off the event loop, and remembers the right ones."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, None] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0

    async def check(self, users: Mapping[bytes, bytes], name: bytes, password: bytes) -> bool:
        """Say whether the password is that user's. An unknown user takes as long as a known one. Raises Busy."""
        if len(password) > _MAX_PASSWORD or b"\0" in password:
            return False
        hashed = users.get(name) or self._any_hash(users, name)
        fingerprint = self._fingerprint(name, password, hashed)
        if name in users and fingerprint in self._remembered:
            self._remembered.move_to_end(fingerprint)
            return True
        if self._waiting >= _MAX_WAITING:
            raise TooManyLoginsError
        self._waiting += 1
        try:
            async with self._one_at_a_time:
                right = await _in_a_thread(password, hashed) and name in users
        finally:
            self._waiting -= 1
        if right:
            self._remembered[fingerprint] = None
            if len(self._remembered) > _MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        return right

    def _fingerprint(self, *parts: bytes) -> bytes:
        """Return a keyed hash of the parts and their lengths. It does not reveal the password."""
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._secret, message, hashlib.sha256)

    def _any_hash(self, users: Mapping[bytes, bytes], name: bytes) -> bytes:
        """Return a hash to check an unknown user against: always the same one for the same name, as if it had one."""
        number = int.from_bytes(self._fingerprint(name), "big")
        return list(users.values())[number % len(users)]


async def _in_a_thread(password: bytes, hashed: bytes) -> bool:
    """Check with bcrypt in a thread that, unlike an executor's, does not keep the process from ending."""
    import bcrypt  # noqa: PLC0415 - costs memory, and only basic auth needs it

    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bool] = loop.create_future()

    def tell(right: bool) -> None:
        if not answer.done():
            answer.set_result(right)

    def check() -> None:
        try:
            right = bcrypt.checkpw(password, hashed)
        except ValueError:  # a hash of the right form, but of no password
            right = False
        with contextlib.suppress(RuntimeError):  # the process is ending
            loop.call_soon_threadsafe(tell, right)

    threading.Thread(target=check, name="bcrypt", daemon=True).start()
    return await answer


class SecurityMiddleware:
    """ASGI middleware that asks for a password and sets the configured headers."""

    def __init__(self, application: ASGIApplication, security: WebSecurity) -> None:
        self._application = application
        self._security = security
        self._checker = PasswordChecker()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        config = self._security.config
        send = _with_headers(send, config.headers)
        if config.users:
            name, password = _credentials(header(scope, b"authorization"))
            try:
                is_allowed = await self._checker.check(config.users, name, password)
            except TooManyLoginsError:
                await send_reply(
                    Response(503, b"Too many logins\n", headers=(("retry-after", "1"),)), scope, send
                )
                return
            if not is_allowed:
                await send_reply(Response(401, b"Unauthorized\n", headers=_CHALLENGE), scope, send)
                return
        await self._application(scope, receive, send)


def _credentials(authorization: str) -> tuple[bytes, bytes]:
    """Return name and password; without any, a password that nobody has."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        except ValueError:
            return b"", b"\0"
        if colon:
            return name, password
    return b"", b"\0"


def _with_headers(send: Send, headers: Mapping[bytes, bytes]) -> Send:
    if not headers:
        return send

    async def send_with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            kept = [(name, value) for name, value in message["headers"] if name not in headers]
            message["headers"] = [*kept, *headers.items()]
        await send(message)

    return send_with_headers
