"""The container of the Deployment for Kubernetes, run as a kubelet would: part of `make check-container`."""

from pathlib import Path
from typing import Any

import requests
import yaml

from tests.deploy.container.engine import IMAGE, Engine, as_root
from tests.support.running import ROOT, Started, eventually, free_port

MANIFESTS = ROOT / "deploy" / "kubernetes"
POD: dict[str, Any] = yaml.safe_load((MANIFESTS / "deployment.yaml").read_text())["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]


class Secret:
    """A volume of a Secret: a kubelet changes all of its files at once, by a link to another directory."""

    def __init__(self, directory: Path, mode: int, group: int) -> None:
        self._directory, self._mode, self._group = directory, mode, group
        directory.mkdir()
        self._written = 0

    def write(self, key: str) -> None:
        self._written += 1
        data = self._directory / f"..{self._written}"
        data.mkdir()
        file = data / "api_key"
        file.write_text(key)
        as_root("chown", f"root:{self._group}", file)
        as_root("chmod", f"{self._mode:o}", file)
        (self._directory / "..new").symlink_to(data.name)
        (self._directory / "..new").rename(self._directory / "..data")
        if self._written == 1:
            (self._directory / "api_key").symlink_to("..data/api_key")


def flags(config: Path, secret: Path, state: Path) -> list[str]:
    """Return what the manifest asks of the container, in podman's words."""
    pod, own = POD["securityContext"], CONTAINER["securityContext"]
    sources = {"config": config, "api-key": secret, "state": state}
    read_only = {True: ":ro", False: ""}
    mounts = [
        f"--volume={sources[mount['name']]}:{mount['mountPath']}{read_only[mount.get('readOnly', False)]}"
        for mount in CONTAINER["volumeMounts"]
    ]
    return [
        f"--user={pod['runAsUser']}:{pod['runAsGroup']}",
        f"--group-add={pod['fsGroup']}",
        f"--read-only={str(own['readOnlyRootFilesystem']).lower()}",
        "--read-only-tmpfs=false",
        *(f"--cap-drop={name}" for name in own["capabilities"]["drop"]),
        *(["--security-opt=no-new-privileges"] if not own["allowPrivilegeEscalation"] else []),
        f"--memory={CONTAINER['resources']['limits']['memory'].removesuffix('i').lower()}",
        *mounts,
    ]


def test_the_container_of_the_deployment_works_and_takes_a_new_key(
    podman: Engine, started: Started, tmp_path: Path
) -> None:
    simulator = started.simulator("--api-key=new-api-key")
    group = POD["securityContext"]["fsGroup"]
    config, state = tmp_path / "config", tmp_path / "state"
    for directory in (config, state):
        directory.mkdir()
    (config / "config.yaml").write_text(
        (MANIFESTS / "config.yaml").read_text() + f"base_url: {simulator.url}\n"
    )
    # As a kubelet leaves a volume whose Pod has an fsGroup.
    as_root("chown", f"root:{group}", state)
    as_root("chmod", "2775", state)
    (volume,) = [volume["secret"] for volume in POD["volumes"] if "secret" in volume]
    secret = Secret(tmp_path / "secret", volume["defaultMode"], group)
    secret.write("old-api-key\n")
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(directory.stat().st_mode | 0o011)

    url = f"http://127.0.0.1:{free_port()}"
    address = f"--web.listen-address={url.removeprefix('http://')}"
    name = podman(
        "run",
        "--detach",
        "--network=host",
        *flags(config, tmp_path / "secret", state),
        IMAGE,
        *CONTAINER["args"],
        address,
    )

    def asked(probe: str) -> int:
        return requests.get(url + CONTAINER[probe]["httpGet"]["path"], timeout=10).status_code

    assert eventually(lambda: asked("startupProbe"), within=30) == 200
    rejected = 'smspartner_poll_failing{endpoint="statistics",reason="key_rejected"} 1.0'
    eventually(lambda: rejected in requests.get(f"{url}/metrics", timeout=10).text, within=60)
    assert asked("readinessProbe") == 503
    assert asked("livenessProbe") == 200

    secret.write("new-api-key\n")
    eventually(lambda: asked("readinessProbe") == 200, within=60)
    text = requests.get(f"{url}/metrics", timeout=10).text
    assert "\nsmspartner_state_writable 1.0\n" in text
    podman("stop", name)
    assert podman.inspect("container", name)["State"]["ExitCode"] == 0
