"""Texts that scripts/make_corpus.py has fetched and split, read back."""

from pathlib import Path
from typing import Literal, NamedTuple

Language = Literal["en", "zh"]
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class Pair(NamedTuple):
    """A sentence or paragraph and its translation."""

    document: str
    """Where it stands: the page; of a mission, the mission."""
    en: str
    zh: str


def read_pairs(folder: Path, texts: str, split: Split) -> list[Pair]:
    """`texts` is "help" or "missions". No document is in two splits.

    Raises ValueError, in one line, where they are not there."""
    return [Pair(*row) for row in read_rows(folder / f"{texts}-{split}.tsv", 3)]


def read_rows(
    path: Path, columns: int, maker: str = "scripts/make_corpus.py"
) -> list[tuple[str, ...]]:
    """Lines of fields between tabs, as the script `maker` writes them. Raises ValueError, in one
    line, where they are not there or are otherwise."""
    try:
        rows = [
            tuple(line.split("\t")) for line in path.read_text(encoding="utf-8").split("\n") if line
        ]
    except (OSError, UnicodeDecodeError) as damage:
        raise ValueError(f"{path} cannot be read ({damage}); {maker} makes it.") from damage
    if not rows or any(len(row) != columns for row in rows):
        raise ValueError(
            f"{path} must have lines of {columns} fields between tabs; {maker} makes it."
        )
    return rows
