"""Encoders of grids with an instruction, by what reads the instruction."""

from language.settings.encoders import ReaderConfig, SentenceReaderConfig
from perception.settings.encoders import InstructedEncoderConfig


def by_words() -> InstructedEncoderConfig:
    """An LSTM that learns with the agent reads it word by word."""
    return InstructedEncoderConfig(ReaderConfig())


def by_sentences() -> InstructedEncoderConfig:
    """A frozen sentence encoder reads it as a whole."""
    return InstructedEncoderConfig(SentenceReaderConfig())
