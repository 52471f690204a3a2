"""Episodes that a policy plays are whole, and come back from a file as they were."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from agents.interfaces import EnvironmentFailure
from agents.logged import episodes as module
from agents.logged.episodes import Episodes, drawn, play
from agents.logged.log_file import read_log, write_log
from envs.health.core.policies import always, random_policy
from envs.health.hiv_sti import HivConfig
from envs.probe import CountingConfig, CountingEnv, FlawedConfig, TargetConfig
from envs.vector import vectorized


def test_a_constant_policy_plays_what_the_environment_says_it_is_worth() -> None:
    """Two patients of one kind under one policy: the same episodes, and a return that is the sum of
    the rewards."""
    played = play(
        HivConfig(step_hours=720.0), lambda env: always(3)(env.ward.simulation), episodes=2, seed=1
    )
    assert played.rewards.shape == (33, 2)
    assert played.alive.all()
    assert not played.terminated.any()
    assert (played.actions == 3).all()
    assert (played.probabilities == [0, 0, 0, 1]).all()
    np.testing.assert_allclose(played.rewards[:, 0], played.rewards[:, 1])
    np.testing.assert_allclose(played.returns(), played.rewards.sum(0))
    np.testing.assert_allclose(
        played.returns(0.5)[0], sum(0.5**t * r for t, r in enumerate(played.rewards[:, 0]))
    )
    assert played.metrics["drug_days"] == pytest.approx([2 * 33 * 30] * 2)
    assert (played.last_observations != played.observations[-1]).any(1).all()
    kept = played.outcomes()
    assert kept.observations.nbytes + kept.probabilities.nbytes == 0
    np.testing.assert_array_equal(kept.returns(), played.returns())
    np.testing.assert_array_equal(kept.chosen(np.array([1])).actions, played.actions[:, [1]])


def test_doses_of_a_box_are_the_policy_s(tmp_path: Path) -> None:
    played = play(
        TargetConfig(),
        lambda env: lambda seen, first: np.full((len(seen), 1), 0.25, np.float32),
        3,
        0,
    )
    assert played.probabilities.shape[2] == 0
    assert (played.actions[played.alive] == 0.25).all()


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    played = play(
        HivConfig(step_hours=720.0),
        lambda env: random_policy(env.ward.simulation),
        episodes=5,
        seed=1,
    )
    short = played.alive.copy()
    short[20:, 1] = False
    columns = (
        played.observations,
        played.actions,
        played.rewards,
        played.costs,
        played.probabilities,
    )
    cut = [
        np.where(short.reshape(*short.shape, *[1] * (c.ndim - 2)), c, 0).astype(c.dtype)
        for c in columns
    ]
    one = Episodes(
        *cut, short, np.array([0, 1, 0, 0, 0], np.bool_), played.last_observations, played.metrics
    )
    write_log(one, tmp_path / "log.parquet", {"env": "hiv-sti"})
    found, about = read_log(tmp_path / "log.parquet")
    assert about["env"] == "hiv-sti"
    for name in (
        "observations",
        "actions",
        "rewards",
        "costs",
        "probabilities",
        "alive",
        "terminated",
    ):
        np.testing.assert_array_equal(getattr(found, name), getattr(one, name), err_msg=name)
        assert getattr(found, name).dtype == getattr(one, name).dtype
    np.testing.assert_array_equal(found.last_observations, one.last_observations)
    np.testing.assert_array_equal(found.metrics["drug_days"], one.metrics["drug_days"])


def test_actions_are_drawn_with_their_probabilities() -> None:
    random = np.random.default_rng(0)
    rows = np.repeat([[0.2, 0.0, 0.8], [0.0, 1.0, 0.0]], 4_000, 0)
    found = drawn(rows, random)
    assert (found[4_000:] == 1).all()
    assert (found[:4_000] == 2).mean() == pytest.approx(0.8, abs=0.03)
    assert not (found[:4_000] == 1).any()


class OneArrayVector(VectorEnv):
    """Environment n has episodes of n + 2 steps and observes [n, its step]; action and reward are
    its step + 1.

    All observations are written into one array, actions are changed, and infos have no masks. What
    an episode has cost is said at its end, in the final info."""

    metadata: ClassVar[dict[str, Any]] = {"autoreset_mode": AutoresetMode.SAME_STEP}
    single_observation_space = Box(0.0, 9.0, (2,), np.float32)
    single_action_space = Box(0.0, 9.0, (1,), np.float32)

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.seen = np.zeros((num_envs, 2), np.float32)
        self.seen[:, 0] = np.arange(num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        self.seen[:, 1] = 0
        return self.seen, {}

    def step(self, actions: NDArray) -> Any:
        self.seen[:, 1] += 1
        actions += 100
        rewards = self.seen[:, 1].astype(np.float64)
        over = rewards == self.seen[:, 0] + 2
        info: dict[str, Any] = {"cost": np.zeros(self.num_envs)}
        if over.any():
            lengths = np.where(over, rewards, np.nan)
            info = {
                "final_obs": self.seen.copy(),
                "final_info": {
                    "episode_metrics": {"length": lengths},
                    "cost": np.where(over, 7.0, 0.0),
                },
            }
            self.seen[over, 1] = 0
        return self.seen, rewards, over, np.zeros(self.num_envs, np.bool_), info


@dataclass(frozen=True)
class OneArrayConfig(CountingConfig):
    def build_vector(self, num_envs: int) -> VectorEnv:
        return OneArrayVector(num_envs)


def test_what_was_seen_done_and_told_is_kept_as_it_was_whatever_the_environment_writes_to_its_arrays() -> (
    None
):
    actions = np.zeros((2, 1), np.float32)

    def policy(observations: NDArray, first: NDArray[np.bool_]) -> NDArray:
        """Writes to its own array, too."""
        actions[:] = observations[:, 1:] + 1
        return actions

    played = play(OneArrayConfig(), lambda env: policy, episodes=2, seed=0)
    assert played.observations[:, :, 1].tolist() == [[0, 0], [1, 1], [0, 2]]
    assert played.actions[:, :, 0].tolist() == [[1, 1], [2, 2], [0, 3]]
    assert played.rewards.tolist() == [[1, 1], [2, 2], [0, 3]]
    assert played.alive.tolist() == [[True, True], [True, True], [False, True]]
    assert played.last_observations.tolist() == [[0, 2], [1, 3]]
    assert played.costs.tolist() == [[0, 0], [7, 0], [0, 7]]
    assert played.metrics["length"].tolist() == [2, 3]


class OneArrayEnv(CountingEnv):
    page = np.zeros(2, np.float32)

    def _observation(self) -> Any:
        self.page[:] = super()._observation()
        return self.page


@dataclass(frozen=True)
class PlainVectorConfig(CountingConfig):
    """gymnasium's own vector, which resets an environment before anybody has read its final
    observation."""

    def build_vector(self, num_envs: int) -> VectorEnv:
        return SyncVectorEnv(
            [lambda: OneArrayEnv(3)] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP
        )


def never_moving(env: Any) -> Callable[[NDArray, NDArray], NDArray]:
    return lambda observations, first: np.eye(2)[np.zeros(len(first), np.int64)]


def test_a_last_observation_is_the_one_before_the_reset() -> None:
    played = play(PlainVectorConfig(), never_moving, episodes=2, seed=0)
    assert played.observations[:, 0, 1].tolist() == [0, 1, 2]
    assert played.last_observations[:, 1].tolist() == [3, 3]


class PartsEnv(CountingEnv):
    observation_space = Dict(
        {"clock": Box(0, 100, (1,), np.float32), "rest": Box(0, 100, (1,), np.float32)}
    )

    def _observation(self) -> Any:
        rest, clock = super()._observation()
        return {"clock": np.array([clock]), "rest": np.array([rest])}


@dataclass(frozen=True)
class PartsConfig(CountingConfig):
    def build(self) -> gymnasium.Env:
        return PartsEnv(self.length)


def test_observations_of_several_parts_are_kept_packed() -> None:
    played = play(PartsConfig(length=2), never_moving, episodes=2, seed=0)
    assert played.observations[:, 0].tolist() == [[0, 0], [1, 0]]
    assert played.last_observations.tolist() == [[2, 0], [2, 0]]


@dataclass(frozen=True)
class SometimesFlawedConfig(CountingConfig):
    """The first environment of each vector fails in the first vector alone."""

    vectors: ClassVar[list[int]] = []

    def build_vector(self, num_envs: int) -> VectorEnv:
        flawed = not self.vectors
        self.vectors.append(num_envs)
        first = FlawedConfig(length=3, fails_at=2).build if flawed else self.build
        builders = iter([first, *[self.build] * num_envs])
        return vectorized(lambda: next(builders)(), num_envs)


def test_an_episode_that_a_failure_cut_is_left_out_and_another_one_is_played() -> None:
    done = []
    config = SometimesFlawedConfig(length=3)
    played = play(config, never_moving, episodes=4, seed=0, advance=done.append)
    assert config.vectors == [4, 1]
    assert played.alive.sum(0).tolist() == [3] * 4
    assert played.returns().tolist() == [6.0] * 4  # 1 + 2 + 3
    assert sum(done) == 4
    with pytest.raises(EnvironmentFailure, match=r"More than 2 episodes were cut; .*the flaw"):
        play(FlawedConfig(length=5, fails_at=2), never_moving, episodes=2, seed=0)


def test_a_metric_that_only_some_parts_have_is_nan_in_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_AT_ONCE", 1)

    @dataclass(frozen=True)
    class Measured(CountingConfig):
        vectors: ClassVar[list[int]] = []

        def build(self) -> gymnasium.Env:
            self.vectors.append(1)
            return MeasuredEnv(2, {f"part {len(self.vectors)}": 5.0})

    played = play(Measured(), never_moving, episodes=2, seed=0)
    np.testing.assert_array_equal(played.metrics["part 2"], [5.0, np.nan])
    np.testing.assert_array_equal(played.metrics["part 3"], [np.nan, 5.0])


class MeasuredEnv(CountingEnv):
    def __init__(self, length: int, metrics: dict[str, float]) -> None:
        super().__init__(length)
        self.metrics = metrics

    def step(self, action: Any) -> Any:
        *rest, terminated, truncated, info = super().step(action)
        return *rest, terminated, truncated, info | {"episode_metrics": self.metrics}
