"""The health check of the container, against real sockets and the real exporter."""

import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from exporter import cli
from exporter.healthcheck import Target, problem, target
from tests.support.running import Started
from tests.support.web_security import WebFiles, hashed


@contextmanager
def answering(reply: bytes) -> Iterator[int]:
    """Give the port of a server that answers one request."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(reply)

        thread = threading.Thread(target=answer, daemon=True)
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
def test_it_asks_at_the_address_in_the_exporters_command_line(
    command: str, expected: tuple[str, int]
) -> None:
    assert target(command.split()) == (*expected, False)


def test_its_flags_and_defaults_are_those_of_the_exporter() -> None:
    command = ["--web.listen-address", "127.0.0.2:9", "--web.config.file", "web.yml"]
    flags = cli.parser().parse(command)
    assert (flags.listen_addresses, flags.web_config_file) == ([("127.0.0.2", 9)], Path("web.yml"))
    assert target(command) == ("127.0.0.2", 9, True)
    assert target(["--web.config.file=web.yml"]).has_web_config
    ((_, port),) = cli.parser().parse([]).listen_addresses
    assert target([]) == target(["--web.listen-address=", "--web.config.file="]) == ("127.0.0.1", port, False)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhealthy\n", None),
        (
            b"HTTP/1.1 503 Service Unavailable\r\n\r\nnot healthy: the poller has ended\n",
            "not healthy: the poller has ended",
        ),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "not an HTTP answer that says healthy"),
        (
            b'HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm="smspartner-exporter"\r\n\r\nno\n',
            "no",
        ),
        (b"", "not an HTTP answer that says healthy"),
    ],
)
def test_without_a_web_configuration_only_status_200_is_healthy(reply: bytes, expected: str | None) -> None:
    with answering(reply) as port:
        assert problem(Target("127.0.0.1", port)) == expected


def test_a_401_of_another_server_is_not_healthy() -> None:
    with answering(b'HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm="other"\r\n\r\nno\n') as port:
        assert problem(Target("127.0.0.1", port, has_web_config=True)) == "no"


def test_an_unhealthy_answer_over_tls_is_reported(tmp_path: Path) -> None:
    WebFiles(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            for _ in range(2):  # the first connection is not TLS: it fails
                connection, _ = listening.accept()
                with suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as encrypted:
                    encrypted.recv(4096)
                    encrypted.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\npolling has ended\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        assert problem(Target("127.0.0.1", listening.getsockname()[1], True)) == "polling has ended"
        thread.join(5)


def test_a_closed_port_is_not_healthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    for has_web_config in (False, True):
        reason = problem(Target("127.0.0.1", port, has_web_config))
        assert reason
        assert reason.startswith(f"no answer on 127.0.0.1 port {port}: ")


def test_a_server_that_never_answers_is_not_healthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        to = Target("127.0.0.1", listening.getsockname()[1], has_web_config=True)
        assert str(problem(to, timeout=0.1)).endswith("timed out")


def test_an_answer_that_drips_byte_by_byte_times_out() -> None:
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection, suppress(ConnectionError):
                while not ended.wait(0.01):
                    connection.send(b"x")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        began = time.monotonic()
        assert str(problem(Target("127.0.0.1", listening.getsockname()[1]), timeout=0.2)).endswith(
            "timed out"
        )
        assert time.monotonic() - began < 2
        ended.set()
        thread.join(5)


CLIENTS = {"client_ca_file": "ca.crt", "client_auth_type": "RequireAndVerifyClientCert"}
USERS = {"prometheus": hashed()}


@pytest.mark.journey
@pytest.mark.parametrize(
    ("tls", "sections"),
    [
        (None, {"basic_auth_users": USERS}),
        ({}, {}),
        ({}, {"basic_auth_users": USERS}),
        (CLIENTS, {}),
        ({**CLIENTS, "max_version": "TLS12"}, {}),
    ],
    ids=["basic auth", "TLS", "TLS and basic auth", "client certificates", "client certificates, TLS 1.2"],
)
def test_an_exporter_that_requires_a_login_or_certificate_is_healthy_until_it_hangs(
    tls: Mapping[str, object] | None, sections: Mapping[str, object], started: Started, tmp_path: Path
) -> None:
    web_config = WebFiles(tmp_path).write(tls=tls, **sections)
    exporter = started.exporter("--demo", "--web.config.file", web_config)
    to = Target("127.0.0.1", int(exporter.url.rpartition(":")[2]), has_web_config=True)
    assert problem(to) is None
    web_config.write_text("half")  # what the process goes on with is not what the file says
    assert problem(to) is None
    exporter.process.send_signal(signal.SIGSTOP)
    assert str(problem(to, timeout=0.3)).endswith("timed out")
