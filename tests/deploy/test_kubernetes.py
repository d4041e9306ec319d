"""The manifests for Kubernetes, as far as no other program is needed; `make check-kubernetes` does the rest."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import __version__
from exporter.cli import parser
from exporter.config.loader import load
from tests.support.running import ROOT, TOOLS, Running, Started, eventually, query, run

MANIFESTS = ROOT / "deploy" / "kubernetes"
RULES = ROOT / "prometheus" / "rules.yml"
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def manifest(name: str) -> Any:
    return yaml.safe_load((MANIFESTS / f"{name}.yaml").read_text())


POD = manifest("deployment")["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
MOUNTS = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}


def test_the_rules_are_those_of_the_repository() -> None:
    written = run(MANIFESTS / "write-prometheusrule")
    assert written == (MANIFESTS / "prometheusrule.yaml").read_text(), "run make kubernetes"
    assert yaml.safe_load(written)["spec"] == yaml.safe_load(RULES.read_text())


def test_every_manifest_is_part_of_the_kustomization_and_none_is_a_secret() -> None:
    kustomization = manifest("kustomization")
    files = {path.name for path in MANIFESTS.glob("*.yaml")} - {"kustomization.yaml", "config.yaml"}
    assert set(kustomization["resources"]) == {*files, "../../grafana/dashboards"}
    assert "Secret" not in {manifest(Path(name).stem)["kind"] for name in files}
    assert kustomization["images"] == [{"name": CONTAINER["image"], "newTag": __version__}]


def test_the_pod_runs_as_the_user_of_the_image() -> None:
    user = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    security = POD["securityContext"]
    assert [(str(security["runAsUser"]), str(security["runAsGroup"]))] == user
    assert security["fsGroup"] == security["runAsGroup"], "or the volume could not be written"


def test_the_state_lies_on_the_volume_and_the_port_is_the_default() -> None:
    assert f'VOLUME ["{MOUNTS["state"]}"]' in DOCKERFILE
    (port,) = CONTAINER["ports"]
    assert parser().parse([]).listen_addresses == [("", port["containerPort"])]


def test_the_key_is_a_file_that_follows_the_secret_and_that_only_the_group_reads(tmp_path: Path) -> None:
    assert not any("subPath" in mount for mount in CONTAINER["volumeMounts"])
    assert "env" not in CONTAINER
    assert "envFrom" not in CONTAINER
    (secret,) = [volume["secret"] for volume in POD["volumes"] if "secret" in volume]
    assert secret["defaultMode"] == 0o440
    config = (MANIFESTS / "config.yaml").read_text()
    assert f"api_key_file: {MOUNTS['api-key']}/api_key\n" in config
    assert "--from-file=api_key=" in (ROOT / "docs" / "deployment.md").read_text()
    (tmp_path / "api_key").write_text("test-key\n")
    file = tmp_path / "config.yaml"
    file.write_text(config.replace(MOUNTS["api-key"], str(tmp_path)))
    (account,) = load(file, {}).accounts
    assert account.key.read().reveal() == "test-key"
    assert CONTAINER["args"] == [f"--config.file={MOUNTS['config']}/config.yaml"]


def answers(exporter: Running, path: str) -> bool:
    return exporter.get(path).ok


def scrape_config(address: str) -> dict[str, Any]:
    """What the Prometheus Operator makes of the ServiceMonitor, as far as labels of the target are concerned."""
    (endpoint,) = manifest("servicemonitor")["spec"]["endpoints"]
    found = {"namespace": "sms", "service": "smspartner-exporter", "pod": "p-1", "container": "c"}
    target = {"__address__": address, **{f"__meta_{name}": value for name, value in found.items()}}
    of_the_operator = [
        *({"source_labels": [f"__meta_{name}"], "target_label": name} for name in found),
        {"source_labels": ["__meta_service"], "target_label": "job"},
        {"target_label": "endpoint", "replacement": endpoint["port"]},
    ]
    names = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
    own = [{names.get(name, name): value for name, value in rule.items()} for rule in endpoint["relabelings"]]
    return {
        "job_name": "serviceMonitor/sms/smspartner-exporter/0",
        "scrape_interval": "1s",
        "static_configs": [{"targets": [address], "labels": target}],
        "relabel_configs": of_the_operator + own,
    }


@pytest.mark.journey
def test_probes_are_answered_and_the_rules_find_what_the_service_monitor_scrapes(
    started: Started, tmp_path: Path
) -> None:
    exporter = started.exporter("--demo", f"--state.dir={tmp_path / 'state'}")
    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump(manifest("prometheusrule")["spec"]))
    assert "0 rules" not in run(TOOLS / "promtool", "check", "rules", "--lint-fatal", rules)
    config = {
        "global": {"evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [scrape_config(exporter.url.removeprefix("http://"))],
    }
    prometheus = started.prometheus(tmp_path, yaml.safe_dump(config))

    (up,) = eventually(lambda: query(prometheus, 'up{job="smspartner"} == 1'))
    assert up.labels == {
        "__name__": "up",
        "job": "smspartner",
        "instance": "sms/smspartner-exporter",
        "namespace": "sms",
        "service": "smspartner-exporter",
    }
    (reported,) = eventually(lambda: query(prometheus, 'smspartner_up{endpoint="statistics"}'), within=30)
    assert set(reported.labels) == {*up.labels, "endpoint"}
    assert eventually(lambda: query(prometheus, "smspartner:cost_daily:avg"), within=30)

    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        path = CONTAINER[probe]["httpGet"]["path"]
        assert eventually(partial(answers, exporter, path), within=60), probe
