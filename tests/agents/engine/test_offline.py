"""What learning from a log has in common: columns by hand, a target that follows, moments of the
whole log."""

from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch import nn

from agents.data import Columns, Logged
from agents.engine.learner import StepResult, in_order
from agents.engine.offline import OfflineLearner, moments_of
from agents.logged.demonstrations import Log
from agents.networks.target_network import TargetNetwork
from agents.settings.cql import CQL
from agents.settings.environment_reward import EnvironmentReward
from agents.settings.iql import IQL
from envs.probe import ChoiceConfig
from tests.agents.algorithms.logs import logged_by_chance


def experience() -> Logged:
    numbers = np.arange(6, dtype=np.float32).reshape(3, 2)
    return Logged(
        observations=numbers[..., None],
        actions=numbers.astype(np.int64),
        rewards=numbers,
        terminated=numbers == 3,
        truncated=numbers == 4,
        first=np.ones((3, 2), np.bool_),
        next_observations=numbers[..., None] + 10,
    )


def learner() -> Any:
    made: Any = OfflineLearner.__new__(OfflineLearner)
    made.settings = CQL(minibatch_size=4, target_rate=0.25, discount=0.5)
    made.extrinsic_reward, made.reward_model, made._device = (
        EnvironmentReward(clip_to_sign=True),
        None,
        "cpu",
    )
    network = SimpleNamespace(
        prepare=lambda observations: observations / 2,
        to_policy=lambda actions: actions,
        unwrapped=lambda: network,
    )
    made._module = {"default_policy": network}
    made.target = TargetNetwork(nn.Linear(1, 1))
    return made


def test_steps_are_learnt_from_in_the_order_in_which_they_come() -> None:
    made = learner()
    first, second = in_order(made.columns(experience()), 4)
    assert first["observations"].flatten().tolist() == [0.0, 0.5, 1.0, 1.5]
    assert first["next_observations"].flatten().tolist() == [5.0, 5.5, 6.0, 6.5]
    assert first["rewards"].tolist() == [0, 1, 1, 1], "as the agent is rewarded"
    assert first["discounts"].tolist() == [0.5, 0.5, 0.5, 0.0], "no value after an end"
    assert second["discounts"].tolist() == [0.5, 0.5], "time goes on beyond a cut"
    assert second["actions"].tolist() == [4, 5]


def test_the_target_moves_at_each_gradient_step() -> None:
    made = learner()
    online, target = made.target.online, made.target.network
    for module, value in ((online, 1.0), (target, 0.0)):
        nn.init.constant_(module.weight, value)
    seen = []

    def gradient_step(minibatch: Columns) -> StepResult:
        seen.append(target.weight.item())
        return StepResult({"loss": torch.zeros(())})

    made.gradient_step = gradient_step
    made.learn(experience())
    assert seen == [0.0, 0.25]
    assert target.weight.item() == 0.4375


def test_moments_are_those_of_the_whole_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.engine.offline.ROWS_AT_ONCE", 7)
    observations = np.random.default_rng(0).normal(5, 3, (50, 2)).astype(np.float32)
    moments = moments_of(observations)
    np.testing.assert_allclose(moments["mean"], observations.mean(0), rtol=1e-5)
    np.testing.assert_allclose(moments["variance"], observations.var(0), rtol=1e-5)


@pytest.mark.parametrize("algo", [CQL(), IQL()], ids=["cql", "iql"])
def test_a_log_is_asked_for_and_checked(algo: Any, tmp_path: Any) -> None:
    env = ChoiceConfig().build()
    with pytest.raises(ValueError, match=r"--algo\.demonstrations FILE"):
        algo.check(env, 1, 64, 0)
    path = logged_by_chance(ChoiceConfig(), tmp_path / "log.parquet", episodes=4)
    settings = type(algo)(demonstrations=path, rollout_length=8, minibatch_size=24)
    with pytest.raises(
        ValueError, match="4 x 8 steps do not divide into minibatches of 24 on 1 learner"
    ):
        settings.check(env, 1, 4, 0)
    settings.check(env, 1, 6, 2)
    other = gymnasium.make("Acrobot-v1")
    with pytest.raises(ValueError, match="is not for observations of") as refusal:
        settings.check(other, 1, 6, 0)
    assert "\n" not in str(refusal.value)
    with pytest.raises(ValueError, match=r"no memory can be trained.*--env\.history"):
        settings.check_memory(8, 4, 1)


def test_time_that_cuts_an_episode_off_is_no_end(tmp_path: Any) -> None:
    path = logged_by_chance(ChoiceConfig(), tmp_path / "log.parquet", episodes=4)
    env = ChoiceConfig().build()
    log = Log.read(path, env.observation_space, env.action_space)
    assert log.terminated.all()  # this environment ends by itself
    assert len(log.rewards) == 40
