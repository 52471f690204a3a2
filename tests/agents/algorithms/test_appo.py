"""V-trace against numbers worked out by hand, against its definition, and against what it is
on-policy."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agents.algorithms import appo
from agents.algorithms.appo import APPOLearner, v_trace
from agents.algorithms.ppo import advantages_and_returns
from agents.data import Rollout
from agents.settings.appo import APPO
from envs.probe import CountingConfig
from perception.settings.memory import RecurrentConfig
from tests.agents.algorithms.test_ppo import rollout_of, rollouts
from tests.agents.engine.test_env_runner import runner_for


def test_weights_are_cut_off_and_weigh_what_follows_as_computed_by_hand() -> None:
    rollout = rollout_of(
        rewards=[[1], [4], [3]],
        values=[[1], [2], [4]],
        next_values=[[2], [4], [8]],
        terminated=[[0], [0], [0]],
        truncated=[[0], [0], [0]],
    )
    weights = np.array([[0.5], [3.0], [0.25]], np.float32)
    advantages, returns = v_trace(
        rollout, rollout.rewards, weights, APPO(discount=0.5, gae_lambda=0.5)
    )
    # TD errors: 1 + 2/2 - 1 = 1    4 + 4/2 - 2 = 4    3 + 8/2 - 4 = 3; weights cut to 0.5, 1, 0.25.
    # A(2) = 3/4; A(1) = 4 + A(2)/4; A(0) = (1 + A(1)/4) / 2.
    assert advantages.tolist() == [[1.0234375], [4.1875], [0.75]]
    assert returns.tolist() == [[2.0234375], [6.1875], [4.75]]
    assert advantages.dtype == returns.dtype == np.float32


@given(rollouts(), st.floats(0, 1), st.floats(0, 1))
def test_for_the_policy_that_acted_it_is_generalized_advantage_estimation(
    rollout: Rollout, gamma: float, lam: float
):
    settings = APPO(discount=gamma, gae_lambda=lam)
    ours = v_trace(rollout, rollout.rewards, np.ones_like(rollout.rewards), settings)
    for one, other in zip(
        ours, advantages_and_returns(rollout, rollout.rewards, settings), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@given(rollouts(), st.data(), st.floats(0, 1), st.floats(1, 3))
def test_it_is_the_sum_of_its_definition(
    rollout: Rollout, data: Any, gamma: float, most: float
) -> None:
    """Espeholt et al. 2018, equation 1, with lambda in c (their remark 2)."""
    weights = data.draw(
        arrays(np.float32, rollout.rewards.shape, elements=st.floats(0, 4, width=32))
    )
    settings = APPO(discount=gamma, gae_lambda=0.9, max_weight=most)
    _, returns = v_trace(rollout, rollout.rewards, weights, settings)
    cut = np.minimum(weights, most).astype(float)
    length, num_envs = rollout.rewards.shape
    for n in range(num_envs):
        for t in range(length):
            total, product = float(rollout.values[t, n]), 1.0
            for k in range(t, length):
                future = 0.0 if rollout.terminated[k, n] else float(rollout.next_values[k, n])
                error = float(rollout.rewards[k, n]) + gamma * future - float(rollout.values[k, n])
                total += gamma ** (k - t) * product * cut[k, n] * error
                product *= 0.9 * cut[k, n]
                if rollout.terminated[k, n] or rollout.truncated[k, n]:
                    break
            assert returns[t, n] == pytest.approx(total, rel=1e-4, abs=1e-3)


def test_the_learner_asks_its_own_policy_and_critic_but_for_what_it_cannot_see() -> None:
    rollout = rollout_of(
        rewards=np.ones((3, 2)),
        values=np.zeros((3, 2)),
        next_values=[[0, 0], [0, 70], [80, 90]],
        terminated=np.zeros((3, 2)),
        truncated=[[0, 0], [0, 1], [0, 0]],
    )
    learner = APPOLearner.__new__(APPOLearner)
    learner.settings = APPO(discount=1.0, gae_lambda=0.0)
    learner._device = torch.device("cpu")
    learner.to_device = lambda column: torch.from_numpy(column).flatten(0, 1)
    numbers = torch.arange(6.0)[:, None]
    learner._module = {
        "default_policy": SimpleNamespace(
            unwrapped=lambda: CalledNetwork(),
        )
    }
    credit = learner.credit(rollout, rollout.rewards, numbers)
    now = credit.rollout
    assert now.values.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert now.next_values.tolist() == [
        [2, 3],
        [4, 70],
        [80, 90],
    ]  # the old ones at borders
    np.testing.assert_allclose(now.log_probs, np.log(0.5))
    errors = 1 + now.next_values - now.values
    np.testing.assert_allclose(
        credit.advantages, 0.5 * errors
    )  # half as likely as under the policy that acted
    np.testing.assert_allclose(credit.returns, credit.advantages + now.values)
    assert credit.metrics["importance_weight_mean"] == pytest.approx(0.5)


def test_with_a_memory_it_judges_as_the_policy_that_acted_where_nothing_was_learnt_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(appo, "ROWS_AT_A_TIME", 8)  # one environment at a time
    runner = runner_for(CountingConfig(length=5), 3, 8, memory=RecurrentConfig(units=4))
    learner = APPOLearner.__new__(APPOLearner)
    learner._device = torch.device("cpu")
    learner._module = {"default_policy": SimpleNamespace(unwrapped=lambda: runner.module)}
    runner.sample()
    rollout = runner.sample().experience
    observations = runner.module.prepare(learner.to_device(rollout.observations))
    log_probs, values = learner.judged(rollout, observations, learner.to_device(rollout.actions))
    np.testing.assert_allclose(log_probs, rollout.log_probs, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(values, rollout.values, rtol=1e-4, atol=1e-6)


class CalledNetwork:
    """What is observed is what it is worth; every action has half a chance."""

    def __init__(self) -> None:
        self.distribution = SimpleNamespace(
            log_prob=lambda parameters, taken: torch.full((len(taken),), 0.5).log()
        )

    def __call__(
        self, rows: torch.Tensor, memory: torch.Tensor, first: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        return rows, rows[:, 0], memory


def test_a_lag_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="max_policy_lag"):
        replace(APPO(), max_policy_lag=0)
