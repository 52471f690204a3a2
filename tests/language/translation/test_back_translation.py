"""Texts in the target language alone are learnt from, with a source that a module makes up."""

from dataclasses import replace
from pathlib import Path

import pytest

from language.corpus import read_pairs
from language.settings.tasks import BackTranslationTask, TranslationTask
from language.translation.model import trained_translator, translate
from language.translation.tokens import until_end
from tests.language.small_corpus import write_small_corpus, write_untrained

PAIRS, ALONE = 40, 60


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> BackTranslationTask:
    folder = tmp_path_factory.mktemp("backtranslate")
    corpus = write_small_corpus(folder)
    backward = TranslationTask(corpus, language="zh", width=16, pairs=PAIRS, vocabulary=70, beam=1)
    return BackTranslationTask(
        corpus,
        width=16,
        pairs=PAIRS,
        alone=ALONE,
        vocabulary=70,
        backward=write_untrained(backward, folder / "backward"),
    )


def test_pairs_are_true_and_further_texts_have_a_source_that_was_made(
    task: BackTranslationTask,
) -> None:
    lesson = task.lesson()
    decode = lesson.module.tokens.decode
    learnt = [
        (decode([source])[0], decode([until_end(target[1:])])[0])
        for source, target in lesson.batches.pairs
    ]
    train = read_pairs(Path(task.data), "help", "train")
    assert learnt[:PAIRS] == [(pair.zh, pair.en) for pair in train[:PAIRS]]

    backward, _ = trained_translator(task.backward)
    alone = [pair.en for pair in train[PAIRS : PAIRS + ALONE]]
    made = translate(backward, alone, "zh")
    assert learnt[PAIRS:] == [pair for pair in zip(made, alone, strict=True) if pair[0]]
    assert lesson.train == train[:PAIRS], "the baseline must know no more than the pairs"


def test_true_pairs_are_learnt_from_as_often_as_made_ones(task: BackTranslationTask) -> None:
    lesson = replace(task, alone=2 * PAIRS).lesson()
    true = lesson.batches.pairs[:PAIRS]
    assert lesson.batches.pairs[PAIRS : 2 * PAIRS] == true
    assert len(lesson.batches.pairs) > 3 * PAIRS


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"language": "zh"}, "translates into zh, by 40 pairs; it must into en"),
        ({"pairs": 41}, "it must into zh, by the same 41 pairs"),
        ({"alone": 1_000}, "There are 141 pairs"),
        ({"backward": "nowhere"}, "holds no trained translation"),
    ],
)
def test_what_does_not_fit_is_told(change: dict, told: str, task: BackTranslationTask) -> None:
    with pytest.raises(ValueError, match=told):
        replace(task, **change).lesson()
