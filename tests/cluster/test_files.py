"""What can be said of the cluster's files without machines to bring up: they are what Ray and
Kubernetes read."""

import re
from pathlib import Path

import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"


def test_the_launcher_file_passes_rays_own_schema() -> None:
    launcher = yaml.safe_load((CLUSTER / "launcher.yaml").read_text())
    validate_config(prepare_config(launcher))  # as `ray up` does
    assert launcher["max_workers"] == len(launcher["provider"]["worker_ips"])


def test_the_manifest_names_the_ray_that_is_installed_and_every_volume_it_mounts() -> None:
    cluster, claim = yaml.safe_load_all((CLUSTER / "kuberay.yaml").read_text())
    assert cluster["kind"] == "RayCluster"
    assert cluster["spec"]["rayVersion"] == ray.__version__
    for group in (cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        volumes = {
            v["name"]: v["persistentVolumeClaim"]["claimName"] for v in pod.get("volumes", [])
        }
        for container in pod["containers"]:
            mounted = [mount["name"] for mount in container.get("volumeMounts", [])]
            assert all(volumes[name] == claim["metadata"]["name"] for name in mounted)


def pods() -> list[dict]:
    cluster, _ = yaml.safe_load_all((CLUSTER / "kuberay.yaml").read_text())
    groups = (cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"])
    return [group["template"]["spec"] for group in groups]


def test_both_kinds_of_cluster_ask_for_a_token() -> None:
    cluster, _ = yaml.safe_load_all((CLUSTER / "kuberay.yaml").read_text())
    assert cluster["spec"]["authOptions"] == {"mode": "token"}
    launcher = yaml.safe_load((CLUSTER / "launcher.yaml").read_text())
    for command in (*launcher["head_start_ray_commands"], *launcher["worker_start_ray_commands"]):
        assert "ray start" not in command or "RAY_AUTH_MODE=token" in command


def test_no_container_is_root_or_can_become_it() -> None:
    dockerfile = (CLUSTER / "Dockerfile").read_text().splitlines()
    assert [line for line in dockerfile if line.startswith("USER")] == ["USER praxis"]
    assert any("--uid 1000 praxis" in line for line in dockerfile)
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 1000
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-uv.lock"])
def test_every_locked_package_has_a_version_and_hashes_and_no_registry(name) -> None:
    text = (ROOT / name).read_text()
    assert "//" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    packages = [entry for entry in text.replace("\\\n", " ").splitlines() if entry.strip()]
    assert packages
    for package in packages:
        requirement, *hashes = package.split("--hash=")
        assert "==" in requirement
        assert hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one.strip()) for one in hashes)


def test_what_installs_from_a_lock_checks_its_hashes() -> None:
    for path in (ROOT / "Makefile", CLUSTER / "Dockerfile"):
        commands = re.split(r"\n|&&", path.read_text().replace("\\\n", " "))
        installs = [line for line in commands if re.search(r"pip (install|sync)", line)]
        assert len(installs) == 2
        assert all("--require-hashes" in line for line in installs)
