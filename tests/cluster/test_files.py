"""What can be said of the cluster's files without machines to bring up: they are what Ray and Kubernetes read."""

from pathlib import Path

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
        volumes = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in pod.get("volumes", [])}
        for container in pod["containers"]:
            mounted = [mount["name"] for mount in container.get("volumeMounts", [])]
            assert all(volumes[name] == claim["metadata"]["name"] for name in mounted)
