"""Texts as numbers: pieces of words by byte pair encoding (Sennrich et al. 2016), Chinese by single
characters."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

PADDING, UNKNOWN, END, ENGLISH, CHINESE = range(5)
SPECIAL = ("<padding>", "<unknown>", "<end>", "<en>", "<zh>")
START = {"en": ENGLISH, "zh": CHINESE}
"""A text's first token says its language (Johnson et al. 2017)."""
CHARACTER_ALONE = r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]"


class Tokens(nn.Module):
    """Its vocabulary is part of the module's state, so that weights and vocabulary are saved and
    loaded together."""

    def __init__(self, vocabulary: str = "") -> None:
        """`vocabulary`: a `tokenizers.Tokenizer` as JSON; without one, only loading a state makes
        it useful."""
        super().__init__()
        from tokenizers import Tokenizer  # may not be installed
        from tokenizers.models import BPE

        self.tokenizer = Tokenizer.from_str(vocabulary) if vocabulary else Tokenizer(BPE())

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    def encode(self, texts: Iterable[str]) -> list[list[int]]:
        """Without a start, with END."""
        return [[*found.ids, END] for found in self.tokenizer.encode_batch(list(texts))]

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """What stands before END."""
        return [
            text.strip() for text in self.tokenizer.decode_batch([until_end(row) for row in rows])
        ]

    def get_extra_state(self) -> Tensor:
        return torch.from_numpy(np.frombuffer(self.tokenizer.to_str().encode(), np.uint8).copy())

    def set_extra_state(self, state: Tensor) -> None:
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_str(state.cpu().numpy().tobytes().decode())


def until_end(row: Sequence[int]) -> list[int]:
    """The tokens before the first END; all of them where there is none."""
    return list(row[: row.index(END)] if END in row else row)


def trained_tokens(texts: Iterable[str], size: int) -> Tokens:
    """A vocabulary of at most `size` pieces, or of all characters and the special tokens where they
    are more."""
    from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(BPE(unk_token=SPECIAL[UNKNOWN]))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(),
            pre_tokenizers.Split(Regex(CHARACTER_ALONE), "isolated"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Punctuation(),
        ]
    )
    tokenizer.decoder = decoders.Metaspace()
    trainer = BpeTrainer(
        vocab_size=size, min_frequency=2, special_tokens=list(SPECIAL), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return Tokens(tokenizer.to_str())


def padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """(B, longest) int64, with PADDING behind."""
    result = torch.full((len(rows), max(map(len, rows))), PADDING)
    for row, own in zip(result, rows, strict=True):
        row[: len(own)] = torch.tensor(own)
    return result
