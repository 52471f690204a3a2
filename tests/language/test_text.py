"""Text in columns of bytes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.text import to_bytes
from language.text import different, from_bytes, texts

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


@given(TEXTS)
def test_what_fits_comes_back(text: str) -> None:
    row = to_bytes(text, 4 * 40)
    assert row.dtype == np.uint8
    assert row.shape == (160,)
    assert from_bytes(row) == from_bytes(torch.from_numpy(row)) == text


@given(TEXTS, st.integers(0, 20))
def test_what_does_not_fit_is_cut_between_characters(text: str, length: int) -> None:
    kept = from_bytes(to_bytes(text, length))
    assert text.startswith(kept)
    following = text[len(kept) : len(kept) + 1]
    assert not following or len((kept + following).encode()) > length


def test_bytes_are_utf_8_with_zeros_after_them() -> None:
    assert to_bytes("去", 5).tolist() == [0xE5, 0x8E, 0xBB, 0, 0]
    assert to_bytes("a去", 3).tolist() == [ord("a"), 0, 0]
    with pytest.raises(UnicodeDecodeError):
        from_bytes(np.array([0xE5, 0x8E], np.uint8))


@given(
    st.lists(st.sampled_from(["go to the red ball", "捡起蓝色的钥匙", ""]), min_size=1, max_size=12)
)
def test_each_different_sentence_is_there_once(sentences: list[str]) -> None:
    rows = torch.from_numpy(np.stack([to_bytes(sentence, 32) for sentence in sentences]))
    assert texts(rows) == texts(rows.repeat(1, 2)[:, :32]) == sentences
    unique, index = different(sentences)
    assert sorted(unique) == sorted(set(sentences))
    assert [unique[place] for place in index] == sentences
