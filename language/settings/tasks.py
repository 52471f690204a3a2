"""Settings of the modules that read, trained apart from any agent; each task's `lesson()` imports its network."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from language.corpus import Language

if TYPE_CHECKING:
    from language.embeddings import EmbeddingsLesson
    from language.multitask import MultiTaskLesson
    from language.retrieval import RetrievalLesson
    from language.similarity import SimilarityLesson
    from language.translate import TranslationLesson


@dataclass(frozen=True)
class TranslationTask:
    """Learns to translate between English and Chinese."""

    data: str = "runs/corpus"
    """The folder of scripts/make_corpus.py."""
    texts: Literal["help", "missions"] = "help"
    """LibreOffice's help, or what agents are told to do."""
    language: Language = "en"
    """Into which it translates."""
    width: int = 256
    """Numbers a token, and of each layer."""
    attention: bool = True
    """Whether the decoder looks back at what was read, or knows only the encoder's last state."""
    pairs: int = 0
    """To train on, the first ones; 0 is all."""
    vocabulary: int = 5_000
    """Pieces of words, in both languages together."""
    longest: int = 100
    """Tokens of a text to train on; pairs with more are left out. It is tested on all."""
    dropout: float = 0.2
    """Share of the features that are left out in training."""
    beam: int = 4
    """Hypotheses in tests; validation is greedy."""

    @property
    def name(self) -> str:
        return {"help": "translation", "missions": "mission-translation"}[self.texts]

    def lesson(self) -> "TranslationLesson":
        from language.translate import TranslationLesson, network, splits, vocabulary_of

        pairs = splits(self)
        module = network(self, vocabulary_of(pairs["train"], self.vocabulary))
        return TranslationLesson(self, module, pairs, pairs["train"])


@dataclass(frozen=True)
class DistillationTask(TranslationTask):
    """Learns to translate as a trained module does, from the same texts; with fewer pieces of words, as most of what
    so small a module knows is a vector for each."""

    width: int = 128
    vocabulary: int = 2_400
    dropout: float = 0.1
    teacher: str = "runs/modules/translation"
    """The folder of scripts/train_module.py translation."""
    distilled: bool = True
    """Whether it learns the teacher's translations beside the true ones; without, the true ones alone, to compare."""

    @property
    def name(self) -> str:
        return "distillation"

    def lesson(self) -> "TranslationLesson":
        from language.distill import distillation_lesson

        return distillation_lesson(self)


@dataclass(frozen=True)
class BackTranslationTask(TranslationTask):
    """Learns to translate from few pairs, and from many texts of which only the target language's side is known."""

    pairs: int = 5_000
    alone: int = 10_000
    """Texts in the target language, from the pairs after those to train on."""
    backward: str = "runs/modules/translation-backward"
    """The folder of scripts/train_module.py translation --task.pairs 5000, for the other direction."""

    @property
    def name(self) -> str:
        return "back-translation"

    def lesson(self) -> "TranslationLesson":
        from language.backtranslate import back_translation_lesson

        return back_translation_lesson(self)


@dataclass(frozen=True)
class MultiTask(TranslationTask):
    """Learns to translate into one language from few pairs and into the other from all, and of missions, in either
    language, their intent: the verb. The score is of the few."""

    language: Language = "zh"
    pairs: int = 5_000
    other_share: float = 0.4
    """Of the gradient steps, on pairs for the other direction."""
    intent_share: float = 0.05
    """Of the gradient steps, on missions."""

    @property
    def name(self) -> str:
        return "multitask"

    def lesson(self) -> "MultiTaskLesson":
        from language.multitask import multitask_lesson

        return multitask_lesson(self)


@dataclass(frozen=True)
class EmbeddingsTask:
    """Learns word vectors from texts that nobody rated, then by one layer on the mean of a sentence's vectors whether
    it speaks well of a film; the sentences to test on are in neither."""

    data: str = "runs/corpus"
    """The folder of scripts/make_corpus.py."""
    method: Literal["word2vec", "glove"] = "word2vec"
    """How words are learnt."""
    size: int = 64
    """How many numbers a word becomes."""
    window: int = 10
    """How many words to each side are a word's neighbours."""
    epochs: int = 20
    """How often the texts are gone through."""
    seed: int = 1
    """Of the vectors."""

    @property
    def name(self) -> str:
        return "embeddings"

    def lesson(self) -> "EmbeddingsLesson":
        from language.embeddings import embeddings_lesson

        return embeddings_lesson(self)


@dataclass(frozen=True)
class SimilarityTask:
    """Learns from pairs of caption and mission which match, and is tested on colours of things that no pair had."""

    data: str = "runs/corpus"
    """The folder of scripts/make_captions.py."""
    kind: Literal["siamese", "bert"] = "siamese"
    """Who reads both sentences: an LSTM that learns to, or MiniLM, which stays as it is, with two layers that learn."""
    width: int = 64
    """How many numbers a sentence becomes."""

    @property
    def name(self) -> str:
        return "similarity"

    def lesson(self) -> "SimilarityLesson":
        from language.similarity import SimilarityLesson, read_captions

        if self.width < 1:
            raise ValueError(f"width must be at least 1, not {self.width}.")
        return SimilarityLesson(
            self, *(read_captions(Path(self.data) / f"captions-{p}.tsv") for p in ("train", "test"))
        )


@dataclass(frozen=True)
class RetrievalTask:
    """Learns from Chinese wordings of missions and from the help's paragraphs which English sentence they mean; tested
    with missions and pages that it has not learnt from."""

    data: str = "runs/corpus"
    """The folder of scripts/make_corpus.py."""
    help_pairs: int = 2_000
    """Paragraphs to learn from beside the missions, so that it does not forget the rest of the language."""
    tested_help_pairs: int = 500
    """Paragraphs among which to find a translation."""
    width: int = 512
    """Of the layer that learns."""

    @property
    def name(self) -> str:
        return "retrieval"

    def lesson(self) -> "RetrievalLesson":
        from language.retrieval import retrieval_lesson

        return retrieval_lesson(self)
