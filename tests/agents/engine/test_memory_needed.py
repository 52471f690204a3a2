"""What training needs of the memory, counted by hand, and told before the memory is taken."""

from dataclasses import replace
from types import SimpleNamespace

import psutil
import pytest
import torch
from gymnasium.spaces import Box
from torch import nn

from agents.engine.config import build_network
from agents.engine.memory_needed import memory_checked, require_rollout_memory
from agents.engine.network_memory import require_network_memory
from agents.experiment import Experiment, InvalidExperiment
from agents.settings.ddpg import DDPG
from agents.settings.dqn import DQN
from agents.settings.ppo import PPO
from envs.probe import ChoiceConfig, CountingConfig, TargetConfig
from perception.settings.encoders import MLPConfig
from perception.settings.memory import RecurrentConfig

EXPERIMENT = Experiment(
    CountingConfig(), PPO(rollout_length=100), MLPConfig(hidden_sizes=(10,)), num_envs=4
)
SPACE = Box(0, 255, (3, 5), "uint8")


def leave_free(bytes_free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=bytes_free))


def test_a_rollout_needs_its_observations_and_32_bytes_a_step(monkeypatch) -> None:
    needed = 4 * 100 * (3 * 5 + 32)
    leave_free(needed, monkeypatch)
    require_rollout_memory(EXPERIMENT, SPACE)
    leave_free(needed - 1, monkeypatch)
    with pytest.raises(
        ValueError,
        match=r"^A rollout of 400 env steps \(--num-envs 4 x --algo.rollout-length 100\)",
    ):
        require_rollout_memory(EXPERIMENT, SPACE)
    require_rollout_memory(replace(EXPERIMENT, address="auto"), SPACE)


def test_a_module_is_refused_as_soon_as_its_layers_need_more_than_is_free(monkeypatch) -> None:
    needed = 16 * (4 * 10 + 10 + 10 * 2 + 2)
    leave_free(needed, monkeypatch)
    with memory_checked("the encoder"):
        nn.Sequential(nn.Linear(4, 10), nn.Linear(10, 2))
    leave_free(needed - 1, monkeypatch)
    with (
        pytest.raises(
            ValueError, match=r"^Training the encoder, of at least 72 parameters, would take"
        ),
        memory_checked("the encoder"),
    ):
        nn.Sequential(nn.Linear(4, 10), nn.Linear(10, 2))
    nn.Linear(1_000, 10)  # nothing is counted any more


def test_a_layer_that_is_too_large_is_refused_before_it_has_numbers() -> None:
    width = int((psutil.virtual_memory().available / 8) ** 0.5)  # 4 of 16 bytes find room
    before = psutil.Process().memory_info().rss
    with pytest.raises(ValueError, match="GiB of memory"), memory_checked("the encoder"):
        nn.Linear(width, width)
    assert psutil.Process().memory_info().rss - before < 2**28


def test_an_allocation_that_fails_at_once_is_told_of_alike() -> None:
    with (
        pytest.raises(ValueError, match=r"^Training the encoder would take 16,384\.0 GiB"),
        memory_checked("the encoder"),
    ):
        nn.Linear(2**20, 2**20)


@pytest.mark.parametrize(
    "experiment",
    [
        replace(EXPERIMENT, algo=PPO(share_encoder=False)),
        replace(EXPERIMENT, memory=RecurrentConfig(units=7)),
        replace(EXPERIMENT, env=ChoiceConfig(), algo=DQN(dueling=True, noisy=True, stream_width=9)),
        replace(EXPERIMENT, env=TargetConfig(), algo=DDPG(hidden_sizes=(11, 12), num_critics=3)),
    ],
    ids=["two encoders", "memory", "streams", "critics"],
)
def test_a_network_needs_16_bytes_a_parameter(experiment: Experiment, monkeypatch) -> None:
    environment = experiment.env.build()
    encoder = experiment.encoder.build(environment.observation_space)
    parameters = sum(parameter.numel() for parameter in build_network(experiment).parameters())
    leave_free(16 * parameters, monkeypatch)
    require_network_memory(experiment, encoder)
    leave_free(16 * parameters - 1, monkeypatch)
    with pytest.raises(
        InvalidExperiment, match=f"^Training the network, of {parameters:,} parameters, would take"
    ):
        require_network_memory(experiment, encoder)
    require_network_memory(replace(experiment, address="auto"), encoder)


def test_heads_too_large_for_the_memory_are_refused_without_taking_any() -> None:
    experiment = replace(EXPERIMENT, env=TargetConfig(), algo=DDPG(hidden_sizes=(2**20, 2**20)))
    encoder = experiment.encoder.build(experiment.env.build().observation_space)
    before = psutil.Process().memory_info().rss
    with pytest.raises(InvalidExperiment, match="Training the network"):
        require_network_memory(experiment, encoder)
    assert psutil.Process().memory_info().rss - before < 2**28
    assert torch.zeros(1).device.type == "cpu"
