"""The image, built from the Dockerfile and run as an operator would who trusts nobody: `make check-container`.

PYTHON_IMAGE names a base to pull; without it Debian's Python stands in for the official image, from no registry.
"""

import json
import re
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests

from exporter import __version__
from exporter.backfill.fetcher import latest_complete_month
from exporter.months import months_between
from tests.deploy.container.engine import IMAGE, LOCKED_UP, MARK, NAMED_BASE, OFFICIAL, Engine
from tests.deploy.container.running import Container, mounted_web_files
from tests.support.running import ROOT, Started, eventually
from tests.support.web_security import WebFiles, hashed


@pytest.fixture(scope="session")
def demo(podman: Engine) -> Container:
    container = Container(podman, "--demo")
    assert len(eventually(lambda: container.samples("sms_cost_monthly"), within=30)) >= 12
    return container


def test_the_image_says_what_it_is_and_how_it_is_run(podman: Engine) -> None:
    image = podman.inspect("image", IMAGE)
    config = image["Config"]
    assert config["User"] == "10035:10035"
    assert config["Entrypoint"] == ["python3", "-m", "exporter"]
    assert not config.get("Cmd")
    assert list(config["ExposedPorts"]) == ["10035/tcp"]
    assert list(config["Volumes"]) == ["/var/lib/smspartner-exporter"]
    assert image["Healthcheck"]["Test"][0] == "CMD"
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in config["Labels"].items()}
    assert labels["version"] == __version__
    assert labels["licenses"] == "Apache-2.0"
    assert {"title", "description", "revision", "base.name"} <= set(labels)
    assert podman("run", "--rm", "--network=none", IMAGE, "--version") == f"smspartner-exporter {__version__}"


def test_it_adds_little_to_its_base(podman: Engine) -> None:
    layers = json.loads(podman("history", "--format=json", IMAGE))
    sizes = sorted(int(layer["size"]) for layer in layers)
    print(f"on {NAMED_BASE}" if NAMED_BASE else f"on Debian's Python: {OFFICIAL} itself was NOT run")
    print(f"base {sizes[-1] / 1e6:.0f} MB, on top of it {sum(sizes[:-1]) / 1e6:.1f} MB")
    assert sum(sizes[:-1]) < 22e6


def test_no_secret_of_the_build_stays_in_any_layer(podman: Engine) -> None:
    in_the_first_stage = re.findall(r"sha256:\w+", (ROOT / "requirements.lock").read_text())[0]
    assert podman.stored_files_with(in_the_first_stage), "what the search would find"
    assert not podman.stored_files_with(MARK)


def test_no_file_but_the_state_can_be_written_and_nothing_gives_more_rights(demo: Container) -> None:
    status = dict(re.findall(r"(\w+):\s+(.*)", demo.execute("cat", "/proc/1/status")))
    assert status["Uid"].split() == status["Gid"].split() == ["10035"] * 4
    assert {status[name].strip("0") for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {""}
    assert status["NoNewPrivs"] == "1"
    demo.execute("touch", "/var/lib/smspartner-exporter/file")
    for directory in ("/", "/tmp", "/opt/smspartner-exporter", "/opt/smspartner-exporter/bytecode"):
        assert demo.podman.attempt("exec", demo.name, "touch", f"{directory}/file").returncode, directory


def test_it_runs_as_a_user_that_the_image_does_not_know(podman: Engine) -> None:
    anybodys = "/var/lib/smspartner-exporter:mode=0777,notmpcopyup"
    container = Container(podman, "--demo", options=("--user=1000650000:0", f"--tmpfs={anybodys}"))
    eventually(lambda: container.samples("sms_cost_monthly"), within=30)
    assert container.samples("smspartner_state_writable") == {"smspartner_state_writable": 1}


def test_it_works_within_64_mb_with_its_health_check_and_under_load(demo: Container) -> None:
    eventually(lambda: demo.samples("smspartner_balance"), within=60)
    for _ in range(50):
        assert demo.get().ok
    assert demo.healthy()
    assert demo.is_alive()
    (resident,) = re.findall(r"VmHWM:\s+(\d+) kB", demo.execute("cat", "/proc/1/status"))
    print(f"most memory resident, demo included: {int(resident) / 1024:.0f} MB")


def test_it_starts_from_bytecode_alone(podman: Engine) -> None:
    container = Container(podman, "--demo", options=("--env=PYTHONVERBOSE=1",))
    eventually(lambda: container.samples("sms_cost_monthly"), within=30)
    assert "Cost of each month" in container.get("/").text
    container.stop()
    loaded = re.findall(r"# code object from '?([^'\s]+)", container.output())
    assert any("/bytecode/opt/smspartner-exporter/exporter/cli.cpython-" in path for path in loaded)
    assert [path for path in loaded if not path.endswith(".pyc")] == []


def test_the_health_check_asks_where_the_exporter_listens(podman: Engine, demo: Container) -> None:
    assert demo.healthy()
    default = podman("run", "--detach", "--network=none", *LOCKED_UP, IMAGE, "--demo")
    eventually(lambda: podman.attempt("healthcheck", "run", default).returncode == 0, within=30)


def test_the_health_check_finds_the_exporter_behind_an_init_process(podman: Engine) -> None:
    container = Container(podman, "--demo", options=("--init",))
    eventually(container.healthy, within=30)
    assert container.execute("cat", "/proc/1/comm") != "python3"


CLIENTS = {"client_ca_file": "ca.crt", "client_auth_type": "RequireAndVerifyClientCert"}
WEB_SECURITY: dict[str, dict[str, Any]] = {
    "open": {},
    "basic auth": {"basic_auth_users": {"prometheus": hashed()}},
    "TLS and basic auth": {"basic_auth_users": {"prometheus": hashed()}, "tls": {}},
    "client certificates": {"tls": CLIENTS},
}


@pytest.mark.parametrize("security", WEB_SECURITY)
def test_the_health_check_sees_a_process_that_hangs_under_any_web_security(
    podman: Engine, security: str, tmp_path: Path
) -> None:
    WebFiles(tmp_path).write(**WEB_SECURITY[security])
    volume, flag = mounted_web_files(tmp_path)
    container = Container(podman, "--demo", flag, options=(volume,))
    eventually(container.healthy, within=30)
    podman("kill", "--signal=STOP", container.name)
    done = podman.attempt("exec", container.name, "python3", "-m", "exporter.healthcheck")
    assert done.returncode == 1
    assert re.fullmatch(r"no answer on 127\.0\.0\.1 port \d+: timed out\n", done.stderr)


def test_it_ends_with_status_0_within_two_seconds(podman: Engine) -> None:
    container = Container(podman, "--demo")
    eventually(lambda: container.samples("sms_cost_monthly"), within=30)
    status, seconds = container.stop()
    assert status == 0
    assert seconds < 2


def test_figures_outlive_the_container_in_its_volume(
    podman: Engine, started: Started, tmp_path: Path
) -> None:
    simulator = started.simulator()
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"base_url": simulator.url}))
    config.chmod(0o644)
    options = (
        "--volume=smspartner:/var/lib/smspartner-exporter",
        f"--volume={config}:/etc/smspartner-exporter/config.yaml:ro",
        "--env=SMSPARTNER_API_KEY=test-key",
    )
    words = ("--config.file=/etc/smspartner-exporter/config.yaml",)
    first = Container(podman, *words, options=options)
    shown = eventually(lambda: first.samples("sms_cost_monthly"), within=60)
    assert first.samples("smspartner_state_writable") == {"smspartner_state_writable": 1}
    first.stop()
    assert simulator.end() == 0
    second = Container(podman, *words, options=options)
    assert eventually(lambda: second.samples("sms_cost_monthly"), within=30) == shown
    for container in (first, second):
        assert "test-key" not in container.output()


def test_a_backfill_works_beside_the_exporter_in_a_container_of_its_own_and_in_the_exporters(
    podman: Engine, started: Started, tmp_path: Path
) -> None:
    simulator = started.simulator()
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"base_url": simulator.url}))
    config.chmod(0o644)
    options = (
        "--volume=beside:/var/lib/smspartner-exporter",
        f"--volume={config}:/etc/smspartner-exporter/config.yaml:ro",
    )
    key = "--env=SMSPARTNER_API_KEY=any-api-key"
    flag = "--config.file=/etc/smspartner-exporter/config.yaml"
    exporter = Container(podman, flag, options=(*options, key))
    month = latest_complete_month(time.time())
    words = ("backfill", flag, "--output=-", f"--from={months_between('2000-01', month)[-3]}")
    beside = podman(
        *("run", "--rm", "--network=host", *LOCKED_UP, "--volumes-from", exporter.name, key, IMAGE, *words),
        within=120,  # the exporter's own requests come in between
    )
    (months,) = {
        len(re.findall(f"^{name}{{", beside, re.MULTILINE))
        for name in ("sms_cost_monthly", "sms_sent_monthly")
    }
    assert months == 3
    inside = exporter.execute("python3", "-m", "exporter", *words[:3], f"--from={month}", "--job=another")
    assert inside.count(f'month="{month}"') == 3
    assert exporter.is_alive()

    def arrivals() -> list[float]:
        asked = requests.get(f"{simulator.url.removesuffix('/v1')}/simulator", timeout=5).json()["requests"]
        return [request["monotonic"] for request in asked]

    # Three months, and the first of the exporter's own requests: who goes first is chance.
    eventually(lambda: len(arrivals()) >= 4, within=60)
    assert min(after - before for before, after in pairwise(arrivals())) > 12


def test_it_goes_on_where_the_state_cannot_be_written(podman: Engine, started: Started) -> None:
    # Another user than the image's, who may write nowhere and has no home.
    options = ("--user=4711:4711", "--env=SMSPARTNER_API_KEY=test-key")
    container = Container(podman, options=options)
    eventually(lambda: container.get("/-/healthy").ok, within=30)
    assert container.stop()[0] == 0
