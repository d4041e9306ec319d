"""Addresses to listen on, what is said if that fails, and the sockets of the connections."""

import re
import socket

import pytest

from exporter.web.server import ListenError, format_address, listen, parse_listen_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":10035", ("", 10035)),
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65535)),
        ("[::]:1", ("::", 1)),
    ],
)
def test_an_address_is_read_and_written(text: str, address: tuple[str, int]) -> None:
    assert parse_listen_address(text) == address
    assert format_address(*address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "10035",
        "localhost",
        "localhost:",
        ":http",
        ":-1",
        ":65536",
        ":1e3",
        "[::1]",
        ":\N{ARABIC-INDIC DIGIT ONE}",
        ":1 ",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{text!r} is not [HOST]:PORT, such as :10035")):
        parse_listen_address(text)


def test_an_ipv6_address_needs_brackets() -> None:
    with pytest.raises(
        ValueError, match=r"^'::1:10035': write an IPv6 address in brackets, such as \[::1\]:10035$"
    ):
        parse_listen_address("::1:10035")


def test_an_empty_host_is_every_address_of_ipv4_and_ipv6() -> None:
    with listen("", 0) as listening:
        port = listening.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), 5).close()
        if listening.family == socket.AF_INET6:
            socket.create_connection(("::1", port), 5).close()


def test_a_named_address_is_the_only_one_that_is_listened_on() -> None:
    with listen("127.0.0.1", 0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("host", ["", "127.0.0.1"])
def test_a_port_in_use_is_said_in_one_line(host: str) -> None:
    with listen(host, 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(ListenError) as caught:
            listen(host, port)
    assert str(caught.value) == (
        f"cannot listen on {host}:{port}: address already in use; choose another with --web.listen-address"
    )


@pytest.mark.parametrize(
    "host", ["no-such-host.invalid", "..", "a..b", "\xe9..b", "x" * 64 + ".org", "999.1.1.1"]
)
def test_a_host_that_does_not_exist_is_said_in_one_line(host: str) -> None:
    with pytest.raises(ListenError) as caught:
        listen(host, 1)
    assert (
        str(caught.value)
        == f"cannot listen on {host}:1: no such host; choose another with --web.listen-address"
    )


def test_an_address_of_another_machine_is_said_in_one_line() -> None:
    with pytest.raises(ListenError) as caught:
        listen("192.0.2.1", 1)
    assert "192.0.2.1:1: cannot assign requested address; choose" in str(caught.value)


def test_replies_do_not_wait_for_the_client_to_acknowledge_their_beginning() -> None:
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
