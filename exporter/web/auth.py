"""ASGI middleware: basic auth on every path, and the configured headers in every reply."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import ipaddress
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Mapping, MutableMapping
from typing import Any

from exporter.web.app import ASGIApplication, Receive, Response, Scope, Send, send_reply
from exporter.web.security import WebSecurity

_MAX_REMEMBERED = 64
_BCRYPT_BYTES = 72  # bcrypt ignores bytes after these; Python's library raises an error instead
_CHALLENGE = (("www-authenticate", 'Basic realm="smspartner-exporter", charset="UTF-8"'),)


class FairLock:
    """A lock for which clients take turns, however many requests each of them has waiting."""

    def __init__(self) -> None:
        self._locked = False
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def acquire(self, client: str) -> None:
        """Wait for the turn of a client. A cancelled request leaves the queue."""
        if not self._locked:
            self._locked = True
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()
            else:
                self._leave(client, turn)
            raise

    def _leave(self, client: str, turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(client, deque())
        if turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[client]

    def release(self) -> None:
        """Let the next client go on."""
        while self._waiting:
            client, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[client] = turns
            if not turn.done():  # cancelled in this very moment, it is still in the queue
                turn.set_result(None)
                return
        self._locked = False


class PasswordChecker:
    """Checks passwords against bcrypt hashes, one at a time and off the event loop, and remembers the right ones."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, None] = OrderedDict()
        self._lock = FairLock()

    def remembers(self, users: Mapping[bytes, bytes], name: bytes, password: bytes) -> bool:
        """Say whether an earlier check found this password correct."""
        if name not in users:
            return False
        fingerprint = self._fingerprint(name, password, users[name])
        if fingerprint not in self._remembered:
            return False
        self._remembered.move_to_end(fingerprint)
        return True

    async def check(self, users: Mapping[bytes, bytes], name: bytes, password: bytes, client: str) -> bool:
        """Say whether the password is the user's. An unknown user takes as long as a known one.

        Clients take turns. A check that has begun goes on if it is cancelled, so that it is remembered next time.
        """
        await self._lock.acquire(client)
        return await asyncio.shield(self._check(users, name, password))

    async def _check(self, users: Mapping[bytes, bytes], name: bytes, password: bytes) -> bool:
        try:
            if self.remembers(users, name, password):  # found while this request waited
                return True
            hashed = users.get(name) or self._any_hash(users, name)
            is_right = await _in_a_thread(password[:_BCRYPT_BYTES], hashed) and name in users
        finally:
            self._lock.release()
        if is_right:
            self._remembered[self._fingerprint(name, password, hashed)] = None
            if len(self._remembered) > _MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        return is_right

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

    def tell(is_right: bool) -> None:
        if not answer.done():
            answer.set_result(is_right)

    def check() -> None:
        try:
            is_right = bcrypt.checkpw(password, hashed)
        except ValueError:  # a hash of the right form that no password has
            is_right = False
        with contextlib.suppress(RuntimeError):  # the process is ending
            loop.call_soon_threadsafe(tell, is_right)

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
        if config.users and not await self._is_allowed(config.users, scope, receive):
            await send_reply(Response(401, b"Unauthorized\n", headers=_CHALLENGE), scope, send)
            return
        await self._application(scope, receive, send)

    async def _is_allowed(self, users: Mapping[bytes, bytes], scope: Scope, receive: Receive) -> bool:
        """Check the login of a request. If its client goes away first, it leaves the queue."""
        credentials = _credentials(scope)
        if credentials is None:
            return False
        if self._checker.remembers(users, *credentials):
            return True
        check = asyncio.ensure_future(self._checker.check(users, *credentials, client_key(scope)))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait((check, gone), return_when=asyncio.FIRST_COMPLETED)
            return check.done() and check.result()
        finally:
            check.cancel()
            gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def client_key(scope: Scope) -> str:
    """Return the client whose turn a request takes: an IPv4 address, or an IPv6 network of 64 bits."""
    if not scope.get("client"):
        return ""
    address = ipaddress.ip_address(scope["client"][0].partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return address.exploded[:19]


def _credentials(scope: Scope) -> tuple[bytes, bytes] | None:
    """Return name and password; None without any."""
    authorization = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    scheme, _, encoded = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except ValueError:
        return None
    return (name, password) if colon else None


def _with_headers(send: Send, headers: Mapping[bytes, bytes]) -> Send:
    if not headers:
        return send

    async def send_with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            kept = [(name, value) for name, value in message["headers"] if name not in headers]
            message["headers"] = [*kept, *headers.items()]
        await send(message)

    return send_with_headers
