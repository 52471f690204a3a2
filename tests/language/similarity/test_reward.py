"""The reward for what is told of an agent's steps."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from safetensors.torch import save_file
from torch import Tensor, nn

from common.text import to_bytes
from language.settings.rewards import SimilarityRewardConfig
from language.similarity.model import Similarity
from language.similarity.reward import SimilarityReward
from language.text import from_bytes

SENTENCE = Box(0, 255, (128,), np.uint8)
IMAGE = Box(0, 255, (3, 7, 7), np.uint8)
SPACE = Dict({"image": IMAGE, "mission": SENTENCE, "caption": SENTENCE})


class LastWord(nn.Module):
    """Judges by the last word of both sentences, and remembers what it was asked."""

    def __init__(self, odds: float) -> None:
        super().__init__()
        self.odds, self.asked = odds, []

    def forward(self, captions: Tensor, missions: Tensor) -> Tensor:
        pairs = [
            (from_bytes(caption), from_bytes(mission))
            for caption, mission in zip(captions, missions, strict=True)
        ]
        self.asked += pairs
        return torch.tensor(
            [self.odds if c.split()[-1] == m.split()[-1] else -self.odds for c, m in pairs]
        )


@pytest.fixture
def weights(tmp_path: Path) -> str:
    save_file(Similarity("siamese", 16).state_dict(), tmp_path / "module.safetensors")
    told = {
        "format": "praxis-module-1",
        "name": "similarity",
        "settings": {"task": {"kind": "siamese", "width": 16}},
    }
    (tmp_path / "module.json").write_text(json.dumps(told))
    return str(tmp_path)


def judged_by(module: nn.Module, config: SimilarityRewardConfig) -> SimilarityReward:
    reward = config.build(SPACE, Discrete(7))
    reward.similarity = module
    return reward


def steps(*told: tuple[str, str, bool]) -> SimpleNamespace:
    """Captions, missions, and whether the episode had the observation before."""
    captions, missions = (
        torch.from_numpy(np.stack([to_bytes(row[side], 128) for row in told])) for side in (0, 1)
    )
    observations = {
        "image": torch.zeros(len(told), 3, 7, 7),
        "caption": captions,
        "mission": missions,
    }
    return SimpleNamespace(
        observations=observations, repeated=torch.tensor([row[2] for row in told])
    )


SOME = (
    ("you are in front of the ball", "go to the ball", False),
    ("you are in front of the box", "go to the ball", False),
    ("you are in front of the ball", "go to the ball", True),
    ("you are in front of the ball", "go to the ball", False),
)


def test_what_fulfils_the_mission_is_rewarded_once_an_episode(weights: str) -> None:
    reward = judged_by(LastWord(3.0), SimilarityRewardConfig(weights, scale=0.5))
    given = reward.reward(steps(*SOME))
    assert given.dtype == torch.float32
    assert given.tolist() == [0.5, 0.0, 0.0, 0.5]


def test_each_pair_is_judged_once(weights: str) -> None:
    judge = LastWord(3.0)
    reward = judged_by(judge, SimilarityRewardConfig(weights))
    reward.reward(steps(*SOME))
    reward.reward(steps(*SOME, ("you have opened the door", "open the door", False)))
    assert len(judge.asked) == len(set(judge.asked)) == 3


@pytest.mark.parametrize(
    ("odds", "threshold", "rewarded"), [(1.0, 0.7, 1.0), (1.0, 0.75, 0.0), (3.0, 0.95, 1.0)]
)
def test_it_must_be_as_probable_as_the_threshold_says(weights, odds, threshold, rewarded) -> None:
    # odds of e to 1 are a probability of 0.731, of e to 3 one of 0.953
    reward = judged_by(LastWord(odds), SimilarityRewardConfig(weights, threshold=threshold))
    assert reward.reward(steps(SOME[0])).tolist() == [rewarded]


def test_the_environments_own_rewards_are_worth_nothing_and_nothing_is_learnt(weights: str) -> None:
    config = SimilarityRewardConfig(weights)
    assert config.of_environment(np.array([[1.0, 0.5]], np.float32)).tolist() == [[0.0, 0.0]]
    reward = config.build(SPACE, Discrete(7))
    assert not any(parameter.requires_grad for parameter in reward.parameters())
    loss, terms = reward.loss(steps(*SOME))
    assert (loss.item(), terms) == (0.0, {})


def test_mistakes_are_told(weights: str) -> None:
    with pytest.raises(ValueError, match=r"--env\.captions"):
        SimilarityRewardConfig(weights).build(
            Dict({"image": IMAGE, "mission": SENTENCE}), Discrete(7)
        )
    with pytest.raises(ValueError, match="a mission and a caption"):
        SimilarityRewardConfig(weights).build(IMAGE, Discrete(7))
    with pytest.raises(ValueError, match="threshold must be a number above 0 and below 1, not 1"):
        SimilarityRewardConfig(weights, threshold=1.0)
    with pytest.raises(ValueError, match=r"train_module\.py similarity"):
        SimilarityRewardConfig().build(SPACE, Discrete(7))
