"""The health check of the container, against real sockets."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from exporter import cli, healthcheck


@contextmanager
def answering(reply: bytes) -> Iterator[int]:
    """Give the port of a server that answers one request."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(5)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python3 -m exporter", ("127.0.0.1", 10035)),
        ("python3 -m exporter --web.listen-address=:9", ("127.0.0.1", 9)),
        ("python3 -m exporter --web.listen-address 127.0.0.2:9 --demo", ("127.0.0.2", 9)),
        ("python3 -m exporter --web.listen-address=0.0.0.0:9", ("127.0.0.1", 9)),
        ("python3 -m exporter --web.listen-address=[::1]:9", ("::1", 9)),
        ("python3 -m exporter --web.listen-address=[::]:9", ("::1", 9)),
        ("python3 -m exporter --web.listen-address=some.host:9", ("some.host", 9)),
        (
            "/sbin/docker-init -- python3 -m exporter --web.listen-address=:8 --web.listen-address=:9",
            ("127.0.0.1", 9),
        ),
    ],
)
def test_it_asks_where_the_exporter_listens(command: str, expected: tuple[str, int]) -> None:
    assert healthcheck.target(command.split()) == expected


def test_it_knows_the_flag_and_its_default() -> None:
    (flag,) = (action for action in cli.parser()._actions if action.dest == "listen_address")
    assert healthcheck.target([flag.option_strings[0], "127.0.0.2:9"]) == ("127.0.0.2", 9)
    assert healthcheck.target([]) == healthcheck.target([flag.option_strings[0], str(flag.default)])


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhealthy\n", ""),
        (
            b"HTTP/1.1 503 Service Unavailable\r\n\r\nnot healthy: the poller has ended\n",
            "not healthy: the poller has ended",
        ),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "not an HTTP answer that says healthy"),
        (b"", "not an HTTP answer that says healthy"),
    ],
)
def test_only_200_is_healthy(reply: bytes, expected: str) -> None:
    with answering(reply) as port:
        assert healthcheck.problem("127.0.0.1", port) == expected


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert healthcheck.problem("127.0.0.1", port).startswith(f"no answer on 127.0.0.1 port {port}: ")
