"""PQN's returns against the definition of Q(lambda), its loss by hand, its refusals."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from agents.engine.config import rllib_config
from agents.engine.on_policy_runners import GreedyEnvRunner
from agents.experiment import Experiment
from agents.settings.pqn import PQN
from envs.probe import ChoiceConfig, CountingConfig, TargetConfig
from scripts.recipes import recipe_named


@pytest.mark.parametrize(
    "bad",
    [{"td_lambda": 1.1}, {"epochs": 0}, {"minibatch_size": 0}, {"learning_rate": math.nan}],
    ids=str,
)
def test_a_bad_setting_is_refused_in_one_line_that_names_it(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))) as refusal:
        PQN(**bad)
    assert "\n" not in str(refusal.value)


def test_what_cannot_be_learnt_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Discrete from 0.*--algo ppo"):
        PQN().check(TargetConfig().build(), 1, 8, 0)
    with pytest.raises(ValueError, match="do not divide into minibatches of 128"):
        PQN(rollout_length=3).check(ChoiceConfig().build(), 1, 8, 0)


def experiment_of(**changes: Any) -> Experiment:
    recipe = recipe_named("pqn")(CountingConfig())
    algo = replace(recipe.algo, rollout_length=8, minibatch_size=32, **changes)
    return replace(recipe, algo=algo, num_envs=4, precision="fp32")


def test_values_are_those_of_the_best_actions() -> None:
    runner = GreedyEnvRunner(config=rllib_config(experiment_of()), worker_index=0)
    rollout = runner.sample(0).experience
    with torch.no_grad():
        observations = torch.from_numpy(rollout.observations).flatten(0, 1)
        best = runner.module.q_values(runner.module.prepare(observations)).amax(-1)
    np.testing.assert_allclose(rollout.values.ravel(), best.numpy(), atol=1e-5)
    goes_on = ~rollout.truncated[:-1] & ~rollout.terminated[:-1]
    np.testing.assert_allclose(
        rollout.next_values[:-1][goes_on], rollout.values[1:][goes_on], atol=1e-5
    )


def test_returns_are_those_of_q_lambda() -> None:
    """Gallici et al. 2024, equation 9: the return is the reward and the discounted mixture of the
    next best value and the next return."""
    settings = PQN(discount=0.9, td_lambda=0.6)
    runner = GreedyEnvRunner(config=rllib_config(experiment_of()), worker_index=0)
    rollout = runner.sample(0).experience
    expected = np.zeros_like(rollout.rewards)
    later = rollout.next_values[-1]
    for t in reversed(range(len(expected))):
        mixed = 0.4 * rollout.next_values[t] + 0.6 * later
        following = np.where(rollout.truncated[t], rollout.next_values[t], mixed)
        expected[t] = rollout.rewards[t] + 0.9 * np.where(rollout.terminated[t], 0.0, following)
        later = expected[t]
    learner = learner_of(discount=0.9, td_lambda=0.6)
    seen: list[np.ndarray] = []
    learner.gradient_step = lambda minibatch: seen.append(minibatch) or None
    learner.shuffled = lambda columns, _: [columns]
    learner.means = lambda _: {}
    learner.env_steps = 32
    learner.learn(rollout)
    assert settings.td_lambda == learner.settings.td_lambda
    np.testing.assert_allclose(seen[0]["returns"].numpy(), expected.ravel(), rtol=1e-4, atol=1e-4)


def learner_of(**changes: Any) -> Any:
    env = CountingConfig().build()
    spaces = {"default_policy": (env.observation_space, env.action_space)}
    return rllib_config(experiment_of(**changes)).build_learner(spaces=spaces)


def test_the_loss_by_hand() -> None:
    learner = learner_of()
    learner.bare_network.values.mean = lambda outputs: torch.tensor([[1.0, 5.0], [2.0, 0.0]])
    loss = learner.loss(
        {
            "observations": torch.zeros(2, 2),
            "actions": torch.tensor([1, 0]),
            "returns": torch.tensor([4.0, 5.0]),
        }
    )
    assert loss.value.item() == pytest.approx(0.5 * (1.0 + 9.0) / 2)
    assert loss.metrics["td_error"].item() == pytest.approx(2.0)
