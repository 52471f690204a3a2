"""Instruction encoders: a sentence as word vectors and as one vector, by networks that learn with
the agent."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any
from zlib import crc32

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from language.settings.encoders import ReaderConfig
from language.text import different, texts

CHINESE = re.compile(r"[\u4e00-\u9fff]")
WORD = re.compile(rf"{CHINESE.pattern}|[^\W\u4e00-\u9fff]+")
# sentences
MAX_REMEMBERED = 1_024
MAX_NUMBERED = 65_536
NO_WORD = 0


class WordReader(nn.Module):
    """Sentences in UTF-8 (B, L) uint8 -> word vectors (B, W, D), which of them are words (B, W)
    bool, and sentence vectors (B, D), all float32.

    Each different sentence of a batch is read once; without gradients, once until there are other
    weights, so that an agent reads its instruction once an episode and not at every step."""

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        self.buckets = config.buckets
        self.output_dim = config.width
        self.vectors = nn.Embedding(config.buckets, config.width, padding_idx=NO_WORD)
        if config.words:
            self.vectors.weight.data[1:] = known_vectors(config)
        self.network = KINDS[config.kind](config.width)
        self.understood = in_english(config.translator) if config.translator else as_they_are
        self.numbers: dict[str, list[int]] = {}
        self.known: dict[str, int] = {}
        self.tables: tuple[Tensor, ...] = ()
        self.known_with = 0
        # An optimizer's kernel changes weights without counting it; what follows a gradient is such
        # a change.
        self.vectors.weight.register_post_accumulate_grad_hook(lambda _: self.known.clear())

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        self.known.clear()
        self.tables = ()  # they lie where the weights were
        return super()._apply(fn, recurse)

    def forward(self, sentences: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(sentences.device.type, enabled=False):
            if torch.is_grad_enabled():
                unique, rows = different(texts(sentences))
                told = self.read(unique)
            else:
                told, rows = self.remembered(texts(sentences))
        rows = rows.to(sentences.device)
        words, is_word, whole = (part.index_select(0, rows) for part in told)
        return words, is_word, whole

    def remembered(self, sentences: list[str]) -> tuple[tuple[Tensor, ...], Tensor]:
        """What is known of all sentences that were read with these weights, and each one's row in
        it (B,)."""
        changes = (
            self.vectors.weight._version
        )  # by a state that was loaded, or a step towards other weights
        if changes != self.known_with or len(self.known) > MAX_REMEMBERED:
            self.known.clear()
            self.known_with = changes
        if new := [sentence for sentence in dict.fromkeys(sentences) if sentence not in self.known]:
            read = self.read(new)
            end = len(self.known)
            tables = self.tables or tuple(part[:0] for part in read)
            self.tables = tuple(
                with_rows(table, end, part) for table, part in zip(tables, read, strict=True)
            )
            self.known |= {sentence: end + row for row, sentence in enumerate(new)}
        return self.tables, torch.tensor([self.known[sentence] for sentence in sentences])

    def read(self, sentences: list[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Sentences -> word vectors (U, W, D), which of them are words (U, W) bool, and sentence
        vectors (U, D)."""
        numbers = self.numbers_of(sentences)
        longest = max(map(len, numbers))
        padded = torch.tensor([own + [NO_WORD] * (longest - len(own)) for own in numbers])
        padded = padded.to(self.vectors.weight.device)
        is_word = padded != NO_WORD
        words, whole = self.network(self.vectors(padded), is_word)
        return words, is_word, whole

    def numbers_of(self, sentences: list[str]) -> list[list[int]]:
        """The buckets of each one's words, looked up once."""
        if new := [sentence for sentence in sentences if sentence not in self.numbers]:
            if len(self.numbers) > MAX_NUMBERED:
                self.numbers.clear()
                # Those that were known have just been forgotten.
                new = sentences
            understood = self.understood(new)
            self.numbers |= {
                one: numbered(text, self.buckets) for one, text in zip(new, understood, strict=True)
            }
        return [self.numbers[sentence] for sentence in sentences]


def with_rows(table: Tensor, end: int, rows: Tensor) -> Tensor:
    """A table (C, W, ...) of which `end` rows are in use, with those that follow (U, V, ...),
    filled up by zeros; a larger one where they do not fit."""
    used = end + len(rows)
    wide = rows.shape[1]
    if used > len(table) or wide > table.shape[1]:
        # Doubled, so that a table that grows by one sentence at a time is seldom copied.
        larger = rows.new_zeros(
            max(used, 2 * len(table)), max(wide, table.shape[1]), *rows.shape[2:]
        )
        larger[:end, : table.shape[1]] = table[:end]
        table = larger
    table[end:used, :wide] = rows
    table[end:used, wide:] = 0
    return table


def known_vectors(config: ReaderConfig) -> Tensor:
    """Of each bucket but the first (buckets - 1, width): those of its most frequent word, on the
    scale of new ones.

    Raises ValueError, in one line, where they are missing or do not fit."""
    from language.vectors.word_vectors import word_vectors  # its libraries may not be installed

    words, vectors = word_vectors(config.words)
    if vectors.shape[1] != config.width or len(words) >= config.buckets:
        raise ValueError(
            f"{config.words} has {len(words):,} words of {vectors.shape[1]} numbers; a reader for "
            "them has that width "
            "and more buckets: --encoder.reader.width, --encoder.reader.buckets."
        )
    table = torch.randn(config.buckets, config.width)
    # From the rarest on: of words in one bucket, the most frequent comes last and stays.
    for word, vector in zip(reversed(words), (vectors / vectors.std()).flip(0), strict=True):
        table[numbered(word, config.buckets)[0]] = vector
    return table[1:]


def as_they_are(sentences: list[str]) -> list[str]:
    """Returns the sentences unchanged, for a reader without a translator."""
    return sentences


def in_english(folder: str) -> Callable[[list[str]], list[str]]:
    """Translates those that have Chinese characters, by a module that is frozen and no part of
    whoever asks.

    Raises ValueError, in one line, where the folder has none."""
    from language.translation.model import (
        trained_translator,
        translate,
    )  # its libraries may not be installed

    translator, _ = trained_translator(folder)

    def understood(sentences: list[str]) -> list[str]:
        chinese = [sentence for sentence in sentences if CHINESE.search(sentence)]
        english = (
            dict(zip(chinese, translate(translator, chinese, "en"), strict=True)) if chinese else {}
        )
        return [english.get(sentence, sentence) for sentence in sentences]

    return understood


def numbered(sentence: str, buckets: int) -> list[int]:
    """The bucket of each word, from 1; a sentence without words has the empty one's."""
    words = WORD.findall(sentence.lower()) or [""]
    return [1 + crc32(word.encode()) % (buckets - 1) for word in words]


class Mean(nn.Module):
    """Word vectors (U, W, D) and which are words (U, W) -> the same vectors, and their mean (U,
    D)."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, vectors: Tensor, is_word: Tensor) -> tuple[Tensor, Tensor]:
        return vectors, mean_of(vectors, is_word)


class Recurrent(nn.Module):
    """As `Mean`, by a recurrent layer from both sides; the sentence is where each side ends."""

    def __init__(self, width: int, layer: Callable[..., nn.RNNBase]) -> None:
        super().__init__()
        self.layer = layer(width, width // 2, batch_first=True, bidirectional=True)

    def forward(self, vectors: Tensor, is_word: Tensor) -> tuple[Tensor, Tensor]:
        # torch takes these lengths on the processor alone.
        lengths = is_word.sum(1).cpu()
        packed = pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
        told, last = self.layer(packed)
        ends = last[0] if isinstance(last, tuple) else last
        return pad_packed_sequence(told, batch_first=True)[0], torch.cat(list(ends), 1)


class Attention(nn.Module):
    """As `Mean`, by an LSTM whose states are weighed by how much they are like what the network
    looks for."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.recurrent = Recurrent(width, nn.LSTM)
        self.key = nn.Linear(width, width)
        self.query = nn.Linear(width, 1, bias=False)

    def forward(self, vectors: Tensor, is_word: Tensor) -> tuple[Tensor, Tensor]:
        states, _ = self.recurrent(vectors, is_word)
        scores = self.query(torch.tanh(self.key(states))).masked_fill(
            ~is_word[..., None], -torch.inf
        )
        return states, (states * scores.softmax(1)).sum(1)


class Transformer(nn.Module):
    """As `Mean`, by two layers of self-attention; the sentence is the mean of its words."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(SelfAttention(width) for _ in range(2))

    def forward(self, vectors: Tensor, is_word: Tensor) -> tuple[Tensor, Tensor]:
        told = vectors + places(*vectors.shape[1:], vectors.device)
        for layer in self.layers:
            told = layer(told, is_word)
        return told, mean_of(told, is_word)


class SelfAttention(nn.Module):
    """Word vectors (U, W, D) and which are words (U, W) -> word vectors (U, W, D): each asks all,
    then thinks alone.

    One head, as wide as one of the paper's where the width is 64, which needs no layer to bring
    heads together; normalized before each half (Xiong et al. 2020). Neither biases nor a
    normalization's own weights: for an agent's few sentences a small tensor costs as much as a
    large one, and torch's own layer takes twice as long."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.asks = nn.Linear(width, 3 * width, bias=False)
        self.wide = nn.Linear(width, 2 * width, bias=False)
        self.narrow = nn.Linear(2 * width, width, bias=False)

    def forward(self, words: Tensor, is_word: Tensor) -> Tensor:
        queries, keys, values = self.asks(normalized(words))[:, None].chunk(3, -1)
        answers = F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=is_word[:, None, None]
        )[:, 0]
        words = words + answers
        return words + self.narrow(torch.relu(self.wide(normalized(words))))


def normalized(vectors: Tensor) -> Tensor:
    """Each vector (..., D) with mean 0 and deviation 1 (Ba et al. 2016)."""
    return F.layer_norm(vectors, vectors.shape[-1:])


def mean_of(vectors: Tensor, is_word: Tensor) -> Tensor:
    """Mean (U, D) of the vectors (U, W, D) that are words (U, W), at least one in each row."""
    there = is_word[..., None].to(vectors)
    return (vectors * there).sum(1) / there.sum(1)


@cache
def places(length: int, width: int, device: torch.device) -> Tensor:
    """Sines and cosines that tell a word's place (W, D) (Vaswani et al. 2017, section 3.5)."""
    angles = torch.arange(length)[:, None] / 10_000 ** (torch.arange(0, width, 2) / width)
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1).to(device)


KINDS: dict[str, Callable[[int], nn.Module]] = {
    "mean": Mean,
    "rnn": lambda width: Recurrent(width, nn.RNN),
    "lstm": lambda width: Recurrent(width, nn.LSTM),
    "attention": Attention,
    "transformer": Transformer,
}
