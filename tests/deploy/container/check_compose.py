"""compose.yaml, read and started by Docker Compose: `make check-container`.

podman answers in place of Docker. Debian's Prometheus and Alertmanager stand in for the official images, from no
registry. Grafana has no stand-in: it is NOT run.
"""

import json
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.deploy.container.engine import AS_ROOT, DEBIAN, IMAGE, STACK, Engine
from tests.support.documents import blocks
from tests.support.running import ROOT, eventually, free_port

SID = STACK / "sid"
RUNNABLE = ("exporter", "alertmanager", "prometheus")
STAND_IN = f"""
FROM {DEBIAN}
COPY usr/bin/busybox /bin/wget
COPY usr/share/prometheus/alertmanager /usr/share/prometheus/alertmanager
COPY usr/bin/{{program}} /bin/{{name}}
COPY usr/bin/promtool /bin/promtool
RUN install -d -o 65534 -g 65534 /{{name}}
USER 65534
VOLUME /{{name}}
WORKDIR /{{name}}
ENTRYPOINT ["/bin/{{name}}"]
"""
"""As the official images are: their user, their volume, and wget from busybox."""
OVERRIDE = """
services:
  exporter:
    ports: !override ["127.0.0.1:{exporter}:10035"]
  alertmanager:
    ports: !override ["127.0.0.1:{alertmanager}:9093"]
  prometheus:
    ports: !override ["127.0.0.1:{prometheus}:9090"]
    volumes: ["{config}:/etc/prometheus/prometheus.yml:ro"]
"""


class Compose:
    """Docker Compose, told of podman in place of Docker."""

    def __init__(self, engine: str, directory: Path) -> None:
        self._command = (
            *AS_ROOT,
            "env",
            "--unset=SMSPARTNER_SECRETS",
            f"DOCKER_HOST={engine}",
            f"DOCKER_CONFIG={directory}",
        )
        self.files = [ROOT / "compose.yaml"]

    def __call__(
        self, *words: str, secrets: Path | None = None, given: str | None = None, within: float = 60
    ) -> str:
        variable = [f"SMSPARTNER_SECRETS={secrets}"] if secrets else []
        program = SID / "usr" / "libexec" / "docker" / "cli-plugins" / "docker-compose"
        command = [*self._command, *variable, program, *(f"--file={file}" for file in self.files), *words]
        done = subprocess.run(
            command,
            cwd=ROOT,
            input=given or "",
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
        assert done.returncode == 0, f"docker compose {' '.join(words)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def config(self, secrets: Path | None = None) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self("config", "--format=json", secrets=secrets))
        return read


@pytest.fixture(scope="module")
def compose(podman: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    with podman.serving() as address:
        yield Compose(address, tmp_path_factory.mktemp("docker"))


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("secrets")
    directory.chmod(0o755)
    file = directory / "api_key"
    file.write_text("S3CR-T/key\n")
    file.chmod(0o644)
    return directory


def test_one_variable_switches_from_the_simulated_api_to_a_key(compose: Compose, secrets: Path) -> None:
    demo, real = compose.config(), compose.config(secrets)
    assert demo["services"]["exporter"].pop("command") == ["--demo"]
    exporter = real["services"]["exporter"]
    assert exporter.pop("command") is None
    environment = exporter.pop("environment")
    mounted = exporter["volumes"].pop()
    assert mounted.pop("read_only")
    assert (mounted["type"], mounted["source"]) == ("bind", str(secrets)), (
        "a directory, whose files may be replaced"
    )
    assert environment == {"SMSPARTNER_API_KEY_FILE": f"{mounted['target']}/api_key"}
    assert demo["services"]["exporter"]["volumes"].pop()["source"] == "no-secrets"
    figures = [
        (config["services"]["prometheus"].pop("volumes")[-1]["source"], config.pop("volumes"))
        for config in (demo, real)
    ]
    assert [source for source, _ in figures] == ["prometheus", "prometheus-with-key"]
    assert [source in volumes for source, volumes in figures] == [True, True]
    assert real == demo


@contextmanager
def health_checked(podman: Engine) -> Iterator[None]:
    """Run the health checks of all containers, as Docker does by itself."""
    ended = threading.Event()

    def check() -> None:
        while not ended.wait(0.5):
            for name in podman.attempt("ps", "--quiet").stdout.split():
                podman.attempt("healthcheck", "run", name)

    thread = threading.Thread(target=check)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture(scope="module")
def images(podman: Engine, compose: Compose, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give our image and the stand-ins the names that compose.yaml knows them by."""
    directory = tmp_path_factory.mktemp("images")
    named = {name: service["image"] for name, service in compose.config()["services"].items()}
    podman("tag", IMAGE, named["exporter"])
    for name, program in (("prometheus", "prometheus"), ("alertmanager", "prometheus-alertmanager")):
        containerfile = directory / name
        containerfile.write_text(STAND_IN.format(name=name, program=program))
        words = (f"--file={containerfile}", f"--tag=docker.io/{named[name]}", SID)
        podman("build", "--format=docker", *words, within=120)


@pytest.fixture(scope="module")
def stack(
    podman: Engine, compose: Compose, images: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Start what can be started, on free ports and with a scrape each second; give the addresses."""
    directory = tmp_path_factory.mktemp("stack")
    config, override = directory / "prometheus.yml", directory / "override.yaml"
    config.write_text((ROOT / "deploy/compose/prometheus.yml").read_text().replace(": 1m\n", ": 1s\n"))
    ports = {name: free_port() for name in RUNNABLE}
    override.write_text(OVERRIDE.format(**ports, config=config))
    compose.files.append(override)
    with health_checked(podman):
        compose("up", "--wait", "--no-build", *RUNNABLE, within=120)
    yield {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    compose("down", "--timeout=2")


def test_prometheus_has_the_figures_the_rules_and_an_alertmanager(stack: dict[str, str]) -> None:
    def api(path: str, **parameters: str) -> Any:
        return requests.get(f"{stack['prometheus']}/api/v1/{path}", params=parameters, timeout=10).json()[
            "data"
        ]

    months = eventually(lambda: api("query", query="sms_cost_monthly")["result"], within=60)
    assert len(months) >= 12
    assert {month["metric"]["job"] for month in months} == {"smspartner"}
    assert eventually(lambda: api("query", query="smspartner:cost_daily:avg")["result"], within=30)
    assert {rule["health"] for group in api("rules")["groups"] for rule in group["rules"]} <= {
        "ok",
        "unknown",
    }
    print(f"The official images of {', '.join(RUNNABLE[1:])} were NOT run, and Grafana was not run at all")
    (alertmanager,) = api("alertmanagers")["activeAlertmanagers"]
    assert alertmanager["url"].startswith("http://alertmanager:9093/")
    assert requests.get(f"{stack['alertmanager']}/api/v2/status", timeout=10).json()["config"]["original"]
    assert "sms_cost_monthly" in requests.get(f"{stack['exporter']}/metrics", timeout=10).text


def test_a_month_of_years_ago_comes_into_prometheus_by_the_commands_of_the_docs(
    compose: Compose, stack: dict[str, str]
) -> None:
    """The simulated API stands in for the account: `--demo` is added."""
    fetch, *make_blocks = [
        shlex.split(line.removeprefix("docker compose "))
        for block in blocks(ROOT / "docs" / "backfill.md", "sh")
        for line in block.splitlines()
        if line.startswith("docker compose ")
    ]
    fetch, put = (command[: command.index(mark)] for command, mark in ((fetch, ">"), (make_blocks[0], "<")))
    months = [word.replace("2023-11", "2020-02 --to=2020-02 --demo") for word in fetch]
    text = compose(*" ".join(months).split())
    compose(*put, given=text)
    for command in make_blocks[1:]:
        compose(*command)

    def cost() -> list[Any]:
        query = {"query": 'sms_cost_monthly{month="2020-02"} @ 1583017199'}
        reply = requests.get(f"{stack['prometheus']}/api/v1/query", params=query, timeout=10).json()
        found: list[Any] = reply["data"]["result"]
        return found

    (series,) = eventually(cost, within=180)
    assert (series["metric"]["job"], series["metric"]["instance"]) == ("smspartner", "exporter:10035")


@pytest.mark.parametrize("service", RUNNABLE)
def test_it_is_locked_up(podman: Engine, stack: dict[str, str], service: str) -> None:
    (name,) = podman("ps", "--quiet", f"--filter=label=com.docker.compose.service={service}").split()
    status = dict(re.findall(r"(\w+):\s+(.*)", podman("exec", name, "cat", "/proc/1/status")))
    assert status["Uid"].split()[0] not in {"0", ""}
    assert status["CapEff"].strip("0") == ""
    assert status["NoNewPrivs"] == "1"
    host = podman.inspect("container", name)["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["Memory"]
    assert {each["HostIp"] for ports in host["PortBindings"].values() for each in ports} == {"127.0.0.1"}


def test_a_key_is_read_from_its_file(compose: Compose, stack: dict[str, str], secrets: Path) -> None:
    # With this flag it reads the key and ends: nothing is asked of the real API.
    words = ("run", "--rm", "--no-deps", "--no-TTY", "exporter", "--config.check")
    assert compose(*words, secrets=secrets).startswith("configuration is fine: 1 account")
