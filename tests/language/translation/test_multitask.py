"""One network for both directions and for intents."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.settings.pretraining import Pretraining
from agents.training.pretrain import pretrain
from language.settings.tasks import MultiTask
from language.translation.model import translate
from language.translation.multitask import MultiTaskLesson
from language.translation.tokens import CHINESE, ENGLISH
from tests.language.small_corpus import write_small_corpus


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> MultiTask:
    corpus = write_small_corpus(tmp_path_factory.mktemp("multitask"))
    return MultiTask(
        corpus,
        width=32,
        pairs=40,
        vocabulary=70,
        dropout=0.0,
        beam=1,
        intent_share=0.2,
        other_share=0.4,
    )


def kind_of(batch: dict[str, torch.Tensor]) -> str:
    if "intents" in batch:
        return "intent"
    return {ENGLISH: "en", CHINESE: "zh"}[int(batch["target"][0, 0])]


def test_tasks_are_drawn_by_their_shares(task: MultiTask) -> None:
    lesson, random = task.lesson(), np.random.default_rng(0)
    kinds = [kind_of(lesson.batch(random, 8)) for _ in range(1_000)]
    shares = {kind: kinds.count(kind) / len(kinds) for kind in ("intent", "en", "zh")}
    assert shares == pytest.approx({"intent": 0.2, "en": 0.4, "zh": 0.4}, abs=0.05)
    assert len(lesson.few.batches.pairs) == 40
    assert len(lesson.other.pairs) == 141


def test_all_tasks_teach_one_encoder(task: MultiTask) -> None:
    lesson, random = task.lesson(), np.random.default_rng(0)
    taught: dict[str, float] = {}
    while len(taught) < 3:
        batch = lesson.batch(random, 8)
        lesson.module.zero_grad()
        lesson.loss(batch)[0].backward()
        gradient = lesson.module.translator.onward.weight_hh_l0.grad
        assert gradient is not None
        taught[kind_of(batch)] = gradient.abs().sum().item()
    assert min(taught.values()) > 0


def test_it_learns_both_directions_and_intents(
    task: MultiTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[MultiTaskLesson] = []
    lesson_of = MultiTask.lesson

    def kept(own: MultiTask) -> MultiTaskLesson:
        made.append(lesson_of(own))
        return made[-1]

    monkeypatch.setattr(MultiTask, "lesson", kept)
    settings = Pretraining(
        replace(task, pairs=141, width=48, other_share=0.3, intent_share=0.1),
        total_steps=240,
        batch_size=32,
        learning_rate=1e-2,
        evaluate_every_steps=240,
        run_dir=str(tmp_path / "run"),
    )
    result = pretrain(settings)
    assert result.metrics["intent_accuracy"] >= 0.9 > result.baseline["intent_accuracy"]
    assert result.metrics["bleu"] > result.baseline["bleu"]
    english = translate(made[0].few.module, ["开红门"], "en")
    assert "open the" in english[0]


def test_shares_that_leave_nothing_for_the_few_are_told(task: MultiTask) -> None:
    with pytest.raises(ValueError, match="below 1 together"):
        replace(task, other_share=0.9).lesson()
