"""``python -m exporter.healthcheck``: whether the exporter in this container is healthy, where there is no curl.

It asks at the address that the container's first process was told to listen on, and imports little, because it runs
again and again within the container's memory. With ``--web.config.file``:

- The port itself says whether it speaks TLS: the file may have changed since the start. The certificate is not
  verified, for it stands for other names than loopback, and nothing secret is said.
- It has no password, and a refusal by name is health as well: it comes from the event loop that serves the metrics,
  and where polling ends, the process ends itself.
- It has no client certificate either. Where one is required, it is hung up on: what hangs does not hang up.
"""

import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

_WILDCARDS = {None: "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked up, not listened on
_WITHIN = 3.0
_REQUEST = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_REFUSAL = 'Basic realm="smspartner-exporter"'


class Target(NamedTuple):
    """Where the exporter can be reached from its own container, and whether a web configuration may close it."""

    host: str
    port: int
    has_web_config: bool = False


def target(command: Sequence[str]) -> Target:
    """Return what the exporter's command line says. An init process may stand before it."""
    flags = {"--web.listen-address": ":10035", "--web.config.file": ""}
    for word, following in pairwise([*command, ""]):
        name, equals, value = word.partition("=")
        if name in flags:
            flags[name] = value if equals else following
    parts = urlsplit(f"//{flags['--web.listen-address']}")
    host = _WILDCARDS.get(parts.hostname) or str(parts.hostname)
    return Target(host, parts.port or 0, bool(flags["--web.config.file"]))


def problem(to: Target, within: float = _WITHIN) -> str:
    """Return why the exporter is not healthy; empty where it is."""
    deadline = time.monotonic() + within
    try:
        reply = _ask(to, deadline, with_tls=False)
        if not reply and to.has_web_config:
            reply = _ask(to, deadline, with_tls=True)
            if not reply:
                return ""
    except OSError as error:
        return f"no answer on {to.host} port {to.port}: {error}"
    head, _, body = reply.decode("latin-1").partition("\r\n\r\n")
    status = head.split()[1:2]
    if status == ["200"] or (to.has_web_config and status == ["401"] and _REFUSAL in head):
        return ""
    return body.strip() or "not an HTTP answer that says healthy"


def _ask(to: Target, deadline: float, *, with_tls: bool) -> bytes:
    """Return the beginning of the answer; empty where the connection is closed without one."""
    with socket.create_connection(to[:2], _left(deadline)) as connection, suppress(ConnectionError):
        if with_tls:
            return _ask_with_tls(connection, deadline)
        connection.sendall(_REQUEST)
        return _receive(connection, deadline)
    return b""


def _ask_with_tls(connection: socket.socket, deadline: float) -> bytes:
    import ssl  # noqa: PLC0415 - costs memory, and only TLS needs it

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection.settimeout(_left(deadline))
    with suppress(ssl.SSLEOFError, ssl.SSLZeroReturnError), context.wrap_socket(connection) as encrypted:
        encrypted.sendall(_REQUEST)
        return _receive(encrypted, deadline)
    return b""


def _receive(connection: socket.socket, deadline: float) -> bytes:
    reply = b""
    while len(reply) < 4096:
        connection.settimeout(_left(deadline))
        if not (part := connection.recv(4096)):
            break
        reply += part
    return reply


def _left(deadline: float) -> float:
    if (seconds := deadline - time.monotonic()) > 0:
        return seconds
    raise TimeoutError("timed out")


def main() -> int:
    """Return the exit status: 0 healthy, 1 not."""
    command = Path("/proc/1/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    if reason := problem(target(command)):
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
