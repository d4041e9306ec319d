"""The unit, run by a real systemd in a container: `make check-systemd`."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from exporter.backfill.fetcher import latest_complete_month
from tests.deploy.container.engine import BASE, Engine, trusted_authorities
from tests.support.documents import blocks
from tests.support.running import ROOT, eventually
from tests.support.web_security import WebFiles

KEY = "S3CR-T/key"
PYTHON = "/opt/smspartner-exporter/bin/python3"
(DROP_IN,) = blocks(ROOT / "docs" / "deployment.md", "ini")
FETCH = """
import ssl, urllib.request
context = ssl.create_default_context(cafile="/etc/smspartner-exporter/ca.crt")
print(urllib.request.urlopen("https://localhost:10035/metrics", context=context).read().decode())
"""


class Machine:
    """A booted container without a network, in which the simulated API runs."""

    def __init__(self, podman: Engine, image: str) -> None:
        self._podman = podman
        self._name = podman(
            "run", "--detach", "--privileged", "--systemd=always", "--network=none", image, "/sbin/init"
        )
        eventually(lambda: self("systemctl is-system-running || true") in {"running", "degraded"}, within=60)
        self("mount --make-rshared /")  # as on any machine; systemd leaves it to whoever makes its container
        podman(
            "exec",
            "--detach",
            self._name,
            PYTHON,
            "-m",
            "exporter.simulator",
            "--port=8036",
            f"--api-key={KEY}",
        )

    def __call__(self, command: str) -> str:
        return self._podman("exec", self._name, "sh", "-c", command)

    def journal(self) -> str:
        return self("journalctl --unit=smspartner-exporter --no-pager --output=cat")

    def metrics(self) -> str:
        return self(f"{PYTHON} -c '{FETCH}' 2>/dev/null || true")


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    directory = tmp_path_factory.mktemp("delivered")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    for file in ("requirements.lock", "deploy/systemd/smspartner-exporter.service"):
        shutil.copy(ROOT / file, directory)
    (directory / "own.conf").write_text(DROP_IN)
    WebFiles(directory).write(tls={})
    (directory / "config.yaml").write_text("base_url: http://127.0.0.1:8036/v1\n")
    (directory / "api_key").write_text(f"{KEY}\n")
    engine = Engine()
    try:
        engine("import", BASE.with_name("systemd.tar"), "localhost/systemd:latest", within=120)
        words = (
            f"--secret=id=ca,src={trusted_authorities()}",
            f"--file={ROOT}/tests/deploy/systemd/Containerfile",
            directory,
        )
        engine(
            "build",
            "--format=docker",
            "--network=host",
            "--pull=never",
            "--tag=localhost/machine",
            *words,
            within=600,
        )
        yield Machine(engine, "localhost/machine")
    finally:
        engine.end()


def test_it_runs_locked_up_with_its_key_and_keeps_its_state(machine: Machine) -> None:
    machine("systemctl start smspartner-exporter")
    eventually(lambda: "\nsms_cost_monthly{" in machine.metrics(), within=60)
    assert "\nsmspartner_state_writable 1.0\n" in machine.metrics()

    process = machine("systemctl show --property=MainPID --value smspartner-exporter")
    status = dict(re.findall(r"(\w+):\s+(.*)", machine(f"cat /proc/{process}/status")))
    assert "0" not in status["Uid"].split()
    assert {status[name].strip("0") for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {""}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")

    machine("systemctl reload smspartner-exporter")
    eventually(lambda: "configuration reloaded" in machine.journal())

    machine("systemctl restart smspartner-exporter")
    eventually(lambda: "\nsms_cost_monthly{" in machine.metrics(), within=10)
    assert machine.journal().count("earlier requests are unknown") == 1, "the rate limit outlives the process"

    (backfill,) = (block for block in blocks(ROOT / "docs" / "backfill.md", "sh") if "systemd-run" in block)
    month = latest_complete_month(time.time())
    flags = f"--config.file=/etc/smspartner-exporter/config.yaml --from={month}"
    machine(backfill.replace("--from=2023-11", flags))
    assert machine("cat months.om").count(f'month="{month}"') == 3
    owners = machine("stat --format=%u /var/lib/private/smspartner-exporter/*").split()
    assert len(set(owners)) == 1
    assert owners[0] == status["Uid"].split()[0]
    assert "\nsmspartner_state_writable 1.0\n" in machine.metrics()

    machine("systemctl stop smspartner-exporter")
    ended = machine("systemctl show --property=Result,ExecMainStatus smspartner-exporter").split()
    assert sorted(ended) == ["ExecMainStatus=0", "Result=success"]
    assert KEY not in machine.journal()
