"""The HTTP side: an ASGI application of a handful of fixed paths. Nothing here ever leads to a request to the API."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from exporter.metrics.exposition import Exposition, Page, Variant, variant
from exporter.status_page.assets import CONTENT_SECURITY_POLICY, SCRIPT, SCRIPT_PATH

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]

_TEXT = "text/plain; charset=utf-8"
_HTML = "text/html; charset=utf-8"
_JAVASCRIPT = "text/javascript; charset=utf-8"
_MAX_HEADER = 1024
_MAX_QUERY = 8192


@dataclass(frozen=True)
class Response:
    """One HTTP reply."""

    status: int
    body: bytes
    content_type: str = _TEXT
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Pages:
    """What the application shows and does. Each is asked anew for every request."""

    exposition: Exposition
    status_page: Callable[[str | None], str]
    """The page for people, given the account that the address asks for."""
    healthy: Callable[[], str]
    """Why the process cannot work any more; empty while it can."""
    ready: Callable[[], str]
    """What is still missing; empty once every account has figures."""
    reload: Callable[[], str]
    """Read the configuration again; return what is wrong with it, or nothing."""


class Application:
    """The exporter's ASGI application."""

    def __init__(self, pages: Pages, telemetry_path: str) -> None:
        self._pages = pages
        self._telemetry_path = telemetry_path
        readable: dict[str, Callable[[Scope], Response]] = {
            "/": self._status_page,
            SCRIPT_PATH: lambda _: Response(200, SCRIPT, _JAVASCRIPT),
            "/-/healthy": lambda _: _verdict("healthy", pages.healthy()),
            "/-/ready": lambda _: _verdict("ready", pages.ready()),
        }
        self._routes = {path: {"GET": page, "HEAD": page} for path, page in readable.items()}
        self._routes["/-/reload"] = {"POST": self._reload}
        self._routes[telemetry_path] = {"GET": self._metrics, "HEAD": self._metrics}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        await send_reply(self.answer(scope), scope, send)

    def answer(self, scope: Scope) -> Response:
        """Return the reply to a request."""
        methods = self._routes.get(scope["path"])
        if methods is None:
            return Response(404, b"Not Found\n")
        handler = methods.get(scope["method"])
        if handler is None:
            return Response(405, b"Method Not Allowed\n", headers=(("allow", ", ".join(methods)),))
        return handler(scope)

    def variant(self, scope: Scope) -> Variant | None:
        """Return the form in which a request asks for the metrics; None where it asks for something else."""
        if (scope["method"], scope["path"]) != ("GET", self._telemetry_path):
            return None
        return _variant(scope)

    def page(self, variant: Variant) -> Page:
        """Return the metrics in one of their forms."""
        return self._pages.exposition.page(variant)

    def _metrics(self, scope: Scope) -> Response:
        return reply_with(self.page(_variant(scope)))

    def _status_page(self, scope: Scope) -> Response:
        query = scope.get("query_string", b"")[:_MAX_QUERY].decode("latin-1")
        account = parse_qs(query).get("account", [None])[0]
        page = self._pages.status_page(account).encode()
        return Response(200, page, _HTML, (("content-security-policy", CONTENT_SECURITY_POLICY),))

    def _reload(self, _: Scope) -> Response:
        problem = self._pages.reload()
        return Response(500, f"{problem}\n".encode()) if problem else Response(200, b"reloaded\n")


def reply_with(page: Page) -> Response:
    """Return the reply to a scrape."""
    encoding = (("content-encoding", "gzip"),) if page.compressed else ()
    return Response(200, page.body, page.content_type, (("vary", "Accept, Accept-Encoding"), *encoding))


async def send_reply(reply: Response, scope: Scope, send: Send) -> None:
    """Send a reply to a request."""
    body = b"" if scope["method"] == "HEAD" else reply.body
    await send({"type": "http.response.start", "status": reply.status, "headers": _headers(reply)})
    await send({"type": "http.response.body", "body": body})


def encode_reply(reply: Response) -> bytes:
    """Return a reply as HTTP/1.1 writes it on a connection that stays open."""
    status = HTTPStatus(reply.status)
    head = b"".join(b"%b: %b\r\n" % one for one in _headers(reply))
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, status.phrase.encode(), head, reply.body)


def _headers(reply: Response) -> list[tuple[bytes, bytes]]:
    headers = (
        ("content-type", reply.content_type),
        ("content-length", str(len(reply.body))),
        ("date", formatdate(usegmt=True)),
        ("x-content-type-options", "nosniff"),
        *reply.headers,
    )
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _verdict(state: str, problem: str) -> Response:
    return (
        Response(503, f"not {state}: {problem}\n".encode())
        if problem
        else Response(200, f"{state}\n".encode())
    )


def header(scope: Scope, name: bytes) -> str:
    """Return a request's header, cut where nothing sensible is that long; empty where it is not there."""
    values = [value for key, value in scope["headers"] if key == name]
    return b",".join(values)[:_MAX_HEADER].decode("latin-1")


def _variant(scope: Scope) -> Variant:
    return variant(header(scope, b"accept"), _accepts_gzip(header(scope, b"accept-encoding")))


def _accepts_gzip(accept_encoding: str) -> bool:
    for offer in accept_encoding.lower().split(","):
        coding, _, quality = offer.partition(";")
        if coding.strip() == "gzip":
            return quality.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
