"""A real process with TLS and passwords: clients, changes while it runs, and attacks."""

import base64
import contextlib
import json
import os
import re
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import trustme

from exporter.web.connection import MAX_OPEN
from tests.support.running import Running, Started, eventually, query
from tests.support.web_security import PASSWORD, WebFiles, hashed

pytestmark = pytest.mark.journey

ATTACKERS = 300


@pytest.fixture
def files(tmp_path: Path) -> WebFiles:
    return WebFiles(tmp_path)


def behind_tls(started: Started, path: Path) -> Running:
    exporter = started.exporter("--demo", f"--web.config.file={path}")
    exporter.url = exporter.url.replace("http:", "https:")
    return exporter


def get(exporter: Running, files: WebFiles, path: str = "/metrics", **options: object) -> requests.Response:
    """Ask on a new connection."""
    options.setdefault("verify", str(files.ca_file))
    return requests.get(exporter.url + path, timeout=10, **options)  # type: ignore[arg-type]


def test_prometheus_scrapes_over_tls_with_a_password(
    started: Started, files: WebFiles, tmp_path: Path
) -> None:
    exporter = behind_tls(started, files.write(tls={}, basic_auth_users={"prom": hashed(cost=10)}))
    exporter.line("msg=listening .*tls=on logins=on")
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            {
                "job_name": "smspartner",
                "scheme": "https",
                "tls_config": {"ca_file": str(files.ca_file)},
                "basic_auth": {"username": "prom", "password": PASSWORD},
                "static_configs": [{"targets": [exporter.url.removeprefix("https://")]}],
            }
        ],
    }
    prometheus = started.prometheus(tmp_path, json.dumps(config))
    assert eventually(lambda: query(prometheus, "sms_cost_monthly"))
    assert query(prometheus, "up")[0].value == 1
    assert PASSWORD not in "\n".join(exporter.lines)


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready", "/-/reload", "/nowhere"])
def test_a_password_is_asked_for_on_every_path(started: Started, files: WebFiles, path: str) -> None:
    exporter = started.exporter(
        "--demo", f"--web.config.file={files.write(basic_auth_users={'prom': hashed()})}"
    )
    for name, password in ("", ""), ("prom", "wrong"), ("nobody", PASSWORD), ("prom", PASSWORD * 8):
        reply = get(exporter, files, path, auth=(name, password.encode()) if name else None)
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"].startswith("Basic realm=")
        assert "sms" not in reply.text
    reply = get(exporter, files, path, auth=("prom", PASSWORD.encode()))
    assert reply.status_code not in {401, 503}


def test_no_client_comes_in_without_a_certificate_and_an_allowed_name(
    started: Started, files: WebFiles
) -> None:
    tls = {
        "client_ca_file": "ca.crt",
        "client_auth_type": "RequireAndVerifyClientCert",
        "client_allowed_sans": ["prometheus.example", "::1"],
    }
    exporter = behind_tls(started, files.write(tls=tls))
    assert get(exporter, files, cert=files.client("prometheus.example")).ok
    assert get(exporter, files, cert=files.client("0:0:0:0:0:0:0:1")).ok
    refused = get(exporter, files, cert=files.client("other.example"))
    assert (refused.status_code, "sms" in refused.text) == (403, False)
    for names, ca in ((), None), (("prometheus.example",), trustme.CA()):
        certificate = files.client(*names, ca=ca) if names else None
        with pytest.raises((requests.ConnectionError, requests.exceptions.SSLError)):
            get(exporter, files, cert=certificate)
    assert exporter.process.poll() is None


def test_a_changed_certificate_is_used_without_a_restart_and_a_bad_one_is_not(
    started: Started, files: WebFiles
) -> None:
    exporter = behind_tls(started, files.write(tls={}))
    old = files.ca_file.read_bytes()
    assert get(exporter, files).ok
    files.renew()
    assert get(exporter, files).ok
    renewed = files.ca_file.read_bytes()
    assert renewed != old
    (files.directory / "server.crt").write_text("not a certificate")
    for _ in range(3):
        assert get(exporter, files).ok
    complaints = [line for line in exporter.lines if "web configuration not reloaded" in line]
    assert len(complaints) == 1
    assert "tls_server_config.key_file: with cert_file: not a key and certificate in PEM" in complaints[0]
    files.renew()
    assert get(exporter, files).ok
    assert exporter.end() == 0


def test_a_removed_client_ca_is_no_longer_trusted(started: Started, files: WebFiles) -> None:
    tls = {"client_ca_file": "ca.crt", "client_auth_type": "RequireAndVerifyClientCert"}
    exporter = behind_tls(started, files.write(tls=tls))
    former = files.client("prometheus.example")
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*former)
    host, port = exporter.url.removeprefix("https://").split(":")

    def handshake(session: ssl.SSLSession | None = None) -> ssl.SSLSession | None:
        with (
            socket.create_connection((host, int(port)), timeout=10) as raw,
            context.wrap_socket(raw, session=session) as connection,
        ):
            return connection.session

    session = handshake()
    files.renew()
    for attempt in (session, None):
        with pytest.raises(OSError, match=r"(?i)alert|reset|eof"):
            handshake(attempt)
    assert get(exporter, files, cert=files.client("prometheus.example")).ok


def test_users_come_and_go_without_a_restart(started: Started, files: WebFiles) -> None:
    path = files.write(basic_auth_users={"prom": hashed("one")})
    exporter = started.exporter("--demo", f"--web.config.file={path}")

    def status(name: str, password: str) -> int:
        return requests.get(exporter.url, auth=(name, password), timeout=10).status_code

    assert (status("prom", "one"), status("ops", "two")) == (200, 401)
    files.write(basic_auth_users={"ops": hashed("two")})
    assert (status("prom", "one"), status("ops", "two")) == (401, 200)
    for spoilt in ("basic_auth_users: {ops: plain}", "", "basic_auth_users: {}"):
        path.write_text(spoilt)
        assert (status("", ""), status("ops", "two")) == (401, 200)
    assert len([line for line in exporter.lines if "web configuration not reloaded" in line]) == 3


def test_a_reload_that_cannot_take_the_web_configuration_says_why_until_it_is_mended(
    started: Started, files: WebFiles
) -> None:
    path = files.write(basic_auth_users={"prom": hashed("one")})
    exporter = started.exporter("--demo", f"--web.config.file={path}")
    login = ("prom", "one")

    def successful() -> bool:
        text = requests.get(f"{exporter.url}/metrics", auth=login, timeout=10).text
        return "\nsmspartner_config_last_reload_successful 1" in text

    assert successful()
    path.write_text("basic_auth_users: {prom: plain}")
    reply = requests.post(f"{exporter.url}/-/reload", auth=login, timeout=10)
    assert (reply.status_code, reply.text.partition(": ")[0]) == (500, str(path))
    eventually(lambda: not successful())
    exporter.process.send_signal(signal.SIGHUP)
    told = r"web configuration not reloaded.*basic_auth_users\.prom: expected a bcrypt hash"
    eventually(lambda: len([line for line in exporter.lines if re.search(told, line)]) >= 2)
    files.write(basic_auth_users={"prom": hashed("one")})
    assert requests.post(f"{exporter.url}/-/reload", auth=login, timeout=10).status_code == 200
    eventually(successful)


def test_password_guessing_does_not_lock_out_a_right_login(started: Started, files: WebFiles) -> None:
    users = {f"user-{number}": hashed(cost=8) for number in range(5)}
    exporter = started.exporter("--demo", f"--web.config.file={files.write(basic_auth_users=users)}")
    ended = threading.Event()
    statuses: list[int] = []

    def guess() -> None:
        with requests.Session() as session:
            while not ended.is_set():
                reply = session.get(exporter.url, auth=("user-0", "guess"), timeout=10)
                statuses.append(reply.status_code)

    guessers = [threading.Thread(target=guess) for _ in range(20)]
    for thread in guessers:
        thread.start()
    try:
        eventually(lambda: len(statuses) > 20)
        for user in users:
            begin = time.monotonic()
            assert get(exporter, files, auth=(user, PASSWORD.encode())).status_code == 200
            print(f"{user}: {time.monotonic() - begin:.2f} s")
    finally:
        ended.set()
        for thread in guessers:
            thread.join()
    assert set(statuses) == {401}


@pytest.mark.parametrize("command", [(), ("--config.check",)])
def test_what_cannot_be_used_is_said_in_one_line(
    started: Started, files: WebFiles, command: tuple[str, ...]
) -> None:
    files.write(tls={"cert_file": "missing.crt"})
    run = started.command(
        sys.executable, "-m", "exporter", "--demo", f"--web.config.file={files.path}", *command
    )
    assert run.process.wait(20) == 1
    run.line("smspartner-exporter: ")
    assert run.lines == [
        f"smspartner-exporter: {files.path}: tls_server_config.cert_file: {files.directory}/missing.crt: no such file "
        "or directory"
    ]


def resident_mb(exporter: Running) -> float:
    status = Path(f"/proc/{exporter.process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


Attack = Callable[[socket.socket], None]


def never_speak(_: socket.socket) -> None:
    pass


def send_half_a_head(connection: socket.socket) -> None:
    connection.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\nx-drip: ")


def send_endless_headers(connection: socket.socket) -> None:
    connection.setblocking(False)
    with contextlib.suppress(OSError):
        for number in range(1000):
            connection.send(b"x-%d: " % number + b"x" * 8000 + b"\r\n")


def send_an_endless_body(connection: socket.socket) -> None:
    connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\n" + b"x" * 60_000)


def ask_and_never_read(connection: socket.socket) -> None:
    connection.setblocking(False)
    with contextlib.suppress(OSError):
        connection.send(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n" * 1000)


def guess_passwords(connection: socket.socket) -> None:
    guess = base64.b64encode(b"prom:guess").decode()
    connection.sendall(f"GET / HTTP/1.1\r\nhost: x\r\nauthorization: Basic {guess}\r\n\r\n".encode() * 20)


def begin_a_handshake(connection: socket.socket) -> None:
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    connection.sendall(outgoing.read()[:-1])


@contextlib.contextmanager
def attacked(exporter: Running, attack: Attack) -> Iterator[list[socket.socket]]:
    host, port = exporter.url.partition("//")[2].split(":")
    with contextlib.ExitStack() as stack:
        connections = []
        for _ in range(ATTACKERS):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            connections.append(connection)
            with contextlib.suppress(ConnectionError):  # it was already put out
                attack(connection)
        yield connections


@pytest.mark.parametrize(
    ("attack", "protected_by"),
    [
        (never_speak, None),
        (send_half_a_head, None),
        (send_endless_headers, None),
        (send_an_endless_body, None),
        (ask_and_never_read, None),
        (guess_passwords, "passwords"),
        (never_speak, "tls"),
        (begin_a_handshake, "tls"),
    ],
)
def test_an_attack_neither_delays_a_scrape_nor_fills_the_memory(
    started: Started, files: WebFiles, attack: Attack, protected_by: str | None
) -> None:
    users = {"prom": hashed(cost=10)}
    if protected_by == "tls":
        exporter = behind_tls(started, files.write(tls={}, basic_auth_users=users))
    elif protected_by == "passwords":
        exporter = started.exporter("--demo", f"--web.config.file={files.write(basic_auth_users=users)}")
    else:
        exporter = started.exporter("--demo")

    def scrape() -> float:
        begin = time.monotonic()
        assert "sms_cost" in get(exporter, files, auth=("prom", PASSWORD.encode())).text
        return time.monotonic() - begin

    eventually(lambda: get(exporter, files, "/-/ready", auth=("prom", PASSWORD.encode())).ok)
    scrape()
    idle = resident_mb(exporter)
    with attacked(exporter, attack):
        slowest = max(scrape() for _ in range(5))
        grown = resident_mb(exporter) - idle
        open_files = len(os.listdir(f"/proc/{exporter.process.pid}/fd"))
        print(f"{attack.__name__} ({protected_by}): {slowest:.3f} s, {idle:.1f} MB idle, {grown:+.1f} MB")
        assert slowest < 1
        assert grown < 30
        assert open_files < MAX_OPEN + 30
        begin = time.monotonic()
        assert exporter.end(signal.SIGTERM) == 0
        assert time.monotonic() - begin < 2
