"""A cluster of several machines, played by this one: a run is spread over it and outlives the death of a machine."""

import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from ray.cluster_utils import Cluster

from agents.checkpoint import finished_checkpoints, load_state
from agents.metrics import read_progress

ROOT = Path(__file__).parents[2]
LENGTH = ("--total-env-steps", "12000", "--checkpoint-every-env-steps", "2000", "--evaluate-every-env-steps", "0")
PROCESSES = ("--num-env-runners", "2", "--num-learners", "1", "--resources.patience-seconds", "15")


@pytest.fixture
def cluster():
    """A head without cores and two machines with two each."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield cluster, [cluster.add_node(num_cpus=2) for _ in range(2)]
    cluster.shutdown()


def workers(machine) -> list[str]:
    raylet = psutil.Process(machine.all_processes["raylet"][0].process.pid)
    return [process.name() for process in raylet.children(recursive=True)]


def test_a_run_outlives_a_machine_that_dies(cluster, tmp_path: Path) -> None:
    cluster, machines = cluster
    run, log = tmp_path / "run", tmp_path / "log"
    train = [sys.executable, str(ROOT / "scripts" / "train_agent.py"), "--env", "CartPole-v1", *PROCESSES, *LENGTH]
    with log.open("w") as output:
        process = subprocess.Popen([*train, "--address", cluster.address, "--run-dir", str(run)], stdout=output)
    deadline = time.monotonic() + 150
    while len(finished_checkpoints(run / "checkpoints")) < 2:
        assert time.monotonic() < deadline, log.read_text()
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    held = [workers(machine) for machine in machines]
    assert all(any("EnvRunner" in name or "_WrappedExecutable" in name for name in names) for names in held), held
    learns = [any("_WrappedExecutable" in name for name in names) for names in held]  # its name says what it is doing
    with_learner = machines[learns.index(True)]
    cluster.remove_node(with_learner, allow_graceful=False)
    try:
        assert process.wait(timeout=200) == 0, log.read_text()
    finally:
        process.kill()

    told = log.read_text()
    assert "machines are missing; going on with 1 env runner(s)" in told
    assert int(re.findall(r"going on from step-(\d+)", told)[-1]) >= 4_000
    assert load_state(finished_checkpoints(run / "checkpoints")[0])["env_steps"] >= 12_000
    steps = [line["env_steps"] for line in read_progress(run / "progress.jsonl")]
    assert steps == sorted(set(steps))
