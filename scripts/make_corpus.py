"""Makes texts to learn to read from: python scripts/make_corpus.py"""

import html
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from agents.experiment import InvalidExperiment, require
from agents.monitoring.progress import progress
from common.files import write_durably
from common.ranges import Range, Seed
from envs.grids.missions import CHINESE_PLACES, COLORS, KINDS, in_chinese, missions
from scripts.cli import main_with_clear_errors, parse, require_writable

USAGE = """Fetches texts and splits them; trainings then need no network.

  help-{train,validation,test}.tsv       page, English, Chinese: LibreOffice's help, from Debian (MPL-2.0)
  sentiment.tsv                          source, score, text: sentences that people rated, from vaderSentiment (MIT)
  missions-{train,validation,test}.tsv   mission, English, Chinese: what agents in grids are told, freely worded"""
HELP_PACKAGES = ("libreoffice-help-en-us", "libreoffice-help-zh-cn")
RATED_PACKAGE = "vaderSentiment==3.3.2"
RATED = {
    "movie": "movieReviewSnippets",
    "product": "amazonReviewSnippets",
    "news": "nytEditorialSnippets",
    "tweet": "tweets",
}
CHINESE = re.compile("[\u4e00-\u9fff]")
LETTER = re.compile("[A-Za-z]")
PLACES = [place for place in CHINESE_PLACES if place]
JOINED = (", then ", " and ")
"""Not " after you ": in Chinese, what is done first is said first."""
PLACED, BY_TEMPLATE = 0.4, 0.2
"""Shares of the missions that say where a thing was, and of those with the template's wording."""
KIND = re.compile(rf"({'|'.join(KINDS)})$")
COLOR = re.compile(rf" ({'|'.join(COLORS)})\b")
BLOCK = re.compile("p|h[1-6]")

Row = tuple[str, ...]
Share = Annotated[float, Range(0.0, 0.5, includes_low=False, includes_high=False)]
"""A fraction of the texts that are not trained on."""


@dataclass(frozen=True)
class Settings:
    output: Path = Path("runs/corpus")
    """The folder; files that are there already are kept as they are."""
    test_share: Share = 0.11
    """Of the help's pages."""
    validation_share: Share = 0.03
    """Of the help's pages."""
    mission_test_share: Share = 0.2
    """Of the missions."""
    mission_validation_share: Share = 0.05
    """Of the missions."""
    missions: Annotated[int, Range(100, 10_000_000, reason="about a gigabyte of text")] = 25_000
    """To train on, freely worded; to the others goes their share of it."""
    seed: Seed = 0
    """Of the splits and wordings."""


def main(arguments: list[str]) -> None:
    settings = parse(Settings, arguments, USAGE)
    files = {name: settings.output / f"{name}.tsv" for names, _ in TEXTS for name in names}
    for path in files.values():
        require_writable(path)
    for names, _ in TEXTS:
        there = [str(files[name]) for name in names if files[name].exists()]
        require(
            len(there) in (0, len(names)),
            f"{', '.join(there)} is there without the other parts; remove it, or choose another "
            "--output.",
        )
    settings.output.mkdir(parents=True, exist_ok=True)
    for names, make in TEXTS:
        if files[names[0]].exists():
            print(f"{files[names[0]]} exists already.")
            continue
        with progress(f"making {names[0]}"):
            texts = make(settings)
        for name, rows in texts.items():
            lines = ["\t".join(row) + "\n" for row in rows]
            write_durably(files[name], "".join(lines).encode())
            print(f"{files[name]}: {len(rows):,} lines", flush=True)


def all_missions(settings: Settings) -> dict[str, list[Row]]:
    """As many of each verb, and of two in one sentence. What is to be tested on, such as "open the
    red door", is trained on in no wording, at no place and in no longer sentence; each of its words
    is, in other missions."""
    random = np.random.default_rng(settings.seed)
    test = settings.mission_test_share
    validation = settings.mission_validation_share
    parts: dict[str, list[list[str]]] = {"train": [], "validation": [], "test": []}
    for own in by_verb():
        order = random.permutation(own)
        cuts = round(len(own) * test), round(len(own) * (test + validation))
        for name, some in zip(("test", "validation", "train"), np.split(order, cuts), strict=True):
            parts[name].append(some.tolist())
    shares = {"train": 1.0, "validation": validation, "test": test}
    return {
        f"missions-{name}": worded(
            own, round(shares[name] * settings.missions), name == "train", random
        )
        for name, own in parts.items()
    }


def by_verb() -> list[list[str]]:
    """Missions without places, also those that leave open which color or kind a thing has."""
    verbs: dict[str, set[str]] = {}
    for mission in missions():
        verb = mission.split()[0]
        own = {mission}
        if verb in ("go", "pick"):
            own |= {KIND.sub("object", one) for one in own}
        if verb != "put":
            own |= {COLOR.sub("", one) for one in own}
        verbs.setdefault(verb, set()).update(own)
    return [sorted(own) for own in verbs.values()]


def worded(
    verbs: list[list[str]], lines: int, repeated: bool, random: np.random.Generator
) -> list[Row]:
    """`lines` in all, with the template's wording and others; each once, unless `repeated`."""

    def one_of(missions: list[str]) -> tuple[str, str]:
        """As it is, and with a place or without."""
        mission = missions[random.integers(len(missions))]
        placed = not mission.startswith("put") and random.random() < PLACED
        return mission, mission + (PLACES[random.integers(len(PLACES))] if placed else "")

    rows: list[Row] = []
    for row in range(lines):
        which = row % (len(verbs) + 1)
        if which < len(verbs):
            document, mission = one_of(verbs[which])
        else:
            first, second = (one_of(verbs[random.integers(len(verbs))])[1] for _ in range(2))
            mission = document = JOINED[random.integers(len(JOINED))].join((first, second))
        rows.append(
            (
                document,
                mission,
                in_chinese(mission, None if random.random() < BY_TEMPLATE else random),
            )
        )
    return rows if repeated else list(dict.fromkeys(rows))


def rated_texts(_: Settings) -> dict[str, list[Row]]:
    """From -4, the most negative, to 4 (Hutto and Gilbert 2014)."""
    ours = (
        Path(__file__).parents[1] / ".uv/bin/pip"
    )  # uv, which made the environment, cannot download
    pip = str(ours) if ours.exists() else "pip3"
    with tempfile.TemporaryDirectory() as folder:
        fetch(
            [pip, "download", "--quiet", "--no-deps", "--no-binary=:all:", RATED_PACKAGE],
            Path(folder),
        )
        for archive in (
            "vaderSentiment-*.tar.gz",
            "vaderSentiment-*/additional_resources/*.tar.gz",
        ):
            with tarfile.open(next(Path(folder).glob(archive))) as packed:
                packed.extractall(folder, filter="data")
        rows = []
        for source, name in RATED.items():
            path = next(Path(folder).glob(f"**/{name}_GroundTruth.txt"))
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                score, text = line.split("\t", 2)[1:]
                rows.append((source, score, " ".join(html.unescape(text).split())))
    return {"sentiment": rows}


def help_texts(settings: Settings) -> dict[str, list[Row]]:
    """LibreOffice's help in both languages, fetched from Debian by apt-get, in splits by page.

    Raises InvalidExperiment where it cannot be fetched or its pages are not found."""
    with tempfile.TemporaryDirectory() as folder:
        fetch(["apt-get", "download", *HELP_PACKAGES], Path(folder))
        for package in Path(folder).glob("*.deb"):
            fetch(["dpkg", "-x", str(package), folder], Path(folder))
        root = Path(folder) / "usr/share/libreoffice/help"
        pages = {
            str(page.relative_to(root / "en-US/text").with_suffix("")): pairs_of(
                page, root / "zh-CN" / page.relative_to(root / "en-US")
            )
            for page in sorted((root / "en-US/text").rglob("*.html"))
        }
    require(len(pages) > 10, f"{' and '.join(HELP_PACKAGES)} hold no pages where they were.")
    return split(pages, settings)


def split(pages: dict[str, list[Row]], settings: Settings) -> dict[str, list[Row]]:
    """By page. What stands in a page to train on is left out of the others, on either side, and
    whatever its case, spaces and punctuation; so is what stands in a page to test on out of those
    to validate on."""
    order = np.random.default_rng(settings.seed).permutation(sorted(pages))
    test, validation = (
        round(len(order) * share) for share in (settings.test_share, settings.validation_share)
    )
    parts = {
        "train": order[test + validation :],
        "test": order[:test],
        "validation": order[test : test + validation],
    }
    known: set[str] = set()
    result: dict[str, list[Row]] = {}
    for name, documents in parts.items():
        pairs = {
            pair: (page, *pair) for page in documents.tolist() for pair in reversed(pages[page])
        }
        rows = {
            (bare(english), bare(chinese)): row
            for (english, chinese), row in pairs.items()
            if name == "train" or not {bare(english), bare(chinese)} & known
        }
        known |= {side for both in rows for side in both}
        result[f"help-{name}"] = list(rows.values())
    return result


def bare(text: str) -> str:
    """The text's letters, digits and underscores, without case, to compare texts by."""
    return re.sub(r"\W+", "", text).casefold()


def pairs_of(english: Path, chinese: Path) -> list[Row]:
    """Paragraphs with one id in both languages, where they are language and were translated."""
    if not chinese.exists():
        return []
    ours, theirs = (paragraphs(page.read_text(encoding="utf-8")) for page in (english, chinese))
    pairs = [(text, theirs[name]) for name, text in ours.items() if name in theirs]
    return [pair for pair in pairs if LETTER.search(pair[0]) and CHINESE.search(pair[1])]


def paragraphs(page: str) -> dict[str, str]:
    """Text by id of an HTML page's paragraphs and headings."""
    reader = ParagraphReader()
    reader.feed(page)
    return reader.found


class ParagraphReader(HTMLParser):
    """Of words that stand there twice, one for each system, those for a Mac are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self.name = ""
        self.text = ""
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if BLOCK.fullmatch(tag):
            self.name = told.get("id") or ""
            self.text = ""
            self.hidden = 0
        elif tag == "br":
            self.text += " "
        # Spans inside a hidden one count, too, so that its own end is known.
        elif tag == "span" and (self.hidden or told.get("class") == "MAC"):
            self.hidden += 1

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "span" and self.hidden:
            self.hidden -= 1
        if BLOCK.fullmatch(tag):
            if self.name and (text := " ".join(self.text.split())):
                self.found.setdefault(self.name, text)
            self.name = ""


PARTS = ("train", "validation", "test")
TEXTS = (
    (tuple(f"missions-{part}" for part in PARTS), all_missions),
    (("sentiment",), rated_texts),
    (tuple(f"help-{part}" for part in PARTS), help_texts),
)
"""Names of the files, and what makes their lines."""


def fetch(command: list[str], folder: Path) -> None:
    """Raises InvalidExperiment, in one line, where the tool or the network is missing."""
    require(shutil.which(command[0]) is not None, f"This needs {command[0]}, which is not here.")
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if result.returncode:
        told = [line for line in result.stderr.splitlines() if line.strip()]
        raise InvalidExperiment(
            f"`{' '.join(command)}` failed: {told[-1] if told else 'it did not say why'}"
        )


if __name__ == "__main__":
    main_with_clear_errors(main)
