"""On a GPU: what a graph replays is what its function does, step by step and over a training."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.engine.cuda_graph import CALLS_BEFORE_RECORDING, CUDAGraph
from agents.engine.module import ActorCritic
from agents.engine.q_network import QNetwork
from agents.train import train
from perception.memory import RecurrentConfig
from tests.agents.tiny_runs import losses, tiny, tiny_dqn

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CALLS = CALLS_BEFORE_RECORDING + 3


@gpu
def test_a_graph_computes_and_draws_as_its_function_does() -> None:
    def drawn(generator: torch.Generator, call: Any) -> list[Tensor]:
        told = []
        for number in range(CALLS):
            generator.manual_seed(number)
            told += [call({"x": torch.full((4,), float(number), device="cuda")})["y"] for _ in range(2)]
        return told

    def noisy(generator: torch.Generator) -> Any:
        return lambda columns: {"y": columns["x"] + torch.empty_like(columns["x"]).normal_(generator=generator)}

    one, other = torch.Generator("cuda"), torch.Generator("cuda")
    graph = CUDAGraph(noisy(one), one)
    torch.testing.assert_close(drawn(one, graph), drawn(other, noisy(other)))
    assert graph.graph is not None


@gpu
def test_what_a_function_changes_in_its_place_goes_on_changing() -> None:
    total = torch.zeros((), device="cuda")
    graph = CUDAGraph(lambda columns: {"total": total.add_(columns["x"].sum())})
    told = [graph({"x": torch.full((2,), float(number), device="cuda")})["total"].item() for number in range(CALLS)]
    assert told == [float(number * (number + 1)) for number in range(CALLS)]


@gpu
@pytest.mark.usefixtures("ray_here")
@pytest.mark.parametrize(
    ("network", "experiment"),
    [
        (ActorCritic, tiny),
        (ActorCritic, lambda run_dir: tiny(run_dir, memory=RecurrentConfig(units=4, steps=4))),
        (QNetwork, lambda run_dir: tiny_dqn(run_dir, total_env_steps=640)),
    ],
    ids=["ppo", "ppo-lstm", "rainbow"],
)
def test_a_training_is_the_same_with_graphs_and_without(tmp_path, monkeypatch, network: type, experiment: Any) -> None:
    monkeypatch.setattr("agents.cluster.gpus_at_hand", lambda: 1)
    recorded: list[CUDAGraph] = []
    record = CUDAGraph._record
    monkeypatch.setattr(CUDAGraph, "_record", lambda self, columns: recorded.append(self) or record(self, columns))
    train(experiment(tmp_path / "graphs"))
    assert len(recorded) == 2, "one to act by, one to learn by"
    monkeypatch.setattr(network, "capturable", False)
    train(experiment(tmp_path / "none"))
    assert len(recorded) == 2
    names = ("loss", "gradient_norm", "learning_rate")
    with_graphs, without = (losses(tmp_path / name, names) for name in ("graphs", "none"))
    assert without
    np.testing.assert_allclose(np.array(with_graphs, float), np.array(without, float), rtol=1e-3, atol=1e-5)
