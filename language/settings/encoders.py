"""Settings of what reads instructions and notes; each `build()` imports its network."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from common.ranges import Range, Size, check_ranges
from common.spaces import in_words

if TYPE_CHECKING:
    from language.readers.notes import NoteEncoder
    from language.readers.sentence_reader import SentenceReader
    from language.readers.word_reader import WordReader


@dataclass(frozen=True)
class ReaderConfig:
    """Reads an instruction word by word; Chinese, character by character."""

    kind: Literal["mean", "rnn", "lstm", "attention", "transformer"] = "lstm"
    """How words become a sentence: by their mean; by an RNN (Elman 1990) or LSTM (Hochreiter and
    Schmidhuber 1997) from both sides; by an LSTM's states, weighed by attention (Yang et al. 2016);
    by a Transformer (Vaswani et al. 2017)."""
    width: Size = 64
    """How many numbers a word and a sentence become."""
    buckets: Annotated[int, Range(2, 2**20)] = 1_024
    """Word vectors. Words share them by their hash (Weinberger et al. 2009), so that no list of
    words is needed."""
    words: str = ""
    """The folder of scripts/train_module.py embeddings, whose word vectors it begins with; empty
    draws new ones."""
    translator: str = ""
    """The folder of scripts/train_module.py mission-translation: what is in Chinese is read in
    English."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.width % 2:
            raise ValueError(f"width must be even, not {self.width}.")

    def build(self) -> "WordReader":
        from language.readers.word_reader import WordReader

        return WordReader(self)


@dataclass(frozen=True)
class SentenceReaderConfig:
    """A frozen sentence encoder and a linear layer that learns with the agent."""

    encoder: Literal["minilm", "multilingual"] = "multilingual"
    """minilm knows English; multilingual gives a sentence much the same vector in sixteen
    languages."""
    width: Size = 64
    """How many numbers the layer makes of a sentence."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def build(self) -> "SentenceReader":
        from language.readers.sentence_reader import SentenceReader

        return SentenceReader(self)


@dataclass(frozen=True)
class NoteEncoderConfig:
    """Reads notes word by word, then a dense layer."""

    reader: ReaderConfig = field(default_factory=ReaderConfig)
    """Reads the words."""
    features: Size = 128
    """Width of the dense layer."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def build(self, observation_space: gymnasium.Space) -> "NoteEncoder":
        from language.readers.notes import NoteEncoder

        text = isinstance(observation_space, Box) and observation_space.dtype == np.uint8
        if not text or len(observation_space.shape or ()) != 1:
            raise ValueError(
                f"This encoder reads text in UTF-8, as --env.notes gives it, not "
                f"{in_words(observation_space)}."
            )
        return NoteEncoder(self)
