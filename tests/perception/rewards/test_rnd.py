"""Novelty: what was seen often brings little, what is new brings much."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete

from perception.settings.rewards import NoveltyRewardConfig

VECTORS = Box(-1, 1, (3,), np.float32)
SYMBOLS = Box(0, 5, (2, 3, 3), np.uint8)
IMAGES = Box(0, 255, (4, 84, 84), np.uint8)
PARTS = Dict({"camera": Box(0, 255, (3, 40, 40), np.uint8), "sensors": VECTORS})


def steps(observations):
    some = next(iter(observations.values())) if isinstance(observations, dict) else observations
    return SimpleNamespace(
        observations=observations, repeated=torch.zeros(len(some), dtype=torch.bool)
    )


def mean_reward(module, seen) -> float:
    with torch.no_grad():
        return module.reward(seen).mean().item()


def learns(module, seen, times: int) -> None:
    optimizer = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], 1e-3)
    for _ in range(times):
        loss, _ = module.loss(seen)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_what_was_seen_often_brings_less_than_what_is_new() -> None:
    torch.manual_seed(0)
    module = NoveltyRewardConfig(weight=1.0).build(VECTORS, Discrete(2))
    known, new = steps(torch.rand(64, 3) - 1.0), steps(torch.rand(64, 3))
    learns(module, steps(torch.rand(64, 3) * 2 - 1), 5)
    before = mean_reward(module, known), mean_reward(module, new)
    assert before[0] == pytest.approx(before[1], rel=0.5)
    learns(module, known, 200)
    assert mean_reward(module, new) > 3 * mean_reward(module, known)


def test_an_episode_is_rewarded_for_an_observation_once() -> None:
    observations = torch.rand(4, 3)
    again = SimpleNamespace(
        observations=observations, repeated=torch.tensor([False, True, False, True])
    )
    with torch.no_grad():
        once = NoveltyRewardConfig(weight=1.0).build(VECTORS, Discrete(2)).reward(again)
        always = (
            NoveltyRewardConfig(weight=1.0, once_an_episode=False)
            .build(VECTORS, Discrete(2))
            .reward(again)
        )
    assert (once > 0).tolist() == [True, False, True, False]
    assert (always > 0).all()


def test_over_the_run_rewards_are_1_on_average() -> None:
    torch.manual_seed(0)
    module = NoveltyRewardConfig(weight=1.0).build(VECTORS, Discrete(2))
    errors = [module.loss(steps(torch.rand(16, 3)))[0].item() for _ in range(5)]
    assert module.mean_error.item() == pytest.approx(np.mean(errors), rel=1e-5)
    assert module.count.item() == 80


def test_the_mean_still_moves_after_billions_of_steps() -> None:
    """A step's share of 4e9 is 2.5e-10, and float32's numbers near 1 are 6e-8 apart."""
    module = NoveltyRewardConfig().build(VECTORS, Discrete(2))
    module.count.fill_(4e9)
    error = module.loss(steps(torch.rand(16, 3)))[0].item()
    assert module.mean_error.item() - 1.0 == pytest.approx((error - 1.0) * 16 / 4e9, rel=1e-3)


def test_only_the_network_that_predicts_learns() -> None:
    module = NoveltyRewardConfig().build(VECTORS, Discrete(2))
    target = {name: value.clone() for name, value in module.target.state_dict().items()}
    learns(module, steps(torch.rand(8, 3)), 3)
    assert all(
        torch.equal(value, target[name]) for name, value in module.target.state_dict().items()
    )
    assert not any(parameter.requires_grad for parameter in module.target.parameters())


def test_to_be_asked_changes_nothing() -> None:
    module = NoveltyRewardConfig().build(VECTORS, Discrete(2))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.reward(steps(torch.rand(8, 3)))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("space", [VECTORS, SYMBOLS, IMAGES, PARTS])
def test_it_reads_whatever_the_agent_reads(space) -> None:
    space.seed(0)
    drawn = [space.sample() for _ in range(2)]
    if isinstance(space, Dict):
        seen = {
            name: torch.from_numpy(np.stack([one[name] for one in drawn])) for name in space.spaces
        }
    else:
        seen = torch.from_numpy(np.stack(drawn))
    reward = NoveltyRewardConfig(weight=2.0).build(space, Discrete(2)).reward(steps(seen))
    assert reward.shape == (2,)
    assert (reward > 0).all()


def test_the_environments_rewards_are_weighed() -> None:
    rewards = np.array([[1.0, -2.0]], np.float32)
    weighed = NoveltyRewardConfig(environment_weight=0.5).of_environment(rewards)
    assert weighed.tolist() == [[0.5, -1.0]]
    assert weighed.dtype == np.float32


@pytest.mark.parametrize("wrong", [{"learning_rate": 0.0}, {"features": 0}])
def test_settings_without_sense_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match=r"(learning_rate|features) must be a"):
        NoveltyRewardConfig(**wrong)
