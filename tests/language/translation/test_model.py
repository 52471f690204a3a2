"""Translation: what the network is, how it is searched, and that it learns."""

import math
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.settings.pretraining import Pretraining
from agents.training.pretrain import pretrain
from language.corpus import read_pairs
from language.settings.tasks import TranslationTask
from language.translation import model as translate_module
from language.translation.memory import nearest
from language.translation.model import (
    Batches,
    Translator,
    bleu,
    searched,
    teacher_forcing,
    trained_translator,
    translate,
)
from language.translation.tokens import CHINESE, END, ENGLISH, PADDING, trained_tokens
from tests.language.small_corpus import write_small_corpus

TEXTS = ["go to the red ball", "去红球", "open the green door", "开绿门"]


def small(attention: bool = True) -> Translator:
    torch.manual_seed(0)
    return Translator(trained_tokens(TEXTS, 80), width=16, attention=attention, dropout=0.0).eval()


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arithmetic in float32, whatever the processor likes."""
    monkeypatch.setattr(translate_module, "low_precision", lambda device: nullcontext())


def test_held_out_sentences_are_translated_after_some_seconds(tmp_path: Path) -> None:
    task = TranslationTask(
        write_small_corpus(tmp_path),
        "missions",
        width=48,
        vocabulary=70,
        dropout=0.0,
        beam=2,
        longest=20,
    )
    settings = Pretraining(
        task,
        total_steps=160,
        batch_size=32,
        learning_rate=1e-2,
        evaluate_every_steps=80,
        run_dir=str(tmp_path / "run"),
    )
    result = pretrain(settings)
    assert result.metrics["exact_match"] >= 0.75
    assert result.metrics["exact_match"] > result.baseline["exact_match"]
    assert result.metrics["bleu"] > result.baseline["bleu"]

    module, told = trained_translator(str(tmp_path / "run"))
    test = read_pairs(tmp_path, "missions", "test")
    found = translate(module, [pair.zh for pair in test], told["language"], beam=2)
    right = np.mean([one == pair.en for one, pair in zip(found, test, strict=True)])
    assert right == pytest.approx(result.metrics["exact_match"])


@pytest.mark.parametrize("attention", [False, True])
def test_padding_changes_nothing(attention: bool, exact: None) -> None:
    module = small(attention)
    short, long = (
        torch.tensor([[7, 8, END]]),
        torch.tensor([[7, 8, END, PADDING, PADDING], [9, 10, 11, 12, END]]),
    )
    given = torch.tensor([[ENGLISH, 6, 7]])
    alone, beside = module(short, given), module(long, given.expand(2, -1))
    torch.testing.assert_close(alone[0], beside[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("attention", [False, True])
def test_a_token_at_a_time_is_the_same_as_all_at_once(attention: bool, exact: None) -> None:
    module = small(attention)
    source, given = torch.tensor([[7, 8, 9, END]]), torch.tensor([[ENGLISH, 6, 7, 8]])
    read, ends = module.encode(source)
    state, scores = module.start(ends), []
    for token in given.split(1, 1):
        score, state = module.decode(token, state, read, source)
        scores.append(score)
    torch.testing.assert_close(torch.cat(scores, 1), module(source, given), atol=1e-5, rtol=1e-4)


def test_only_attention_sees_each_word_that_was_read() -> None:
    def reaches(module: Translator) -> float:
        read, ends = module.encode(torch.tensor([[7, 8, 9, END]]))
        read.retain_grad()
        scores, _ = module.decode(
            torch.tensor([[ENGLISH]]), module.start(ends.detach()), read, torch.ones(1, 4)
        )
        scores.sum().backward()
        return 0.0 if read.grad is None else read.grad.abs().min().item()

    assert reaches(small(attention=True)) > 0
    assert not any("query" in name for name, _ in small(attention=False).named_parameters())


def test_loss_of_a_module_that_knows_nothing_is_that_of_the_uniform_distribution() -> None:
    module = small()
    torch.nn.init.zeros_(module.embedding.weight)
    batch = {
        "source": torch.tensor([[7, END]]),
        "target": torch.tensor([[ENGLISH, 8, END, PADDING, PADDING]]),
    }
    loss, _ = teacher_forcing(module, batch)
    assert loss.item() == pytest.approx(math.log(len(module.tokens)), rel=1e-3)


class Machine:
    """A translator whose next token depends on the last one alone, by this table of
    probabilities."""

    A, B, C = 5, 6, 7

    def __init__(self) -> None:
        self.table = torch.full((8, 8), 1e-9)
        self.table[ENGLISH, self.A], self.table[ENGLISH, self.B] = 0.6, 0.4
        self.table[self.A, self.C], self.table[self.A, self.B], self.table[self.A, END] = (
            0.4,
            0.3,
            0.3,
        )
        self.table[self.B, END] = self.table[self.C, END] = 1.0

    def encode(self, source: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return source[..., None].float(), source[:, :1].float()

    def start(self, ends: torch.Tensor) -> Any:
        return ((ends[None],) * 2,) * 2

    def decode(
        self, given: torch.Tensor, state: Any, read: torch.Tensor, source: torch.Tensor
    ) -> Any:
        return self.table[given].log(), state


@pytest.mark.parametrize(
    ("beam", "found"),
    [
        (1, [Machine.A, Machine.C, END]),  # .6 * .4 * 1 = .24
        (3, [Machine.B, END]),  # .4 * 1 = .4; a mean of log .4 / 2 is above log .24 / 3
    ],
)
def test_beam_search_finds_what_greedy_search_misses(beam: int, found: list[int]) -> None:
    machine: Any = Machine()
    source = torch.tensor([[5, END], [6, END]])
    rows = searched(machine, source, ENGLISH, beam).tolist()
    assert [row[: row.index(END) + 1] for row in rows] == [found, found]


def test_translations_keep_their_places_and_do_not_depend_on_their_neighbors(exact: None) -> None:
    module = small()
    texts = ["go to the green door open the red ball", "", "ball", "open the door", " "]
    together = translate(module, texts, "en", beam=3)
    assert together == [translate(module, [text], "en", beam=3)[0] for text in texts]
    assert together[1] == together[4] == ""
    assert not module.training


def test_bleu_is_of_words_in_english_and_of_characters_in_chinese() -> None:
    assert bleu(["the red ball is here"], ["the red ball is here"], "en") == pytest.approx(100)
    # Right are 5 of 6 words, 3 of 5 pairs, 1 of 4 triples and none of 3 fours, which smoothing
    # counts as half a one.
    expected = 100 * (5 / 6 * 3 / 5 * 1 / 4 * 0.5 / 3) ** 0.25
    assert bleu(["the red box is here ."], ["the red ball is here ."], "en") == pytest.approx(
        expected
    )
    assert bleu(["打开红色的门"], ["打开红色的门"], "zh") == pytest.approx(100)
    assert bleu(["打开红色的门"], ["打开绿色的门"], "zh") > bleu(
        ["打开红色的门"], ["打开绿色的门"], "en"
    )


def test_an_epoch_has_each_pair_once_in_batches_of_little_padding() -> None:
    tokens = trained_tokens(TEXTS, 80)
    texts = [" ".join(["go"] * length) for length in range(1, 41)]
    lengths_of_texts = [len(row) for row in tokens.encode(texts)]
    batches = Batches(tokens, texts, texts, "en", longest=100)
    random = np.random.default_rng(0)
    drawn = [batches.draw(random, 8) for _ in range(5)]
    lengths = torch.cat([(batch["source"] != PADDING).sum(1) for batch in drawn])
    assert sorted(lengths.tolist()) == sorted(lengths_of_texts)
    assert all(batch["target"][:, 0].eq(ENGLISH).all() for batch in drawn)
    kept = sum((batch["source"] != PADDING).sum().item() for batch in drawn)
    assert kept / sum(batch["source"].numel() for batch in drawn) > 0.7
    assert not any(batches.waiting.values())


def test_texts_that_are_too_long_are_left_out() -> None:
    tokens = trained_tokens(TEXTS, 80)
    batches = Batches(tokens, ["go", "go go go go"], ["去", "去"], "zh", longest=3)
    assert batches.pairs == [(tokens.encode(["go"])[0], [CHINESE, *tokens.encode(["去"])[0]])]
    with pytest.raises(ValueError, match="longest"):
        Batches(tokens, ["go go go go"], ["去"], "zh", longest=3)


def test_texts_of_just_the_greatest_length_are_kept() -> None:
    tokens = trained_tokens(TEXTS, 80)
    text = "go go go"
    longest = len(tokens.encode([text])[0]) - 1  # without its end
    assert len(Batches(tokens, [text], [text], "en", longest).pairs) == 1
    with pytest.raises(ValueError, match="longest"):
        Batches(tokens, [text], [text], "en", longest - 1)


def test_the_nearest_text_is_the_same_one_and_not_merely_a_short_one() -> None:
    known = ["red", "the red ball is in the box", "open the door"]
    assert nearest(known, known) == [0, 1, 2]
    assert nearest(known, ["the red ball is on the box", "open this door"]) == [1, 2]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"width": 15}, "width must be even"),
        ({"dropout": 1.0}, "dropout must be a number at least 0 and below 1, not 1"),
        ({"pairs": 1_000}, "There are 141 pairs"),
        ({"data": "nowhere"}, r"scripts/make_corpus\.py"),
    ],
)
def test_what_cannot_be_trained_is_told_in_one_line(
    change: dict[str, Any], told: str, tmp_path: Path
) -> None:
    task = TranslationTask(write_small_corpus(tmp_path))
    with pytest.raises(ValueError, match=told) as mistake:
        replace(task, **change).lesson()
    assert "\n" not in str(mistake.value)


def test_a_folder_without_a_translator_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no trained translation"):
        trained_translator(str(tmp_path))
