"""Implicit Q-learning's arithmetic, by hand, and what its expectile is."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from agents.algorithms.iql import iql_loss
from agents.settings.iql import IQL
from agents.training.tune import ray_domain

LOG_PROBS = torch.tensor([-1.0, -2.0])
VALUES = torch.tensor([1.0, 3.0])
Q_VALUES = torch.tensor([[1.0, 2.0], [3.0, 2.0]])
WORTH = torch.tensor([2.0, 1.0])
TARGETS = torch.tensor([2.0, 4.0])


def test_the_loss_by_hand() -> None:
    settings = IQL(expectile=0.8, inverse_temperature=2.0)
    loss, terms = iql_loss(LOG_PROBS, VALUES, Q_VALUES, WORTH, TARGETS, settings)
    assert terms["value_loss"].item() == pytest.approx((0.8 * 1**2 + 0.2 * 2**2) / 2)
    assert terms["q_loss"].item() == pytest.approx((1 + 4) / 2 + (1 + 4) / 2)
    policy = (math.exp(2 * 1) * 1 + math.exp(2 * -2) * 2) / 2
    assert terms["policy_loss"].item() == pytest.approx(policy)
    assert loss.item() == pytest.approx(0.8 + 5 + policy)


def test_no_step_is_cloned_more_than_the_most() -> None:
    _, terms = iql_loss(LOG_PROBS, VALUES, Q_VALUES, WORTH + 1e3, TARGETS, IQL(max_weight=7.0))
    assert terms["weight_mean"] == 7.0
    assert terms["policy_loss"].item() == pytest.approx(7 * 1.5)


def test_the_policys_loss_teaches_the_policy_alone() -> None:
    values, q_values = VALUES.clone().requires_grad_(), Q_VALUES.clone().requires_grad_()
    settings = IQL(expectile=0.8)
    loss, _ = iql_loss(LOG_PROBS, values, q_values, WORTH, TARGETS, settings)
    of_values, of_q = torch.autograd.grad(loss, [values, q_values])
    torch.testing.assert_close(of_values, torch.tensor([-2 * 0.8 * 1, 2 * 0.2 * 2]) / 2)
    torch.testing.assert_close(of_q, 2 * (Q_VALUES - TARGETS) / 2)


@pytest.mark.parametrize(("expectile", "share"), [(0.5, 0.5), (0.9, 0.9), (0.7, 0.7)])
def test_of_two_actions_that_are_as_often_the_value_goes_to_the_better_ones_share(
    expectile: float, share: float
) -> None:
    # Of 0 and 1 the expectile solves tau (1 - v) = (1 - tau) v, so it is tau itself.
    value = torch.zeros((), requires_grad=True)
    worth = torch.tensor([0.0, 1.0])
    descent = torch.optim.SGD([value], lr=0.5)
    for _ in range(30):
        loss, _ = iql_loss(
            torch.zeros(2),
            value.expand(2),
            torch.zeros(2, 2),
            worth,
            torch.zeros(2),
            IQL(expectile=expectile),
        )
        descent.zero_grad()
        loss.backward()
        descent.step()
    assert value.item() == pytest.approx(share, abs=1e-3)


def test_whatever_its_space_gives_is_a_valid_setting() -> None:
    for _ in range(20):
        replace(
            IQL(),
            **{name: ray_domain(domain).sample() for name, domain in IQL().search_space.items()},
        )


@pytest.mark.parametrize("setting", [{"expectile": 0.4}, {"max_weight": 0.0}, {"hidden_sizes": ()}])
def test_settings_out_of_range_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        IQL(**setting)
