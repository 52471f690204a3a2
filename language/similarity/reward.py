"""What is told of an agent's steps as a reward, where it fulfils what the agent was told to do."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from language.settings.rewards import SimilarityRewardConfig
from language.similarity.model import trained_similarity
from language.text import texts


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
        captions = steps.observations["caption"]
        missions = steps.observations["mission"]
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
