"""Cross-lingual retrieval: halves, candidates, what is learnt, and that it is read back."""

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from language.settings.tasks import RetrievalTask
from language.vectors.retrieval import (
    MULTILINGUAL_WIDTH,
    Projection,
    found_among,
    halves,
    trained_projection,
    vectors_of,
)

KINDS = {"ball": "球", "box": "箱子", "key": "钥匙", "door": "门", "chair": "椅子"}


def corpus(folder: Path) -> str:
    """One mission of five is to test on; the help has five titles."""
    for kind in ("train", "test"):
        missions = [
            (f"put the {x} next to the {y}", f"把那个{KINDS[x]}放到那个{KINDS[y]}旁边")
            for row, (x, y) in enumerate(permutations(KINDS, 2))
            if (row % 5 == 0) == (kind == "test")
        ]
        lines = "".join(f"{english}\t{english}\t{chinese}\n" for english, chinese in missions)
        (folder / f"missions-{kind}.tsv").write_text(lines)
        lines = "".join(f"page\tthe {english}\t{chinese}\n" for english, chinese in KINDS.items())
        (folder / f"help-{kind}.tsv").write_text(lines)
    return str(folder)


def test_halves_are_of_words_or_of_characters() -> None:
    assert halves("put the ball down") == ("put the", "ball down")
    assert halves("go to it") == ("go to", "it")
    assert halves("把球放下来") == ("把球放", "下来")
    assert halves("") == ("", "")


def test_the_order_of_things_is_in_the_halves() -> None:
    whole, first, second = vectors_of(["把红球放到蓝门旁边", "把蓝门放到红球旁边"]).transpose(0, 1)
    assert whole[0] @ whole[1] > max(first[0] @ first[1], second[0] @ second[1])


def test_untrained_it_tells_what_the_encoder_tells_of_whole_sentences() -> None:
    vectors = vectors_of(["go to the red ball", "打开那扇门"])
    torch.testing.assert_close(Projection(8)(vectors), vectors[:, 0])


def test_what_is_found_must_be_among_the_nearest() -> None:
    chinese, english = (
        torch.eye(3),
        torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.9, 0.0], [0.0, 1.0, 0.5]]),
    )
    # Rows 0 and 2 are nearest to their own; row 1 is nearest to the last one.
    assert found_among(chinese, english, torch.arange(3), 1) == pytest.approx(2 / 3)
    assert found_among(chinese, english, torch.arange(3), 2) == 1.0


def test_it_learns_to_find_missions_that_it_has_not_seen(tmp_path: Path) -> None:
    torch.manual_seed(0)
    lesson = RetrievalTask(corpus(tmp_path), width=64).lesson()
    assert [len(own.english) for own in lesson.train] == [16, 5]
    assert len(lesson.test["missions"].english) == 20  # those that it has seen are candidates, too
    learner = torch.optim.Adam(lesson.module.parameters(), 1e-3)
    random = np.random.default_rng(0)
    for _ in range(60):
        loss, _ = lesson.loss(lesson.batch(random, 32))
        learner.zero_grad()
        loss.backward()
        learner.step()
    with torch.no_grad():
        assert lesson.evaluate()["top1_missions"] > max(0.7, lesson.baseline["top1_missions"])


def test_the_same_sentence_is_not_its_own_rival(tmp_path: Path) -> None:
    lesson = RetrievalTask(corpus(tmp_path), width=8).lesson()
    vectors = torch.randn(2, 3, MULTILINGUAL_WIDTH)
    twice = {
        "chinese": vectors[[0, 0]],
        "english": vectors[[0, 0]],
        "sentence": torch.tensor([4, 4]),
    }
    assert lesson.loss(twice)[0].item() == pytest.approx(0.0, abs=1e-6)
    batch = lesson.batch(np.random.default_rng(0), 32)
    assert batch["sentence"][:16].max() < 16 <= batch["sentence"][16:].min()


def test_the_smallest_batch_has_a_text_of_each_kind(tmp_path: Path) -> None:
    lesson = RetrievalTask(corpus(tmp_path), width=8).lesson()
    assert len(lesson.batch(np.random.default_rng(0), 1)["sentence"]) == 2


def test_weights_are_read_back_frozen(tmp_path: Path) -> None:
    module = Projection(8)
    torch.nn.init.normal_(module.last.weight)
    save_file(module.state_dict(), tmp_path / "module.safetensors")
    told = {"format": "praxis-module-1", "name": "retrieval", "settings": {"task": {"width": 8}}}
    (tmp_path / "module.json").write_text(json.dumps(told))
    vectors = torch.randn(2, 3, MULTILINGUAL_WIDTH)
    again = trained_projection(str(tmp_path))
    assert torch.equal(again(vectors), module(vectors))
    assert not any(weights.requires_grad for weights in again.parameters())
    with pytest.raises(ValueError, match="width must be a whole number from 1 to"):
        RetrievalTask(width=0).lesson()
