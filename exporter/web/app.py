"""The HTTP side: an ASGI application of a handful of fixed paths. Nothing here ever leads to a request to the API."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

from exporter.metrics.exposition import Exposition
from exporter.metrics.negotiation import negotiate
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
    health_problem: Callable[[], str | None]
    """Why the process cannot work any more; None if it can."""
    not_ready_reason: Callable[[], str | None]
    """What is still missing; None once every account has figures."""
    reload: Callable[[], str | None]
    """Read the configuration again; return what is wrong with it, or None."""


class Application:
    """The exporter's ASGI application."""

    def __init__(self, pages: Pages, telemetry_path: str) -> None:
        self._pages = pages
        readable: dict[str, Callable[[Scope], Response]] = {
            "/": self._status_page,
            SCRIPT_PATH: lambda _: Response(200, SCRIPT, _JAVASCRIPT),
            "/-/healthy": lambda _: _verdict("healthy", pages.health_problem()),
            "/-/ready": lambda _: _verdict("ready", pages.not_ready_reason()),
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

    def _metrics(self, scope: Scope) -> Response:
        form = negotiate(header(scope, b"accept"), header(scope, b"accept-encoding"))
        vary = ("vary", "Accept, Accept-Encoding")
        if form is None:
            return Response(406, b"Not Acceptable\n", headers=(vary,))
        encoding = (("content-encoding", "gzip"),) if form.compressed else ()
        return Response(200, self._pages.exposition.render(form), form.content_type, (vary, *encoding))

    def _status_page(self, scope: Scope) -> Response:
        query = scope.get("query_string", b"")[:_MAX_QUERY].decode("latin-1")
        account = parse_qs(query).get("account", [None])[0]
        page = self._pages.status_page(account).encode()
        return Response(200, page, _HTML, (("content-security-policy", CONTENT_SECURITY_POLICY),))

    def _reload(self, scope: Scope) -> Response:
        if _is_cross_site(scope):
            return Response(403, b"Forbidden: a page of another site sends this request\n")
        problem = self._pages.reload()
        if problem is None:
            return Response(200, b"reloaded\n")
        return Response(500, f"{problem}\n".encode())


async def send_reply(reply: Response, scope: Scope, send: Send) -> None:
    """Send a reply to a request."""
    body = b"" if scope["method"] == "HEAD" else reply.body
    await send({"type": "http.response.start", "status": reply.status, "headers": _headers(reply)})
    await send({"type": "http.response.body", "body": body})


def _headers(reply: Response) -> list[tuple[bytes, bytes]]:
    headers = (
        ("content-type", reply.content_type),
        ("content-length", str(len(reply.body))),
        ("date", formatdate(usegmt=True)),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        *reply.headers,
    )
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _is_cross_site(scope: Scope) -> bool:
    """Say whether a page of another site sends a request, as browsers tell. Other clients tell nothing."""
    if site := header(scope, b"sec-fetch-site"):
        return site not in {"same-origin", "none"}
    origin = header(scope, b"origin")
    return bool(origin) and origin.partition("://")[2] != header(scope, b"host")


def _verdict(state: str, problem: str | None) -> Response:
    if problem is None:
        return Response(200, f"{state}\n".encode())
    return Response(503, f"not {state}: {problem}\n".encode())


def header(scope: Scope, name: bytes) -> str:
    """Return a request's header, cut at a length that no sensible one has; empty if it is missing."""
    values = [value for key, value in scope["headers"] if key == name]
    return b",".join(values)[:_MAX_HEADER].decode("latin-1")
