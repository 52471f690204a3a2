"""Word vectors: what is counted, what is learnt, and that it is read back."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from language.settings.tasks import EmbeddingsTask
from language.vectors.word_vectors import (
    METHODS,
    MeanOfWords,
    co_occurrences,
    glove,
    vocabulary_of,
    word_vectors,
    words_of,
)

TOPIC = 12
COLORS, FOODS = ([f"{kind} {number}" for number in range(TOPIC)] for kind in ("color", "food"))


def two_topics(count: int) -> list[list[str]]:
    """Words of one topic stand together, never with those of the other."""
    random = np.random.default_rng(0)
    return [random.permutation(topic).tolist() for topic in (COLORS, FOODS) for _ in range(count)]


def nearness(vectors: np.ndarray) -> float:
    """How much nearer words of the first topic are to each other than to those of the second, by
    cosine."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    return float(
        (cosines[:TOPIC, :TOPIC].sum() - TOPIC) / (TOPIC * (TOPIC - 1))
        - cosines[:TOPIC, TOPIC:].mean()
    )


@pytest.mark.parametrize("method", METHODS)
def test_words_that_are_used_alike_are_near(method: str) -> None:
    vocabulary = [*COLORS, *FOODS]
    task = EmbeddingsTask(size=8, window=5, epochs=40)
    vectors = METHODS[method](two_topics(100), vocabulary, task)
    assert (vectors.shape, vectors.dtype) == ((2 * TOPIC, 8), np.float32)
    assert nearness(vectors) > 0.5
    np.testing.assert_array_equal(vectors, METHODS[method](two_topics(100), vocabulary, task))


def test_neighbors_count_the_less_the_farther_they_are() -> None:
    rows, columns, met = co_occurrences(
        [["a", "b", "rare", "c"], ["b", "a"]], ["a", "b", "c"], window=2
    )
    table = np.zeros((3, 3))
    table[rows, columns] = met
    # "rare" has no vector and takes no place: a-b 1 + 1, b-c 1, a-c 1/2, and nothing across two
    # sentences.
    np.testing.assert_allclose(table, [[0, 2, 0.5], [2, 0, 1], [0.5, 1, 0]])


def test_products_of_glove_tell_how_often_words_meet() -> None:
    vectors = glove(
        [["a", "b"]] * 200 + [["a", "c"]] * 2 + [["b", "c"]] * 2,
        ["a", "b", "c"],
        EmbeddingsTask(size=4),
    )
    assert vectors[0] @ vectors[1] > max(vectors[0] @ vectors[2], vectors[1] @ vectors[2])


def test_a_vocabulary_has_frequent_words_first_and_no_rare_ones() -> None:
    assert vocabulary_of([["b", "a", "b", "a"], ["a", "b", "c", "d"], ["d", "d", "d", "c"]]) == [
        "d",
        "a",
        "b",
    ]
    assert words_of("It's GOOD, isn't it? 10 of 10") == ["it's", "good", "isn't", "it", "of"]


def test_a_text_is_the_mean_of_the_words_that_have_a_vector() -> None:
    words = MeanOfWords(["good", "film"], torch.tensor([[1.0, 0.0], [0.0, 3.0]]))
    told = words(words.tokens(["good good film", "a film", "nothing known"]))
    torch.testing.assert_close(told, torch.tensor([[2 / 3, 1.0], [0.0, 3.0], [0.0, 0.0]]))


def corpus(folder: Path) -> str:
    random = np.random.default_rng(0)
    nouns = ("film", "plot", "cast", "story", "music")
    rows = []
    for _ in range(150):
        good = bool(random.integers(2))
        word = random.choice(
            ["fine", "lovely", "splendid"] if good else ["dull", "dire", "dreadful"]
        )
        some = " ".join(random.choice(nouns, 3))
        rows.append(f"movie\t{3 if good else -3}\t{some} {word} {random.integers(1000)}\n")
    (folder / "sentiment.tsv").write_text("".join([*rows, "tweet\t-4\tfine fine fine\n"]))
    (folder / "help-train.tsv").write_text(
        "".join(f"page\tthe {noun} file\t文件\n" for noun in nouns * 4)
    )
    return str(folder)


def test_one_layer_learns_what_is_good_from_words_that_were_learnt_before(tmp_path: Path) -> None:
    torch.manual_seed(0)
    lesson = EmbeddingsTask(corpus(tmp_path), size=16, window=3).lesson()
    before, table = lesson.evaluate()["accuracy"], lesson.module.words.bag.weight.clone()
    learner = torch.optim.Adam(lesson.module.layer.parameters(), 0.05)
    random = np.random.default_rng(0)
    for _ in range(60):
        loss, _ = lesson.loss(lesson.batch(random, 32))
        learner.zero_grad()
        loss.backward()
        learner.step()
    lesson.module.eval()
    assert lesson.evaluate()["accuracy"] > max(0.9, before)
    assert torch.equal(table, lesson.module.words.bag.weight)
    assert lesson.baseline["accuracy_tf_idf"] > 0.9
    assert not {text for text, _ in lesson.train} & {text for text, _ in lesson.test}


def test_vectors_are_read_back_with_their_words(tmp_path: Path) -> None:
    lesson = EmbeddingsTask(corpus(tmp_path), size=8, epochs=1).lesson()
    save_file(lesson.module.state_dict(), tmp_path / "module.safetensors")
    told = {"format": "praxis-module-1", "name": "embeddings", "settings": {"task": {}}}
    (tmp_path / "module.json").write_text(json.dumps(told))
    words, vectors = word_vectors(str(tmp_path))
    assert words == lesson.module.words.vocabulary
    torch.testing.assert_close(
        vectors[words.index("film")], lesson.module.words(lesson.module.words.tokens(["film"]))[0]
    )
    lesson.module.words.vocabulary = []
    lesson.module.load_state_dict(
        lesson.module.state_dict() | {"words._extra_state": torch.tensor([*b"a\nb"])}
    )
    assert lesson.module.words.vocabulary == ["a", "b"]


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="size must be a whole number from 1 to 4,096, not 0"):
        EmbeddingsTask(size=0).lesson()
    with pytest.raises(ValueError, match="holds no trained embeddings"):
        word_vectors(str(tmp_path))
    with pytest.raises(ValueError, match=r"make_corpus\.py"):
        EmbeddingsTask(str(tmp_path)).lesson()
