"""A student learns what its teacher says, with fewer parameters."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from language.settings.tasks import DistillationTask, TranslationTask
from language.translation import distillation as distill
from language.translation import model as translation
from language.translation.model import TranslationLesson, trained_translator, translate
from language.translation.tokens import until_end
from tests.language.small_corpus import write_small_corpus, write_untrained

Folders = tuple[str, str]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Of a corpus and of a teacher, which knows nothing."""
    folder = tmp_path_factory.mktemp("distill")
    corpus = write_small_corpus(folder)
    return corpus, write_untrained(
        TranslationTask(corpus, width=64, vocabulary=70, beam=1), folder / "teacher"
    )


def targets(lesson: TranslationLesson) -> list[str]:
    return lesson.module.tokens.decode(
        [until_end(target[1:]) for _, target in lesson.batches.pairs]
    )


def test_it_learns_what_the_teacher_says_beside_the_texts_and_without_it_the_texts_alone(
    folders: Folders,
) -> None:
    task = DistillationTask(*folders[:1], width=24, vocabulary=60, teacher=folders[1], beam=2)
    teacher, _ = trained_translator(folders[1])
    distilled, alone = task.lesson(), replace(task, distilled=False).lesson()
    true = [pair.en for pair in alone.train]
    said = translate(teacher, [pair.zh for pair in distilled.train], "en", beam=2)
    assert targets(alone) == true
    assert targets(distilled) == true + [text for text in said if text]
    assert len(distilled.module.tokens) == 60
    assert size(distilled.module) < size(teacher) / 3


def test_held_out_texts_are_scored_by_their_true_translations(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a teacher says of them does not count, even where a student says the same."""

    def says_one_thing(_: object, texts: Sequence[str], language: str, beam: int) -> list[str]:
        return ["a red thing" for _ in texts]

    monkeypatch.setattr(distill, "translate", says_one_thing)
    lesson = DistillationTask(folders[0], width=24, vocabulary=70, teacher=folders[1]).lesson()
    assert targets(lesson)[len(lesson.train) :] == ["a red thing"] * len(lesson.train)
    monkeypatch.setattr(translation, "translate", says_one_thing)
    assert lesson.evaluate()["exact_match"] == 0


def test_a_teacher_of_another_language_is_told(folders: Folders) -> None:
    with pytest.raises(ValueError, match="translates help into en"):
        DistillationTask(folders[0], teacher=folders[1], language="zh").lesson()
    with pytest.raises(ValueError, match="holds no trained translation"):
        DistillationTask(folders[0], teacher="nowhere").lesson()


def size(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
