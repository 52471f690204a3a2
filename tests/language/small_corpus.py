"""A language of 189 sentences, small enough to learn in seconds."""

from itertools import product
from pathlib import Path

from agents.settings.pretraining import Pretraining
from agents.training.pretrain import pretrain
from language.settings.tasks import TranslationTask

VERBS = {"go to": "去", "pick up": "拿", "open": "开"}
COLORS = {
    "red": "红",
    "green": "绿",
    "blue": "蓝",
    "grey": "灰",
    "black": "黑",
    "white": "白",
    "pink": "粉",
}
KINDS = {
    "ball": "球",
    "box": "箱子",
    "key": "钥匙",
    "door": "门",
    "cup": "杯子",
    "pen": "笔",
    "hat": "帽",
    "lamp": "灯",
    "bag": "包",
}
HELD_OUT = 8


def write_small_corpus(folder: Path) -> str:
    """As scripts/make_corpus.py lays it out; of eight sentences one is to test on, one to validate
    on."""
    sentences = [
        (f"{verb} the {color} {kind}", VERBS[verb] + COLORS[color] + KINDS[kind])
        for verb, color, kind in product(VERBS, COLORS, KINDS)
    ]
    parts = {
        "test": [pair for row, pair in enumerate(sentences) if row % HELD_OUT == 0],
        "validation": [pair for row, pair in enumerate(sentences) if row % HELD_OUT == 1],
        "train": [pair for row, pair in enumerate(sentences) if row % HELD_OUT > 1],
    }
    for texts, (split, pairs) in product(("help", "missions"), parts.items()):
        lines = [f"{english}\t{english}\t{chinese}\n" for english, chinese in pairs]
        (folder / f"{texts}-{split}.tsv").write_text("".join(lines), encoding="utf-8")
    return str(folder)


def write_untrained(task: TranslationTask, folder: Path) -> str:
    """A module's folder after a single gradient step."""
    settings = Pretraining(task, total_steps=1, batch_size=8, run_dir=str(folder))
    return str(pretrain(settings).folder)
