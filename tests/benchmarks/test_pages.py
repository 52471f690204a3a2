"""Every result file of the benchmarks is named on the page of its folder, and every page in their
README."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
RESULTS = BENCHMARKS / "results"
PAGES = {path.stem: path for path in BENCHMARKS.glob("*.md")}
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
"""The target of a Markdown link to a file; web addresses have a colon."""
OPTION = re.compile(r"(?<![\w-])--[a-z][\w.-]*[\w]")
DECLARATION = re.compile(r"(?<![\w.])([a-z]\w*):(?= )")
"""The name before an annotation."""
UNDECLARED = {"--help", "--resume", "--no-deps", "--only-binary", "--dest"}
"""Options that no annotation declares; the last three are pip's."""


def test_every_result_file_is_linked_on_the_page_of_its_folder() -> None:
    links = {
        name: {page.parent / target for target in LINK.findall(page.read_text())}
        for name, page in PAGES.items()
    }
    files = [path for path in RESULTS.rglob("*") if path.is_file()]
    assert len(files) > 80
    without_page = [
        str(path.relative_to(RESULTS))
        for path in files
        if path not in links.get(path.parent.name, set())
    ]
    # What was given up, or was measured with settings that are none of a recipe, may stand in the
    # notebook instead.
    forgotten = [name for name in without_page if RESULTS / name not in links["NOTEBOOK"]]
    assert forgotten == []


def test_the_readme_links_every_page() -> None:
    linked = set(LINK.findall(PAGES["README"].read_text()))
    assert linked == {page.name for name, page in PAGES.items() if name != "README"}


def test_scripts_write_their_results_into_the_folder_of_a_page() -> None:
    folders = set()
    for script in BENCHMARKS.glob("*.py"):
        folders |= set(re.findall(r'"results" / f?"([^"]+)"', script.read_text()))
    assert len(folders) > 8
    assert folders <= set(PAGES)


@pytest.mark.parametrize("page", sorted(set(PAGES) - {"NOTEBOOK"}))
def test_options_in_commands_are_declared_somewhere(page: str) -> None:
    options = set(OPTION.findall(PAGES[page].read_text())) - UNDECLARED
    assert [option for option in options if not names_of_field(option) & declared_names()] == []


def test_a_misspelled_option_is_seen() -> None:
    options = OPTION.findall(
        "`--algo.no-normalize-rewards`, --env.misspelled-option 3 and 9-- or ---"
    )
    assert options == ["--algo.no-normalize-rewards", "--env.misspelled-option"]
    assert [bool(names_of_field(option) & declared_names()) for option in options] == [True, False]


def names_of_field(option: str) -> set[str]:
    """The names that a field or parameter may have for an option: the last part, with and without
    `no-`."""
    last = option.lstrip("-").split(".")[-1]
    return {name.replace("-", "_") for name in (last, last.removeprefix("no-"))}


@cache
def declared_names() -> set[str]:
    """Every annotated field, parameter or variable of the repository's code."""
    names: set[str] = set()
    for folder in ("agents", "benchmarks", "envs", "language", "perception", "scripts"):
        for path in (ROOT / folder).rglob("*.py"):
            names |= set(DECLARATION.findall(path.read_text()))
    return names
