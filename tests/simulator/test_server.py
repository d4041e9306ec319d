"""The simulated API over HTTP and as a process."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

import pytest

from exporter.simulator.__main__ import main
from exporter.simulator.server import SimulatedServer
from exporter.simulator.simulator import Simulator, serve

KEY = "S3CR+T/key"


def target(path: str, **parameters: str) -> str:
    return f"/v1/{path}?{urlencode({'apiKey': KEY, **parameters})}"


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatedServer]:
    with serve(Simulator(requests_per_minute=None).answer) as server:
        yield server


def address(server: SimulatedServer) -> tuple[str, int]:
    host, port = server.url.removeprefix("http://").split(":")
    return host, int(port)


@contextmanager
def connected(server: SimulatedServer) -> Iterator[socket.socket]:
    """A socket on which `/me` has been asked."""
    with socket.create_connection(address(server), timeout=5) as connection:
        connection.sendall(f"GET {target('me')} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        yield connection


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_one_connection_serves_many_requests(server: SimulatedServer) -> None:
    connection = http.client.HTTPConnection(*address(server), timeout=5)
    for _ in range(3):
        connection.request("GET", target("me"))
        response = connection.getresponse()
        body = response.read()
        assert response.headers["Content-Type"] == "application/json"
        assert int(response.headers["Content-Length"]) == len(body)
        assert json.loads(body)["success"] is True
    connection.close()
    assert server.base_url == server.url + "/v1"


@pytest.mark.parametrize("length", ["1000001", "-1", "x", "\u00b2"])
def test_a_body_of_doubtful_length_is_not_read(server: SimulatedServer, length: str) -> None:
    with socket.create_connection(address(server), timeout=5) as connection:
        connection.sendall(f"POST /v1/me HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode("latin-1"))
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")


def test_errors_inside_are_told_without_values(capfd: pytest.CaptureFixture[str]) -> None:
    def broken() -> float:
        raise KeyError(KEY)

    with serve(Simulator(now=broken).answer) as server, connected(server) as connection:
        assert connection.recv(1) == b""
    err = capfd.readouterr().err
    assert "KeyError" in err
    assert "S3CR" not in err


def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        [],
        ["--port", "x"],
        ["--port", "0", "--api-key", "a", "S3CRET"],
        ["--port", "0", "--apikey=S3CRET"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        err = capsys.readouterr().err
        assert ended.value.code == 2
        assert err.startswith("simulator: error: ")
        assert err.count("\n") == 1
        assert "S3CRET" not in err


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "exporter.simulator", "--port", "0", *arguments]
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.journey
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_told_to_end(ending: signal.Signals) -> None:
    arguments = ("--api-key", KEY, "--api-key", "other", "--requests-per-minute", "2")
    with started(*arguments) as (process, base_url):
        host, port = base_url.removeprefix("http://").removesuffix("/v1").split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=5)
        replies = []
        for key in (KEY, "wrong", "other"):
            connection.request("GET", target("me", apiKey=key))
            response = connection.getresponse()
            body = json.loads(response.read())
            replies.append((response.status, body["code"]))
        assert replies == [(200, 200), (200, 10), (429, 429)]
        begin = time.monotonic()
        process.send_signal(ending)
        out, err = process.communicate(timeout=5)
        connection.close()
        assert (process.returncode, out, err) == (0, "", "")
        assert time.monotonic() - begin < 1


@pytest.mark.journey
def test_a_port_in_use_is_one_line(server: SimulatedServer) -> None:
    command = [sys.executable, "-m", "exporter.simulator", "--port", str(address(server)[1])]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith(f"simulator: cannot listen on 127.0.0.1:{address(server)[1]}: ")


def test_when_it_ends_nobody_listens_any_more() -> None:
    with serve(Simulator().answer) as server, connected(server) as connection:
        assert connection.recv(9) == b"HTTP/1.1 "
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address(server), timeout=1)
