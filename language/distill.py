"""A fast translator learns from a slow one: sequence-level distillation (Kim and Rush 2016)."""

from dataclasses import dataclass

from language.translate import (
    TranslationLesson,
    TranslationTask,
    network,
    sides,
    splits,
    trained_translator,
    translate,
    translated,
    vocabulary_of,
)


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

    def lesson(self) -> TranslationLesson:
        teacher, settings = trained_translator(self.teacher)
        if (settings["language"], settings["texts"]) != (self.language, self.texts):
            raise ValueError(f"{self.teacher} translates {settings['texts']} into {settings['language']}.")
        pairs = splits(self)
        student = network(self, vocabulary_of(pairs["train"], self.vocabulary))
        if not self.distilled:
            return TranslationLesson(self, student, pairs, pairs["train"])
        found = translate(teacher, sides(pairs["train"], self.language)[0], self.language, self.beam)
        return TranslationLesson(
            self, student, pairs, pairs["train"] + translated(pairs["train"], self.language, found)
        )
