"""On the site, a link to a file of the repository is its path, and one to a missing file fails the
build."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from docs.hooks import on_page_markdown, on_post_page

ROOT = Path(__file__).parents[2]
PAGE = SimpleNamespace(file=SimpleNamespace(src_uri="commands/clusters.md"))
CONFIG = {"docs_dir": str(ROOT / "docs")}


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("[Sweeps](sweeps.md)", "[Sweeps](sweeps.md)"),
        ("[a run](../run-folder.md#metrics)", "[a run](../run-folder.md#metrics)"),
        ("![house](../images/house.svg)", "![house](../images/house.svg)"),
        ("[cluster/README.md](../../cluster/README.md)", "`cluster/README.md`"),
        ("[the setup](../../cluster/README.md#x)", "the setup (`cluster/README.md`)"),
        ("[docs/hooks.py](../hooks.py)", "`docs/hooks.py`"),
    ],
)
def test_only_links_to_pages_stay_links(markdown, expected, caplog):
    assert on_page_markdown(markdown, page=PAGE, config=CONFIG) == expected
    assert not caplog.records


def test_a_link_to_a_missing_file_is_a_warning(caplog):
    on_page_markdown("[scripts](../../scripts/nothing.py)", page=PAGE, config=CONFIG)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "scripts/nothing.py" in caplog.text


@pytest.mark.parametrize(
    ("html", "warnings"),
    [
        ('<a href="https://example.org">', 0),
        ('<script src="assets/bundle.js"></script><img src="images/house.svg">', 0),
        ('<script src="https://example.org/x.js"></script>', 1),
        ('<link rel="stylesheet" href="//example.org/x.css">', 1),
    ],
)
def test_a_page_that_would_fetch_something_is_a_warning(html, warnings, caplog):
    assert on_post_page(html, page=PAGE) == html
    assert len(caplog.records) == warnings
