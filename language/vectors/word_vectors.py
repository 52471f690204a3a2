"""Words as vectors that tell how they are used: Word2Vec (Mikolov et al. 2013) and GloVe
(Pennington et al. 2014)."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.sparse import coo_array
from torch import Tensor, nn

from language.corpus import read_pairs, read_rows
from language.settings.tasks import EmbeddingsTask
from language.text import from_bytes
from language.weights import trained

WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
RARE = 3
"""A word that is seen less often has no vector."""
NO_WORD = 0
ENOUGH_SEEN, RARITY = 10.0, 0.75
"""GloVe's x_max and alpha: how often two words must meet to count in full, and how much less rarer
meetings do. The paper has 100, for texts ten thousand times as long."""
ENTRIES_AT_A_TIME = 4_096
TESTED_ON = 5
"""One rated sentence in so many is held out."""

Learner = Callable[[list[list[str]], list[str], "EmbeddingsTask"], NDArray[np.float32]]


class EmbeddingsLesson:
    score = "accuracy"

    def __init__(
        self,
        task: EmbeddingsTask,
        texts: list[str],
        train: list[tuple[str, bool]],
        test: list[tuple[str, bool]],
    ) -> None:
        self.train = train
        self.test = test
        sentences = [words_of(text) for text in [*texts, *(text for text, _ in train)]]
        vocabulary = vocabulary_of(sentences)
        if not vocabulary:
            raise ValueError(f"The texts have no word that is there {RARE} times.")
        vectors = torch.from_numpy(METHODS[task.method](sentences, vocabulary, task))
        self.module = Judge(MeanOfWords(vocabulary, vectors))
        self.tokens, self.good = self.examples(train)
        self.test_tokens, self.test_good = self.examples(test)

    def examples(self, rated: list[tuple[str, bool]]) -> tuple[Tensor, Tensor]:
        """Tokens (N, L) int64 of the texts, and their ratings (N,) float32: 1 is good, 0 is bad."""
        return self.module.words.tokens(text for text, _ in rated), torch.tensor(
            [good for _, good in rated]
        ).float()

    @property
    def baseline(self) -> dict[str, float]:
        """Of vectors of chance, as many numbers long, and of how often each word and pair of words
        is there."""
        from sklearn.feature_extraction.text import TfidfVectorizer  # may not be installed
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        table = self.module.words.bag.weight
        random = torch.randn(table.shape, generator=torch.Generator().manual_seed(0))
        words = MeanOfWords(self.module.words.vocabulary, random[1:])
        chance = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
        chance.fit(words(self.tokens), self.good)
        counted = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=4.0)
        )
        counted.fit([text for text, _ in self.train], self.good)
        return {
            "accuracy": float(chance.score(words(self.test_tokens), self.test_good)),
            "accuracy_tf_idf": float(
                counted.score([text for text, _ in self.test], self.test_good)
            ),
        }

    def batch(self, random: np.random.Generator, size: int) -> dict[str, Tensor]:
        rows = torch.from_numpy(random.integers(len(self.tokens), size=size))
        return {"tokens": self.tokens[rows], "good": self.good[rows]}

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        odds = self.module(batch["tokens"])
        right = ((odds.detach() > 0) == (batch["good"] > 0)).float().mean()
        return F.binary_cross_entropy_with_logits(odds, batch["good"]), {"accuracy": right}

    def evaluate(self) -> dict[str, float]:
        odds = self.module(self.test_tokens.to(self.module.layer.weight.device)).cpu()
        return {"accuracy": ((odds > 0) == (self.test_good > 0)).float().mean().item()}

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        return {}


def embeddings_lesson(task: EmbeddingsTask) -> EmbeddingsLesson:
    """Texts to learn words from and rated sentences, split. Raises ValueError where the texts are
    missing."""
    films = [
        (text, float(score) > 0)
        for source, score, text in read_rows(Path(task.data) / "sentiment.tsv", 3)
        if source == "movie" and float(score)
    ]
    # By a checksum, so that equal texts are all held out or all learnt from.
    tested = [crc32(text.encode()) % TESTED_ON == 0 for text, _ in films]
    test, train = (
        [one for one, own in zip(films, tested, strict=True) if own is part]
        for part in (True, False)
    )
    return EmbeddingsLesson(
        task, [pair.en for pair in read_pairs(Path(task.data), "help", "train")], train, test
    )


class MeanOfWords(nn.Module):
    """Tokens int64 (B, L) -> the mean of their vectors (B, D), which stay as they are; NO_WORD is
    not counted.

    Its vocabulary, the most frequent word first, is part of its state."""

    def __init__(self, vocabulary: Sequence[str], vectors: Tensor) -> None:
        """`vectors`: (V, D), one a word."""
        super().__init__()
        self.vocabulary = list(vocabulary)
        self.bag = nn.EmbeddingBag.from_pretrained(
            torch.cat([torch.zeros(1, vectors.shape[1]), vectors]), mode="mean", padding_idx=NO_WORD
        )

    def tokens(self, texts: Iterable[str]) -> Tensor:
        """(N, L); words without a vector are left out."""
        number = {word: 1 + row for row, word in enumerate(self.vocabulary)}
        rows = [
            torch.tensor([number[word] for word in words_of(text) if word in number] or [NO_WORD])
            for text in texts
        ]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=NO_WORD)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.bag(tokens)

    def get_extra_state(self) -> Tensor:
        return torch.from_numpy(np.frombuffer("\n".join(self.vocabulary).encode(), np.uint8).copy())

    def set_extra_state(self, state: Tensor) -> None:
        self.vocabulary = from_bytes(state).split("\n")


class Judge(nn.Module):
    """Tokens (B, L) -> log-odds that they speak well of something (B,)."""

    def __init__(self, words: MeanOfWords) -> None:
        super().__init__()
        self.words = words
        size = words.bag.weight.shape[1]
        self.standardize = nn.BatchNorm1d(size, affine=False, momentum=None)
        self.layer = nn.Linear(size, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.layer(self.standardize(self.words(tokens)))[:, 0]


def word_vectors(folder: str) -> tuple[list[str], Tensor]:
    """Words, the most frequent one first, and the vector of each (V, D) float32, as
    scripts/train_module.py embeddings has learnt them. Raises ValueError, in one line, where the
    folder has none."""
    _, weights = trained(folder, "embeddings")
    try:
        words = from_bytes(weights["words._extra_state"]).split("\n")
        # Without the first row, which is NO_WORD's.
        vectors = weights["words.bag.weight"][1:]
        if vectors.ndim != 2 or len(vectors) != len(words):
            raise ValueError(f"{len(words)} words have vectors of shape {tuple(vectors.shape)}")
    except (LookupError, TypeError, ValueError) as damage:
        raise ValueError(f"{folder} holds no trained embeddings: {damage}") from damage
    return words, vectors


def words_of(text: str) -> list[str]:
    """Words of the letters a to z, in lower case, with inner apostrophes; all else is left out."""
    return WORD.findall(text.lower())


def vocabulary_of(sentences: Iterable[Sequence[str]]) -> list[str]:
    """Words that are there often enough, the most frequent one first, else in the order of the
    alphabet."""
    counts = Counter(word for sentence in sentences for word in sentence)
    return sorted(
        (word for word, count in counts.items() if count >= RARE),
        key=lambda word: (-counts[word], word),
    )


def word2vec(
    sentences: list[list[str]], vocabulary: list[str], task: EmbeddingsTask
) -> NDArray[np.float32]:
    """(V, D), by skip-grams with negative sampling."""
    from gensim.models import Word2Vec  # may not be installed

    model = Word2Vec(
        sentences,
        vector_size=task.size,
        window=task.window,
        epochs=task.epochs,
        min_count=RARE,
        sg=1,
        negative=5,
        seed=task.seed,
        workers=1,  # several threads would not do the same twice
    )
    return np.stack([model.wv[word] for word in vocabulary])


def glove(
    sentences: list[list[str]], vocabulary: list[str], task: EmbeddingsTask
) -> NDArray[np.float32]:
    """(V, D), the sum of a word's vectors as word and as neighbor, whose products tell the
    logarithm of how often two words meet; by AdaGrad (Duchi et al. 2011)."""
    rows, columns, met = co_occurrences(sentences, vocabulary, task.window)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    logarithm = torch.from_numpy(np.log(met)).float().to(device)
    weight = torch.from_numpy(np.minimum(met / ENOUGH_SEEN, 1.0) ** RARITY).float().to(device)
    pairs = torch.from_numpy(np.stack([rows, columns])).long().to(device)
    random = torch.Generator().manual_seed(task.seed)
    # A word's vector and, last, its bias.
    word, neighbor = (
        ((torch.rand(len(vocabulary), task.size + 1, generator=random) - 0.5) / task.size)
        .to(device)
        .requires_grad_()
        for _ in range(2)
    )
    learner = torch.optim.Adagrad([word, neighbor], lr=0.05)
    with torch.enable_grad():
        for _ in range(task.epochs):
            for part in (
                torch.randperm(len(met), generator=random).to(device).split(ENTRIES_AT_A_TIME)
            ):
                ours = F.embedding(pairs[0, part], word)
                theirs = F.embedding(pairs[1, part], neighbor)
                told = (ours[:, :-1] * theirs[:, :-1]).sum(1) + ours[:, -1] + theirs[:, -1]
                loss = (weight[part] * (told - logarithm[part]).square()).sum()
                learner.zero_grad()
                loss.backward()
                learner.step()
    return (word + neighbor).detach()[:, :-1].cpu().numpy()


def co_occurrences(
    sentences: Iterable[Sequence[str]], vocabulary: list[str], window: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Which words (E,) have which neighbors (E,), and how often (E,): one d words away counts 1 /
    d."""
    number = {word: row for row, word in enumerate(vocabulary)}
    numbered = [[number[word] for word in sentence if word in number] for sentence in sentences]
    words = np.array([word for sentence in numbered for word in sentence])
    sentence_of = np.repeat(np.arange(len(numbered)), [len(sentence) for sentence in numbered])
    pairs: list[NDArray[Any]] = []
    weights: list[NDArray[np.float64]] = []
    for distance in range(1, window + 1):
        together = sentence_of[distance:] == sentence_of[:-distance]
        before = words[:-distance][together]
        after = words[distance:][together]
        pairs += [np.stack([before, after]), np.stack([after, before])]
        weights.append(np.full(2 * len(before), 1 / distance))
    table = coo_array(
        (np.concatenate(weights), tuple(np.concatenate(pairs, 1))), shape=(len(vocabulary),) * 2
    )
    table.sum_duplicates()
    return table.row, table.col, table.data


METHODS: dict[str, Learner] = {"word2vec": word2vec, "glove": glove}
