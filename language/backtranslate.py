"""Texts without a translation help, too: a module for the other direction makes them one (Sennrich et al. 2016)."""

from dataclasses import dataclass, replace

from language.corpus import Language
from language.tokens import trained_tokens
from language.translate import (
    TranslationLesson,
    TranslationTask,
    network,
    sides,
    splits,
    trained_translator,
    translate,
    translated,
)

OTHER: dict[Language, Language] = {"en": "zh", "zh": "en"}


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

    def lesson(self) -> TranslationLesson:
        backward, settings = trained_translator(self.backward)
        if (settings["language"], settings["pairs"]) != (OTHER[self.language], self.pairs):
            raise ValueError(
                f"{self.backward} translates into {settings['language']}, by {settings['pairs']} pairs; it must into "
                f"{OTHER[self.language]}, by the same {self.pairs} pairs as this."
            )
        pairs = splits(self)
        more = splits(replace(self, pairs=self.pairs + self.alone))["train"][self.pairs :]
        texts = sides(more, self.language)[1]
        made = translated(more, OTHER[self.language], translate(backward, texts, OTHER[self.language]))
        tokens = trained_tokens([*(text for pair in pairs["train"] for text in pair[1:]), *texts], self.vocabulary)
        true = pairs["train"] * max(1, self.alone // len(pairs["train"]))  # as often as the made ones, which are worse
        return TranslationLesson(self, network(self, tokens), pairs, true + made)
