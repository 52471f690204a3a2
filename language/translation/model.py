"""Translation: an encoder reads, a decoder writes (Sutskever et al. 2014), and may look back at
each word it writes (Bahdanau et al. 2015, Luong et al. 2015)."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from common.module_files import take_weights
from common.precision import has_fast_bf16
from language.corpus import SPLITS, Language, Pair, Split, read_pairs
from language.settings.tasks import TranslationTask
from language.translation.memory import nearest
from language.translation.tokens import END, PADDING, START, Tokens, padded, trained_tokens
from language.weights import trained

BLEU_TOKENIZERS: dict[Language, str] = {"en": "13a", "zh": "zh"}
"""sacrebleu's signature is nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0, or with
tok:zh."""
LABEL_SMOOTHING = 0.1
BATCH = 128
"""Texts that are translated at a time."""

State = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Of both layers of the decoder: output and cell (1, B, width)."""


class Translator(nn.Module):
    """Texts in one language to texts in another; the decoder's first token says in which.

    Two LSTMs read, in both directions. Of the decoder's two LSTMs, the lower one looks at what was
    read and the upper one gets what it saw (as in Wu et al. 2016), so that no step waits for the
    attention of the one before and a known translation is read in one go. Without attention, only
    the encoder's last state gets across."""

    def __init__(self, tokens: Tokens, width: int, attention: bool, dropout: float) -> None:
        super().__init__()
        self.tokens = tokens
        self.embedding = nn.Embedding(len(tokens), width, padding_idx=PADDING)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.onward = nn.LSTM(width, width // 2, batch_first=True)
        self.backward_ = nn.LSTM(width, width // 2, batch_first=True)
        self.bridge = nn.Linear(width, 2 * width)
        self.lower = nn.LSTM(width, width, batch_first=True)
        self.query = nn.Linear(width, width, bias=False) if attention else None
        self.upper = nn.LSTM(2 * width if attention else width, width, batch_first=True)
        self.mix = nn.Linear(2 * width if attention else width, width)
        self.dropout = nn.Dropout(dropout)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, S) -> what was read at each (B, S, width), and at the ends of both directions
        (B, width)."""
        lengths = (source != PADDING).sum(1, keepdim=True)
        places = torch.arange(source.shape[1], device=source.device)
        # Each text backwards, with its padding still behind it.
        turned = torch.where(places < lengths, lengths - 1 - places, places)[..., None]
        words = self.dropout(self.embedding(source))
        onward, _ = self.onward(words)
        backward, _ = self.backward_(words.take_along_dim(turned, 1))
        last = (lengths - 1)[..., None]
        ends = torch.cat(
            [states.take_along_dim(last, 1).squeeze(1) for states in (onward, backward)], -1
        )
        return torch.cat([onward, backward.take_along_dim(turned, 1)], -1), ends

    def start(self, ends: Tensor) -> State:
        """The decoder's state before its first token."""
        lower, upper = (half[None].contiguous() for half in self.bridge(ends).tanh().chunk(2, -1))
        return (lower, torch.zeros_like(lower)), (upper, torch.zeros_like(upper))

    def decode(
        self, given: Tensor, state: State, read: Tensor, source: Tensor
    ) -> tuple[Tensor, State]:
        """Tokens so far (B, T) after a state -> scores of each one's successor (B, T, tokens), and
        the state then."""
        low, lower = self.lower(self.dropout(self.embedding(given)), state[0])
        if self.query:
            scores = self.query(low) @ read.transpose(1, 2)
            scores = scores.masked_fill((source == PADDING)[:, None], -torch.inf)
            seen = scores.softmax(-1).to(read.dtype) @ read
            high, upper = self.upper(torch.cat([low, seen], -1), state[1])
            high = torch.cat([high, seen], -1)
        else:
            high, upper = self.upper(low, state[1])
        return F.linear(self.dropout(self.mix(high).tanh()), self.embedding.weight), (lower, upper)

    def forward(self, source: Tensor, given: Tensor) -> Tensor:
        """Tokens (B, S), and the translation's from its START on (B, T) -> scores of each successor
        (B, T, tokens)."""
        with low_precision(source.device):
            read, ends = self.encode(source)
            return self.decode(given, self.start(ends), read, source)[0]


def low_precision(device: torch.device) -> AbstractContextManager:
    """bfloat16 where the processor or GPU is made for it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bf16(device.type))


@torch.no_grad()
def translate(
    module: Translator, texts: Sequence[str], language: Language, beam: int = 1
) -> list[str]:
    """Into `language`, by beam search over `beam` hypotheses; 1 is greedy. Of a blank text nothing
    is made."""
    rows = module.tokens.encode(texts)
    # The short ones first, so that the texts of a part need little padding.
    order = sorted(
        (row for row in range(len(rows)) if texts[row].strip()), key=lambda row: len(rows[row])
    )
    found: dict[int, list[int]] = {}
    training = module.training
    module.eval()
    size = max(1, BATCH // beam)
    for start in range(0, len(order), size):
        part = order[start : start + size]
        source = padded([rows[row] for row in part]).to(module.embedding.weight.device)
        found |= zip(part, searched(module, source, START[language], beam).tolist(), strict=True)
    module.train(training)
    return module.tokens.decode([found.get(row, []) for row in range(len(rows))])


def searched(module: Translator, source: Tensor, start: int, beam: int) -> Tensor:
    """Beam search: tokens (B, S) -> those of the likeliest translation found (B, T), by the mean
    over its tokens.

    The translation is not let grow beyond one and a half times its source and ten tokens more."""
    texts = len(source)
    device = source.device
    most = 3 * (source != PADDING).sum(1, keepdim=True) // 2 + 10
    with low_precision(device):
        read, ends = module.encode(source)
        state = module.start(ends)
        read = read.repeat_interleave(beam, 0)
        source = source.repeat_interleave(beam, 0)
        state = rows_of(state, torch.arange(texts, device=device).repeat_interleave(beam))
        written = torch.full((texts * beam, 1), start, device=device)
        # At first all hypotheses of a text are alike: only one of them may go on.
        likelihood = torch.full((texts, beam), -torch.inf, device=device)
        likelihood[:, 0] = 0
        lengths = torch.zeros(texts, beam, device=device)
        over = torch.zeros(texts, beam, dtype=torch.bool, device=device)
        first = torch.arange(texts, device=device)[:, None] * beam
        for step in range(1, int(most.max()) + 1):
            scores, state = module.decode(written[:, -1:], state, read, source)
            each = scores[:, 0].float().log_softmax(-1).view(texts, beam, -1)
            each[..., PADDING] = -torch.inf
            # A finished hypothesis can only be continued by END, which costs nothing.
            each[over] = -torch.inf
            each[..., END][over] = 0
            best, chosen = (likelihood[..., None] + each).flatten(1).topk(beam)
            parent = chosen // each.shape[-1]
            token = chosen % each.shape[-1]
            rows = (first + parent).flatten()
            state = rows_of(state, rows)
            written = torch.cat([written[rows], token.view(-1, 1)], 1)
            lengths = lengths.gather(1, parent) + ~over.gather(1, parent)
            likelihood = best
            over = (token == END) | (step >= most)
            if over.all():
                break
    winners = first[:, 0] + (likelihood / lengths).argmax(1)
    return written[winners, 1:]


def rows_of(state: State, rows: Tensor) -> State:
    """The state of these rows of the batch (R,), in this order; a row may be repeated."""
    (a, b), (c, d) = state
    return (a[:, rows], b[:, rows]), (c[:, rows], d[:, rows])


def bleu(found: Sequence[str], true: Sequence[str], language: Language) -> float:
    """Of a corpus (Papineni et al. 2002), by sacrebleu (Post 2018), in [0, 100]."""
    from sacrebleu.metrics.bleu import BLEU  # may not be installed

    return BLEU(tokenize=BLEU_TOKENIZERS[language]).corpus_score(found, [true]).score


def splits(task: TranslationTask) -> dict[Split, list[Pair]]:
    """The task's pairs. Raises ValueError, in one line, for what cannot be trained."""
    if task.width % 2:
        raise ValueError(f"width must be even, not {task.width}.")
    pairs: dict[Split, list[Pair]] = {
        split: read_pairs(Path(task.data), task.texts, split) for split in SPLITS
    }
    if task.pairs > len(pairs["train"]):
        raise ValueError(
            f"There are {len(pairs['train'])} pairs to train on; pairs must be at most that, or 0 "
            "for all."
        )
    pairs["train"] = pairs["train"][: task.pairs or None]
    return pairs


def vocabulary_of(pairs: Sequence[Pair], size: int) -> Tokens:
    """The vocabulary that `trained_tokens` makes of the pairs' texts in both languages."""
    return trained_tokens([text for pair in pairs for text in (pair.en, pair.zh)], size)


def network(task: TranslationTask, tokens: Tokens) -> Translator:
    """A translator that has not learnt anything yet, with the task's settings."""
    return Translator(tokens, task.width, task.attention, task.dropout)


def trained_translator(folder: str) -> tuple[Translator, dict[str, Any]]:
    """A module that scripts/train_module.py wrote, and its task's settings.

    Raises ValueError, in one line, where the folder is not such a module's."""
    settings, weights = trained(
        folder, "translation", "mission-translation", "distillation", "back-translation"
    )
    try:
        tokens = Tokens()
        tokens.set_extra_state(weights["tokens._extra_state"])
        module = Translator(
            tokens, weights["embedding.weight"].shape[1], "query.weight" in weights, dropout=0.0
        )
    except ImportError:
        raise
    except Exception as damage:  # tokenizers raises no narrower one
        raise ValueError(f"{folder} has lost its vocabulary: train it anew.") from damage
    take_weights(module, weights, folder)
    return module.eval(), settings


class TranslationLesson:
    score = "validation_bleu"

    def __init__(
        self,
        task: TranslationTask,
        module: Translator,
        pairs: dict[Split, list[Pair]],
        learnt: list[Pair],
    ) -> None:
        """`learnt`: what it learns from; `pairs`: what the baseline knows, and what is held out."""
        self.task = task
        self.module = module
        self.train = pairs["train"]
        self.held_out = {"validation_": pairs["validation"], "": pairs["test"]}
        self.batches = Batches(
            module.tokens, *sides(learnt, task.language), task.language, task.longest
        )

    @property
    def baseline(self) -> dict[str, float]:
        """Of a translation memory of the pairs to train on."""
        source, target = sides(self.train, self.task.language)
        told: dict[str, float] = {}
        for prefix, pairs in self.held_out.items():
            asked, true = sides(pairs, self.task.language)
            told |= self.metrics(prefix, [target[row] for row in nearest(source, asked)], true)
        return told

    def batch(self, random: np.random.Generator, size: int) -> dict[str, Tensor]:
        """`size` pairs of mean length, more that are short, fewer that are long."""
        return self.batches.draw(random, size)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return teacher_forcing(self.module, batch)

    def evaluate(self) -> dict[str, float]:
        told: dict[str, float] = {}
        for prefix, pairs in self.held_out.items():
            source, true = sides(pairs, self.task.language)
            found = translate(
                self.module, source, self.task.language, 1 if prefix else self.task.beam
            )
            told |= self.metrics(prefix, found, true)
        return told

    def metrics(self, prefix: str, found: list[str], true: list[str]) -> dict[str, float]:
        """BLEU in [0, 100] and the share of exact matches; `prefix` begins their names."""
        exact = float(np.mean([one == other for one, other in zip(found, true, strict=True)]))
        return {
            f"{prefix}bleu": bleu(found, true, self.task.language),
            f"{prefix}exact_match": exact,
        }

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        return {}


def sides(pairs: Sequence[Pair], language: Language) -> tuple[list[str], list[str]]:
    """Texts to translate, and their translations into `language`."""
    english = [pair.en for pair in pairs]
    chinese = [pair.zh for pair in pairs]
    return (chinese, english) if language == "en" else (english, chinese)


def translated(pairs: Sequence[Pair], language: Language, texts: Sequence[str]) -> list[Pair]:
    """The pairs with other texts on the side of this language; those without a text are left
    out."""
    return [
        pair._replace(**{language: text}) for pair, text in zip(pairs, texts, strict=True) if text
    ]


def teacher_forcing(
    module: Translator, batch: dict[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross-entropy of each token after the true ones before it (Williams and Zipser 1989), with
    smoothed labels (Szegedy et al. 2016)."""
    scores = module(batch["source"], batch["target"][:, :-1]).flatten(0, 1).float()
    gold = batch["target"][:, 1:].flatten()
    return F.cross_entropy(scores, gold, ignore_index=PADDING, label_smoothing=LABEL_SMOOTHING), {}


class Batches:
    """Pairs of about one length together, so that little is padding; each pair once in an epoch."""

    def __init__(
        self,
        tokens: Tokens,
        sources: Sequence[str],
        targets: Sequence[str],
        language: Language,
        longest: int,
    ) -> None:
        pairs = zip(tokens.encode(sources), tokens.encode(targets), strict=True)
        self.pairs = [(source, [START[language], *target]) for source, target in pairs]
        # A source has an end beside its tokens, a target a start and an end.
        self.pairs = [
            (source, target)
            for source, target in self.pairs
            if len(source) <= longest + 1 and len(target) <= longest + 2
        ]
        if not self.pairs:
            raise ValueError(
                f"No pair has at most {longest} tokens on each side; take a larger --task.longest."
            )
        self.sizes = np.array([[len(source), len(target)] for source, target in self.pairs])
        self.waiting: dict[int, list[NDArray[np.int64]]] = {}
        """Rows of the batches that are left of an epoch, by the batches' size."""

    def draw(self, random: np.random.Generator, size: int) -> dict[str, Tensor]:
        """As many tokens as `size` pairs of mean length have: source (B, S) and target (B, T)
        int64."""
        if not self.waiting.get(size):
            self.waiting[size] = self.epoch(random, size)
        rows = self.waiting[size].pop()
        sources, targets = zip(*(self.pairs[row] for row in rows), strict=True)
        return {"source": padded(sources), "target": padded(targets)}

    def epoch(self, random: np.random.Generator, size: int) -> list[NDArray[np.int64]]:
        """Rows of each batch."""
        order = random.permutation(len(self.pairs))
        # The sort is stable: pairs of one size stay in random order.
        order = order[np.lexsort(self.sizes[order].T)]
        done = self.sizes[order].sum(1).cumsum()
        batches = max(1, round(len(order) / size))
        cuts = np.searchsorted(done, done[-1] * np.arange(1, batches) / batches)
        parts = [part for part in np.split(order, cuts) if len(part)]
        return [parts[row] for row in random.permutation(len(parts))]
