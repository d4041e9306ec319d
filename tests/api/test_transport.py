"""One exchange: what is sent, and how it ends whatever the peer does."""

import gzip
import re
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest
import responses
from hypothesis import given
from hypothesis import strategies as st

from exporter.api.envelope import RawReply
from exporter.api.guarded_socket import MAX_REPLY
from exporter.api.transport import Transport, parse_retry_after, unpack
from exporter.clock import SystemClock
from exporter.model import Failure, Reason
from tests.support.fakes import START, FakeClock
from tests.support.peer import PEM, Behaviour, Peer, hang, over_tls, read_then, resources, send
from tests.support.running import eventually, free_port
from tests.support.simulator import MisbehavingSimulator, served

KEY = "S3CR+T/key"
IN_URL = "S3CR%2BT%2Fkey"
BASE = "http://api.example/v1"
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

TCP_CLOSE, TCP_CLOSE_WAIT = 7, 8
"""What the kernel calls a connection that was reset, and one that the peer closed."""

MakePeer = Callable[[Behaviour], Peer]


@pytest.fixture
def bare_peer(nothing_left: None) -> Iterator[MakePeer]:
    """Start peers that get the connection as it is."""
    peers: list[Peer] = []

    def start(behave: Behaviour) -> Peer:
        peers.append(Peer(behave))
        return peers[-1]

    yield start
    for peer in peers:
        peer.end()


@pytest.fixture
def peer(bare_peer: MakePeer) -> MakePeer:
    """Start peers that read the request first."""

    def start(behave: Behaviour) -> Peer:
        def read_first(connection: socket.socket) -> None:
            started.read_request(connection)
            behave(connection)

        started = bare_peer(read_first)
        return started

    return start


def send_for_ever(head: bytes, part: bytes, pause: float = 0) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(part)
            time.sleep(pause)

    return behave


def get(url: str, within: float = 10.0) -> RawReply:
    clock = SystemClock()
    return Transport(url, clock).get("/me", {"apiKey": KEY}, clock.monotonic() + within)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__


def check_no_key(failure: Failure) -> Failure:
    shown = " ".join(f"{error!r} {error}" for error in chain(failure))
    assert KEY not in shown
    assert IN_URL not in shown
    assert failure.detail.isprintable()
    return failure


def failing(url: str, within: float = 10.0) -> Failure:
    started = time.monotonic()
    with pytest.raises(Failure) as caught:
        get(url, within)
    assert time.monotonic() - started < within + 5
    return check_no_key(caught.value)


# --- replies


@pytest.fixture
def api() -> Iterator[responses.RequestsMock]:
    """The API without a network."""
    with responses.RequestsMock() as mock:
        yield mock


def exchange() -> RawReply:
    clock = FakeClock()
    return Transport(BASE, clock).get("/me", {"apiKey": KEY, "from": "01-10-2021"}, clock.monotonic() + 30)


def test_the_query_travels_in_the_url(api: responses.RequestsMock) -> None:
    asked = responses.matchers.query_param_matcher({"apiKey": KEY, "from": "01-10-2021"})
    api.get(f"{BASE}/me", body=b"{}", match=[asked])
    assert exchange() == RawReply(200, b"{}", None)
    assert f"apiKey={IN_URL}&" in str(api.calls[0].request.url)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500, 503])
def test_every_status_comes_with_its_body(api: responses.RequestsMock, status: int) -> None:
    api.get(f"{BASE}/me", status=status, body="<h1>Désolé</h1>", content_type="text/html")
    assert exchange() == RawReply(status, "<h1>Désolé</h1>".encode(), None)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("90", 90),
        (" 90 ", 90),
        ("0", 0),
        (format_datetime(datetime.fromtimestamp(START + 120, UTC), usegmt=True), 120),
        (format_datetime(datetime.fromtimestamp(START - 120, UTC), usegmt=True), 0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("9" * 400, None),
        ("\uff19", None),
    ],
)
def test_how_long_to_wait(api: responses.RequestsMock, header: str, seconds: float | None) -> None:
    api.get(f"{BASE}/me", status=429, headers={"Retry-After": header})
    assert exchange().retry_after == seconds


@given(
    st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ [\d:]+ (GMT|[+-]\d+)", fullmatch=True)
)
def test_any_text_may_stand_in_retry_after(value: str) -> None:
    seconds = parse_retry_after(value, START)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("header", "date"),
    [("Mon, 23 Nov 2026 11:00:00 GMT", START), ("", None), ("yesterday", None), ("Mon, 99 Nov 2026", None)],
)
def test_the_date_of_a_reply_is_passed_on(
    api: responses.RequestsMock, header: str, date: float | None
) -> None:
    api.get(f"{BASE}/me", headers={"Date": header})
    assert exchange().date == date


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_redirects_are_not_followed(api: responses.RequestsMock, status: int) -> None:
    api.get(f"{BASE}/me", status=status, headers={"Location": f"http://elsewhere.example/?apiKey={IN_URL}"})
    with pytest.raises(Failure) as caught:
        exchange()
    assert check_no_key(caught.value).reason is Reason.INVALID_REPLY
    assert caught.value.detail == f"HTTP {status}: redirects are not followed"
    assert len(api.calls) == 1


# --- what is sent


def test_the_request(peer: MakePeer) -> None:
    server = peer(send(REPLY))
    assert get(server.url) == RawReply(200, b"{}")
    line, *headers = server.requests[0].rstrip("\r\n").split("\r\n")
    assert line == f"GET /me?apiKey={IN_URL} HTTP/1.1"
    assert sorted(headers)[0:4] == [
        "Accept-Encoding: identity",
        "Accept: application/json",
        "Connection: close",
        f"Host: 127.0.0.1:{server.port}",
    ]
    assert re.fullmatch(r"User-Agent: smspartner-exporter/\S+", sorted(headers)[4])
    assert len(headers) == 5


def test_nothing_of_the_environment_is_sent(
    peer: MakePeer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    proxy = peer(send(REPLY))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    monkeypatch.delenv("no_proxy", raising=False)
    server = peer(send(REPLY.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b; Path=/\r\n\r\n")))
    clock = SystemClock()
    transport = Transport(server.url, clock)
    for _ in range(2):
        transport.get("/me", {"apiKey": KEY}, clock.monotonic() + 10)
    assert len(server.requests) == len(server.connections) == 2
    assert not proxy.connections
    for request in server.requests:
        assert not re.search("(?i)cookie|authorization", request)


def test_a_proxy_for_https_sees_the_host_and_not_the_key(
    peer: MakePeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = peer(send(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    failure = failing("https://api.example/v1")
    assert failure.reason is Reason.UNREACHABLE
    assert failure.detail == "the proxy: HTTP 407 Proxy Authentication Required"
    assert proxy.requests[0].startswith("CONNECT api.example:443 HTTP/1.")
    assert IN_URL not in proxy.requests[0]


def test_a_connection_that_the_server_keeps_open_is_not_used_again(bare_peer: MakePeer) -> None:
    def answer_and_stay(connection: socket.socket) -> None:
        while True:
            server.read_request(connection)
            connection.sendall(REPLY)

    server = bare_peer(answer_and_stay)
    clock = SystemClock()
    transport = Transport(server.url, clock)
    before = resources()
    for _ in range(3):
        assert transport.get("/me", {}, clock.monotonic() + 10).body == b"{}"
    assert len(server.connections) == 3
    eventually(lambda: resources()[0] == before[0])


# --- unusual replies

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "head", [b"Content-Length: %d\r\n", b"X: %d\r\n", b"Transfer-Encoding: chunked\r\nX: %d\r\n"]
)
@pytest.mark.parametrize("more", [0, 1])
def test_the_largest_reply(peer: MakePeer, head: bytes, more: int) -> None:
    size = MAX_REPLY - 100
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (size, bytes(size)) if b"chunked" in head else bytes(size)
    begun = HEAD + head % size
    padding = MAX_REPLY + more - len(begun) - len(b"Y: \r\n\r\n") - len(sent)
    server = peer(send(begun, b"Y: ", b"y" * padding, b"\r\n\r\n", sent))
    if more:
        assert failing(server.url).detail == "the reply is larger than 512 KiB"
    else:
        assert get(server.url).body == bytes(size)


@pytest.mark.parametrize("header", ["Content-Encoding: gzip\r\n", ""])
def test_a_body_that_is_compressed_unasked_is_unpacked(peer: MakePeer, header: str) -> None:
    packed = gzip.compress(b"{}")
    head = f"HTTP/1.1 200 OK\r\n{header}Content-Length: {len(packed)}\r\n\r\n".encode()
    assert get(peer(send(head + packed)).url).body == b"{}"


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", gzip.compress(b"{}")[:-1], gzip.compress(b"{}") * 2, b"\x1f\x8b"],
    ids=["empty", "plain", "truncated", "two", "begun"],
)
def test_a_body_that_is_not_one_whole_gzip_stays_as_it_is(body: bytes) -> None:
    assert unpack(body) == body


def test_a_gzip_bomb_is_unpacked_no_further_than_a_reply_may_be() -> None:
    assert len(unpack(gzip.compress(bytes(MAX_REPLY)))) == MAX_REPLY
    bomb = gzip.compress(bytes(64 << 20))
    tracemalloc.start()
    with pytest.raises(Failure, match="larger than 512 KiB"):
        unpack(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * MAX_REPLY


@pytest.mark.parametrize("status", [401, 403, 429])
def test_a_page_comes_with_its_status(peer: MakePeer, status: int) -> None:
    server = peer(send(f"HTTP/1.1 {status} No\r\nRetry-After: 70\r\n\r\n<h1>No</h1>".encode()))
    assert get(server.url) == RawReply(status, b"<h1>No</h1>", 70)


def test_nobody_listens(nothing_left: None) -> None:
    failure = failing(f"http://127.0.0.1:{free_port()}")
    assert (failure.reason, failure.detail) == (Reason.UNREACHABLE, "connection refused")


def test_a_machine_that_starts_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    failure = failing("http://127.0.0.1:9")
    assert failure.reason is Reason.UNREACHABLE
    assert failure.detail == "this machine lets the exporter start no more threads"


@pytest.mark.parametrize("host", ["a..example", "." * 3, "a" * 64 + ".example"])
def test_no_name_of_a_host(nothing_left: None, host: str) -> None:
    assert failing(f"http://{host}/v1").reason is Reason.UNREACHABLE


# --- TLS


def secured(server: Peer, host: str = "127.0.0.1") -> str:
    return f"https://{host}:{server.port}"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_reply_over_tls(bare_peer: MakePeer, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv(variable, str(PEM))
    server = bare_peer(over_tls(read_then(send(REPLY))))
    assert get(secured(server)) == RawReply(200, b"{}")


def test_the_deadline_holds_over_tls(bare_peer: MakePeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(PEM))
    server = bare_peer(over_tls(read_then(send_for_ever(HEAD + b"\r\n", b" ", 0.02))))
    assert failing(secured(server), within=0.5).reason is Reason.TIMEOUT


def test_a_certificate_nobody_signed(bare_peer: MakePeer, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(variable, raising=False)
    failure = failing(secured(bare_peer(over_tls(hang))))
    assert failure.reason is Reason.UNREACHABLE
    assert failure.detail.startswith("TLS: the certificate is not trusted: self-signed certificate")


def test_a_certificate_for_another_host(bare_peer: MakePeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(PEM))
    failure = failing(secured(bare_peer(over_tls(hang)), "localhost"))
    assert failure.reason is Reason.UNREACHABLE
    assert failure.detail.startswith("TLS: the certificate is not trusted: Hostname mismatch")


def test_a_reply_over_tls_through_a_proxy(bare_peer: MakePeer, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(connection: socket.socket) -> None:
        proxy.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n")
        over_tls(read_then(send(REPLY)))(connection)

    proxy = bare_peer(connect)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(PEM))
    assert get("https://127.0.0.1:9") == RawReply(200, b"{}")
    assert [request.split()[:2] for request in proxy.requests] == [["CONNECT", "127.0.0.1:9"]]


@pytest.mark.parametrize(
    "behave",
    [send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), read_then(send(b"\x00" * 99)), read_then(send())],
    ids=["http", "zeros", "closed"],
)
def test_a_peer_without_tls(bare_peer: MakePeer, behave: Behaviour) -> None:
    failure = failing(secured(bare_peer(behave)))
    assert failure.reason is Reason.UNREACHABLE
    assert failure.detail.startswith("TLS: ") or failure.detail == "connection reset by peer"


def test_a_handshake_that_hangs(bare_peer: MakePeer) -> None:
    assert failing(secured(bare_peer(hang)), within=0.3).reason is Reason.TIMEOUT


# --- the end of an exchange


def test_cut_off_from_another_thread(peer: MakePeer) -> None:
    clock = SystemClock()
    server = peer(hang)
    transport = Transport(server.url, clock)

    def cut_off() -> None:
        eventually(lambda: server.requests)
        transport.cut_off()

    thread = threading.Thread(target=cut_off)
    thread.start()
    started = time.monotonic()
    with pytest.raises(Failure) as caught:
        transport.get("/me", {"apiKey": KEY}, clock.monotonic() + 60)
    assert time.monotonic() - started < 30
    check_no_key(caught.value)
    thread.join()


class CuttingClock(SystemClock):
    """Cuts the exchange off when it looks at the wall clock: between the headers and the body of the reply."""

    transport: Transport

    def time(self) -> float:
        self.transport.cut_off()
        return super().time()


def test_half_a_body_is_no_reply(peer: MakePeer) -> None:
    def answer_and_stay(connection: socket.socket) -> None:
        connection.sendall(HEAD + b'\r\n{"success": true, "datas": []}')
        hang(connection)

    clock = CuttingClock()
    server = peer(answer_and_stay)
    clock.transport = Transport(server.url, clock)
    with pytest.raises(Failure):
        clock.transport.get("/me", {"apiKey": KEY}, clock.monotonic() + 60)


def test_nothing_to_cut_off() -> None:
    Transport(BASE, SystemClock()).cut_off()


def test_a_transport_goes_on_after_it_was_cut_off(peer: MakePeer) -> None:
    clock = SystemClock()
    transport = Transport(peer(send(REPLY)).url, clock)
    transport.cut_off()
    for _ in range(2):
        assert transport.get("/me", {}, clock.monotonic() + 10).body == b"{}"
        transport.cut_off()


def tcp_state(connection: socket.socket) -> int:
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def test_a_request_that_was_given_up_cannot_arrive_later(bare_peer: MakePeer) -> None:
    over = threading.Event()
    server = bare_peer(lambda _: over.wait())
    try:
        assert failing(server.url, within=0.3).reason is Reason.TIMEOUT
        (connection,) = server.connections
        eventually(lambda: tcp_state(connection) == TCP_CLOSE)
    finally:
        over.set()


def test_an_exchange_that_succeeded_ends_in_good_order(peer: MakePeer) -> None:
    def answer_and_stay(connection: socket.socket) -> None:
        connection.sendall(REPLY)
        over.wait()

    over = threading.Event()
    server = peer(answer_and_stay)
    try:
        for _ in range(5):
            assert get(server.url).body == b"{}"
        eventually(
            lambda: [tcp_state(connection) for connection in server.connections] == [TCP_CLOSE_WAIT] * 5
        )
    finally:
        over.set()


@pytest.mark.parametrize("late", [0.0, -1.0, -1e9])
def test_nothing_is_sent_after_the_deadline(peer: MakePeer, late: float) -> None:
    server = peer(send(REPLY))
    with pytest.raises(Failure, match="timeout"):
        get(server.url, within=late)
    assert not server.connections


class StoppedClock(SystemClock):
    """Time as a process sees it that is stopped for a minute after its first look at the clock."""

    def __init__(self) -> None:
        self.looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return time.monotonic() + (60 if self.looks > 1 else 0)


def test_nothing_is_sent_where_the_deadline_passed_while_connecting(peer: MakePeer) -> None:
    server = peer(send(REPLY))
    with pytest.raises(Failure) as caught:
        Transport(server.url, StoppedClock()).get("/me", {"apiKey": KEY}, time.monotonic() + 30)
    assert caught.value.reason is Reason.TIMEOUT
    eventually(lambda: server.connections)
    assert not server.requests


def test_the_simulated_api(nothing_left: None) -> None:
    simulator = MisbehavingSimulator()
    with served(simulator) as server:
        reply = get(server.base_url)
        assert reply.status == 200
        assert reply.body.startswith(b'{"success": true')
        simulator.order(misbehave="hang")
        assert failing(server.base_url, within=0.3).reason is Reason.TIMEOUT
