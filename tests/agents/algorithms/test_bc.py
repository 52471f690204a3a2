"""Behavior cloning's arithmetic, by hand."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from agents.algorithms.bc import cloning_loss
from agents.networks.distributions import distribution_for
from agents.settings.bc import BC
from agents.training.tune import ray_domain
from envs.probe import ChoiceConfig


def test_the_loss_by_hand() -> None:
    distribution = distribution_for(ChoiceConfig().build().action_space)
    scores = torch.log(torch.tensor([[0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25]]))
    batch: Any = {"actions": torch.tensor([0, 3]), "returns": torch.tensor([1.0, 0.0])}
    loss, terms = cloning_loss(
        distribution, scores, torch.tensor([0.0, 2.0]), batch, BC(value_coefficient=0.1)
    )
    assert terms["imitation_loss"].item() == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert terms["value_loss"].item() == pytest.approx(0.5 * (1 + 4) / 2)
    assert loss.item() == pytest.approx(1.5 * math.log(2) + 0.1 * 1.25)
    assert terms["agreement"] == 0.5


def test_whatever_its_space_gives_is_a_valid_setting() -> None:
    algo = BC(rollout_length=32)
    for _ in range(20):
        drawn = replace(
            algo,
            **{name: ray_domain(domain).sample() for name, domain in algo.search_space.items()},
        )
        assert drawn.minibatch_size % drawn.rollout_length == 0


def test_windows_that_do_not_divide_are_refused(tmp_path: Any) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    env = ChoiceConfig().build()
    shape = env.observation_space.shape or ()
    columns = {
        "observations": np.zeros((40, *shape), env.observation_space.dtype),
        "actions": np.zeros(40, np.int64),
        "rewards": np.zeros(40, np.float32),
        "first": np.arange(40) % 10 == 0,
    }
    save_file(columns, tmp_path / "d")
    algo = BC(demonstrations=str(tmp_path / "d"), rollout_length=10, minibatch_size=25)
    with pytest.raises(
        ValueError, match="4 windows of 10 steps do not divide into minibatches of 25"
    ):
        algo.check(env, 1, 4, 0)
