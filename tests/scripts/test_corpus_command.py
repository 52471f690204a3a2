"""scripts/make_corpus.py: what it takes from pages, and how it splits; without a network."""

import re
import sys
from pathlib import Path

import pytest

from agents.experiment import InvalidExperiment
from scripts.make_corpus import (
    JOINED,
    Settings,
    all_missions,
    bare,
    fetch,
    main,
    pairs_of,
    paragraphs,
    split,
)

PAGE = """<html><p>no id</p><h1 id="a">Head<a name="x"></a>ing</h1>
<ul><li><p id="b" class="listitem">Press <span class="switchinline"><span class="MAC"><span>Command</span></span><span
id="d">Ctrl</span></span>+<br>A &amp; go.</p></li></ul><p id="c">  </p></html>"""


def test_paragraphs_are_text_by_id_without_what_is_for_a_mac() -> None:
    assert paragraphs(PAGE) == {"a": "Heading", "b": "Press Ctrl+ A & go."}


def test_pairs_have_one_id_and_are_translated(tmp_path: Path) -> None:
    (tmp_path / "en").write_text(
        '<p id="a">Open</p><p id="b">Close</p><p id="c">12</p><p id="d">Not there</p>'
    )
    (tmp_path / "zh").write_text('<p id="b">Close</p><p id="a">打开</p><p id="c">十二</p>')
    assert pairs_of(tmp_path / "en", tmp_path / "zh") == [("Open", "打开")]
    assert pairs_of(tmp_path / "en", tmp_path / "nowhere") == []


def test_nothing_to_test_on_is_to_be_seen_elsewhere() -> None:
    pages = {
        f"page{page}": [(f"only {page}.{row}", f"只有 {page}.{row}") for row in range(5)]
        + [
            ("The same!", "一样"),
            (f"the SAME, {page % 7}", f"不同 {page}"),
            (f"other {page}", f"相同 {page % 7}"),
        ]
        for page in range(40)
    }
    parts = split(pages, Settings(test_share=0.25, validation_share=0.25))
    assert {len(rows) for rows in parts.values()} != {0}
    seen = [{bare(side) for row in rows for side in row[1:]} for rows in parts.values()]
    assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]
    documents = [{row[0] for row in rows} for rows in parts.values()]
    assert (
        not documents[0] & documents[1] | documents[0] & documents[2] | documents[1] & documents[2]
    )
    assert [row for rows in parts.values() for row in rows if "only" in row[1]].__len__() == 200


def test_missions_to_test_on_are_whole_and_their_words_are_known() -> None:
    parts = all_missions(Settings(missions=2_500))
    train, test = parts["missions-train"], parts["missions-test"]
    held_out = {document for document, *_ in test if not any(word in document for word in JOINED)}
    assert not {document for document, *_ in train} & held_out
    assert not any(
        re.search(rf"{mission}\b(?! next)", english)
        for mission in held_out
        for _, english, _ in train
    )
    assert {word for _, english, _ in test for word in english.split()} <= {
        word for _, english, _ in train for word in english.split()
    }
    verbs = [
        english.split()[0] for _, english, _ in train if not any(word in english for word in JOINED)
    ]
    assert {verb: verbs.count(verb) for verb in verbs} == {
        "go": 500,
        "pick": 500,
        "open": 500,
        "put": 500,
    }
    assert len(set(test)) == len(test)


def test_what_is_missing_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidExperiment, match="no-such-tool, which is not here"):
        fetch(["no-such-tool"], tmp_path)
    with pytest.raises(InvalidExperiment, match="failed: no network"):
        fetch([sys.executable, "-c", "raise SystemExit('no network')"], tmp_path)
    with pytest.raises(
        InvalidExperiment, match=r"--test-share must be a number above 0 and below 0\.5, not 0\.7"
    ):
        main(["--output", str(tmp_path / "corpus"), "--test-share", "0.7"])
    assert not (tmp_path / "corpus").exists()
