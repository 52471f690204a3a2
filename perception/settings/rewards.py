"""Settings of the reward models that judge what is seen and done."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import gymnasium
import numpy as np
from numpy.typing import NDArray

from common.ranges import NonNegative, PositiveFraction, Range, check_ranges

if TYPE_CHECKING:
    from perception.rewards.gail import DiscriminatorReward
    from perception.rewards.rnd import NoveltyReward


@dataclass(frozen=True)
class NoveltyRewardConfig:
    """The agent is rewarded for what it has seldom seen: for how badly a network predicts what
    another one, which is random and stays so, makes of an observation."""

    weight: NonNegative = 0.004
    """What a step's novelty counts, which is 1 on average over the whole run. An episode's novelty
    must stay below what the environment pays for success, or it does not pay to end one."""
    environment_weight: NonNegative = 1.0
    """What the environment's reward counts."""
    learning_rate: PositiveFraction = 1e-4
    """Adam's step size for the network that predicts."""
    once_an_episode: bool = True
    """Reward an observation when an episode first comes to it, so that it does not pay to stay
    (Zhang et al. 2021, episodic restriction). That is known within a rollout; steps that are drawn
    from a replay are all rewarded."""
    features: Annotated[int, Range(1, 4_096)] = 64
    """How many numbers it predicts."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def of_environment(self, rewards: NDArray[np.float32]) -> NDArray[np.float32]:
        return rewards * np.float32(self.environment_weight)

    def build(
        self, observation_space: gymnasium.Space, action_space: gymnasium.Space
    ) -> "NoveltyReward":
        from perception.rewards.rnd import NoveltyReward

        return NoveltyReward(self, observation_space)


@dataclass(frozen=True)
class DiscriminatorRewardConfig:
    """The agent is rewarded for steps that a discriminator cannot tell from demonstrated ones."""

    demonstrations: str = ""
    """The file of scripts/make_demonstrations.py."""
    weight: NonNegative = 0.1
    """What a step's log-odds of being demonstrated count, which are at most 5."""
    environment_weight: NonNegative = 0.0
    """What the environment's reward counts."""
    learning_rate: PositiveFraction = 3e-4
    """Adam's step size for the discriminator."""
    gradient_penalty: NonNegative = 0.1
    """How much the slope of the log-odds is held down between demonstrated and other steps
    (Gulrajani et al. 2017)."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def of_environment(self, rewards: NDArray[np.float32]) -> NDArray[np.float32]:
        return rewards * np.float32(self.environment_weight)

    def build(
        self, observation_space: gymnasium.Space, action_space: gymnasium.Space
    ) -> "DiscriminatorReward":
        from perception.rewards.gail import DiscriminatorReward, demonstrations

        demonstrated = demonstrations(self.demonstrations, observation_space, action_space)
        return DiscriminatorReward(self, observation_space, action_space, demonstrated)
