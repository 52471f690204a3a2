"""A cluster of several machines, played by this one: a run is spread over it and outlives the death
of a machine."""

import multiprocessing
import re
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import pytest

from agents.checkpoint import finished_checkpoints, load_state
from agents.monitoring.metrics import read_progress
from tests.commands import Command, children_named

LENGTH = (
    "--total-env-steps",
    "12000",
    "--checkpoint-every-env-steps",
    "2000",
    "--evaluate-every-env-steps",
    "0",
)
PROCESSES = ("--num-env-runners", "2", "--num-learners", "1", "--resources.patience-seconds", "5")
LEARNER = "_WrappedExecutable"
"""What RLlib names a learner's process."""


def play_cluster(pipe: Connection) -> None:
    """A head without cores and two machines with two each; sends the address and the process ids of
    the machines' raylets, and ends the cluster when it is answered."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    machines = [cluster.add_node(num_cpus=2) for _ in range(2)]
    pipe.send(
        (cluster.address, [machine.all_processes["raylet"][0].process.pid for machine in machines])
    )
    pipe.recv()
    cluster.shutdown()


@pytest.fixture
def cluster():
    """The address of a cluster and its machines' raylets; it has a process of its own, as other
    tests use Ray here."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=play_cluster, args=(there,))
    process.start()
    yield here.recv()
    here.send("over")
    process.join()


def kill_machine(raylet: int) -> None:
    """Kills all of a machine's processes at once."""
    process = psutil.Process(raylet)
    for each in (process, *process.children(recursive=True)):
        each.kill()


def holds(raylet: int, *names: str) -> bool:
    """Whether one of these workers is on a machine."""
    return any(children_named(name, raylet) for name in names)


def test_a_run_outlives_a_machine_that_dies(cluster, tmp_path: Path) -> None:
    address, machines = cluster
    run = tmp_path / "run"
    where = ("--address", address, "--run-dir", str(run))
    training = Command(
        "train_agent.py", "--env", "CartPole-v1", *PROCESSES, *LENGTH, *where, folder=tmp_path
    )
    training.wait_until(lambda: len(finished_checkpoints(run / "checkpoints")) >= 2)
    assert all(holds(machine, "EnvRunner", LEARNER) for machine in machines)
    with_learner = next(machine for machine in machines if holds(machine, LEARNER))
    kill_machine(with_learner)
    training.finish()

    told = training.log
    assert "machines are missing; going on with 1 env runner(s)" in told
    assert int(re.findall(r"going on from step-(\d+)", told)[-1]) >= 4_000
    assert load_state(finished_checkpoints(run / "checkpoints")[0])["env_steps"] >= 12_000
    steps = [line["env_steps"] for line in read_progress(run / "progress.jsonl")]
    assert steps == sorted(set(steps))
