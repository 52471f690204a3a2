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
)


@dataclass(frozen=True)
class DistillationTask(TranslationTask):
    """Learns to translate as a trained module does, from the same texts and with the same vocabulary."""

    width: int = 96
    dropout: float = 0.1
    teacher: str = "runs/modules/translation"
    """The folder of scripts/train_module.py translation."""
    distilled: bool = True
    """Whether it learns the teacher's translations; without, those that the teacher learnt, to compare with."""

    @property
    def name(self) -> str:
        return "distillation"

    def lesson(self) -> TranslationLesson:
        teacher, settings = trained_translator(self.teacher)
        if (settings["language"], settings["texts"]) != (self.language, self.texts):
            raise ValueError(f"{self.teacher} translates {settings['texts']} into {settings['language']}.")
        pairs = splits(self)
        student = network(self, teacher.tokens)
        if not self.distilled:
            return TranslationLesson(self, student, pairs, pairs["train"])
        found = translate(teacher, sides(pairs["train"], self.language)[0], self.language)
        return TranslationLesson(self, student, pairs, translated(pairs["train"], self.language, found))
