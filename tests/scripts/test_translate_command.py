"""scripts/translate.py: from a text, a file or the standard input."""

import io
from pathlib import Path

import pytest

from agents.experiment import InvalidExperiment
from language.settings.tasks import TranslationTask
from scripts import translate
from tests.language.small_corpus import write_small_corpus, write_untrained


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("translate")
    task = TranslationTask(write_small_corpus(folder), "missions", width=16, vocabulary=70, beam=1)
    return write_untrained(task, folder / "module")


def test_a_line_comes_out_for_each_that_goes_in(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "去红球\n\n开绿门\n"
    (tmp_path / "asked.txt").write_text(text, encoding="utf-8")
    translate.main([module, "--file", str(tmp_path / "asked.txt")])
    by_file = capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    translate.main([module])
    by_input = capsys.readouterr().out
    translate.main([module, "--text", "去红球"])
    by_text = capsys.readouterr().out
    assert by_file == by_input
    assert by_file.count("\n") == 3
    assert by_file.splitlines()[1] == ""
    assert by_file.startswith(by_text)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", "--text", "去"], "nowhere holds no trained translation"),
        (["MODULE", "--text", "去", "--file", "asked.txt"], "exclude each other"),
        (["MODULE", "--file", "nowhere.txt"], "nowhere.txt cannot be read"),
        (
            ["MODULE", "--text", "去", "--beam", "0"],
            "--beam must be a whole number from 1 to 100 .*, not 0",
        ),
        (
            ["MODULE", "--text", "去", "--beam", "10000000000"],
            "--beam must be a whole number from 1 to 100 .*, not 10,000,000,000",
        ),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], told: str, module: str) -> None:
    with pytest.raises(InvalidExperiment, match=told) as mistake:
        translate.main([argument.replace("MODULE", module) for argument in arguments])
    assert "\n" not in str(mistake.value)
