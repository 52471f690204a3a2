"""A student learns what its teacher says, with fewer parameters."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.pretrain import Pretraining, pretrain
from language import distill
from language.distill import DistillationTask
from language.tokens import until_end
from language.translate import TranslationLesson, TranslationTask, trained_translator, translate
from tests.language.small_corpus import write_small_corpus, write_untrained

Folders = tuple[str, str]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Of a corpus and of a teacher, which knows nothing."""
    folder = tmp_path_factory.mktemp("distill")
    corpus = write_small_corpus(folder)
    return corpus, write_untrained(TranslationTask(corpus, width=64, vocabulary=70, beam=1), folder / "teacher")


def targets(lesson: TranslationLesson) -> list[str]:
    return lesson.module.tokens.decode([until_end(target[1:]) for _, target in lesson.batches.pairs])


def test_it_learns_from_what_the_teacher_says_and_without_it_from_the_texts(folders: Folders) -> None:
    task = DistillationTask(*folders[:1], width=24, teacher=folders[1])
    teacher, _ = trained_translator(folders[1])
    distilled, alone = task.lesson(), replace(task, distilled=False).lesson()
    said = translate(teacher, [pair.zh for pair in distilled.train], "en")
    assert targets(distilled) == [text for text in said if text]
    assert targets(alone) == [pair.en for pair in alone.train]
    assert distilled.module.tokens.encode(["the red ball"]) == teacher.tokens.encode(["the red ball"])
    assert size(distilled.module) < size(teacher) / 3


def test_held_out_texts_are_scored_by_their_true_translations(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teacher that says `a` for `the`: the student takes it over, and is told that it is wrong."""

    def says_a(_: object, texts: Sequence[str], language: str) -> list[str]:
        true = {
            pair.zh: pair.en
            for pair in DistillationTask(folders[0], teacher=folders[1], distilled=False).lesson().train
        }
        return [true[text].replace("the", "a") for text in texts]

    monkeypatch.setattr(distill, "translate", says_a)
    task = DistillationTask(folders[0], width=32, teacher=folders[1], beam=1)
    settings = Pretraining(
        task,
        total_steps=140,
        batch_size=32,
        learning_rate=1e-2,
        evaluate_every_steps=140,
        run_dir=str(tmp_path / "run"),
    )
    result = pretrain(settings)
    student, _ = trained_translator(str(result.folder))
    found = translate(student, [pair.zh for pair in task.lesson().train], "en")
    assert np.mean([" a " in text for text in found]) > 0.9
    assert result.metrics["exact_match"] == 0


def test_a_teacher_of_another_language_is_told(folders: Folders) -> None:
    with pytest.raises(ValueError, match="translates help into en"):
        DistillationTask(folders[0], teacher=folders[1], language="zh").lesson()
    with pytest.raises(ValueError, match="holds no trained translation"):
        DistillationTask(folders[0], teacher="nowhere").lesson()


def size(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
