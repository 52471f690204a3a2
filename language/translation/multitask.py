"""One encoder and one decoder for both directions, and a mission's intent from the same encoder:
what is plentiful in one task helps another that has little (Luong et al. 2016, Johnson et al.
2017)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from language.corpus import Pair, Split, read_pairs
from language.settings.tasks import MultiTask
from language.translation.back_translation import OTHER
from language.translation.model import (
    Batches,
    TranslationLesson,
    Translator,
    low_precision,
    network,
    sides,
    splits,
    teacher_forcing,
    vocabulary_of,
)
from language.translation.tokens import padded

TESTED_AT_A_TIME = 256


class MultiTaskNetwork(nn.Module):
    def __init__(self, translator: Translator, intents: int) -> None:
        super().__init__()
        self.translator = translator
        self.intent = nn.Linear(translator.embedding.embedding_dim, intents)

    def forward(self, missions: Tensor) -> Tensor:
        """Tokens (B, S) -> scores of each intent (B, intents)."""
        with low_precision(missions.device):
            return self.intent(self.translator.encode(missions)[1])


class MultiTaskLesson:
    score = "validation_bleu"

    def __init__(
        self,
        task: MultiTask,
        translator: Translator,
        few: dict[Split, list[Pair]],
        plenty: list[Pair],
        missions: dict[Split, list[Pair]],
    ) -> None:
        self.task = task
        self.few = TranslationLesson(task, translator, few, few["train"])
        other = OTHER[task.language]
        self.other = Batches(translator.tokens, *sides(plenty, other), other, task.longest)
        self.intents = sorted({intent_of(pair) for pair in missions["train"]})
        self.missions, self.true = self.labeled(missions["train"])
        self.held_out_missions, self.held_out_true = self.labeled(missions["test"])
        self.module = MultiTaskNetwork(translator, len(self.intents))

    def labeled(self, missions: list[Pair]) -> tuple[list[list[int]], Tensor]:
        """In both languages: tokens, and which intent."""
        texts = [text for pair in missions for text in (pair.en, pair.zh)]
        which = torch.tensor([self.intents.index(intent_of(pair)) for pair in missions])
        return self.few.module.tokens.encode(texts), which.repeat_interleave(2)

    @property
    def baseline(self) -> dict[str, float]:
        """Of a translation memory of the few, and of the intent that is the most frequent."""
        likeliest = self.true.mode().values
        return self.few.baseline | {
            "intent_accuracy": (self.held_out_true == likeliest).float().mean().item()
        }

    def batch(self, random: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Of one task, drawn by their shares."""
        drawn = random.random()
        if drawn < self.task.intent_share:
            rows = random.integers(len(self.missions), size=size)
            return {
                "missions": padded([self.missions[row] for row in rows]),
                "intents": self.true[rows],
            }
        plentiful = drawn < self.task.intent_share + self.task.other_share
        return self.other.draw(random, size) if plentiful else self.few.batch(random, size)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        if "intents" in batch:
            return F.cross_entropy(self.module(batch["missions"]).float(), batch["intents"]), {}
        return teacher_forcing(self.module.translator, batch)

    def evaluate(self) -> dict[str, float]:
        device = self.module.intent.weight.device
        found = [
            self.module(padded(self.held_out_missions[start : start + TESTED_AT_A_TIME]).to(device))
            .argmax(1)
            .cpu()
            for start in range(0, len(self.held_out_missions), TESTED_AT_A_TIME)
        ]
        right = (torch.cat(found) == self.held_out_true).float().mean().item()
        return self.few.evaluate() | {"intent_accuracy": right}

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        return {}


def multitask_lesson(task: MultiTask) -> MultiTaskLesson:
    """Few pairs, many for the other direction, and missions. Raises ValueError where the texts are
    missing."""
    if task.other_share + task.intent_share >= 1:
        raise ValueError(
            f"other_share and intent_share must be below 1 together, not {task.other_share} and "
            f"{task.intent_share}."
        )
    few = splits(task)
    plenty = splits(replace(task, pairs=0))["train"]
    missions: dict[Split, list[Pair]] = {
        split: read_pairs(Path(task.data), "missions", split) for split in ("train", "test")
    }
    translator = network(task, vocabulary_of(plenty + missions["train"], task.vocabulary))
    return MultiTaskLesson(task, translator, few, plenty, missions)


def intent_of(mission: Pair) -> str:
    """The first word of the English text, a verb: go, pick, open or put."""
    return mission.en.partition(" ")[0]
