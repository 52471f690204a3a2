"""Settings of the reward models that judge what is seen and done."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import gymnasium
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from perception.gan_reward import DiscriminatorReward
    from perception.novelty_reward import NoveltyReward


@dataclass(frozen=True)
class NoveltyRewardConfig:
    """The agent is rewarded for what it has seldom seen: for how badly a network predicts what another one, which is
    random and stays so, makes of an observation."""

    weight: float = 0.004
    """What a step's novelty counts, which is 1 on average over the whole run. An episode's novelty must stay below what
    the environment pays for success, or it does not pay to end one."""
    environment_weight: float = 1.0
    """What the environment's reward counts."""
    learning_rate: float = 1e-4
    """Adam's step size for the network that predicts."""
    once_an_episode: bool = True
    """Reward an observation when an episode first comes to it, so that it does not pay to stay (Zhang et al. 2021,
    episodic restriction). That is known within a rollout; steps that are drawn from a replay are all rewarded."""
    features: int = 64
    """How many numbers it predicts."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "features"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}.")

    def of_environment(self, rewards: NDArray[np.float32]) -> NDArray[np.float32]:
        return rewards * np.float32(self.environment_weight)

    def build(self, observation_space: gymnasium.Space, action_space: gymnasium.Space) -> "NoveltyReward":
        from perception.novelty_reward import NoveltyReward

        return NoveltyReward(self, observation_space)


@dataclass(frozen=True)
class DiscriminatorRewardConfig:
    """The agent is rewarded for steps that a discriminator cannot tell from demonstrated ones."""

    demonstrations: str = ""
    """The file of scripts/make_demonstrations.py."""
    weight: float = 0.1
    """What a step's log-odds of being demonstrated count, which are at most 5."""
    environment_weight: float = 0.0
    """What the environment's reward counts."""
    learning_rate: float = 3e-4
    """Adam's step size for the discriminator."""
    gradient_penalty: float = 0.1
    """How much the slope of the log-odds is held down between demonstrated and other steps (Gulrajani et al. 2017)."""

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}.")

    def of_environment(self, rewards: NDArray[np.float32]) -> NDArray[np.float32]:
        return rewards * np.float32(self.environment_weight)

    def build(self, observation_space: gymnasium.Space, action_space: gymnasium.Space) -> "DiscriminatorReward":
        from perception.gan_reward import DiscriminatorReward, demonstrations

        demonstrated = demonstrations(self.demonstrations, observation_space, action_space)
        return DiscriminatorReward(self, observation_space, action_space, demonstrated)
