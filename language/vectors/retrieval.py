"""Cross-lingual retrieval: the English sentence that means what a Chinese one says, found by the
multilingual encoder (Yang et al. 2020) and layers that learn from pairs (InfoNCE; van den Oord et
al. 2018)."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from common.module_files import take_weights
from language.corpus import Pair, read_pairs
from language.settings.tasks import RetrievalTask
from language.vectors.sentence_encoders import MULTILINGUAL_WIDTH, multilingual
from language.weights import trained

SHARPNESS = 20.0
"""What a cosine is multiplied by, to begin with, before the softmax over all candidates of a
batch."""
SEED = 0
"""Of the pairs that are chosen to learn from and to test on."""


class Searches(NamedTuple):
    """Sentences that are sought among others."""

    chinese: Tensor
    """What is sought (N, 3, 512)."""
    english: Tensor
    """Among which (C, 3, 512), all different."""
    true: Tensor
    """Which is right, int64 (N,)."""


class RetrievalLesson:
    """A mission's English is sought among all missions, those that were learnt from too; a
    paragraph's among those that are tested."""

    score = "top1_missions"

    def __init__(self, width: int, train: Sequence[Searches], test: dict[str, Searches]) -> None:
        self.module = Projection(width)
        self.train = train
        self.test = test

    @property
    def baseline(self) -> dict[str, float]:
        """Of the encoder's vectors of whole sentences, as they are."""
        return self.metrics(lambda vectors: vectors[:, 0], torch.device("cpu"))

    def batch(self, random: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Equally many of each kind of text, at least one; `sentence` numbers all English ones."""
        of_each = max(1, size // len(self.train))
        drawn = [
            torch.from_numpy(random.integers(len(own.true), size=of_each)) for own in self.train
        ]
        before = np.cumsum([0, *(len(own.english) for own in self.train)]).tolist()
        columns = [
            (own.chinese[rows], own.english[own.true[rows]], own.true[rows] + start)
            for own, rows, start in zip(self.train, drawn, before, strict=False)
        ]
        names = ("chinese", "english", "sentence")
        return {
            name: torch.cat(parts)
            for name, parts in zip(names, zip(*columns, strict=True), strict=True)
        }

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Each pair's candidates are the whole batch's, in both directions; the same sentence is
        not its own rival."""
        cosines = self.module(batch["chinese"]) @ self.module(batch["english"]).T
        sentence = batch["sentence"]
        same = (sentence[:, None] == sentence) & ~torch.eye(
            len(sentence), dtype=torch.bool, device=sentence.device
        )
        scores = (self.module.sharpness.exp() * cosines).masked_fill(same, -torch.inf)
        true = torch.arange(len(scores), device=scores.device)
        right = (scores.detach().argmax(1) == true).float().mean()
        return (F.cross_entropy(scores, true) + F.cross_entropy(scores.T, true)) / 2, {
            "right": right
        }

    def evaluate(self) -> dict[str, float]:
        return self.metrics(self.module, self.module.sharpness.device)

    def metrics(self, module: Callable[[Tensor], Tensor], device: torch.device) -> dict[str, float]:
        """Share of sentences whose true English is the nearest, and among the five nearest, by kind
        of text. `module` maps (N, 3, 512) to vectors (N, 512) of length 1."""
        return {
            f"top{most}_{name}": found_among(
                module(own.chinese.to(device)), module(own.english.to(device)), own.true, most
            )
            for name, own in self.test.items()
            for most in (1, 5)
        }

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        return {}


def retrieval_lesson(task: RetrievalTask) -> RetrievalLesson:
    """Missions and paragraphs to search. Raises ValueError where the texts are missing."""
    folder = Path(task.data)
    missions, tested_missions, texts, tested_texts = (
        read_pairs(folder, kind, split)
        for kind in ("missions", "help")
        for split in ("train", "test")
    )
    choose = np.random.default_rng(SEED)
    return RetrievalLesson(
        task.width,
        [searches(missions), searches(some(texts, task.help_pairs, choose))],
        {
            "missions": searches(tested_missions, [pair.en for pair in missions]),
            "help": searches(some(tested_texts, task.tested_help_pairs, choose)),
        },
    )


class Projection(nn.Module):
    """Vectors of a sentence and its halves (B, 3, 512) -> of what it means (B, 512), of length 1,
    which begin as the whole sentence's (He et al. 2016, the shortcut)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(3 * MULTILINGUAL_WIDTH, width)
        self.last = nn.Linear(width, MULTILINGUAL_WIDTH)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS).log())

    def forward(self, vectors: Tensor) -> Tensor:
        return F.normalize(vectors[:, 0] + self.last(F.relu(self.first(vectors.flatten(1)))), dim=1)


def trained_projection(folder: str) -> Projection:
    """As scripts/train_module.py retrieval left it, frozen. Raises ValueError, in one line, where
    it did not."""
    settings, weights = trained(folder, "retrieval")
    module = Projection(settings["width"])
    take_weights(module, weights, folder)
    return module.requires_grad_(False).eval()


def found_among(chinese: Tensor, english: Tensor, true: Tensor, most: int) -> float:
    """Share of rows whose true candidate is among so many that are nearest."""
    nearest = (chinese @ english.T).topk(min(most, len(english)), 1).indices
    return (nearest.cpu() == true[:, None]).any(1).float().mean().item()


def searches(pairs: Sequence[Pair], others: Iterable[str] = ()) -> Searches:
    """Each pair's English among all pairs' and the others."""
    number = {
        sentence: row
        for row, sentence in enumerate(dict.fromkeys([*(pair.en for pair in pairs), *others]))
    }
    return Searches(
        vectors_of(pair.zh for pair in pairs),
        vectors_of(number),
        torch.tensor([number[pair.en] for pair in pairs]),
    )


def vectors_of(sentences: Iterable[str]) -> Tensor:
    """Of each sentence and its halves (N, 3, 512). The encoder hardly tells what is put next to
    what from the reverse; from the halves it can be told."""
    wholes = list(sentences)
    parts = [wholes, *zip(*map(halves, wholes), strict=True)]
    return torch.from_numpy(np.stack([multilingual(part) for part in parts], 1))


def halves(sentence: str) -> tuple[str, str]:
    """By words or, where there are no spaces, by characters; the first has one more where they are
    odd."""
    between = " " if " " in sentence else ""
    pieces = sentence.split(" ") if between else list(sentence)
    middle = (len(pieces) + 1) // 2
    return between.join(pieces[:middle]), between.join(pieces[middle:])


def some(pairs: Sequence[Pair], most: int, random: np.random.Generator) -> list[Pair]:
    """At most `most` of the pairs, each at most once, in random order."""
    return [pairs[row] for row in random.permutation(len(pairs))[:most]]
