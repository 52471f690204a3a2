"""Texts without a translation help, too: a module for the other direction makes them one (Sennrich
et al. 2016)."""

from dataclasses import replace

from language.corpus import Language
from language.settings.tasks import BackTranslationTask
from language.translation.model import (
    TranslationLesson,
    network,
    sides,
    splits,
    trained_translator,
    translate,
    translated,
)
from language.translation.tokens import trained_tokens

OTHER: dict[Language, Language] = {"en": "zh", "zh": "en"}


def back_translation_lesson(task: BackTranslationTask) -> TranslationLesson:
    """True pairs and made ones. Raises ValueError where the module for the other direction does not
    fit."""
    backward, settings = trained_translator(task.backward)
    if (settings["language"], settings["pairs"]) != (OTHER[task.language], task.pairs):
        raise ValueError(
            f"{task.backward} translates into {settings['language']}, by {settings['pairs']} "
            "pairs; it must into "
            f"{OTHER[task.language]}, by the same {task.pairs} pairs as this."
        )
    pairs = splits(task)
    more = splits(replace(task, pairs=task.pairs + task.alone))["train"][task.pairs :]
    texts = sides(more, task.language)[1]
    made = translated(more, OTHER[task.language], translate(backward, texts, OTHER[task.language]))
    tokens = trained_tokens(
        [*(text for pair in pairs["train"] for text in pair[1:]), *texts], task.vocabulary
    )
    true = pairs["train"] * max(
        1, task.alone // len(pairs["train"])
    )  # as often as the made ones, which are worse
    return TranslationLesson(task, network(task, tokens), pairs, true + made)
