"""On a GPU: what a graph replays is what its function does, step by step and over a training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agents.acceleration.adam import Adam
from agents.acceleration.cuda_graph import CALLS_BEFORE_RECORDING, CUDAGraph
from agents.data import Columns
from agents.experiment import Experiment
from agents.networks.actor_critic import ActorCritic
from agents.networks.q_network import QNetwork
from agents.training.train import train
from perception.settings.memory import RecurrentConfig
from tests.agents.tiny_runs import losses, tiny, tiny_dqn

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CALLS = CALLS_BEFORE_RECORDING + 3


@gpu
def test_a_graph_computes_and_draws_as_its_function_does() -> None:
    def drawn(generator: torch.Generator, call: Any) -> list[Tensor]:
        told = []
        for number in range(CALLS):
            generator.manual_seed(number)
            told += [
                call({"x": torch.full((4,), float(number), device="cuda")})["y"] for _ in range(2)
            ]
        return told

    def noisy(generator: torch.Generator) -> Any:
        return lambda columns: {
            "y": columns["x"] + torch.empty_like(columns["x"]).normal_(generator=generator)
        }

    one, other = torch.Generator("cuda"), torch.Generator("cuda")
    graph = CUDAGraph(noisy(one), one)
    torch.testing.assert_close(drawn(one, graph), drawn(other, noisy(other)))
    assert graph.graph is not None


@gpu
def test_what_a_function_changes_in_its_place_goes_on_changing() -> None:
    total = torch.zeros((), device="cuda")
    graph = CUDAGraph(lambda columns: {"total": total.add_(columns["x"].sum())})
    told = [
        graph({"x": torch.full((2,), float(number), device="cuda")})["total"].item()
        for number in range(CALLS)
    ]
    assert told == [float(number * (number + 1)) for number in range(CALLS)]


@gpu
def test_a_graph_that_is_given_another_shape_says_so() -> None:
    graph = CUDAGraph(lambda columns: {"y": columns["x"] + 1.0})
    for _ in range(CALLS):
        graph({"x": torch.zeros(4, device="cuda")})
    with pytest.raises(ValueError, match=r"\(4,\) cannot take \(1,\)"):
        graph({"x": torch.zeros(1, device="cuda")})


@gpu
def test_a_graph_follows_the_learning_rate() -> None:
    ours, theirs = (nn.Parameter(torch.ones(3, device="cuda")) for _ in range(2))
    optimizer, reference = Adam([ours], 0.1, 1e-8), torch.optim.Adam([theirs], 0.1, eps=1e-8)

    def step(columns: Columns) -> Columns:
        optimizer.descend([ours], [columns["gradient"]])
        return {}

    graph = CUDAGraph(step)
    for number in range(CALLS):
        optimizer.set_learning_rate(0.1 / (number + 1))
        reference.param_groups[0]["lr"] = 0.1 / (number + 1)
        theirs.grad = torch.full((3,), float(number + 1), device="cuda")
        graph({"gradient": theirs.grad})
        reference.step()
    torch.testing.assert_close(ours, theirs)


def anneals(run_dir: Path, **changes: Any) -> Experiment:
    experiment = tiny(run_dir, **changes)
    algo: Any = experiment.algo
    return replace(
        experiment,
        algo=replace(algo, anneal_clip=True, anneal_entropy=True, entropy_coefficient=0.01),
    )


@gpu
@pytest.mark.usefixtures("ray_here")
@pytest.mark.parametrize(
    ("network", "experiment"),
    [
        (ActorCritic, anneals),
        (ActorCritic, lambda run_dir: anneals(run_dir, memory=RecurrentConfig(units=4, steps=4))),
        (QNetwork, lambda run_dir: tiny_dqn(run_dir, total_env_steps=640)),
    ],
    ids=["ppo", "ppo-lstm", "rainbow"],
)
def test_a_training_is_the_same_with_graphs_and_without(
    tmp_path, monkeypatch, network: type, experiment: Any
) -> None:
    monkeypatch.setattr("agents.processes.cluster.gpus_at_hand", lambda: 1)
    recorded: list[CUDAGraph] = []
    record = CUDAGraph._record
    monkeypatch.setattr(
        CUDAGraph, "_record", lambda self, columns: recorded.append(self) or record(self, columns)
    )
    train(experiment(tmp_path / "graphs"))
    assert len(recorded) == 2, "one to act by, one to learn by"
    monkeypatch.setattr(network, "capturable", False)
    train(experiment(tmp_path / "none"))
    assert len(recorded) == 2
    names = ("loss", "gradient_norm", "learning_rate")
    with_graphs, without = (losses(tmp_path / name, names) for name in ("graphs", "none"))
    assert without
    np.testing.assert_allclose(
        np.array(with_graphs, float), np.array(without, float), rtol=1e-3, atol=1e-5
    )
