"""``python -m exporter.healthcheck``: whether the exporter in this container is healthy. The image has no curl.

It asks at the address in the command line of the container's first process. It imports little, because it runs every
half minute within the container's memory. With ``--web.config.file``:

- It tries plain HTTP first and TLS second, because the file may have changed since the exporter read it. It does not
  verify the certificate: that is for other names than loopback, and the request holds no secret.
- It has no password. A 401 or a rejected handshake counts as healthy; a timeout does not. The 401 comes from the same
  event loop as the metrics, and if polling ends, the process ends itself.
- It has no client certificate. If one is required, the server closes the connection, which proves that it runs.
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

_WILDCARDS = {None: "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - only compared
_TIMEOUT = 3.0
_REQUEST = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_NOT_PLAIN_HTTP = b"HTTP/1.0 400 "  # what the exporter says to plain HTTP on its TLS port
_REFUSAL = 'Basic realm="smspartner-exporter"'


class Target(NamedTuple):
    """Where the exporter listens, seen from its own container, and whether TLS or a login may be required there."""

    host: str
    port: int
    has_web_config: bool = False


def target(command: Sequence[str]) -> Target:
    """Return the target in the exporter's command line, which may begin with an init process."""
    flags = {"--web.listen-address": ":10035", "--web.config.file": ""}
    for word, following in pairwise([*command, ""]):
        name, equals, value = word.partition("=")
        if name in flags:
            flags[name] = (value if equals else following) or flags[name]
    parts = urlsplit(f"//{flags['--web.listen-address']}")
    host = _WILDCARDS.get(parts.hostname) or str(parts.hostname)
    return Target(host, parts.port or 0, bool(flags["--web.config.file"]))


def problem(to: Target, timeout: float = _TIMEOUT) -> str | None:
    """Return why the exporter is not healthy, or None if it is. `timeout` is seconds, for everything together."""
    deadline = time.monotonic() + timeout
    try:
        reply = _ask(to, deadline, with_tls=False)
        if to.has_web_config and (not reply or reply.startswith(_NOT_PLAIN_HTTP)):
            reply = _ask(to, deadline, with_tls=True)
            if not reply:
                return None
    except OSError as error:
        return f"no answer on {to.host} port {to.port}: {error}"
    head, _, body = reply.decode("latin-1").partition("\r\n\r\n")
    status = head.split()[1:2]
    if status == ["200"] or (to.has_web_config and status == ["401"] and _REFUSAL in head):
        return None
    return body.strip() or "not an HTTP answer that says healthy"


def _ask(to: Target, deadline: float, *, with_tls: bool) -> bytes:
    """Return the beginning of the answer, or nothing if the server closes the connection without one."""
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
    # An alert is a refusal, which only a running server sends.
    with suppress(ssl.SSLError), context.wrap_socket(connection) as encrypted:
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
    """Return the exit status: 0 if healthy, else 1."""
    command = Path("/proc/1/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    if reason := problem(target(command)):
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
