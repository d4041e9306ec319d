"""What can fail about a request that holds the key, and the peers that make it fail, echoing the key where they can."""

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

from exporter.model import Reason
from tests.stress.search import KEY, PARTS
from tests.support.peer import PEM, Behaviour, Peer, hang, over_tls, read_then, send
from tests.support.running import free_port

URL = f"https://api.example/v1/me?apiKey={quote_plus(KEY)}"


@dataclass
class Field:
    """Where an exporter fails: what it is given, and who hears of it."""

    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    others: list[Peer] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)
    """What reached those who are not the API."""

    def peer(self, behave: Behaviour, scheme: str = "http", host: str = "127.0.0.1") -> str:
        """Start somebody who listens. Return the base_url."""
        self.others.append(Peer(behave))
        return f"{scheme}://{host}:{self.others[-1].port}"

    def other(self, behave: Behaviour = lambda _: None, scheme: str = "http", host: str = "127.0.0.1") -> str:
        """Start somebody who must not get to know the key."""

        def listen(connection: socket.socket) -> None:
            self.heard.append(connection.recv(65536, socket.MSG_PEEK))
            behave(connection)

        return self.peer(listen, scheme, host)

    def configure(self, **values: object) -> Path:
        """Write the configuration, with the key in a file of its own."""
        (self.directory / "key").write_text(KEY)
        file = self.directory / "config.yaml"
        usual = {"api_key_file": "key", "current_month": False, "credits": False, "timeout": "2s"}
        file.write_text(json.dumps(usual | values))
        return file


def reply(body: str, status: str = "200 OK", *headers: str) -> Behaviour:
    """Answer a request."""
    head = "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: text/html", *headers])
    return read_then(send(f"{head}\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}".encode()))


def refusal(code: int, **why: object) -> Behaviour:
    return reply(json.dumps({"success": False, "code": code, **why}))


def figures(**entry: object) -> Behaviour:
    """Answer with an entry, and with something wrong in it."""
    entries = [{"year": "2026", "m": "10", "cost": "1.5", "nb_send": "3", **entry}]
    return reply(json.dumps({"success": True, "datas": entries}, ensure_ascii=False))


GOOD = figures()


def begin_and_hang(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 ")
    hang(connection)


def tunnel_to_plain_http(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    connection.recv(65536)
    connection.sendall(f"HTTP/1.1 400 {PARTS[0]}\r\n\r\n".encode())


ECHO = f"<h1>{KEY}</h1> {URL} {quote(quote(KEY, safe=''))} {json.dumps(KEY)}"
Setting = Callable[[Field], str]
"""Prepares a failure; returns the base_url."""


def api(behave: Behaviour) -> Setting:
    return lambda fire: fire.peer(behave)


def dns(fire: Field) -> str:
    return "https://no-such-host.invalid/v1"


def refused(fire: Field) -> str:
    return f"http://127.0.0.1:{free_port()}"


def self_signed(fire: Field) -> str:
    return fire.other(over_tls(hang), "https")


def wrong_name(fire: Field) -> str:
    fire.environment["REQUESTS_CA_BUNDLE"] = str(PEM)
    return fire.peer(over_tls(hang), "https", "localhost")


def plain_http_where_tls_is(fire: Field) -> str:
    return fire.other(send(f"HTTP/1.1 400 {PARTS[0]}\r\n\r\n".encode()), "https")


def proxy(behave: Behaviour) -> Setting:
    def prepare(fire: Field) -> str:
        fire.environment["HTTPS_PROXY"] = fire.other(behave)
        return "https://api.example/v1"

    return prepare


def no_proxy_there(fire: Field) -> str:
    fire.environment["HTTPS_PROXY"] = f"http://127.0.0.1:{free_port()}"
    return "https://api.example/v1"


def to_another_host(fire: Field) -> str:
    place = f"Location: {fire.other()}/?apiKey={quote(KEY)}"
    return fire.peer(reply(ECHO, "302 Found", place))


def down_to_http(fire: Field) -> str:
    fire.environment["REQUESTS_CA_BUNDLE"] = str(PEM)
    place = f"Location: {fire.other()}/v1/me?apiKey={quote(KEY)}"
    return fire.peer(
        over_tls(reply(ECHO, "301 Moved Permanently", place, f"Set-Cookie: {quote(KEY)}")), "https"
    )


FAILURES: Mapping[str, tuple[Reason, Setting]] = {
    "rejected": (Reason.KEY_REJECTED, api(refusal(10, message=ECHO))),
    "a page under 401": (Reason.INVALID_REPLY, api(reply(ECHO, "401 Unauthorized"))),
    "denied": (Reason.ACCESS_DENIED, api(refusal(96, error=[{"elementId": KEY, "message": URL}]))),
    "limited": (Reason.RATE_LIMITED, api(reply(ECHO, "429 No", f"Retry-After: {quote(KEY)}"))),
    "an unknown code": (Reason.SERVER_ERROR, api(refusal(555, message=f"{'x' * 100}{KEY}"))),
    "a server's error": (Reason.SERVER_ERROR, api(reply(ECHO, f"500 {quote(KEY)}"))),
    "no reply": (Reason.TIMEOUT, api(hang)),
    "half a reply": (Reason.TIMEOUT, api(read_then(begin_and_hang))),
    "closed": (Reason.UNREACHABLE, api(read_then(send()))),
    "no JSON": (Reason.INVALID_REPLY, api(reply(ECHO))),
    "no HTTP": (Reason.INVALID_REPLY, api(read_then(send(f"{ECHO}\r\n\r\n".encode())))),
    "no length": (Reason.INVALID_REPLY, api(reply(ECHO, "200 OK", "Transfer-Encoding: chunked"))),
    "the key as a year": (Reason.INVALID_REPLY, api(figures(year=KEY))),
    "the key as a cost": (Reason.INVALID_REPLY, api(figures(cost=KEY))),
    "the key as a field": (Reason.INVALID_REPLY, api(figures(**{KEY: 1, "m": None}))),
    "the key as a code": (Reason.INVALID_REPLY, api(reply(json.dumps({"success": True, "code": KEY})))),
    "no such host": (Reason.UNREACHABLE, dns),
    "nobody listens": (Reason.UNREACHABLE, refused),
    "a certificate nobody signed": (Reason.UNREACHABLE, self_signed),
    "a certificate of another host": (Reason.UNREACHABLE, wrong_name),
    "no TLS": (Reason.UNREACHABLE, plain_http_where_tls_is),
    "no proxy": (Reason.UNREACHABLE, no_proxy_there),
    "a proxy that refuses": (
        Reason.UNREACHABLE,
        proxy(send(f"HTTP/1.1 407 {PARTS[0]}\r\nContent-Length: 0\r\n\r\n".encode())),
    ),
    "a proxy that is none": (Reason.UNREACHABLE, proxy(send(b"\x00\xff" * 99))),
    "a proxy without TLS behind": (
        Reason.UNREACHABLE,
        proxy(tunnel_to_plain_http),
    ),
    "redirected to another host": (Reason.INVALID_REPLY, to_another_host),
    "redirected from https to http": (Reason.INVALID_REPLY, down_to_http),
}


UNUSABLE = {
    "no YAML": f'api_key: "{KEY}',
    "no quotes": f"api_key: {{{KEY}",
    "an unknown key": json.dumps({KEY: 1}),
    "a key twice": f"{json.dumps(KEY)}: 1\n{json.dumps(KEY)}: 1\n",
    "white space": json.dumps({"api_key": f"{KEY} {KEY}"}),
    "a list": json.dumps({"api_key": [KEY]}),
    "the key as its file": json.dumps({"api_key_file": KEY}),
    "the key as a path": json.dumps({"api_key_file": f"/{KEY}"}),
    "the key in the URL": json.dumps({"api_key": KEY, "base_url": f"https://x:{KEY}@api.example/"}),
    "the key in the query": json.dumps({"api_key": KEY, "base_url": f"https://api.example/?{quote(KEY)}"}),
    "the key as an interval": json.dumps({"api_key": KEY, "poll_interval": KEY}),
    "the key as a range": json.dumps({"api_key": KEY, "statistics": {"from": KEY}}),
    "the key as an account": json.dumps({"accounts": [KEY]}),
}
