"""The wheel on Debian 13's Python 3.13, in a system that has nothing else: part of `make check-container`."""

import shutil
import sys
from pathlib import Path

import requests

from exporter import __version__
from tests.deploy.container.engine import DEBIAN, Engine, trusted_authorities
from tests.support.running import ROOT, eventually, free_port, run

INSTALL = "pip install --quiet --no-cache-dir --break-system-packages --root-user-action=ignore"


def test_it_installs_and_runs_on_python_3_13(podman: Engine, tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path)
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    shutil.copy(trusted_authorities(), tmp_path / "ca.pem")
    address = f"127.0.0.1:{free_port()}"
    command = (
        f"{INSTALL} --require-hashes -r /delivered/requirements.lock && "
        f"{INSTALL} --no-deps /delivered/*.whl && pip check && smspartner-exporter --version && "
        f"exec smspartner-exporter --demo --web.listen-address={address}"
    )
    options = (f"--volume={tmp_path}:/delivered:ro", "--env=PIP_CERT=/delivered/ca.pem")
    name = podman("run", "--detach", "--network=host", *options, DEBIAN, "sh", "-c", command)
    metrics = f"http://{address}/metrics"
    eventually(lambda: "\nsms_cost_monthly{" in requests.get(metrics, timeout=10).text, within=180)
    assert 'python="3.13' in requests.get(metrics, timeout=10).text
    podman("stop", name)
    assert podman.inspect("container", name)["State"]["ExitCode"] == 0
    said = podman.attempt("logs", name)
    assert f"smspartner-exporter {__version__}\n" in said.stdout + said.stderr
