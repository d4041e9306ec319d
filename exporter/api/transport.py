"""One HTTP exchange over the network that ends by its deadline, whatever the peer does.

requests bounds each socket operation, not the exchange, and reads as much as the peer likes to send. So each
exchange runs in a thread of its own that can be left behind, on a socket that can be cut off from outside.
Whatever goes wrong comes back as a Failure in words of our own: the texts of requests' exceptions quote the URL, and
the URL holds the key.
"""

import http.cookiejar
import logging
import re
import threading
import zlib
from collections.abc import Mapping
from concurrent.futures import Future
from email.utils import parsedate_to_datetime

import requests
import urllib3

from exporter import __version__
from exporter.api import environment
from exporter.api.envelope import RawReply
from exporter.api.errors import TOO_LATE, failure_of
from exporter.api.guarded_socket import MAX_REPLY, GuardedAdapter, GuardedSocket, current
from exporter.clock import Clock
from exporter.model import Failure, Reason

logger = logging.getLogger(__name__)

_CHUNK = 16 << 10
_GZIP = b"\x1f\x8b"


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Never follow: requests would even read the body of a redirect to its end."""


class Transport:
    """GET requests to one host and to no other: no redirects, no ``.netrc``, no cookies kept.

    A proxy from the environment is used for https alone: there it sees the host but not the key.
    """

    def __init__(self, base_url: str, clock: Clock) -> None:
        self._base_url = base_url
        self._clock = clock
        self._session = _Session()
        self._session.trust_env = False
        self._session.verify = environment.ca_path() or True
        self._session.proxies = dict(environment.proxies(base_url))
        self._session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.update(
            {
                "User-Agent": f"smspartner-exporter/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "Connection": "close",
            }
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, GuardedAdapter(max_retries=0))
        self._exchange: GuardedSocket | None = None
        self._unanswered: tuple[str, ...] = ()

    def get(self, path: str, parameters: Mapping[str, str], deadline: float) -> RawReply:
        """Return the reply, whatever its status, before `deadline` on the monotonic clock. Raises Failure."""
        remaining = deadline - self._clock.monotonic()
        if remaining <= 0:
            raise Failure(Reason.TIMEOUT, TOO_LATE)
        exchange = self._exchange = GuardedSocket(deadline, self._clock)
        outcome: Future[RawReply] = Future()
        thread = threading.Thread(
            target=self._run,
            args=(exchange, path, parameters, remaining, outcome),
            name="exchange",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError:
            raise Failure(
                Reason.UNREACHABLE, "this machine lets the exporter start no more threads"
            ) from None
        try:
            return outcome.result(timeout=remaining)
        except TimeoutError:
            raise Failure(Reason.TIMEOUT, TOO_LATE) from None
        finally:
            exchange.cut_off()
            thread.join(timeout=1)
            self._log_unanswered(exchange.unanswered)

    def _log_unanswered(self, addresses: tuple[str, ...]) -> None:
        """Log which addresses of the host do not answer, if they are others than the last time."""
        if addresses and addresses != self._unanswered:
            logger.warning(
                "the host has addresses that do not answer", extra={"addresses": ", ".join(addresses)}
            )
        self._unanswered = addresses

    def cut_off(self) -> None:
        """End the running exchange at once, from another thread."""
        if exchange := self._exchange:
            exchange.cut_off()

    def _run(
        self,
        exchange: GuardedSocket,
        path: str,
        parameters: Mapping[str, str],
        timeout: float,
        outcome: "Future[RawReply]",
    ) -> None:
        current.set(exchange)
        try:
            reply = self._exchange_once(path, parameters, timeout)
            exchange.check()  # a body without a length looks complete when it was cut off
            exchange.close()
            outcome.set_result(reply)
        except Failure as failure:
            outcome.set_exception(failure)
        except Exception as error:  # whatever it is, its text may hold the key
            ca_problem = environment.ca_problem(self._base_url)
            outcome.set_exception(
                Failure(Reason.UNREACHABLE, ca_problem)
                if ca_problem and not exchange.was_sent
                else failure_of(error, was_sent=exchange.was_sent)
            )
        finally:
            exchange.cut_off()

    def _exchange_once(self, path: str, parameters: Mapping[str, str], timeout: float) -> RawReply:
        with self._session.get(
            self._base_url + path,
            params=parameters,
            stream=True,
            allow_redirects=False,
            timeout=timeout,
        ) as response:
            if 300 <= response.status_code < 400:
                raise Failure(
                    Reason.INVALID_REPLY, f"HTTP {response.status_code}: redirects are not followed"
                )
            retry_after = parse_retry_after(response.headers.get("Retry-After", ""), self._clock.time())
            date = parse_date(response.headers.get("Date", ""))
            return RawReply(response.status_code, unpack(_read_body(response.raw)), retry_after, date)


def parse_retry_after(value: str, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for, given as such or as a date; None if it says nothing."""
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return float(value)
    date = parse_date(value)
    return None if date is None else max(0.0, date - now)


def parse_date(value: str) -> float | None:
    """Return the Unix time that a header names; None if it names none."""
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None


def unpack(body: bytes) -> bytes:
    """Return a gzip body decompressed, because some servers compress unasked. Return any other body as it is.

    Raises Failure if the content is larger than a reply may be.
    """
    if not body.startswith(_GZIP):
        return body
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        content = unpacker.decompress(body, MAX_REPLY + 1)
    except zlib.error:
        return body
    if len(content) > MAX_REPLY:
        raise Failure(Reason.INVALID_REPLY, f"the reply is larger than {MAX_REPLY >> 10} KiB")
    return content if unpacker.eof and not unpacker.unused_data else body


def _read_body(raw: urllib3.BaseHTTPResponse) -> bytes:
    body = bytearray()
    while chunk := raw.read(_CHUNK, decode_content=False):
        body += chunk
    return bytes(body)
