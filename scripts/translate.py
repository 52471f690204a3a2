"""Translates: python scripts/translate.py runs/modules/mission-translation --text 去找那个红球"""

import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

sys.path.insert(0, str(Path(__file__).parents[1]))

from agents.experiment import InvalidExperiment, require
from agents.monitoring.progress import progress
from common.ranges import Range
from scripts.cli import main_with_clear_errors, mistakes_are_the_users, parse

USAGE = """Translates a line, a file's lines or those of standard input, into the language that a module has learnt."""


@dataclass(frozen=True)
class Settings:
    module: Annotated[str, tyro.conf.arg(metavar="MODULE")]
    """The folder of scripts/train_module.py translation, mission-translation, distillation or
    back-translation."""
    text: str = ""
    """What to translate; without --text and --file, the lines of the standard input, UTF-8."""
    file: str = ""
    """UTF-8, a text a line."""
    beam: Annotated[
        int, Range(1, 100, reason="more find nothing better, and take memory with each one")
    ] = 4
    """Hypotheses that are followed at a time."""


def main(arguments: list[str]) -> None:
    settings = parse(Settings, arguments, USAGE)
    require(not (settings.text and settings.file), "--text and --file exclude each other.")
    print_translations(settings)


def print_translations(settings: Settings) -> None:
    """Prints the translation of each text, a line each."""
    # Here, because help and mistakes do without torch, which takes seconds to import.
    with progress("loading torch", at_once=True):
        from language.translation.model import trained_translator, translate

    with mistakes_are_the_users():
        module, told = trained_translator(settings.module)
    for text in translate(module, lines(settings), told["language"], settings.beam):
        print(text)


def lines(settings: Settings) -> list[str]:
    """The texts to translate: --text, else the lines of --file or of the standard input. Raises
    InvalidExperiment where these cannot be read."""
    if settings.text:
        return [settings.text]
    try:
        text = (
            Path(settings.file).read_text(encoding="utf-8") if settings.file else standard_input()
        )
    except (OSError, UnicodeDecodeError) as damage:
        raise InvalidExperiment(
            f"{settings.file or 'the standard input'} cannot be read: {damage}"
        ) from damage
    return text.splitlines()


def standard_input() -> str:
    """UTF-8, whatever the locale."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")
    return sys.stdin.read()


if __name__ == "__main__":
    main_with_clear_errors(main)
