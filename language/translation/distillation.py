"""A fast translator learns from a slow one: sequence-level distillation (Kim and Rush 2016)."""

from language.settings.tasks import DistillationTask
from language.translation.model import (
    TranslationLesson,
    network,
    sides,
    splits,
    trained_translator,
    translate,
    translated,
    vocabulary_of,
)


def distillation_lesson(task: DistillationTask) -> TranslationLesson:
    """The teacher's translations beside the true ones. Raises ValueError where it translates
    something else."""
    teacher, settings = trained_translator(task.teacher)
    if (settings["language"], settings["texts"]) != (task.language, task.texts):
        raise ValueError(
            f"{task.teacher} translates {settings['texts']} into {settings['language']}."
        )
    pairs = splits(task)
    student = network(task, vocabulary_of(pairs["train"], task.vocabulary))
    if not task.distilled:
        return TranslationLesson(task, student, pairs, pairs["train"])
    found = translate(teacher, sides(pairs["train"], task.language)[0], task.language, task.beam)
    return TranslationLesson(
        task, student, pairs, pairs["train"] + translated(pairs["train"], task.language, found)
    )
