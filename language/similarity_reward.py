"""What is told of an agent's steps as a reward, where it fulfils what the agent was told to do."""

import math
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Dict
from numpy.typing import NDArray
from torch import Tensor, nn

from language.similarity import trained_similarity
from language.text import texts


@dataclass(frozen=True)
class SimilarityRewardConfig:
    """The agent is rewarded by no other reward than for a caption that means what its mission wants."""

    weights: str = ""
    """The folder of scripts/train_module.py similarity."""
    scale: float = 1.0
    """The reward."""
    threshold: float = 0.7
    """How probable it must be that the caption fulfils the mission."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold is a probability, between 0 and 1, not {self.threshold}.")

    def of_environment(self, rewards: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.zeros_like(rewards)

    def build(self, observation_space: gymnasium.Space, action_space: gymnasium.Space) -> "SimilarityReward":
        if not isinstance(observation_space, Dict) or not {"caption", "mission"} <= observation_space.keys():
            raise ValueError(
                "This reward reads observations that have a mission and a caption, as LanguageGoToLocal's with "
                "--env.captions."
            )
        return SimilarityReward(self)


class SimilarityReward(nn.Module):
    """Rewards an observation's caption that fulfils its mission, once an episode; frozen.

    Each different pair is judged once."""

    learning_rate = 0.0

    def __init__(self, config: SimilarityRewardConfig) -> None:
        super().__init__()
        self.scale = config.scale
        self.log_odds = math.log(config.threshold / (1 - config.threshold))
        self.similarity = trained_similarity(config.weights)
        self.known: dict[tuple[str, str], bool] = {}

    def reward(self, steps: Any) -> Tensor:
        """(B,)"""
        captions, missions = steps.observations["caption"], steps.observations["mission"]
        pairs = list(zip(texts(captions), texts(missions), strict=True))
        if new := {pair: row for row, pair in enumerate(pairs) if pair not in self.known}:
            rows = list(new.values())
            odds = self.similarity(captions[rows], missions[rows])
            self.known.update(zip(new, (odds > self.log_odds).tolist(), strict=True))
        fulfilled = torch.tensor([self.known[pair] for pair in pairs], device=captions.device)
        return self.scale * (fulfilled & ~steps.repeated)

    def loss(self, steps: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """It has nothing to learn."""
        return torch.zeros((), device=steps.repeated.device), {}
