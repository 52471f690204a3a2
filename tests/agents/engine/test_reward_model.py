"""A reward model beside the policy: asked, trained, saved and shared with it, by every
algorithm."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict
from torch import nn

from agents.engine.reward_model import LearntReward
from agents.experiment import InvalidExperiment
from agents.monitoring.metrics import read_progress
from agents.networks.packing import Packing
from agents.training.train import resume, train
from perception.settings.rewards import NoveltyRewardConfig
from tests.agents.tiny_runs import (
    assert_same,
    final_state,
    losses,
    stop_after_lines,
    tiny,
    tiny_dqn,
    tiny_td3,
)


class Slope(nn.Module):
    """Rewards the observation times its parameter, and learns to make that 1."""

    learning_rate = 0.1

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.ones(()))
        self.asked: list[int] = []

    def reward(self, steps):
        self.asked.append(len(steps.actions))
        return self.slope * steps.observations[:, 0]

    def loss(self, steps):
        errors = self.slope * steps.observations[:, 0] - 1
        return (errors**2).mean(), {"error": errors.detach().abs().mean()}


def learnt_reward(module: nn.Module, space=None) -> LearntReward:
    packing = Packing(space or Box(-1, 1, (2,), np.float32))
    return LearntReward(module, packing, torch.device("cpu"), torch.Generator().manual_seed(1))


def some_steps(model: LearntReward, size: int):
    return model.steps(
        torch.full((size, 2), 2.0), torch.zeros(size, dtype=torch.int64), torch.zeros(size)
    )


def test_rewards_are_asked_for_a_piece_at_a_time_and_stand_in_order() -> None:
    model = learnt_reward(Slope())
    observations = torch.stack([torch.arange(3_000.0), torch.zeros(3_000)], 1)
    rewards = model.reward(
        model.steps(
            observations,
            torch.zeros(3_000, dtype=torch.int64),
            torch.zeros(3_000, dtype=torch.bool),
        )
    )
    np.testing.assert_array_equal(rewards, np.arange(3_000, dtype=np.float32))
    assert model.module.asked == [1_024, 1_024, 952]


def test_it_learns_once_from_every_step() -> None:
    model = learnt_reward(Slope())
    steps = some_steps(model, 600)
    model.reward(steps)
    model.learn(steps)
    # Three minibatches: each of Adam's first steps is its learning rate, downhill from 1 to the
    # best, 0.5.
    assert model.module.slope.item() == pytest.approx(0.7, abs=0.01)
    assert model.metrics()["reward_model_mean"] == 2.0
    assert model.metrics()["reward_model_error"] == pytest.approx((1 + 0.8 + 0.6) / 3, abs=0.01)


def test_one_that_learns_nothing_is_never_asked_for_its_loss() -> None:
    frozen = Slope().requires_grad_(False)
    frozen.loss = None  # type: ignore[assignment]
    model = learnt_reward(frozen)
    steps = some_steps(model, 8)
    np.testing.assert_array_equal(model.reward(steps), np.full(8, 2.0, np.float32))
    model.learn(steps)
    assert model.metrics() == {"reward_model_mean": 2.0}
    other = learnt_reward(Slope().requires_grad_(False))
    other.module.slope += 1.0
    other.set_state(model.get_state())
    assert other.module.slope == 1.0


def test_a_saved_one_goes_on_as_if_it_had_not_stopped() -> None:
    model, other = learnt_reward(Slope()), learnt_reward(Slope())
    steps = some_steps(model, 300)
    model.learn(steps)
    other.set_state(model.get_state())
    model.learn(steps)
    other.learn(steps)
    assert_same(model.get_state(), other.get_state())


def test_packed_observations_reach_it_by_their_parts() -> None:
    space = Dict(
        {"image": Box(0, 255, (3, 4, 4), np.uint8), "sensors": Box(-1, 1, (2,), np.float32)}
    )
    packing = Packing(space)
    parts = {
        "image": np.full((5, 3, 4, 4), 7, np.uint8),
        "sensors": np.full((5, 2), 0.5, np.float32),
    }
    steps = learnt_reward(Slope(), space).steps(
        torch.from_numpy(packing.pack(parts)), torch.zeros(5), torch.zeros(5)
    )
    for name, part in parts.items():
        np.testing.assert_array_equal(steps.observations[name], part)
    assert steps.rows(torch.tensor([1, 3])).observations["sensors"].shape == (2, 2)


def tiny_single_step_dqn(run_dir, **changes):
    base = tiny_dqn(run_dir)
    return replace(base, algo=replace(base.algo, n_step=1), **changes)


@pytest.mark.usefixtures("ray_here")
@pytest.mark.parametrize("kind", [tiny, tiny_single_step_dqn, tiny_td3])
def test_a_resumed_run_goes_on_with_its_reward_model(kind, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("agents.engine.off_policy.REPORT_EVERY_ENV_STEPS", 32)
    reward = NoveltyRewardConfig(weight=0.5)
    train(kind(tmp_path / "whole", reward=reward))
    stop_after_lines(tmp_path / "parts", 6)
    train(kind(tmp_path / "parts", reward=reward))
    assert 128 <= final_state(tmp_path / "parts")["env_steps"] < 320
    resume(kind(tmp_path / "parts", reward=reward), tmp_path / "parts")
    assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "parts"))
    names = ("loss", "reward_model_mean", "reward_model_loss")
    assert losses(tmp_path / "whole", names) == losses(tmp_path / "parts", names)
    assert all(value is not None for value in losses(tmp_path / "whole", names)[-1])


@pytest.mark.usefixtures("ray_here")
def test_the_true_return_is_logged_whatever_the_learner_is_rewarded_for(tmp_path) -> None:
    for name, reward in (
        ("plain", NoveltyRewardConfig(weight=0.0)),
        ("novel", NoveltyRewardConfig(weight=1_000.0)),
    ):
        train(tiny(tmp_path / name, reward=reward, total_env_steps=32))
    # The first 32 steps are the same; only what is learnt from them differs.
    plain, novel = (
        read_progress(tmp_path / name / "progress.jsonl")[0] for name in ("plain", "novel")
    )
    assert plain["episode/return_mean"] == novel["episode/return_mean"]
    assert novel["learner/reward_model_mean"] > 100 * abs(plain["learner/reward_model_mean"])


def test_several_steps_at_once_are_not_judged(tmp_path) -> None:
    with pytest.raises(InvalidExperiment, match=r"judges single steps.*--algo\.n-step 1"):
        tiny_dqn(tmp_path / "run", reward=NoveltyRewardConfig()).validate()


@dataclass(frozen=True)
class Refuses(NoveltyRewardConfig):
    def build(self, observation_space, action_space):
        raise ValueError("No.")


def test_a_model_that_cannot_judge_is_refused_before_anything_starts(tmp_path) -> None:
    with pytest.raises(InvalidExperiment, match=r"No\."):
        tiny(tmp_path / "run", reward=Refuses()).validate()
