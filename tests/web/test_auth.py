"""Logins: which passwords are right, what checking them costs, and what is remembered."""

import asyncio
import base64
import gc
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import bcrypt
import pytest

from exporter.web import auth
from exporter.web.app import Response, send_reply
from exporter.web.auth import FairLock, PasswordChecker, SecurityMiddleware
from exporter.web.security import WebSecurity
from tests.support.web_security import PASSWORD, WebFiles, hashed

USERS = {b"alice": hashed("one").encode(), b"bob": hashed("two").encode()}


@pytest.fixture
def files(tmp_path: Path) -> WebFiles:
    return WebFiles(tmp_path)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The hashes that bcrypt was asked for."""
    asked: list[bytes] = []
    real = bcrypt.checkpw

    def checkpw(password: bytes, hash_: bytes) -> bool:
        asked.append(hash_)
        return real(password, hash_)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    return asked


def reachable(value: object) -> Iterator[object]:
    """Yield everything that an object refers to, however deep."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if id(value) not in seen and not isinstance(value, (type, ModuleType, FunctionType)):
            seen.add(id(value))
            yield value
            waiting.extend(gc.get_referents(value))


def check_all(*pairs: tuple[bytes, bytes], users: dict[bytes, bytes] = USERS) -> list[bool]:
    async def check() -> list[bool]:
        checker = PasswordChecker()
        return [await checker.check(users, name, password, "client") for name, password in pairs]

    return asyncio.run(check())


@pytest.mark.parametrize(
    ("name", "password", "right"),
    [
        (b"alice", b"one", True),
        (b"bob", b"two", True),
        (b"alice", b"two", False),
        (b"carol", b"one", False),
        (b"carol", b"two", False),
        (b"", b"", False),
        (b"Alice", b"one", False),
        (b"alice", b"one\0", False),
        (b"alice", b"one" + b" " * 72, False),
    ],
)
def test_only_the_right_password_of_the_right_user_is_accepted(
    name: bytes, password: bytes, right: bool
) -> None:
    assert check_all((name, password)) == [right]


def test_bytes_after_the_72nd_are_ignored_as_in_other_exporters() -> None:
    users = {b"alice": bcrypt.hashpw(b"p" * 72, bcrypt.gensalt(4))}
    pairs = [(b"alice", b"p" * length) for length in (71, 72, 73, 2000)]
    assert check_all(*pairs, users=users) == [False, True, True, True]


def test_a_hash_that_no_password_has_accepts_nobody() -> None:
    users = {b"alice": b"$2b$04$" + b"z" * 53}
    assert check_all((b"alice", b"z"), (b"alice", b""), users=users) == [False, False]


@pytest.mark.parametrize("variant", [b"$2a$", b"$2b$", b"$2x$", b"$2y$"])
def test_every_variant_of_bcrypt_is_checked(variant: bytes) -> None:
    users = {b"alice": USERS[b"alice"].replace(b"$2b$", variant)}
    assert check_all((b"alice", b"one"), users=users) == [True]


def test_checking_an_unknown_user_takes_as_long_as_a_known_one(checked: list[bytes]) -> None:
    names = [b"user-%d" % number for number in range(40)]
    assert not any(check_all(*((name, b"one") for name in names)))
    assert len(checked) == len(names)
    assert set(checked) == set(USERS.values())


def test_an_unknown_user_is_always_checked_against_the_same_hash(checked: list[bytes]) -> None:
    check_all(*[(b"carol", b"one")] * 20)
    assert len(checked) == 20
    assert len(set(checked)) == 1


def test_only_right_passwords_are_remembered(checked: list[bytes]) -> None:
    right, wrong = (b"alice", b"one"), (b"alice", b"two")
    assert check_all(right, right, wrong, wrong, right) == [True, True, False, False, True]
    assert len(checked) == 3


def test_the_password_used_longest_ago_is_forgotten_first(
    checked: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "_MAX_REMEMBERED", 2)
    users = {b"user-%d" % number: hashed(f"password-{number}").encode() for number in range(3)}
    pairs = [(name, b"password-%d" % number) for number, name in enumerate(users)]
    order = (0, 1, 0, 2, 0, 1)
    assert all(check_all(*(pairs[number] for number in order), users=users))
    assert [list(users.values()).index(hash_) for hash_ in checked] == [0, 1, 2, 1]


def test_remembering_a_login_keeps_no_password_in_memory() -> None:
    async def check() -> PasswordChecker:
        checker = PasswordChecker()
        assert await checker.check(USERS, b"alice", b"one", "client")
        return checker

    held = [value for value in reachable(asyncio.run(check())) if isinstance(value, bytes)]
    assert held
    assert not any(b"one" in value for value in held)


def test_a_changed_hash_ends_the_old_password(checked: list[bytes]) -> None:
    async def check() -> list[bool]:
        checker = PasswordChecker()
        changed = {b"alice": hashed("other").encode()}
        return [
            await checker.check(users, b"alice", b"one", "client")
            for users in (USERS, changed, {b"bob": USERS[b"alice"]})
        ]

    assert asyncio.run(check()) == [True, False, False]


def test_a_remembered_login_is_not_taken_for_another_split_of_the_same_bytes() -> None:
    users = {b"alice": USERS[b"alice"], b"aliceo": USERS[b"alice"]}
    assert check_all((b"alice", b"one"), (b"aliceo", b"ne"), users=users) == [True, False]


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, list[int]]]:
    """Let every check wait for an event; count how many run at once."""
    released = threading.Event()
    running: list[int] = []
    inside = threading.Semaphore(0)

    def checkpw(*_: bytes) -> bool:
        inside.release()
        running.append(inside._value)
        released.wait(30)
        inside.acquire()
        return True

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    yield released, running
    released.set()


def test_one_password_is_checked_at_a_time_while_the_event_loop_goes_on(
    stuck: tuple[threading.Event, list[int]],
) -> None:
    released, running = stuck

    async def check() -> list[bool]:
        checker = PasswordChecker()
        checks = [checker.check(USERS, b"alice", b"%d" % number, f"{number}") for number in range(4)]
        waiting = asyncio.gather(*checks)
        while not running:
            await asyncio.sleep(0)
        released.set()
        return await waiting

    assert asyncio.run(check()) == [True] * 4
    assert running == [1] * 4


def test_a_remembered_password_does_not_wait_for_others(stuck: tuple[threading.Event, list[int]]) -> None:
    released, running = stuck

    async def check() -> None:
        checker = PasswordChecker()
        released.set()
        assert await checker.check(USERS, b"alice", b"one", "client")
        released.clear()
        waiting = asyncio.create_task(checker.check(USERS, b"bob", b"wrong", "client"))
        while len(running) < 2:
            await asyncio.sleep(0)
        assert checker.remembers(USERS, b"alice", b"one")
        assert not waiting.done()
        released.set()
        await waiting

    asyncio.run(check())


def test_a_check_in_progress_does_not_keep_the_process_from_ending(
    stuck: tuple[threading.Event, list[int]],
) -> None:
    released, running = stuck

    async def give_up() -> None:
        check = asyncio.create_task(PasswordChecker().check(USERS, b"alice", b"one", "client"))
        while not running:
            await asyncio.sleep(0)
        check.cancel()

    begin = time.monotonic()
    asyncio.run(give_up())
    assert time.monotonic() - begin < 5
    assert [thread.daemon for thread in threading.enumerate() if thread.name == "bcrypt"] == [True]
    released.set()


class FakeBcrypt:
    """Stands in for bcrypt's cost: a clock that each check moves on by the time of cost 10."""

    SECONDS = 0.07

    def __init__(self) -> None:
        self.now = 0.0
        self.checked: list[bytes] = []

    async def check(self, password: bytes, _: bytes) -> bool:
        self.checked.append(password)
        self.now += self.SECONDS
        await asyncio.sleep(0)
        return password == b"right"


@pytest.fixture
def fake_bcrypt(monkeypatch: pytest.MonkeyPatch) -> FakeBcrypt:
    fake = FakeBcrypt()
    monkeypatch.setattr(auth, "_in_a_thread", fake.check)
    return fake


async def log_in_among_guessers(fake: FakeBcrypt, guesser: str, client: str) -> float:
    """Return how long a right login takes while 20 guessers try one password after the other."""
    checker = PasswordChecker()

    async def guess() -> None:
        while True:
            assert not await checker.check(USERS, b"alice", b"guess", guesser)

    guessers = [asyncio.create_task(guess()) for _ in range(20)]
    while len(fake.checked) < 100:
        await asyncio.sleep(0)
    begin = fake.now
    assert await checker.check(USERS, b"alice", b"right", client)
    for task in guessers:
        task.cancel()
    return fake.now - begin


@pytest.mark.parametrize(
    ("client", "checks_before"), [("192.0.2.1", 2), ("198.51.100.1", 20)], ids=["elsewhere", "same address"]
)
def test_password_guessing_delays_a_right_login_by_no_more_than_its_turn(
    fake_bcrypt: FakeBcrypt, client: str, checks_before: int
) -> None:
    took = asyncio.run(log_in_among_guessers(fake_bcrypt, "198.51.100.1", client))
    assert took <= (checks_before + 1) * fake_bcrypt.SECONDS + 1e-9


def test_a_request_whose_client_has_gone_leaves_the_queue(stuck: tuple[threading.Event, list[int]]) -> None:
    released, running = stuck

    async def check() -> None:
        checker = PasswordChecker()
        first = asyncio.create_task(checker.check(USERS, b"alice", b"first", "a"))
        while not running:
            await asyncio.sleep(0)
        gone = [asyncio.create_task(checker.check(USERS, b"alice", b"gone", "a")) for _ in range(3)]
        last = asyncio.create_task(checker.check(USERS, b"alice", b"last", "a"))
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        released.set()
        await asyncio.gather(first, last)

    asyncio.run(check())
    assert running == [1] * 2


def test_a_check_that_has_begun_is_remembered_although_its_client_has_gone(
    stuck: tuple[threading.Event, list[int]],
) -> None:
    released, running = stuck

    async def check() -> bool:
        checker = PasswordChecker()
        first = asyncio.create_task(checker.check(USERS, b"alice", b"one", "a"))
        while not running:
            await asyncio.sleep(0)
        first.cancel()
        second = asyncio.create_task(checker.check(USERS, b"alice", b"one", "a"))
        released.set()
        return await second

    assert asyncio.run(check())
    assert len(running) == 1


async def application(scope: Any, _receive: Any, send: Any) -> None:
    await send_reply(Response(200, b"inside\n", headers=(("x-frame-options", "sameorigin"),)), scope, send)


async def request(
    middleware: SecurityMiddleware, authorization: str | None, disconnected: asyncio.Event | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Return the reply to a request that passes through the middleware."""

    async def receive() -> dict[str, Any]:
        await (disconnected or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [] if authorization is None else [(b"authorization", authorization.encode())]
    client = ("192.0.2.1", 50000)
    scope = {"type": "http", "method": "GET", "path": "/metrics", "headers": headers, "client": client}
    await middleware(scope, receive, send)
    start, body = sent
    raw = start["headers"]
    assert len(raw) == len(dict(raw))
    return start["status"], {name.decode(): value.decode() for name, value in raw}, body["body"]


def ask(security: WebSecurity, authorization: str | None) -> tuple[int, dict[str, str], bytes]:
    return asyncio.run(request(SecurityMiddleware(application, security), authorization))


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (basic(f"Zoé:{PASSWORD}"), 200),
        (basic(f"Zoé:{PASSWORD}").replace("Basic", "bAsIc"), 200),
        (basic(f"Zoé:{PASSWORD}") + " ", 200),
        (None, 401),
        ("", 401),
        ("Basic", 401),
        ("Basic ", 401),
        ("Basic !!!!", 401),
        ("Basic " + "A" * 2000, 401),
        (basic("Zoé"), 401),
        (basic(":"), 401),
        (basic("Zoé:"), 401),
        (basic(f":{PASSWORD}"), 401),
        (basic(f"Zoé:{PASSWORD}").replace("Basic", "Bearer"), 401),
        (basic(f"Zoé:{PASSWORD}") + ", " + basic(f"Zoé:{PASSWORD}"), 401),
    ],
)
def test_the_authorization_header_decides(files: WebFiles, authorization: str | None, status: int) -> None:
    security = WebSecurity(files.write(basic_auth_users={"Zoé": hashed()}))
    replied, headers, body = ask(security, authorization)
    assert replied == status
    assert body == (b"inside\n" if status == 200 else b"Unauthorized\n")
    assert ("www-authenticate" in headers) is (status == 401)


def test_a_long_password_is_read_whole(files: WebFiles) -> None:
    security = WebSecurity(files.write(basic_auth_users={"Zoé": hashed("p" * 72)}))
    assert ask(security, basic("Zoé:" + "p" * 2000))[0] == 200


def test_without_users_no_password_is_asked_for(files: WebFiles) -> None:
    assert ask(WebSecurity(files.write()), None)[0] == 200


def test_an_unanswered_login_is_dropped_when_its_client_disconnects(
    files: WebFiles, stuck: tuple[threading.Event, list[int]]
) -> None:
    released, running = stuck
    security = WebSecurity(files.write(basic_auth_users={"Zoé": hashed()}))

    async def run() -> None:
        middleware = SecurityMiddleware(application, security)
        busy = asyncio.create_task(request(middleware, basic("Zoé:first")))
        while not running:
            await asyncio.sleep(0)
        gone = asyncio.Event()
        waiting = asyncio.create_task(request(middleware, basic("Zoé:second"), gone))
        await asyncio.sleep(0)
        gone.set()
        assert (await waiting)[0] == 401  # sent to nobody
        released.set()
        assert (await busy)[0] == 200

    asyncio.run(run())
    assert len(running) == 1


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_turns_are_taken_by_address_or_ipv6_network(first: str, second: str, share: bool) -> None:
    scopes = [{"client": (host, 1)} for host in (first, second)]
    assert (len({auth.client_key(scope) for scope in scopes}) == 1) is share


@pytest.mark.parametrize("authorization", [None, basic(f"Zoé:{PASSWORD}")])
def test_configured_headers_replace_ours_in_every_reply(files: WebFiles, authorization: str | None) -> None:
    headers = {"X-Frame-Options": "deny", "Strict-Transport-Security": "max-age=1"}
    path = files.write(basic_auth_users={"Zoé": hashed()}, http_server_config={"headers": headers})
    _, replied, _ = ask(WebSecurity(path), authorization)
    assert replied["x-frame-options"] == "deny"
    assert replied["strict-transport-security"] == "max-age=1"
    assert replied["x-content-type-options"] == "nosniff"


def test_a_request_that_is_cancelled_when_its_turn_comes_does_not_keep_the_lock() -> None:
    async def test() -> None:
        lock = FairLock()
        await lock.acquire("a")
        waiting = asyncio.create_task(lock.acquire("b"))
        await asyncio.sleep(0)
        waiting.cancel()
        lock.release()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.wait_for(lock.acquire("c"), 1)

    asyncio.run(test())
