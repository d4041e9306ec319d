"""The manifests as kustomize builds them, against the published schemas: `make check-kubernetes`."""

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.documents import blocks
from tests.support.running import ROOT, TOOLS, run

HERE = Path(__file__).parent
PAGE = ROOT / "docs" / "deployment.md"
DASHBOARD = ROOT / "grafana" / "dashboards" / "smspartner.json"
EXAMPLES = [text for text in blocks(PAGE, "yaml") if set(yaml.safe_load(text)) & {"resources", "patches"}]
Manifests = dict[str, dict[str, Any]]


def build(directory: Path) -> Manifests:
    """Return what kustomize makes of a directory: by kind, the ConfigMap of the dashboard as `dashboard`."""
    manifests = list(yaml.safe_load_all(run(TOOLS / "kustomize", "build", directory)))
    by_kind = {"dashboard" if is_dashboard(each) else each["kind"]: each for each in manifests}
    assert len(by_kind) == len(manifests)
    return by_kind


def is_dashboard(manifest: dict[str, Any]) -> bool:
    return "grafana_dashboard" in manifest["metadata"].get("labels", {})


def complaints(manifests: Manifests) -> str:
    done = subprocess.run(
        ["node", HERE / "validate.mjs"],
        input=json.dumps(list(manifests.values())),
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    assert (done.returncode == 0) == (not done.stdout)
    return done.stdout


@pytest.fixture(scope="module")
def built() -> Manifests:
    return build(ROOT / "deploy" / "kubernetes")


def overlay(directory: Path, *parts: str) -> Manifests:
    """Build a kustomization of the documentation's, as a user has it: beside a checkout."""
    (directory / "smspartner-exporter").symlink_to(ROOT)
    (directory / "config.yaml").write_text("api_key_file: /run/secrets/smspartner/marketing\n")
    (directory / "kustomization.yaml").write_text("".join(parts))
    return build(directory)


def test_kubernetes_and_the_prometheus_operator_know_everything_in_them(built: Manifests) -> None:
    assert set(built) == {
        "ConfigMap",
        "Deployment",
        "PersistentVolumeClaim",
        "PrometheusRule",
        "Service",
        "ServiceMonitor",
        "dashboard",
    }
    assert complaints(built) == ""


def test_the_dashboard_is_a_config_map_that_grafanas_sidecar_finds(built: Manifests) -> None:
    dashboard = built["dashboard"]
    assert dashboard["kind"] == "ConfigMap"
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert dashboard["data"] == {"smspartner.json": DASHBOARD.read_text()}


def fits_restricted(pod: dict[str, Any]) -> bool:
    """Return whether a Pod fits Kubernetes's Pod Security Standard `restricted`."""
    (container,) = pod["containers"]
    security = {**pod["securityContext"], **container["securityContext"]}
    volumes = {kind for volume in pod["volumes"] for kind in volume if kind != "name"}
    return (
        not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod)
        and not any("hostPort" in port for port in container["ports"])
        and volumes <= {"configMap", "secret", "persistentVolumeClaim", "emptyDir", "projected"}
        and security["runAsNonRoot"] is True
        and security.get("runAsUser") != 0
        and security["allowPrivilegeEscalation"] is False
        and security["capabilities"] == {"drop": ["ALL"]}
        and security["seccompProfile"]["type"] in {"RuntimeDefault", "Localhost"}
        and not security.get("privileged")
    )


def with_component(directory: Path, name: str) -> Manifests:
    component = f"components: [smspartner-exporter/deploy/kubernetes/{name}]\n"
    return overlay(directory, EXAMPLES[0], component)


def test_the_pod_fits_the_standard_restricted_and_may_be_one_of_openshifts_users(
    built: Manifests, tmp_path: Path
) -> None:
    on_openshift = with_component(tmp_path, "openshift")
    assert complaints(on_openshift) == ""
    pods = [manifests["Deployment"]["spec"]["template"]["spec"] for manifests in (built, on_openshift)]
    assert all(fits_restricted(pod) for pod in pods)
    fixed = {"runAsUser", "runAsGroup", "fsGroup"}
    assert [fixed & set(pod["securityContext"]) for pod in pods] == [fixed, set()]


def test_the_network_policy_selects_the_pod_and_its_port(tmp_path: Path) -> None:
    restricted = with_component(tmp_path, "networkpolicy")
    assert complaints(restricted) == ""
    policy, pod = restricted["NetworkPolicy"], restricted["Deployment"]["spec"]["template"]
    assert policy["metadata"]["namespace"] == "smspartner"
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    (ingress,) = policy["spec"]["ingress"]
    assert [port["port"] for port in ingress["ports"]] == [
        port["name"] for port in pod["spec"]["containers"][0]["ports"]
    ]


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("ConfigMap", "data", ["text"]),
        ("Deployment", "spec.replicas", "1"),
        ("Deployment", "spec.template.spec.containers.0.readinesProbe", {}),
        ("Deployment", "spec.template.spec.securityContext.runAsNonRoot", 1),
        ("PersistentVolumeClaim", "spec.accessMode", ["ReadWriteOnce"]),
        ("PrometheusRule", "spec.groups.0.rules.0.keepFiringFor", "5m"),
        ("PrometheusRule", "spec.groups.0.interval", "5 minutes"),
        ("Service", "spec.publishNotReadyAdresses", True),
        ("ServiceMonitor", "spec.endpoints.0.interval", "1 minute"),
        ("ServiceMonitor", "spec.endpoints.0.relabelings.0.action", "dropLabel"),
        ("ServiceMonitor", "spec.endpoints.0.relabelling", []),
        ("dashboard", "metadata.labels.grafana_dashboard", 1),
    ],
)
def test_a_mistake_is_found(built: Manifests, kind: str, path: str, value: Any) -> None:
    wrong = copy.deepcopy(built[kind])
    *parents, last = path.split(".")
    place: Any = wrong
    for name in parents:
        place = place[int(name) if isinstance(place, list) else name]
    place[last] = value
    assert last in complaints({kind: wrong})


def test_they_fit_each_other(built: Manifests) -> None:
    pod = built["Deployment"]["spec"]["template"]
    labels = pod["metadata"]["labels"]
    service = built["Service"]
    assert labels
    assert built["Deployment"]["spec"]["selector"] == {"matchLabels": labels}
    assert service["spec"]["selector"] == labels
    assert built["ServiceMonitor"]["spec"]["selector"] == {"matchLabels": service["metadata"]["labels"]}

    (endpoint,) = built["ServiceMonitor"]["spec"]["endpoints"]
    (offered,) = service["spec"]["ports"]
    (container,) = pod["spec"]["containers"]
    (port,) = container["ports"]
    assert endpoint["port"] == offered["name"]
    assert offered["targetPort"] == port["name"]

    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert set(volumes) == {mount["name"] for mount in container["volumeMounts"]}
    assert volumes["config"]["configMap"]["name"] == built["ConfigMap"]["metadata"]["name"]
    claim = volumes["state"]["persistentVolumeClaim"]["claimName"]
    assert claim == built["PersistentVolumeClaim"]["metadata"]["name"]


def test_a_kustomization_of_ones_own_changes_what_is_special_to_a_cluster(tmp_path: Path) -> None:
    built = overlay(tmp_path, EXAMPLES[0])
    assert complaints(built) == ""
    assert {manifest["metadata"]["namespace"] for manifest in built.values()} == {"smspartner"}
    for kind in ("ServiceMonitor", "PrometheusRule"):
        assert built[kind]["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert "release" not in built["ServiceMonitor"]["spec"]["selector"]["matchLabels"]
    pod = built["Deployment"]["spec"]["template"]["spec"]
    image = pod["containers"][0]["image"]
    assert image.startswith("registry.example.org/smspartner-exporter:")
    assert f"docker push {image}\n" in PAGE.read_text()
    assert "marketing" in built["ConfigMap"]["data"]["config.yaml"]


def test_it_can_do_without_the_prometheus_operator(tmp_path: Path) -> None:
    built = overlay(tmp_path, *EXAMPLES)
    assert set(built) == {"ConfigMap", "Deployment", "PersistentVolumeClaim", "Service", "dashboard"}


def test_a_second_exporter_can_do_without_the_rules(tmp_path: Path) -> None:
    patch = EXAMPLES[1].replace("group: monitoring.coreos.com", "kind: PrometheusRule")
    built = overlay(tmp_path, EXAMPLES[0], patch)
    assert "ServiceMonitor" in built
    assert "PrometheusRule" not in built
