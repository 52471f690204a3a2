"""Settings of the reward model that reads."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import gymnasium
import numpy as np
from gymnasium.spaces import Dict
from numpy.typing import NDArray

from common.ranges import NonNegative, Range, check_ranges

if TYPE_CHECKING:
    from language.similarity.reward import SimilarityReward


@dataclass(frozen=True)
class SimilarityRewardConfig:
    """The agent is rewarded by no other reward than for a caption that means what its mission
    wants."""

    weights: str = ""
    """The folder of scripts/train_module.py similarity."""
    scale: NonNegative = 1.0
    """The reward."""
    threshold: Annotated[float, Range(0.0, 1.0, includes_low=False, includes_high=False)] = 0.7
    """How probable it must be that the caption fulfils the mission."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def of_environment(self, rewards: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.zeros_like(rewards)

    def build(
        self, observation_space: gymnasium.Space, action_space: gymnasium.Space
    ) -> "SimilarityReward":
        from language.similarity.reward import SimilarityReward

        if (
            not isinstance(observation_space, Dict)
            or not {"caption", "mission"} <= observation_space.keys()
        ):
            raise ValueError(
                "This reward reads observations that have a mission and a caption, as "
                "LanguageGoToLocal's with "
                "--env.captions."
            )
        return SimilarityReward(self)
