"""``python -m exporter.healthcheck``: whether the exporter in this container is healthy, where there is no curl.

It asks at the address that the container's first process was told to listen on. It imports little, because it runs
again and again, within the container's memory. It speaks plain HTTP and has no login.
"""

import socket
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

_FLAG = "--web.listen-address"
_DEFAULT = ":10035"
_WILDCARDS = {None: "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked up, not listened on
_TIMEOUT = 3.0


def target(command: Sequence[str]) -> tuple[str, int]:
    """Return host and port at which the exporter with this command line can be reached from its own container."""
    address = _DEFAULT
    for word, following in pairwise([*command, ""]):
        name, equals, value = word.partition("=")
        if name == _FLAG:
            address = value if equals else following
    parts = urlsplit(f"//{address}")
    return _WILDCARDS.get(parts.hostname) or str(parts.hostname), parts.port or 0


def problem(host: str, port: int) -> str:
    """Return why the exporter at an address is not healthy; empty where it is."""
    try:
        with socket.create_connection((host, port), _TIMEOUT) as connection:
            connection.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            status, _, body = connection.makefile("rb").read(4096).decode("latin-1").partition("\r\n")
    except OSError as error:
        return f"no answer on {host} port {port}: {error}"
    return (
        ""
        if status.split()[1:2] == ["200"]
        else body.rpartition("\r\n")[2].strip() or "not an HTTP answer that says healthy"
    )


def main() -> int:
    """Return the exit status: 0 healthy, 1 not."""
    command = Path("/proc/1/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    if reason := problem(*target(command)):
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
