"""Texts become tokens and come back the same."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from language.translation.tokens import (
    END,
    PADDING,
    SPECIAL,
    UNKNOWN,
    Tokens,
    padded,
    trained_tokens,
)

TEXTS = [
    "Choose Tools - Options.",
    "choose the red ball",
    "点击「确定」按钮。",
    "选择 Format - Cell 2024",
    "the the the",
]
TOKENS = trained_tokens(TEXTS, size=120)
WORDS = sorted({word for text in TEXTS for word in text.split()})


@given(st.lists(st.sampled_from(WORDS), min_size=1).map(" ".join))
def test_what_is_made_of_known_characters_comes_back(text: str) -> None:
    assert TOKENS.decode(TOKENS.encode([text])) == [text]


def test_frequent_words_are_one_piece_and_chinese_and_digits_are_single() -> None:
    assert TOKENS.tokenizer.encode("the").tokens == ["▁the"]
    assert TOKENS.tokenizer.encode("点击").tokens == ["▁", "点", "击"]
    assert TOKENS.tokenizer.encode("2024").tokens == ["▁", "2", "0", "2", "4"]


def test_vocabulary_is_no_larger_than_asked_for_and_starts_with_the_special_tokens() -> None:
    assert len(TOKENS) <= 120
    assert [TOKENS.tokenizer.id_to_token(row) for row in range(len(SPECIAL))] == list(SPECIAL)
    assert UNKNOWN in TOKENS.encode(["ж"])[0]


def test_nothing_behind_the_end_is_told() -> None:
    first, second = (TOKENS.encode([text])[0] for text in ("red", "ball"))
    assert TOKENS.decode([first + second]) == ["red"]
    assert TOKENS.decode([[END]]) == [""]


def test_the_vocabulary_goes_where_the_weights_go() -> None:
    other = Tokens()
    other.load_state_dict({name: value.clone() for name, value in TOKENS.state_dict().items()})
    assert other.encode(TEXTS) == TOKENS.encode(TEXTS)
    assert all(
        isinstance(value, torch.Tensor) and value.dtype == torch.uint8
        for value in TOKENS.state_dict().values()
    )


def test_rows_are_padded_behind() -> None:
    assert padded([[7, 8, 9], [7]]).tolist() == [[7, 8, 9], [7, PADDING, PADDING]]
