"""Settings of the modules that read, trained apart from any agent; each task's `lesson()` imports
its network."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from common.ranges import (
    Count,
    Fraction,
    FractionBelowOne,
    Range,
    Seed,
    Size,
    Steps,
    StepsOrZero,
    check_ranges,
)
from language.corpus import Language

if TYPE_CHECKING:
    from language.similarity.model import SimilarityLesson
    from language.translation.model import TranslationLesson
    from language.translation.multitask import MultiTaskLesson
    from language.vectors.retrieval import RetrievalLesson
    from language.vectors.word_vectors import EmbeddingsLesson

Width = Annotated[int, Range(1, 4_096)]
"""How many numbers a word, a sentence or a layer has."""


@dataclass(frozen=True)
class TranslationTask:
    """Learns to translate between English and Chinese."""

    data: str = "runs/corpus"
    """The folder of scripts/make_corpus.py."""
    texts: Literal["help", "missions"] = "help"
    """LibreOffice's help, or what agents are told to do."""
    language: Language = "en"
    """Into which it translates."""
    width: Width = 256
    """Numbers a token, and of each layer."""
    attention: bool = True
    """Whether the decoder looks back at what was read, or knows only the encoder's last state."""
    pairs: StepsOrZero = 0
    """To train on, the first ones; 0 is all."""
    vocabulary: Size = 5_000
    """Pieces of words, in both languages together."""
    longest: Size = 100
    """Tokens of a text to train on; pairs with more are left out. It is tested on all."""
    dropout: FractionBelowOne = 0.2
    """Fraction of the features that are left out in training."""
    beam: Count = 4
    """Hypotheses in tests; validation is greedy."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return {"help": "translation", "missions": "mission-translation"}[self.texts]

    def lesson(self) -> "TranslationLesson":
        from language.translation.model import TranslationLesson, network, splits, vocabulary_of

        pairs = splits(self)
        module = network(self, vocabulary_of(pairs["train"], self.vocabulary))
        return TranslationLesson(self, module, pairs, pairs["train"])


@dataclass(frozen=True)
class DistillationTask(TranslationTask):
    """Learns to translate as a trained module does, from the same texts; with fewer pieces of
    words, as most of what so small a module knows is a vector for each."""

    width: Width = 128
    vocabulary: Size = 2_400
    dropout: FractionBelowOne = 0.1
    teacher: str = "runs/modules/translation"
    """The folder of scripts/train_module.py translation."""
    distilled: bool = True
    """Whether it learns the teacher's translations beside the true ones; without, the true ones
    alone, to compare."""

    @property
    def name(self) -> str:
        return "distillation"

    def lesson(self) -> "TranslationLesson":
        from language.translation.distillation import distillation_lesson

        return distillation_lesson(self)


@dataclass(frozen=True)
class BackTranslationTask(TranslationTask):
    """Learns to translate from few pairs, and from many texts of which only the target language's
    side is known."""

    pairs: StepsOrZero = 5_000
    alone: StepsOrZero = 10_000
    """Texts in the target language, from the pairs after those to train on."""
    backward: str = "runs/modules/translation-backward"
    """The folder of scripts/train_module.py translation --task.pairs 5000, for the other
    direction."""

    @property
    def name(self) -> str:
        return "back-translation"

    def lesson(self) -> "TranslationLesson":
        from language.translation.back_translation import back_translation_lesson

        return back_translation_lesson(self)


@dataclass(frozen=True)
class MultiTask(TranslationTask):
    """Learns to translate into one language from few pairs and into the other from all, and of
    missions, in either language, their intent: the verb. The score is of the few."""

    language: Language = "zh"
    pairs: StepsOrZero = 5_000
    other_share: Fraction = 0.4
    """Of the gradient steps, on pairs for the other direction."""
    intent_share: Fraction = 0.05
    """Of the gradient steps, on missions."""

    @property
    def name(self) -> str:
        return "multitask"

    def lesson(self) -> "MultiTaskLesson":
        from language.translation.multitask import multitask_lesson

        return multitask_lesson(self)


@dataclass(frozen=True)
class EmbeddingsTask:
    """Learns word vectors from texts that nobody rated, then by one layer on the mean of a
    sentence's vectors whether it speaks well of a film; the sentences to test on are in neither."""

    data: str = "runs/corpus"
    """The folder of scripts/make_corpus.py."""
    method: Literal["word2vec", "glove"] = "word2vec"
    """How words are learnt."""
    size: Width = 64
    """How many numbers a word becomes."""
    window: Count = 10
    """How many words to each side are a word's neighbors."""
    epochs: Count = 20
    """How often the texts are gone through."""
    seed: Seed = 1
    """Of the vectors."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return "embeddings"

    def lesson(self) -> "EmbeddingsLesson":
        from language.vectors.word_vectors import embeddings_lesson

        return embeddings_lesson(self)


@dataclass(frozen=True)
class SimilarityTask:
    """Learns from pairs of caption and mission which match, and is tested on colors of things that
    no pair had."""

    data: str = "runs/corpus"
    """The folder of scripts/make_captions.py."""
    kind: Literal["siamese", "bert"] = "siamese"
    """Who reads both sentences: an LSTM that learns to, or MiniLM, which stays as it is, with two
    layers that learn."""
    width: Width = 64
    """How many numbers a sentence becomes."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return "similarity"

    def lesson(self) -> "SimilarityLesson":
        from language.similarity.model import SimilarityLesson, read_captions

        return SimilarityLesson(
            self, *(read_captions(Path(self.data) / f"captions-{p}.tsv") for p in ("train", "test"))
        )


@dataclass(frozen=True)
class RetrievalTask:
    """Learns from Chinese wordings of missions and from the help's paragraphs which English
    sentence they mean; tested with missions and pages that it has not learnt from."""

    data: str = "runs/corpus"
    """The folder of scripts/make_corpus.py."""
    help_pairs: Steps = 2_000
    """Paragraphs to learn from beside the missions, so that it does not forget the rest of the
    language."""
    tested_help_pairs: Steps = 500
    """Paragraphs among which to find a translation."""
    width: Width = 512
    """Of the layer that learns."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return "retrieval"

    def lesson(self) -> "RetrievalLesson":
        from language.vectors.retrieval import retrieval_lesson

        return retrieval_lesson(self)
