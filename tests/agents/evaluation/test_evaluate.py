"""Evaluation: exactly the episodes asked for, none favored, and honest intervals."""

import json
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.engine.config import build_network
from agents.evaluation.evaluate import (
    Evaluation,
    act,
    bootstrap_interval,
    evaluate,
    interquartile_mean,
)
from agents.experiment import Experiment
from agents.interfaces import EnvironmentFailure
from agents.networks.action_scaling import ActionScaling
from agents.networks.distributions import distribution_for
from agents.settings.ppo import PPO
from envs.probe import CountingConfig, CountingEnv, FlawedConfig, TargetConfig
from perception.settings.encoders import MLPConfig

COUNTING = Experiment(env=CountingConfig(length=5), algo=PPO(), encoder=MLPConfig())
TARGET = replace(COUNTING, env=TargetConfig())

scores = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=40)


class Answer(nn.Module):
    """A policy whose mean action is a function of what it sees."""

    def __init__(self, answer: Any, action_space: gymnasium.Space, sees: int = 1) -> None:
        super().__init__()
        self.answer, self.action_space = answer, action_space
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (sees,), np.float32)
        self.distribution: Any = distribution_for(action_space)
        self.weight = nn.Parameter(torch.zeros(1))

    def prepare(self, observations: Tensor) -> Tensor:
        return observations

    def to_environment(self, actions: NDArray) -> NDArray:
        return (
            ActionScaling(self.action_space).to_environment(actions)
            if isinstance(self.action_space, Box)
            else actions
        )

    def no_memory(self, num_envs: int) -> Tensor:
        return torch.zeros(num_envs, 0)

    def act(
        self, observations: Tensor, memory: Tensor, generator: torch.Generator, deterministic: bool
    ) -> tuple[Tensor, Tensor]:
        mean = self.answer(observations)
        parameters = torch.cat([mean, torch.full_like(mean, -1.0)], -1)
        choose = self.distribution
        return choose.mode(parameters) if deterministic else choose.sample(
            parameters, generator
        ), memory


def play(experiment: Experiment, network: nn.Module, episodes: int, **changes: Any) -> Evaluation:
    settings = {"seed": 1, "deterministic": True, "checkpoint": "step-1"} | changes
    return evaluate(experiment, network, episodes=episodes, **settings)


@dataclass(frozen=True)
class UnequalConfig(CountingConfig):
    """A vector whose environment n has episodes of n + 1 steps, and so returns of 1 + 2 + ... + (n
    + 1)."""

    def build_vector(self, num_envs: int) -> VectorEnv:
        makers = [lambda length=n + 1: CountingEnv(length) for n in range(num_envs)]
        return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)


@pytest.mark.parametrize("episodes", [1, 3, 16, 17, 35])
def test_exactly_the_episodes_asked_for_are_played_whole(episodes: int) -> None:
    result = play(COUNTING, build_network(COUNTING), episodes)
    assert result.returns == [15.0] * episodes  # 1 + 2 + 3 + 4 + 5, terminated or truncated
    assert result.lengths == [5] * episodes
    assert result.episodes == episodes
    assert (result.mean, result.median, result.iqm, result.ci95) == (15.0, 15.0, 15.0, (15.0, 15.0))
    assert result.success_rate is None


def test_an_episode_that_a_failing_environment_cut_is_played_again() -> None:
    """The first environment has two to play, and fails in its second, at its 8th step."""
    result = play(
        replace(COUNTING, env=FlawedConfig(length=5, fails_at=8)), build_network(COUNTING), 17
    )
    assert result.returns == [15.0] * 17


def test_an_evaluation_does_not_wait_for_environments_that_always_fail() -> None:
    always = replace(COUNTING, env=FlawedConfig(length=5, fails_at=3))
    with pytest.raises(EnvironmentFailure, match=r"More than 4 episodes were cut; .*the flaw"):
        play(always, build_network(COUNTING), 4)


def test_environments_are_closed_however_an_evaluation_ends(monkeypatch) -> None:
    closed = []
    monkeypatch.setattr(SyncVectorEnv, "close", lambda *_, **__: closed.append(1))
    always = replace(COUNTING, env=FlawedConfig(length=5, fails_at=3))
    with pytest.raises(EnvironmentFailure):
        play(always, build_network(COUNTING), 4)
    assert closed


def test_short_episodes_are_not_favored() -> None:
    experiment = replace(COUNTING, env=UnequalConfig())
    result = play(experiment, build_network(COUNTING), 20)
    # 20 episodes on 16 environments: two on each of the first four, one on each other.
    shares = [2] * 4 + [1] * 12
    lengths = [n + 1 for n, share in enumerate(shares) for _ in range(share)]
    assert result.lengths == lengths
    assert result.returns == [length * (length + 1) / 2 for length in lengths]


def test_the_summary_is_of_the_returns_and_survives_json() -> None:
    experiment = replace(COUNTING, env=UnequalConfig())
    result = play(experiment, build_network(COUNTING), 4, seed=9)
    assert result.returns == [1.0, 3.0, 6.0, 10.0]
    assert result.mean == 5.0
    assert result.median == 4.5
    assert result.iqm == 4.5
    assert 1.0 <= result.ci95[0] < 5.0 < result.ci95[1] <= 10.0
    written = json.loads(json.dumps(result.to_json()))
    assert written["returns"] == result.returns
    assert (written["seed"], written["checkpoint"], written["algo"]) == (9, "step-1", "ppo")


def test_a_perfect_answer_succeeds_always_and_earns_ten() -> None:
    result = play(TARGET, Answer(lambda seen: seen, TARGET.env.build().action_space), 20)
    assert result.success_rate == 1.0
    assert result.returns == pytest.approx([10.0] * 20)
    assert result.random == TargetConfig().reference_scores["random"]
    assert result.human is None


def test_an_answer_on_the_wrong_side_never_succeeds() -> None:
    result = play(TARGET, Answer(lambda seen: -seen.sign(), TARGET.env.build().action_space), 20)
    assert result.success_rate == 0.0
    assert result.mean < 0.0


def test_only_the_last_step_of_an_episode_counts_as_success() -> None:
    # Right on positive numbers alone: the last of ten is positive in half of all episodes.
    right_if_positive = Answer(
        lambda seen: torch.where(seen > 0, seen, -seen.sign()), TARGET.env.build().action_space
    )
    result = play(TARGET, right_if_positive, 200)
    assert result.success_rate == pytest.approx(0.5, abs=4 * 0.5 / 200**0.5)


class MeasuringEnv(CountingEnv):
    """Measures its length, if odd, at its end."""

    def step(self, action: Any):
        *rest, terminated, truncated, info = super().step(action)
        if (terminated or truncated) and self.length % 2:
            info["episode_metrics"] = {"odd_length": float(self.length)}
        return *rest, terminated, truncated, info


@dataclass(frozen=True)
class MeasuringConfig(CountingConfig):
    def build_vector(self, num_envs: int) -> VectorEnv:
        makers = [lambda length=n + 1: MeasuringEnv(length) for n in range(num_envs)]
        return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)


def test_an_environments_own_measures_are_means_over_the_episodes_that_have_them() -> None:
    result = play(replace(COUNTING, env=MeasuringConfig()), build_network(COUNTING), 8)
    assert result.metrics == {"odd_length": (1 + 3 + 5 + 7) / 4}
    assert result.env_settings == {"type": "MeasuringConfig", "length": 5}
    assert play(COUNTING, build_network(COUNTING), 2).metrics == {}


def test_a_seed_decides_an_evaluation() -> None:
    network = build_network(TARGET)
    first, again, other = (
        play(TARGET, network, 5, seed=seed, deterministic=False) for seed in (1, 1, 2)
    )
    assert first.returns == again.returns
    assert first.returns != other.returns


def test_an_evaluation_leaves_the_global_generators_alone() -> None:
    network = build_network(TARGET)
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    play(TARGET, network, 5, deterministic=False)
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # type: ignore[index]


def test_actions_stay_inside_the_box() -> None:
    space = Box(np.array([-1.0, 0.0], np.float32), np.array([1.0, 0.5], np.float32))
    network = Answer(lambda seen: seen * 100, space, sees=2)
    seen = np.array([[1.0, 1.0], [-1.0, -1.0]], np.float32)
    actions, _ = act(
        network, seen, network.no_memory(len(seen)), torch.Generator(), deterministic=True
    )
    assert actions.tolist() == [[1.0, 0.5], [-1.0, 0.0]]


def test_a_deterministic_policy_takes_the_likeliest_action() -> None:
    network = Answer(lambda seen: seen, Discrete(4), sees=2)
    seen = np.array([[0.1, 0.3], [0.2, 0.1]], np.float32)
    actions, _ = act(network, seen, network.no_memory(2), torch.Generator(), deterministic=True)
    assert actions.tolist() == [1, 0]  # the two columns after them are -1


def test_the_interquartile_mean_is_of_the_middle_half() -> None:
    assert interquartile_mean(np.array([8, 1, 100, 4, -50, 3, 5, 6])) == 4.5  # of 3, 4, 5, 6
    # Of three values the middle half takes 1/12 of the lowest, 1/3, and 1/12: (0 / 12 + 3 / 3 + 9 /
    # 12) / (1 / 2).
    assert interquartile_mean(np.array([9.0, 0.0, 3.0])) == pytest.approx(3.5)
    assert interquartile_mean(np.array([7.0])) == 7.0
    assert interquartile_mean(np.array([1.0, 2.0])) == 1.5


@given(scores)
def test_the_interquartile_mean_is_the_plain_one_of_everything_four_times_over(
    returns: list[float],
) -> None:
    four_times = np.sort(np.repeat(returns, 4))
    middle = four_times[len(returns) : 3 * len(returns)]
    assert interquartile_mean(np.array(returns)) == pytest.approx(middle.mean(), rel=1e-9, abs=1e-6)


@given(scores.filter(lambda returns: len(set(returns)) > 1), st.integers(0, 100))
def test_the_interval_lies_among_the_returns(returns: list[float], seed: int) -> None:
    low, high = bootstrap_interval(np.array(returns), seed)
    assert min(returns) - 1e-6 <= low <= high <= max(returns) + 1e-6


def test_the_interval_of_one_value_is_that_value() -> None:
    assert bootstrap_interval(np.full(12, 3.0), 0) == (3.0, 3.0)


def test_the_interval_is_as_wide_as_the_normal_one_where_there_are_many_returns() -> None:
    returns = np.random.default_rng(0).exponential(2.0, 500)
    low, high = bootstrap_interval(returns, 0)
    error = returns.std() / 500**0.5
    assert low == pytest.approx(returns.mean() - 1.96 * error, abs=0.3 * error)
    assert high == pytest.approx(returns.mean() + 1.96 * error, abs=0.3 * error)


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(7.0, 3.0, size=(200, 25))
    covered = [
        low <= 7.0 <= high
        for low, high in (bootstrap_interval(x, i) for i, x in enumerate(samples))
    ]
    # The percentile interval is known to fall a little short of 95 % at 25 values; the standard
    # error is 1.8 %.
    assert 0.88 <= np.mean(covered) <= 0.98


class RareSuccess(CountingEnv):
    """The first two of every 25 episodes are a success; `says` is what the info of each step says
    of it."""

    says: ClassVar[dict[str, Any]] = {
        "on success alone": lambda success, last: {"is_success": True} if success and last else {},
        "at each end": lambda success, last: {"is_success": np.bool_(success)} if last else {},
        "at each step": lambda success, last: {"is_success": float(success and last)},
        "in the middle": lambda success, last: {} if last else {"is_success": success},
        "none until it is known": lambda success, last: {"is_success": success if last else None},
        "never": lambda success, last: {},
        "then no longer": lambda success, last: {"is_success": not last},
    }

    def __init__(self, habit: str) -> None:
        super().__init__(3)
        self.habit, self.played = habit, -1

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        self.played += 1
        return super().reset(seed=seed, options=options)[0], {
            "is_success": True
        } if self.played else {}

    def step(self, action: Any):
        *rest, _ = super().step(action)
        return *rest, self.says[self.habit](self.played % 25 < 2, self.clock == self.length)


@dataclass(frozen=True)
class RareSuccessConfig(CountingConfig):
    habit: str = ""

    def build(self) -> gymnasium.Env:
        return RareSuccess(self.habit)


@pytest.mark.parametrize(
    ("habit", "rate"),
    [
        ("on success alone", 0.08),
        ("at each end", 0.08),
        ("at each step", 0.08),
        ("in the middle", 0.08),
        ("none until it is known", 0.08),
        ("then no longer", 0.0),
        ("never", None),
    ],
)
def test_the_success_rate_is_over_all_episodes_whenever_they_say_it(
    habit: str, rate: float | None
) -> None:
    """Four environments play 25 episodes each, two of which are a success: 8 of 100."""
    experiment = replace(COUNTING, env=RareSuccessConfig(habit=habit))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("agents.evaluation.evaluate.MAX_ENVS", 4)
        result = play(experiment, build_network(COUNTING), 100)
    assert result.success_rate == (None if rate is None else pytest.approx(rate))


def test_an_evaluation_tells_of_each_episode_that_counts() -> None:
    done: list[int] = []
    evaluate(
        COUNTING,
        build_network(COUNTING),
        episodes=17,
        seed=1,
        deterministic=True,
        checkpoint="step-1",
        advance=lambda: done.append(1),
    )
    assert len(done) == 17
