"""Encoders of sentences that ship inside packages."""

from collections.abc import Sequence

import numpy as np
import pytest

from language.vectors import sentence_encoders as sentences
from language.vectors.sentence_encoders import SentenceEncoder, minilm, multilingual, once_each

ENGLISH = [
    "go to the red ball",
    "open the blue door",
    "the film is a waste of everybody's time, " * 12,
]


@pytest.mark.parametrize(("encode", "width"), [(minilm, 384), (multilingual, 512)])
def test_a_vector_has_length_1_and_does_not_depend_on_the_sentences_beside_it(
    encode: SentenceEncoder, width: int
) -> None:
    together, alone = encode(ENGLISH), encode.__wrapped__(ENGLISH[:1])  # type: ignore[attr-defined]
    assert (together.shape, together.dtype) == ((3, width), np.float32)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(together[:1], alone, atol=1e-5)


def test_minilm_gives_what_its_authors_library_gives() -> None:
    # sentence-transformers 6.2, load_model().encode(["go to the red ball"])
    np.testing.assert_allclose(
        minilm(ENGLISH)[0, :4], [0.09474, -0.04394, -0.03955, 0.03757], atol=2e-5
    )


def test_what_means_the_same_is_near_in_english_and_across_languages() -> None:
    locked, shut, other = minilm(
        ["this door is locked", "you cannot open this door", "I like apples"]
    )
    assert locked @ shut > 0.3 + locked @ other
    chinese, right, wrong = multilingual(
        ["走到红色的球那里", "go to the red ball", "open the blue door"]
    )
    assert chinese @ right > 0.3 + chinese @ wrong


def test_a_sentence_is_encoded_once() -> None:
    asked: list[str] = []

    @once_each
    def encode(texts: Sequence[str]) -> np.ndarray:
        asked.extend(texts)
        return np.array([[len(text)] for text in texts], np.float32)

    assert encode(["a", "bb", "a"])[:, 0].tolist() == [1, 2, 1]
    assert encode(["bb", "ccc"])[:, 0].tolist() == [2, 3]
    assert asked == ["a", "bb", "ccc"]


@pytest.mark.parametrize("load", [sentences.minilm_network, sentences.multilingual_network])
def test_a_missing_package_is_named_in_one_line(load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'praxis-rl\[language\]'") as told:
        load.__wrapped__()
    assert "\n" not in str(told.value)
