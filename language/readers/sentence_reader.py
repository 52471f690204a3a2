"""Reads instructions by a sentence encoder that was trained elsewhere, on many languages or on
English alone."""

import torch
from torch import Tensor, nn

from language.settings.encoders import SentenceReaderConfig
from language.text import different, texts
from language.vectors.sentence_encoders import (
    MINILM_WIDTH,
    MULTILINGUAL_WIDTH,
    SentenceEncoder,
    minilm,
    multilingual,
)

ENCODERS: dict[str, tuple[SentenceEncoder, int]] = {
    "minilm": (minilm, MINILM_WIDTH),
    "multilingual": (multilingual, MULTILINGUAL_WIDTH),
}


class SentenceReader(nn.Module):
    """Sentences in UTF-8 (B, L) uint8 -> the sentence vector as the only word (B, 1, D), that it is
    one (B, 1) bool, and the sentence vector (B, D), float32."""

    def __init__(self, config: SentenceReaderConfig) -> None:
        super().__init__()
        self.encode, width = ENCODERS[config.encoder]
        self.encode([""])  # a package that is missing is told of now
        self.layer = nn.Linear(width, config.width)
        self.output_dim = config.width

    def forward(self, sentences: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        unique, index = different(texts(sentences))
        vectors = torch.from_numpy(self.encode(unique)).to(sentences.device)
        with torch.autocast(sentences.device.type, enabled=False):
            whole = torch.tanh(self.layer(vectors)).index_select(0, index.to(sentences.device))
        return (
            whole[:, None],
            torch.ones(len(whole), 1, dtype=torch.bool, device=whole.device),
            whole,
        )
