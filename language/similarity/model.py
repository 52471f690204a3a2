"""Whether what is told fulfils what was ordered: a Siamese network (Bromley et al. 1994; of
sentences, Mueller and Thyagarajan 2016) and sentence BERT (Reimers and Gurevych 2019)."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from common.module_files import take_weights
from common.text import to_bytes
from language.corpus import read_rows
from language.settings.encoders import ReaderConfig
from language.settings.tasks import SimilarityTask
from language.text import different, texts
from language.vectors.sentence_encoders import MINILM_WIDTH, minilm
from language.weights import trained

BYTES = 128

Pairs = Sequence[tuple[str, str, bool]]
"""Captions, missions, and whether the one fulfils the other."""


class SimilarityLesson:
    score = "auc"

    def __init__(self, task: SimilarityTask, train: Pairs, test: Pairs) -> None:
        if any(len({match for *_, match in pairs}) < 2 for pairs in (train, test)):
            raise ValueError(
                "There must be pairs that match and pairs that do not, to train and to test on."
            )
        self.kind = task.kind
        self.test = test
        self.captions, self.missions, self.matches = columns(train)
        self.test_captions, self.test_missions, self.test_matches = columns(test)
        self.of_each = [(self.matches == match).nonzero()[:, 0] for match in (False, True)]
        self.module = Similarity(task.kind, task.width)

    @property
    def baseline(self) -> dict[str, float]:
        """Of the share of words that both sentences have; of MiniLM's vectors as they are, where it
        reads them."""
        words = [(set(caption.split()), set(mission.split())) for caption, mission, _ in self.test]
        told = {
            "auc": auc(self.test_matches, torch.tensor([len(x & y) / len(x | y) for x, y in words]))
        }
        if self.kind == "bert":
            captions, missions, _ = zip(*self.test, strict=True)
            cosine = (minilm(captions) * minilm(missions)).sum(1)
            told["auc_untrained"] = auc(self.test_matches, torch.from_numpy(cosine))
        return told

    def batch(self, random: np.random.Generator, size: int) -> dict[str, Tensor]:
        """As many that match as that do not."""
        rows = torch.cat(
            [own[random.integers(len(own), size=(size + 1) // 2)] for own in self.of_each]
        )
        return {
            "captions": self.captions[rows],
            "missions": self.missions[rows],
            "matches": self.matches[rows].float(),
        }

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        odds = self.module(batch["captions"], batch["missions"])
        right = ((odds.detach() > 0) == (batch["matches"] > 0)).float().mean()
        return F.binary_cross_entropy_with_logits(odds, batch["matches"]), {"right": right}

    def evaluate(self) -> dict[str, float]:
        """`missed` is the share of true pairs with odds below evens, `false_alarms` of the others
        with odds above."""
        device = self.module.certainty.device
        odds = self.module(self.test_captions.to(device), self.test_missions.to(device)).cpu()
        return {
            "auc": auc(self.test_matches, odds),
            "missed": (odds[self.test_matches] <= 0).float().mean().item(),
            "false_alarms": (odds[~self.test_matches] > 0).float().mean().item(),
        }

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        return {}


class Similarity(nn.Module):
    """Captions and missions in UTF-8, each uint8 (B, L) -> log-odds that one fulfils the other
    (B,): they fall with the Manhattan distance between what one encoder makes of both.

    A cosine instead of it takes long sentences that differ in one word for alike."""

    def __init__(self, kind: str, width: int) -> None:
        super().__init__()
        self.encoder = ENCODERS[kind](width)
        self.certainty = nn.Parameter(torch.tensor(2.0))

    def forward(self, captions: Tensor, missions: Tensor) -> Tensor:
        return self.certainty - (self.encoder(captions) - self.encoder(missions)).abs().sum(1)


class Siamese(nn.Module):
    """Sentences in UTF-8 uint8 (B, L) -> (B, width), by an LSTM from both sides and a layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.read = ReaderConfig("lstm", width).build()
        self.layer = nn.Linear(width, width)

    def forward(self, sentences: Tensor) -> Tensor:
        return self.layer(self.read(sentences)[2])


class SentenceBERT(nn.Module):
    """The same, by MiniLM and two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(MINILM_WIDTH, MINILM_WIDTH), nn.ReLU(), nn.Linear(MINILM_WIDTH, width)
        )

    def forward(self, sentences: Tensor) -> Tensor:
        unique, index = different(texts(sentences))
        vectors = torch.from_numpy(minilm(unique)).to(sentences.device)
        return self.layers(vectors).index_select(0, index.to(sentences.device))


ENCODERS: dict[str, Callable[[int], nn.Module]] = {"siamese": Siamese, "bert": SentenceBERT}


def trained_similarity(folder: str) -> Similarity:
    """As scripts/train_module.py similarity left it, frozen. Raises ValueError, in one line, where
    it did not."""
    settings, weights = trained(folder, "similarity")
    module = Similarity(settings["kind"], settings["width"])
    take_weights(module, weights, folder)
    return module.requires_grad_(False).eval()


def read_captions(path: Path) -> Pairs:
    """Pairs from a file of scripts/make_captions.py. Raises ValueError, in one line, where it is
    missing or damaged."""
    if not path.is_file():
        raise ValueError(f"{path} is not there; scripts/make_captions.py makes it.")
    rows = read_rows(path, 3, maker="scripts/make_captions.py")
    return [(caption, mission, match == "1") for caption, mission, match in rows]


def columns(pairs: Pairs) -> tuple[Tensor, Tensor, Tensor]:
    """Captions and missions uint8 (N, BYTES), and whether they match, bool (N,)."""
    captions, missions = (
        torch.from_numpy(np.stack([to_bytes(text, BYTES) for text in column]))
        for column in list(zip(*pairs, strict=True))[:2]
    )
    return captions, missions, torch.tensor([match for *_, match in pairs])


def auc(true: Tensor, told: Tensor) -> float:
    """Probability that a pair that matches has more than one that does not (area under the ROC
    curve)."""
    from sklearn.metrics import roc_auc_score  # may not be installed

    return float(roc_auc_score(true.numpy(), told.numpy()))
