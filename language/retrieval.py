"""Cross-lingual retrieval: the English sentence that means what a Chinese one says, found by the multilingual
encoder (Yang et al. 2020) and layers that learn from pairs (InfoNCE; van den Oord et al. 2018)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from language.corpus import Pair, read_pairs
from language.sentences import MULTILINGUAL_WIDTH, multilingual

SHARPNESS = 20.0
"""What a cosine is multiplied by, to begin with, before the softmax over all candidates of a batch."""
SEED = 0
"""Of the pairs that are chosen to learn from and to test on."""


@dataclass(frozen=True)
class RetrievalTask:
    """Learns from Chinese wordings of missions and from the help's paragraphs which English sentence they mean; tested
    with missions and pages that it has not learnt from."""

    data: str = "runs/corpus"
    """The folder of scripts/make_corpus.py."""
    help_pairs: int = 4_000
    """Paragraphs to learn from beside the missions, so that it does not forget the rest of the language."""
    tested_help_pairs: int = 500
    """Paragraphs among which to find a translation."""
    width: int = 512
    """Of the layer that learns."""

    @property
    def name(self) -> str:
        return "retrieval"

    def lesson(self) -> "RetrievalLesson":
        if min(self.help_pairs, self.tested_help_pairs, self.width) < 1:
            raise ValueError(f"help_pairs, tested_help_pairs and width must be at least 1: {self}.")
        folder = Path(self.data)
        missions, tested_missions, texts, tested_texts = (
            read_pairs(folder, kind, split) for kind in ("missions", "help") for split in ("train", "test")
        )
        choose = np.random.default_rng(SEED)
        return RetrievalLesson(
            self.width,
            [missions, some(texts, self.help_pairs, choose)],
            {"missions": tested_missions, "help": some(tested_texts, self.tested_help_pairs, choose)},
            sorted({pair.en for pair in missions}),
        )


class RetrievalLesson:
    """A mission's English is sought among all missions, those that were learnt from too; a paragraph's among those that
    are tested."""

    score = "top1_missions"

    def __init__(
        self,
        width: int,
        train: Sequence[Sequence[Pair]],
        test: dict[str, Sequence[Pair]],
        known_missions: Sequence[str],
    ) -> None:
        self.module = Projection(width)
        self.train = [(vectors_of(pair.zh for pair in own), *candidates_of(own, ())) for own in train]
        self.test = {
            name: (
                vectors_of(pair.zh for pair in own),
                *candidates_of(own, known_missions if name == "missions" else ()),
            )
            for name, own in test.items()
        }

    @property
    def baseline(self) -> dict[str, float]:
        """Of the encoder's vectors as they are."""
        return self.metrics(nn.Identity(), torch.device("cpu"))

    def batch(self, random: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Equally many of each kind of text."""
        drawn = [
            (own, torch.from_numpy(random.integers(len(own[0]), size=size // len(self.train)))) for own in self.train
        ]
        offsets = np.cumsum([0, *(len(english) for _, english, _ in self.train[:-1])])
        return {
            "chinese": torch.cat([chinese[rows] for (chinese, _, _), rows in drawn]),
            "english": torch.cat([english[true[rows]] for (_, english, true), rows in drawn]),
            "sentence": torch.cat(
                [true[rows] + int(offset) for ((_, _, true), rows), offset in zip(drawn, offsets, strict=True)]
            ),
        }

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Each pair's candidates are the whole batch's, in both directions; the same sentence is not its own rival."""
        cosines = self.module(batch["chinese"]) @ self.module(batch["english"]).T
        sentence = batch["sentence"]
        same = (sentence[:, None] == sentence) & ~torch.eye(len(sentence), dtype=torch.bool, device=sentence.device)
        scores = (self.module.sharpness.exp() * cosines).masked_fill(same, -torch.inf)
        true = torch.arange(len(scores), device=scores.device)
        right = (scores.detach().argmax(1) == true).float().mean()
        return (F.cross_entropy(scores, true) + F.cross_entropy(scores.T, true)) / 2, {"right": right}

    def evaluate(self) -> dict[str, float]:
        return self.metrics(self.module, self.module.sharpness.device)

    def metrics(self, module: nn.Module, device: torch.device) -> dict[str, float]:
        return {
            f"top{most}_{name}": found_among(
                module(chinese.to(device)), module(english.to(device)), true.to(device), most
            )
            for name, (chinese, english, true) in self.test.items()
            for most in (1, 5)
        }

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        return {}


class Projection(nn.Module):
    """Vectors (B, 512) of length 1 -> others (B, 512), that begin as the same (He et al. 2016, the shortcut)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(MULTILINGUAL_WIDTH, width), nn.Linear(width, MULTILINGUAL_WIDTH)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS).log())

    def forward(self, vectors: Tensor) -> Tensor:
        return F.normalize(vectors + self.last(F.relu(self.first(vectors))), dim=1)


def found_among(chinese: Tensor, english: Tensor, true: Tensor, most: int) -> float:
    """Share of rows whose true candidate is among so many that are nearest."""
    nearest = (chinese @ english.T).topk(min(most, len(english)), 1).indices
    return (nearest == true[:, None]).any(1).float().mean().item()


def candidates_of(pairs: Sequence[Pair], others: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Vectors of all different English sentences (C, 512), and of others; and which is each pair's, int64 (N,)."""
    sentences = list(dict.fromkeys([*(pair.en for pair in pairs), *others]))
    number = {sentence: row for row, sentence in enumerate(sentences)}
    return vectors_of(sentences), torch.tensor([number[pair.en] for pair in pairs])


def vectors_of(sentences: Iterable[str]) -> Tensor:
    return torch.from_numpy(multilingual(list(sentences)))


def some(pairs: Sequence[Pair], most: int, random: np.random.Generator) -> list[Pair]:
    return [pairs[row] for row in random.permutation(len(pairs))[:most]]
