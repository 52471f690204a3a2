"""Who holds what, and refusals before anything waits for cores or GPUs that are not there."""

import os
import socket
import stat
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import ray

from agents.experiment import Experiment, InvalidExperiment, Resources
from agents.processes import cluster
from agents.processes.cluster import (
    Bundle,
    can_reserve,
    join,
    remote_bundles,
    require_room,
    with_room,
)
from agents.settings.ppo import PPO
from envs.probe import CountingConfig
from perception.settings.encoders import MLPConfig

ALONE = Experiment(env=CountingConfig(), algo=PPO(), encoder=MLPConfig())
SPREAD = replace(ALONE, num_env_runners=2, num_learners=1, evaluate_beside=True)


@pytest.fixture
def gpus(monkeypatch):
    return lambda count: monkeypatch.setattr("agents.processes.cluster.gpus_at_hand", lambda: count)


def test_what_runs_in_this_process_holds_nothing_of_ray():
    assert remote_bundles(ALONE) == []


def test_each_process_holds_a_core(gpus):
    gpus(0)
    assert [(b.role, b.cpus, b.gpus) for b in remote_bundles(SPREAD)] == [
        ("env runner", 1.0, 0.0),
        ("env runner", 1.0, 0.0),
        ("learner", 1.0, 0.0),
        ("evaluator", 1.0, 0.0),
    ]


def test_a_learner_holds_a_gpu_where_there_is_one_unless_told_otherwise(gpus):
    gpus(4)
    assert remote_bundles(SPREAD)[2] == Bundle("learner", 0.0, 1.0)
    told = Resources(
        env_runner_cpus=0.5,
        env_runner_gpus=0.25,
        learner_cpus=2.0,
        learner_gpus=0.0,
        evaluator_gpus=0.5,
    )
    runner, _, learner, evaluator = remote_bundles(replace(SPREAD, resources=told))
    assert runner.to_ray() == {"CPU": 0.5, "GPU": 0.25}
    assert learner.to_ray() == {"CPU": 2.0}
    assert evaluator.to_ray() == {"CPU": 1.0, "GPU": 0.5}


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_a_cluster_that_is_not_there_is_told_in_one_line_and_soon(address, monkeypatch):
    monkeypatch.setattr("agents.processes.cluster.ANSWER_SECONDS", 1.0)
    with pytest.raises(InvalidExperiment, match=f"No Ray cluster answers at {address}") as end:
        join(address)
    assert "\n" not in str(end.value)


class TestInRay:
    """The tests' own Ray has eight cores and no GPU."""

    pytestmark = pytest.mark.usefixtures("ray_here")

    def test_more_than_there_is_is_refused_in_one_line(self):
        with pytest.raises(
            InvalidExperiment, match=r"9 env runners hold 9 cores, and Ray has 8; start fewer"
        ) as end:
            require_room(remote_bundles(replace(ALONE, num_env_runners=9)))
        assert "\n" not in str(end.value)
        with pytest.raises(
            InvalidExperiment,
            match=r"One process is to hold 0\.25 GPUs, and no machine has more than 0",
        ):
            require_room(remote_bundles(replace(SPREAD, resources=Resources(env_runner_gpus=0.25))))

    def test_shares_of_cores_make_room(self):
        require_room(
            remote_bundles(
                replace(ALONE, num_env_runners=16, resources=Resources(env_runner_cpus=0.5))
            )
        )

    def test_a_reservation_is_given_back(self):
        for _ in range(3):
            assert can_reserve(replace(ALONE, num_env_runners=7), seconds=30.0)

    def test_a_run_goes_on_with_as_many_runners_as_find_room(self, monkeypatch):
        monkeypatch.setattr("agents.processes.cluster.RESERVE_SECONDS", 2.0)
        wants = replace(
            SPREAD, num_envs=24, num_env_runners=12, resources=Resources(patience_seconds=0.2)
        )
        assert (
            with_room(wants).num_env_runners == 6
        )  # and a learner; seven would do, but do not divide 24
        with pytest.raises(ConnectionError, match="no room for 1 learner"):
            with_room(replace(wants, resources=Resources(learner_cpus=9.0, patience_seconds=0.2)))

    def test_other_machines_reach_none_of_its_ports(self):
        ray.get(ray.remote(num_cpus=1)(lambda: None).remote())  # a worker is among its processes
        processes = {
            os.getpid(),
            *(child.pid for child in psutil.Process().children(recursive=True)),
        }
        listening = [
            connection.laddr.ip
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.pid in processes
        ]
        assert len(listening) >= 5
        assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}

    def test_other_users_reach_none_of_its_files(self):
        session = Path(ray._private.worker._global_node.get_session_dir_path())
        assert stat.S_IMODE(session.parents[1].stat().st_mode) == 0o700


@pytest.fixture
def mute():
    """A port that accepts connections; what it says to them is set by the test, at first
    nothing."""
    answers = [b""]
    accepted = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                accepted.append(connection)
                connection.sendall(answers[-1])

        threading.Thread(target=accept, daemon=True).start()
        yield answers, server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    for connection in accepted:
        connection.close()


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"SSH-2.0-x\r\n"]
)
@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_port_that_is_no_rays_is_told_of_in_time(mute, monkeypatch, answer, scheme):
    answers, port = mute
    answers.append(answer)
    monkeypatch.setattr("agents.processes.cluster.ANSWER_SECONDS", 0.5)
    began = time.monotonic()
    with pytest.raises(
        InvalidExperiment, match=r"No Ray cluster answers at .* within 0\.5 seconds"
    ):
        join(f"{scheme}127.0.0.1:{port}")
    assert time.monotonic() - began < 5.0


@pytest.mark.parametrize(
    "address",
    ["x", "ray://x", ":6379", "ray://:10001", "a:b", "a:0", "a:65536", "a:-1", "a:1:2", "http://a:1", "local", " a:1",
     f"{'a' * 300}:1", "a/b:1", "ü:1", "[::1]", "ray://ray://a:1", "a:1\n", "a:\u0661"],
)  # fmt: skip
def test_what_is_no_address_is_refused_in_one_line(address):
    with pytest.raises(
        InvalidExperiment, match="--address must be auto, HOST:PORT or ray://HOST:PORT, not"
    ) as refusal:
        join(address)
    assert len(str(refusal.value)) < 250
    assert "\n" not in str(refusal.value)


def test_ray_is_started_once_more_where_a_process_answers_too_late(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tries: list[str] = []

    def init_here(processes: int, folder: str) -> None:
        tries.append(folder)
        if len(tries) == 1:
            raise TimeoutError("the first try's timeout")

    monkeypatch.setattr(cluster, "init_here", init_here)
    monkeypatch.setattr(cluster.ray, "shutdown", lambda: None)  # other tests' Ray runs here
    folder = cluster.start(2)
    assert [Path(each).parent for each in tries] == [folder, folder]
    assert tries[0] != tries[1]
    assert "(the first try's timeout); trying once more." in capfd.readouterr().err


def test_ray_that_does_not_start_twice_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def init_here(processes: int, folder: str) -> None:
        raise TimeoutError("nobody answers")

    monkeypatch.setattr(cluster, "init_here", init_here)
    monkeypatch.setattr(cluster.ray, "shutdown", lambda: None)  # other tests' Ray runs here
    with pytest.raises(
        ConnectionError,
        match=r"Ray did not start on this machine \(nobody answers\).* logs .* are in",
    ):
        cluster.start(2)
