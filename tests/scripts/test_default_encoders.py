"""What an environment by its gymnasium id is read by, if nothing is said."""

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Space

from agents.experiment import InvalidExperiment
from agents.settings.environment_reward import EnvironmentReward
from envs.classic import ClassicConfig
from perception.settings.encoders import ImpalaResNetConfig, MLPConfig, NatureCNNConfig, PartsConfig
from scripts.recipes import recipe_named

VECTOR = Box(-1, 1, (3,), np.float32)
IMAGE = Box(0, 255, (64, 64, 3), np.uint8)
CHOICE, REAL = Discrete(3), Box(-1, 1, (2,), np.float32)
GOALS = Dict(observation=VECTOR, achieved_goal=VECTOR, desired_goal=VECTOR)


class AnySpace(gymnasium.Env):
    def __init__(self, seen: Space, taken: Space) -> None:
        self.observation_space, self.action_space = seen, taken

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        return self.observation_space.sample(), {}

    def step(self, action: Any):
        return self.observation_space.sample(), 0.0, False, False, {}

    def compute_reward(self, achieved: Any, desired: Any, info: Any) -> Any:
        return -np.abs(achieved - desired).sum(-1)


@pytest.fixture
def registered() -> Iterator[Any]:
    """Registers an environment with these spaces, whose class takes no render_mode."""

    def register(seen: Space, taken: Space) -> ClassicConfig:
        gymnasium.register(
            "tests/AnySpace-v0", entry_point=lambda: AnySpace(seen, taken), max_episode_steps=5
        )
        return ClassicConfig("tests/AnySpace-v0")

    yield register
    del gymnasium.registry["tests/AnySpace-v0"]


@pytest.mark.parametrize(
    ("seen", "encoder"),
    [
        (VECTOR, MLPConfig),
        (IMAGE, NatureCNNConfig),
        (Box(0, 1, (3, 64, 64), np.float32), NatureCNNConfig),
        (Box(0, 255, (16, 16, 3), np.uint8), ImpalaResNetConfig),
        (Dict(camera=IMAGE, sensors=VECTOR), PartsConfig),
        (Dict(camera=Box(0, 255, (16, 16, 3), np.uint8), state=Discrete(4)), PartsConfig),
        (Dict(a=VECTOR, b=Discrete(3)), MLPConfig),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("taken", "algorithms"), [(CHOICE, ("ppo", "dqn")), (REAL, ("ppo", "td3"))], ids=str
)
def test_the_encoder_suits_the_observations(
    registered: Any, seen: Space, encoder: type, taken: Space, algorithms: tuple[str, ...]
) -> None:
    environment = registered(seen, taken)
    for algorithm in algorithms:
        experiment = recipe_named(algorithm)(environment)
        assert type(experiment.encoder) is encoder
        experiment.encoder.build(environment.build().observation_space)


def test_an_environment_with_goals_is_learnt_in_hindsight(registered: Any) -> None:
    experiment = recipe_named("td3")(registered(GOALS, REAL))
    assert experiment.algo.hindsight == "future"  # type: ignore[attr-defined]
    experiment.validate()


def test_rewards_are_cut_to_their_sign_in_atari_games_alone(registered: Any) -> None:
    environment = registered(IMAGE, CHOICE)
    for algorithm in ("ppo", "dqn"):
        assert recipe_named(algorithm)(environment).reward == EnvironmentReward()


def test_integers_beyond_what_float32_tells_apart_are_normalized_or_refused(
    registered: Any,
) -> None:
    environment = registered(Box(0, 2**40, (3,), np.int64), CHOICE)
    experiment = recipe_named("ppo")(environment)
    assert experiment.algo.normalize_observations  # type: ignore[attr-defined]
    experiment.validate()
    with pytest.raises(
        InvalidExperiment, match=r"integers up to 1,099,511,627,776, .*use --algo ppo"
    ):
        recipe_named("dqn")(environment).validate()
