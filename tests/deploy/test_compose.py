"""compose.yaml as it is written: what it mounts, pins and leaves open. That it runs is for `make check-container`."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.documents import snippets
from tests.support.running import ROOT, TOOLS

WITHOUT_KEY = re.sub(r"\$\{\w+:(?:\+|-(.*?)).*?\}", r"\1", (ROOT / "compose.yaml").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load(WITHOUT_KEY)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = "exporter"
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def mounts(service: str) -> dict[str, Path]:
    """Return the files and directories that a service sees, by its own paths."""
    split = [volume.split(":") for volume in SERVICES[service]["volumes"]]
    return {target: ROOT / source for source, target, *_ in split if source.startswith(".")}


def laid_out(service: str, directory: Path) -> Path:
    """Lay out in a directory what a service sees."""
    for target, source in mounts(service).items():
        path = directory / target.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, path)
    return directory


def check(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@each_service
def test_every_mounted_file_is_there_and_read_only(service: dict[str, Any]) -> None:
    for volume in service["volumes"]:
        source, _, *options = volume.split(":")
        if source in COMPOSE["volumes"]:
            continue
        assert (ROOT / source).exists(), source
        assert options == ["ro"], source


@pytest.mark.journey
def test_prometheus_accepts_what_it_is_given(tmp_path: Path) -> None:
    directory = laid_out("prometheus", tmp_path)
    (file,) = (word.partition("=")[2] for word in SERVICES["prometheus"]["command"] if "config" in word)
    check(TOOLS / "promtool", "check", "config", directory / file.lstrip("/"))


@pytest.mark.journey
def test_alertmanager_accepts_what_it_is_given(tmp_path: Path) -> None:
    directory = laid_out("alertmanager", tmp_path)
    (file,) = (word.partition("=")[2] for word in SERVICES["alertmanager"]["command"] if "config" in word)
    check(TOOLS / "amtool", "check-config", directory / file.lstrip("/"))


@pytest.mark.parametrize(
    ("copy", "original"),
    [
        ("prometheus.yml", "prometheus/prometheus.yml"),
        ("datasource.yaml", "grafana/provisioning/datasources/prometheus.yaml"),
    ],
)
def test_services_are_where_localhost_is_elsewhere(copy: str, original: str) -> None:
    listening = {
        port.rpartition(":")[2]: name for name, service in SERVICES.items() for port in service["ports"]
    }
    adapted = re.sub(
        r"localhost:(\d+)", lambda match: f"{listening[match[1]]}:{match[1]}", (ROOT / original).read_text()
    )
    assert yaml.safe_load((ROOT / "deploy" / "compose" / copy).read_text()) == yaml.safe_load(adapted)


def test_grafana_finds_its_data_source_and_its_dashboards_where_it_looks() -> None:
    seen = mounts("grafana")
    for kind in ("datasources", "dashboards"):
        assert any(target.startswith(f"/etc/grafana/provisioning/{kind}") for target in seen)
    (provider,) = yaml.safe_load((ROOT / "grafana/provisioning/dashboards/smspartner.yaml").read_text())[
        "providers"
    ]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (seen[provider["options"]["path"]] / Path(home).name).exists()


def test_versions_are_pinned() -> None:
    for name, service in SERVICES.items():
        if name == OURS:
            assert service["build"] == "."
        else:
            assert re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.\d+", service["image"])
    packages = json.loads((ROOT / "grafana" / "checks" / "package.json").read_text())["dependencies"]
    tried = {text.rpartition("@")[2] for name, text in packages.items() if name.startswith("data-")}
    assert SERVICES["grafana"]["image"].partition(":")[2] in tried, (
        "a Grafana that the dashboard is tried with"
    )


@each_service
def test_it_is_locked_up_and_reached_from_this_machine_only(service: dict[str, Any]) -> None:
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges"]
    assert service["mem_limit"]
    assert service["ports"]
    for port in service["ports"]:
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)
    assert not {"privileged", "network_mode", "user", "cap_add", "pid"} & set(service)


def test_each_service_has_a_health_check_and_is_waited_for() -> None:
    assert "\nHEALTHCHECK " in (ROOT / "Dockerfile").read_text()
    for name, service in SERVICES.items():
        if name != OURS:
            command, address = service["healthcheck"]["test"][1], service["healthcheck"]["test"][-1]
            assert command == "wget"
            assert f":{service['ports'][0].rpartition(':')[2]}/" in address
        for awaited in service.get("depends_on", {}).values():
            assert awaited == {"condition": "service_healthy"}
    assert set(SERVICES["prometheus"]["depends_on"]) == {OURS, "alertmanager"}


def test_the_readme_prints_a_docker_run_that_is_as_locked_up_as_the_service() -> None:
    (printed,) = [each.script for each in snippets(ROOT / "README.md") if "docker run" in each.script]
    service = SERVICES[OURS]
    assert service["read_only"]
    assert {
        "--read-only",
        f"--cap-drop={service['cap_drop'][0].lower()}",
        f"--security-opt={service['security_opt'][0]}",
        f"--memory={service['mem_limit']}",
        f"--pids-limit={service['pids_limit']}",
        service["restart"],
        service["ports"][0],
    } <= set(printed.split())
