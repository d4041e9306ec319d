"""What a server may send in place of the documented reply, byte for byte, and what has to become of it.

Bad is what does not say beyond doubt what was sent and spent: what is not complete and valid HTTP, UTF-8 and JSON (a
byte order mark, a trailing comma, NaN and a key given twice included), is compressed though identity was asked for,
lacks a field that is used, has there what the field cannot be (a boolean for a number, a negative cost, a French
decimal, a thirteenth month), names a month twice or one that nobody asked for, does not say `"success": true`, takes
longer than the timeout, or is longer than years of days could be. One such entry spoils the reply: the last good
figures stay, and one line of the log says what was wrong.

Unusual is what says the same in other words: a byte order mark, gzip, a refund, any number of decimals, months whose
figures are both empty, odd fields beside a balance, numbers for numeric strings, `"9"` for `"09"`, fields and types
nobody documented, any order, any white space, fields missing that are not used, months to come, and whatever HTTP
allows to frame it with. It is accepted.
"""

import gzip
import json
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from exporter.model import Credits, MonthFigures, Query, Reason
from tests.stress import hostile_bodies
from tests.support.bodies import OCTOBER, me, october, october_without, statistics

STATUS_LINE = b"HTTP/1.1 200 OK\r\n"
ENDED = b"\r\n"
CHUNKED = STATUS_LINE + b"Transfer-Encoding: chunked\r\n\r\n"
TOO_LARGE = "the reply is larger than 512 KiB"
TOO_SHORT = "the reply ended before its announced length"
TOO_LATE = "no complete reply within the timeout"
NO_HTTP = "the reply is not valid HTTP: "
LONGEST_LINE = 450
"""Characters of the log."""
PAGE = b"<html><h1>No</h1></html>"
OCTOBER_FIGURES = {"2021-10": MonthFigures(49.174, 1210)}


@dataclass(frozen=True)
class Wire:
    """Bytes to send, bytes to send after them again and again with pauses (seconds), and what to do at the end."""

    first: bytes = b""
    again: bytes = b""
    pause: float = 0.0
    then: Literal["close", "reset", "silence"] = "close"

    def play(self, connection: socket.socket) -> None:
        """Send it to a client that has sent its request, until it closes the connection."""
        connection.sendall(self.first)
        while self.again:
            time.sleep(self.pause)
            connection.sendall(self.again)
        if self.then == "silence":
            while connection.recv(4096):
                pass
        elif self.then == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@dataclass(frozen=True)
class Bad:
    """A reply to a query that must be refused for a reason; `detail` is in the log."""

    wire: Wire
    reason: Reason
    detail: str
    query: Query = Query.STATISTICS


@dataclass(frozen=True)
class Unusual:
    """A reply that must be accepted, and the figures in it."""

    wire: Wire
    figures: Mapping[str, MonthFigures] | Credits

    @property
    def query(self) -> Query:
        return Query.CREDITS if isinstance(self.figures, Credits) else Query.STATISTICS


def http(body: bytes, status: str = "200 OK") -> Wire:
    """A complete reply. `status` may have headers behind it."""
    return Wire(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode("latin-1") + body)


def announced(length: str, body: bytes) -> Wire:
    return Wire(STATUS_LINE + f"Content-Length: {length}\r\n\r\n".encode() + body)


def refusal(**fields: object) -> bytes:
    return json.dumps({"success": False, **fields}).encode()


_SLOW = {
    "no reply": Wire(then="silence"),
    "drip of a status line": Wire(again=b"H", pause=0.05),
    "drip of a header": Wire(STATUS_LINE, b"X", 0.05),
    "drip of headers": Wire(STATUS_LINE, b"X: y\r\n", 0.05),
    "drip of 100 Continue": Wire(again=b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.05),
    "drip of a body": Wire(STATUS_LINE + b"Content-Length: 9999\r\n\r\n", b" ", 0.05),
    "drip of a body without a length": Wire(STATUS_LINE + ENDED, b" ", 0.05),
    "drip of chunks": Wire(CHUNKED, b"1\r\n \r\n", 0.05),
    "drip of trailers": Wire(CHUNKED + b"0\r\n", b"X: y\r\n", 0.05),
    "headers, then silence": Wire(STATUS_LINE + b"Content-Length: 99\r\n\r\n", then="silence"),
    "all but the last byte": Wire(http(october()).first[:-1], then="silence"),
    "all of it, and nobody says that it is all": Wire(STATUS_LINE + ENDED + october(), then="silence"),
}

_NO_CONNECTION = {
    "closed without a reply": (Wire(), "the connection was closed without a reply"),
    "reset without a reply": (Wire(then="reset"), "connection reset by peer"),
    "reset in the headers": (Wire(STATUS_LINE + b"X: ", then="reset"), "connection reset by peer"),
    "reset in the body": (Wire(http(october()).first[:-9], then="reset"), "connection reset by peer"),
}

_FRAMING = {
    "SSH": (Wire(b"SSH-2.0-OpenSSH_9.2\r\n"), NO_HTTP),
    "a TLS alert": (Wire(b"\x15\x03\x01\x00\x02\x02\x28"), NO_HTTP),
    "garbage": (Wire(b"\x00\xff" * 1000), NO_HTTP),
    "HTTP 0.9": (Wire(october()), NO_HTTP),
    "HTTP 2": (Wire(b"HTTP/2.0 200 OK\r\n\r\n" + october()), NO_HTTP),
    "a status in words": (Wire(b"HTTP/1.1 OK\r\n\r\n" + october()), NO_HTTP),
    "a status of two digits": (Wire(b"HTTP/1.1 20 OK\r\n\r\n" + october()), NO_HTTP),
    "a status of four digits": (Wire(b"HTTP/1.1 2000 OK\r\n\r\n" + october()), NO_HTTP),
    "endless status line": (Wire(b"HTTP/1.1 200 ", b"O" * 65536), NO_HTTP),
    "endless header": (Wire(STATUS_LINE, b"X" * 65536), NO_HTTP),
    "endless headers": (Wire(STATUS_LINE, b"X: y\r\n"), NO_HTTP),
    "long headers": (Wire(STATUS_LINE, b"X: " + b"y" * 60_000 + b"\r\n"), TOO_LARGE),
    "two lengths": (announced("5, 6", october()), NO_HTTP),
    "no chunk": (Wire(CHUNKED + b"xyz\r\n" + october()), TOO_SHORT),
    "closed in the headers": (Wire(STATUS_LINE + b"X: y\r\n"), "the reply is empty"),
    "endless body": (Wire(STATUS_LINE + ENDED, b" " * 65536), TOO_LARGE),
    "endless chunks": (Wire(CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n"), TOO_LARGE),
    "endless chunks of a byte": (Wire(CHUNKED, b"1\r\n \r\n" * 10_000), TOO_LARGE),
    "endless chunk of a negative length": (Wire(CHUNKED + b"-1\r\n", b" " * 65536), TOO_LARGE),
    "endless chunk of a huge length": (Wire(CHUNKED + b"F" * 99 + b"\r\n", b" " * 65536), TOO_LARGE),
    "endless extension of a chunk": (Wire(CHUNKED + b"1;", b"x" * 65536), NO_HTTP),
    "endless trailers": (Wire(CHUNKED + b"0\r\n", b"X: y\r\n" * 10_000), TOO_LARGE),
    "endless 100 Continue": (Wire(again=b"HTTP/1.1 100 Continue\r\n\r\n" * 3000), TOO_LARGE),
    "endless gzip": (Wire(STATUS_LINE + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(bytes(1 << 20)) * 64),
                     TOO_LARGE),
    "endless redirect": (Wire(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", b" " * 65536),
                         "HTTP 302: redirects are not followed"),
    "200 MB announced": (Wire(STATUS_LINE + b"Content-Length: 209715200\r\n\r\n", b" " * 65536), TOO_LARGE),
    "more announced than sent": (announced(str(10**18), october()), TOO_SHORT),
    "less announced than sent": (announced(str(len(october()) - 9), october()), "not JSON"),
    "nothing announced": (announced("0", october()), "the reply is empty"),
    "truncated": (Wire(http(october()).first[:-9]), TOO_SHORT),
    "truncated in a chunk": (Wire(CHUNKED + b"999\r\n" + october()), TOO_SHORT),
    "truncated between chunks": (Wire(CHUNKED + b"2\r\n{}\r\n"), TOO_SHORT),
    "two codings": (Wire(STATUS_LINE + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"), "not JSON"),
}  # fmt: skip

_STATUSES = {
    "101": ("101 Switching Protocols", october(), Reason.INVALID_REPLY, "HTTP 101"),
    "103": ("103 Early Hints", october(), Reason.INVALID_REPLY, "HTTP 103"),
    "202 with figures": ("202 Accepted", october(), Reason.INVALID_REPLY, "HTTP 202"),
    "204": ("204 No Content", b"", Reason.INVALID_REPLY, "HTTP 204, and the reply is empty"),
    "206 with figures": ("206 Partial Content", october(), Reason.INVALID_REPLY, "HTTP 206"),
    "redirect to itself": (
        "301 Moved\r\nLocation: /statistics/cost-resume",
        PAGE,
        Reason.INVALID_REPLY,
        "HTTP 301: redirects are not followed",
    ),
    "redirect to another host": (
        "307 Moved\r\nLocation: http://127.0.0.2:9/",
        b"",
        Reason.INVALID_REPLY,
        "HTTP 307: redirects are not followed",
    ),
    "redirect to a file": (
        "308 Moved\r\nLocation: file:///etc/passwd",
        b"",
        Reason.INVALID_REPLY,
        "HTTP 308: redirects are not followed",
    ),
    "304": ("304 Not Modified", b"", Reason.INVALID_REPLY, "HTTP 304"),
    "400 with a page": (
        "400 Bad Request",
        PAGE,
        Reason.INVALID_REPLY,
        "HTTP 400, and the reply is not JSON but HTML",
    ),
    "401 without a body": ("401 Unauthorized", b"", Reason.KEY_REJECTED, "HTTP 401"),
    "403 without a body": ("403 Forbidden", b" \r\n", Reason.ACCESS_DENIED, "HTTP 403"),
    "401 with a page": (
        "401 Unauthorized",
        PAGE,
        Reason.INVALID_REPLY,
        "HTTP 401, and the reply is not JSON but HTML or XML",
    ),
    "403 with a page": (
        "403 Forbidden",
        PAGE,
        Reason.INVALID_REPLY,
        "HTTP 403, and the reply is not JSON but HTML or XML",
    ),
    "403 with text": (
        "403 Forbidden",
        b"blocked",
        Reason.INVALID_REPLY,
        "HTTP 403, and the reply is not JSON",
    ),
    "403 compressed": (
        "403 Forbidden",
        gzip.compress(PAGE),
        Reason.INVALID_REPLY,
        "HTTP 403, and the reply is not JSON but HTML or XML",
    ),
    "401 with JSON of somebody else": (
        "401 Unauthorized",
        b'{"message": "Unauthorized"}',
        Reason.INVALID_REPLY,
        "HTTP 401, and the reply has neither success nor code",
    ),
    "401 with the API's JSON": ("401 Unauthorized", refusal(), Reason.KEY_REJECTED, "HTTP 401"),
    "403 with the API's JSON": (
        "403 Forbidden",
        refusal(message="No"),
        Reason.ACCESS_DENIED,
        "HTTP 403: No",
    ),
    "404 with figures": ("404 Not Found", october(), Reason.SERVER_ERROR, "HTTP 404"),
    "429 with a page": ("429 Too Many Requests\r\nRetry-After: -1", PAGE, Reason.RATE_LIMITED, "HTTP 429"),
    "500 with figures": ("500 Oops", october(), Reason.SERVER_ERROR, "HTTP 500"),
    "502 with a page": ("502 Bad Gateway", PAGE, Reason.SERVER_ERROR, "HTTP 502"),
    "503 compressed": ("503 Busy", gzip.compress(PAGE), Reason.SERVER_ERROR, "HTTP 503"),
    "999": ("999 What", b"", Reason.SERVER_ERROR, "HTTP 999"),
}

_CODES = {
    "code as a string": (
        refusal(code="10", message="Clé API incorrecte"),
        Reason.KEY_REJECTED,
        "code 10: Clé",
    ),
    "code beside success": (b'{"success": true, "code": 40, "datas": []}', Reason.ACCESS_DENIED, "code 40"),
    "code 96": (refusal(code=96), Reason.ACCESS_DENIED, "code 96"),
    "code 429": (refusal(code=429), Reason.RATE_LIMITED, "code 429"),
    "code nobody documented": (refusal(code=7), Reason.SERVER_ERROR, "code 7"),
    "failed without a code": (
        refusal(message="Panne"),
        Reason.SERVER_ERROR,
        "success is false, without a code: Panne",
    ),
    "field errors": (refusal(code=9, error=[{"message": "Non valide."}]), Reason.SERVER_ERROR, "Non valide."),
    "message of two lines": (
        refusal(code=9, message='x\nlevel=error\r\x1b[2J"'),
        Reason.SERVER_ERROR,
        "x?level=error",
    ),
    "message with half a character": (refusal(code=9, message="x\ud800"), Reason.SERVER_ERROR, "code 9: x?"),
    "message without end": (refusal(code=9, message="x" * 400_000), Reason.SERVER_ERROR, "code 9: xxx"),
}

_CREDITS = {
    "no reply": (Wire(then="silence"), Reason.TIMEOUT, TOO_LATE),
    "drip of a body": (_SLOW["drip of a body"], Reason.TIMEOUT, TOO_LATE),
    "endless body": (Wire(STATUS_LINE + ENDED, b" " * 65536), Reason.INVALID_REPLY, TOO_LARGE),
    "truncated": (Wire(http(me()).first[:-9]), Reason.INVALID_REPLY, TOO_SHORT),
    "reset in the body": (
        Wire(http(me()).first[:-9], then="reset"),
        Reason.UNREACHABLE,
        "connection reset by peer",
    ),
    "statistics": (http(october()), Reason.INVALID_REPLY, "credits: is missing"),
    "429": (http(PAGE, "429 Too Many Requests\r\nRetry-After: 1"), Reason.RATE_LIMITED, "HTTP 429"),
    "503": (http(PAGE, "503 Busy"), Reason.SERVER_ERROR, "HTTP 503"),
} | {
    name: (http(body), Reason.INVALID_REPLY, detail)
    for name, (body, detail) in hostile_bodies.CREDITS.items()
}

BAD: Mapping[str, Bad] = {
    **{name: Bad(wire, Reason.TIMEOUT, TOO_LATE) for name, wire in _SLOW.items()},
    **{name: Bad(wire, Reason.UNREACHABLE, detail) for name, (wire, detail) in _NO_CONNECTION.items()},
    **{name: Bad(wire, Reason.INVALID_REPLY, detail) for name, (wire, detail) in _FRAMING.items()},
    **{name: Bad(http(body, line), reason, said) for name, (line, body, reason, said) in _STATUSES.items()},
    **{name: Bad(http(body), reason, said) for name, (body, reason, said) in _CODES.items()},
    **{
        name: Bad(http(body), Reason.INVALID_REPLY, said)
        for name, (body, said) in hostile_bodies.STATISTICS.items()
    },
    **{f"credits: {name}": Bad(*bad, query=Query.CREDITS) for name, bad in _CREDITS.items()},
}

_CREDIT_KINDS = {"sms": 20, "sms_eco": 37, "hlr": 180}

UNUSUAL: Mapping[str, Unusual] = {
    **{
        name: Unusual(wire, OCTOBER_FIGURES)
        for name, wire in {
            "numbers for strings": http(october(year=2021, m=10, cost=49.174, nb_send=1210)),
            "decimals for integers": http(october(year=2021.0, m=10.0, nb_send=1210.0)),
            "fields nobody documented": http(october(unknown={"nested": [1, None, "x"]}, delivered="7")),
            "a month in French, without a date": http(october(month="octobre", date=None)),
            "type null": http(october(type=None)),
            "type nobody documented": http(october(type="fortnight")),
            "type missing": http(october_without("type")),
            "date missing": http(october_without("date")),
            "cost with zeros": http(october(cost="000049.174000")),
            "code as a string that says that all is fine": http(
                json.dumps({"datas": [OCTOBER], "success": True, "code": "200", "message": None}).encode()
            ),
            "a byte order mark": http(b"\xef\xbb\xbf" + october()),
            "gzip": http(gzip.compress(october())),
            "gzip, announced": http(gzip.compress(october()), "200 OK\r\nContent-Encoding: gzip"),
            "gzip, announced and not there": http(october(), "200 OK\r\nContent-Encoding: gzip"),
            "gzip of the largest reply": http(gzip.compress(october().ljust(512 << 10))),
            "a cost of very many digits in a string": http(october(cost="49.174" + "0" * 400_000)),
            "another month with neither cost nor SMS": http(
                statistics(OCTOBER | {"m": 9, "cost": None, "nb_send": None}, OCTOBER)
            ),
            "a day with neither cost nor SMS": http(
                statistics(OCTOBER | {"type": "day"}, OCTOBER | {"type": "day", "cost": "", "nb_send": None})
            ),
            "the same month once more, empty": http(
                statistics(OCTOBER, OCTOBER | {"cost": "", "nb_send": ""})
            ),
            "white space around it": http(b"\r\n\t" + october() + b"\n"),
            "a cost of very many digits": http(october().replace(b'"49.174"', b"49.174" + b"0" * 400_000)),
            "neither length nor chunks": Wire(STATUS_LINE + ENDED + october()),
            "a negative length": announced("-5", october()),
            "a length in words": announced("many", october()),
            "HTTP 1.0": Wire(b"HTTP/1.0 200 OK\r\n\r\n" + october()),
            "no reason phrase": Wire(b"HTTP/1.1 200\r\n\r\n" + october()),
            "line feeds alone": Wire(b"HTTP/1.1 200 OK\n\n" + october()),
            "100 Continue first": Wire(b"HTTP/1.1 100 Continue\r\n\r\n" * 9 + http(october()).first),
            "chunks of a byte, and trailers": Wire(
                CHUNKED + b"".join(b"1;x=y\r\n%c\r\n" % byte for byte in october()) + b"0\r\nX: y\r\n\r\n"
            ),
            "chunks and a length": Wire(
                STATUS_LINE
                + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
                % (len(october()), october())
            ),
            "more behind its length, and kept open": Wire(
                http(october()).first + b"HTTP/1.1 500 No\r\n\r\n", then="silence"
            ),
            "a header that is none": Wire(STATUS_LINE + b"nonsense\r\n\r\n" + october()),
            "strange headers": http(october(), "200 OK\r\nX: \x00\xff\r\n folded\r\nContent-Encoding: br"),
            "a page by its type": http(october(), "200 OK\r\nContent-Type: text/html; charset=utf-16"),
        }.items()
    },
    "m of one digit": Unusual(http(october(m="9")), {"2021-09": MonthFigures(49.174, 1210)}),
    "no months": Unusual(http(statistics()), {}),
    "nothing but a month without figures": Unusual(http(october(cost=None, nb_send=None)), {}),
    "a refund": Unusual(http(october(cost="-0.001", nb_send="0")), {"2021-10": MonthFigures(-0.001, 0)}),
    "a refund as a number": Unusual(http(october(cost=-2.5)), {"2021-10": MonthFigures(-2.5, 1210)}),
    "thirteen decimals": Unusual(
        http(october(cost="0.1234567890123")), {"2021-10": MonthFigures(0.1234567890123, 1210)}
    ),
    "a month without SMS": Unusual(http(october(cost="0.000", nb_send="0")), {"2021-10": MonthFigures(0, 0)}),
    **{
        f"credits: {name}": Unusual(http(body), figures)
        for name, (body, figures) in {
            "as documented": (me(), Credits(0.9, "EUR", _CREDIT_KINDS, 0)),
            "currency a symbol": (me(currency="€"), Credits(0.9, None, _CREDIT_KINDS, 0)),
            "currency with a label in it": (
                me(currency='EUR"} 1\nx{y="'),
                Credits(0.9, None, _CREDIT_KINDS, 0),
            ),
            "currency with half a character": (me(currency="EU\ud800"), Credits(0.9, None, _CREDIT_KINDS, 0)),
            "currency a number": (me(currency=978), Credits(0.9, None, _CREDIT_KINDS, 0)),
            "creditSms a fraction": (me(creditSms=0.5), Credits(0.9, "EUR", {"sms_eco": 37, "hlr": 180}, 0)),
            "creditSms text": (me(creditSms="many"), Credits(0.9, "EUR", {"sms_eco": 37, "hlr": 180}, 0)),
            "creditSmsECO true": (me(creditSmsECO=True), Credits(0.9, "EUR", {"sms": 20, "hlr": 180}, 0)),
            "creditSmsLowCost a list": (me(creditSmsLowCost=[]), Credits(0.9, "EUR", _CREDIT_KINDS, 0)),
            "creditHlr too long": (
                me(creditHlr="9" * 400),
                Credits(0.9, "EUR", {"sms": 20, "sms_eco": 37}, 0),
            ),
            "toSend negative": (me(toSend=-1), Credits(0.9, "EUR", _CREDIT_KINDS, None)),
            "balance of thirteen decimals": (
                me(balance="0.9000000000001"),
                Credits(0.9000000000001, "EUR", _CREDIT_KINDS, 0),
            ),
            "a debt": (me(balance=-12, toSend="5"), Credits(-12, "EUR", _CREDIT_KINDS, 5)),
            "balance null": (me(balance=None, solde="1.5"), Credits(1.5, "EUR", _CREDIT_KINDS, 0)),
            "another solde": (me(balance="2", solde="1.5"), Credits(2, "EUR", _CREDIT_KINDS, 0)),
            "no creditSms": (
                me().replace(b'"creditSms"', b'"x"'),
                Credits(0.9, "EUR", {"sms_eco": 37, "hlr": 180}, 0),
            ),
            "nothing but solde": (b'{"success": true, "credits": {"solde": 3}}', Credits(3, None, {}, None)),
            "nothing but a negative creditHlr": (
                b'{"success": true, "credits": {"creditHlr": "-2"}}',
                Credits(None, None, {"hlr": -2}, None),
            ),
        }.items()
    },
}
