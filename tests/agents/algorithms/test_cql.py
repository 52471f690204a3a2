"""Conservative Q-learning's arithmetic, by hand, and what it refuses."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from agents.algorithms.cql import cql_loss
from agents.settings.cql import CQL
from agents.training.tune import ray_domain
from envs.probe import TargetConfig

OUTPUTS = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 4.0]])[..., None]
AFTER = torch.tensor([[5.0, 1.0, 0.0], [2.0, 7.0, 1.0]])[..., None]
JUDGED = torch.tensor([[0.0, 9.0, 0.0], [0.0, 0.0, 9.0]])[..., None]
BATCH: Any = {
    "actions": torch.tensor([1, 2]),
    "rewards": torch.tensor([1.0, 3.0]),
    "discounts": torch.tensor([0.5, 0.0]),
}
EXCESS = (math.log(math.exp(1) + math.exp(2) + math.exp(3)) - 2 + math.log(2 + math.exp(4)) - 4) / 2


def test_the_loss_by_hand() -> None:
    # The second action of the first is worth 1 + 0.5 * 1, half of 0.5 squared off; the last is 1
    # off its reward.
    loss, terms = cql_loss(OUTPUTS, AFTER, JUDGED, BATCH, CQL(alpha=0.1))
    assert terms["td_loss"].item() == pytest.approx((0.5 * 0.5**2 + 0.5 * 1) / 2)
    assert terms["conservative_loss"].item() == pytest.approx(EXCESS)
    assert loss.item() == pytest.approx(terms["td_loss"].item() + 0.1 * EXCESS)
    assert terms["agreement"] == 0.5
    assert terms["q_logged"].item() == pytest.approx(3.0)


def test_who_chooses_the_action_decides_the_target() -> None:
    # By the target network itself the best that follows is worth 5: 1 + 0.5 * 5 is 1.5 more than 2.
    _, terms = cql_loss(OUTPUTS, AFTER, AFTER, BATCH, CQL(double=False))
    assert terms["td_error"].item() == pytest.approx((1.5 + 1) / 2)


def test_without_its_term_it_is_dqn_and_with_it_what_was_logged_rises_over_the_rest() -> None:
    outputs = OUTPUTS.clone().requires_grad_()
    [plain] = torch.autograd.grad(
        cql_loss(outputs, AFTER, JUDGED, BATCH, CQL(alpha=0.0))[0], outputs
    )
    assert plain[0, [0, 2]].abs().max() == 0, "DQN says nothing of actions that were not taken"
    [whole] = torch.autograd.grad(
        cql_loss(outputs, AFTER, JUDGED, BATCH, CQL(alpha=2.0))[0], outputs
    )
    held_down = (whole - plain)[..., 0]
    expected = 2.0 * (OUTPUTS[..., 0].softmax(-1) - torch.eye(3)[BATCH["actions"]]) / 2
    torch.testing.assert_close(held_down, expected)


def test_whatever_its_space_gives_is_a_valid_setting() -> None:
    for _ in range(20):
        replace(
            CQL(),
            **{name: ray_domain(domain).sample() for name, domain in CQL().search_space.items()},
        )


def test_doses_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Discrete from 0, not Box.*try --algo iql or bc"):
        CQL().check(TargetConfig().build(), 1, 64, 0)


@pytest.mark.parametrize(
    "setting", [{"alpha": -1.0}, {"target_rate": 0.0}, {"minibatch_size": 0}, {"discount": 1.1}]
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        CQL(**setting)
