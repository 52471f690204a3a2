"""Corpora are read back as they were written, and what is missing is told."""

from pathlib import Path

import pytest

from language.corpus import SPLITS, Pair, read_pairs, read_rows
from language.similarity.model import read_captions
from tests.language.small_corpus import write_small_corpus


def test_pairs_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_small_corpus(tmp_path)
    pairs = {split: read_pairs(tmp_path, "missions", split) for split in SPLITS}
    assert pairs["test"][0] == Pair("go to the red ball", "go to the red ball", "去红球")
    assert sum(map(len, pairs.values())) == 189
    documents = [{pair.document for pair in own} for own in pairs.values()]
    assert (
        not documents[0] & documents[1] | documents[0] & documents[2] | documents[1] & documents[2]
    )


def test_only_a_newline_ends_a_line(tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_bytes("a\u2028b\tc\x0bd\n".encode())
    assert read_rows(tmp_path / "rows.tsv", 2) == [("a\u2028b", "c\x0bd")]


@pytest.mark.parametrize("content", [None, b"", b"one\ttwo\n", b"\xff\xfe\t\t\n"])
def test_what_is_not_there_is_told_in_one_line(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "help-test.tsv").write_bytes(content)
    with pytest.raises(ValueError, match=r"scripts/make_corpus\.py") as told:
        read_pairs(tmp_path, "help", "test")
    assert "\n" not in str(told.value)


def test_captions_that_are_damaged_are_told_with_their_own_script(tmp_path: Path) -> None:
    path = tmp_path / "captions-train.tsv"
    path.write_text("a caption\ta mission\n")
    with pytest.raises(ValueError, match=r"3 fields between tabs; scripts/make_captions\.py"):
        read_captions(path)
