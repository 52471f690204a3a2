"""Imitation: the discriminator learns to tell demonstrated steps from others, and rewards those
like them."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from safetensors.torch import save_file

from perception.rewards.gail import demonstrations
from perception.settings.rewards import DiscriminatorRewardConfig

SEEN = Box(-1, 1, (1,), np.float32)


def shown(folder: Path, actions: torch.Tensor, observations: torch.Tensor) -> str:
    path = folder / "shown.safetensors"
    save_file(
        {"observations": observations, "actions": actions, "first": torch.zeros(len(actions))}, path
    )
    return str(path)


@pytest.fixture
def rule(tmp_path: Path) -> str:
    """Action 1 where the observation is positive, else 0."""
    observations = torch.rand(256, 1, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return shown(tmp_path, (observations[:, 0] > 0).long(), observations)


def some_steps(size: int) -> SimpleNamespace:
    return SimpleNamespace(
        observations=torch.rand(size, 1) * 2 - 1, actions=torch.randint(2, (size,))
    )


def test_steps_by_the_rule_are_rewarded_above_others(rule: str) -> None:
    torch.manual_seed(0)
    config = DiscriminatorRewardConfig(demonstrations=rule, weight=0.5, gradient_penalty=0.1)
    module = config.build(SEEN, Discrete(2))
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    for _ in range(200):
        loss, terms = module.loss(some_steps(128))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    steps = some_steps(500)
    by_rule = steps.actions == (steps.observations[:, 0] > 0)
    rewards = module.reward(steps)
    assert rewards[by_rule].mean() > 0 > rewards[~by_rule].mean()
    assert rewards.abs().max() <= 0.5 * 5.0
    assert terms["own_right"] > 0.4  # half of its steps follow the rule and cannot be told


def test_every_demonstration_is_shown_before_one_comes_again(rule: str) -> None:
    module = DiscriminatorRewardConfig(demonstrations=rule).build(SEEN, Discrete(2))
    asked = []
    module.features = lambda observations, actions: (
        asked.append(observations) or torch.zeros(len(actions), 258)
    )
    for size in (100, 100, 56):
        module.loss(some_steps(size))
    drawn = torch.cat(asked[::2])
    assert torch.equal(drawn, module.observations)
    assert module.next_row.item() == 0


def test_real_valued_actions_are_judged_as_they_are(tmp_path: Path) -> None:
    path = shown(tmp_path, torch.rand(64, 2), torch.rand(64, 1))
    module = DiscriminatorRewardConfig(demonstrations=path).build(
        SEEN, Box(-1, 1, (2,), np.float32)
    )
    steps = SimpleNamespace(observations=torch.rand(5, 1), actions=torch.rand(5, 2))
    assert module.reward(steps).shape == (5,)
    assert not torch.equal(
        module.reward(steps),
        module.reward(SimpleNamespace(**{**vars(steps), "actions": -steps.actions})),
    )


def test_the_penalty_is_the_judges_slope_between_both() -> None:
    module = torch.nn.Module()
    module.judge = torch.nn.Linear(3, 1)
    with torch.no_grad():
        module.judge.weight.copy_(torch.tensor([[1.0, 2.0, -2.0]]))
    from perception.rewards.gail import DiscriminatorReward

    slope = DiscriminatorReward.slope(module, torch.rand(4, 3), torch.rand(4, 3))  # type: ignore[arg-type]
    assert slope.item() == pytest.approx(9.0)  # 1 + 4 + 4, everywhere


def test_the_environment_has_no_say_if_nobody_gives_it_one(rule: str) -> None:
    rewards = np.array([1.0, -2.0], np.float32)
    assert DiscriminatorRewardConfig().of_environment(rewards).tolist() == [0.0, 0.0]
    assert DiscriminatorRewardConfig(environment_weight=2.0).of_environment(rewards).tolist() == [
        2.0,
        -4.0,
    ]


def test_what_is_no_demonstration_is_refused(rule: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no numbers")
    save_file({"observations": torch.zeros(3, 1), "returns": torch.zeros(3)}, tmp_path / "others")
    cases = [
        ("", SEEN, Discrete(2), "needs demonstrations: --reward.demonstrations"),
        (str(tmp_path / "nowhere"), SEEN, Discrete(2), "holds no demonstrations"),
        (str(tmp_path / "text"), SEEN, Discrete(2), "holds no demonstrations"),
        (str(tmp_path / "others"), SEEN, Discrete(2), "holds no demonstrations"),
        (rule, Box(-1, 1, (2,), np.float32), Discrete(2), "for observations of Box"),
        (rule, SEEN, Box(-1, 1, (2,), np.float32), "for actions of Box"),
    ]
    for path, space, actions, told in cases:
        with pytest.raises(ValueError, match=told) as refusal:
            demonstrations(path, space, actions)
        assert "\n" not in str(refusal.value)
