"""Documents name files that exist and list what the program has; the README can be read in three
minutes."""

import re
from pathlib import Path

import pytest

from envs.health import TREATMENTS
from scripts.recipes import ENCODERS, MEMORIES, RECIPES, REWARDS
from scripts.recipes.modules import MODULES

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path for folder in (".", "benchmarks", "cluster") for path in (ROOT / folder).glob("*.md")
)
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
"""The target of a Markdown link to a file; web addresses have a colon."""
FOLDERS = "agents|benchmarks|cluster|common|docs|envs|language|perception|scripts|tests"
PATH = re.compile(rf"(?<![\w/.-])(?:{FOLDERS})(?:/[\w.-]+)+\.\w+")
"""A file in one of the repository's folders, as a command or a sentence names it."""
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
FIRST_COLUMN = re.compile(r"^\| (`[^|]+) \|", re.MULTILINE)
"""The first cell of a table's row that begins with code."""


def first_column(*documents: str) -> set[str]:
    """What stands as code in the first column of the documents' tables."""
    texts = [(ROOT / "docs" / name).read_text() for name in documents]
    cells = [cell for text in texts for cell in FIRST_COLUMN.findall(text)]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    linked = [document.parent / target for target in LINK.findall(text)]
    named = [ROOT / target for target in PATH.findall(text)]
    missing = [str(path) for path in linked + named if not path.exists()]
    assert missing == []


def test_the_readme_is_read_in_three_minutes() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 90
    assert len(text.split()) <= 600  # 200 words a minute


def test_the_readme_links_every_page_that_has_commands() -> None:
    linked = {ROOT / target for target in LINK.findall((ROOT / "README.md").read_text())}
    assert linked >= set((ROOT / "docs" / "commands").glob("*.md"))


def test_every_algorithm_is_in_the_table_of_algorithms() -> None:
    assert first_column("algorithms.md") >= set(RECIPES)


def test_every_treatment_is_in_the_table_of_treatments() -> None:
    assert first_column("commands/treatments.md") >= set(TREATMENTS)


def test_every_module_is_in_a_table_of_modules() -> None:
    assert first_column("commands/vision.md", "commands/language.md") >= set(MODULES)


@pytest.mark.parametrize(
    "table",
    [ENCODERS, MEMORIES, REWARDS, RECIPES],
    ids=["encoders", "memories", "rewards", "algos"],
)
def test_every_name_that_the_command_line_takes_is_explained_on_a_page_of_commands(table) -> None:
    pages = [path.read_text() for path in (ROOT / "docs" / "commands").glob("*.md")]
    named = {name for page in pages for name in re.findall(r"`(?:--\w+ )?([\w-]+)`", page)}
    assert set(table) - named == set()


@pytest.mark.parametrize(
    "plug", ["environment", "encoder", "memory", "reward", "module", "algorithm"]
)
def test_every_plug_has_an_example_on_its_page(plug: str) -> None:
    page = (ROOT / "docs" / "extending" / f"{plug}.md").read_text()
    assert f'--8<-- "docs/examples/{plug}.py"' in page


def test_every_python_block_of_a_page_imports_what_exists() -> None:
    blocks = [
        block
        for path in (ROOT / "docs").rglob("*.md")
        for block in PYTHON.findall(path.read_text())
    ]
    assert len(blocks) > 4
    for block in blocks:
        imports = [line for line in block.splitlines() if line.startswith(("from ", "import "))]
        exec("\n".join(imports), {})
