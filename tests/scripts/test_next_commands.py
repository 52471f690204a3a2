"""Each command that documents, help and outputs recommend is one that the scripts accept."""

import ast
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from agents.experiment import InvalidExperiment
from scripts import evaluate_module, make_captions, make_corpus, train_module
from scripts.cli import parse_experiment, parse_sweep

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    *(
        ROOT / name
        for name in ("README.md", "CONTRIBUTING.md", "cluster/README.md", "cluster/kuberay.yaml")
    ),
    *sorted((ROOT / "docs").rglob("*.md")),
)
PARSERS = {"train_agent.py": parse_experiment, "tune_agent.py": parse_sweep}
COMMAND = re.compile(r"python scripts/(\w+\.py)((?: [^\n#`|&]+)?)")


def documented() -> list[str]:
    """Command lines after `python scripts/` in documents."""
    return commands_in([path.read_text().replace("\\\n", " ") for path in DOCUMENTS])


def recommended() -> list[str]:
    """Command lines after `python scripts/` in documents and in the strings of scripts and
    agents."""
    texts = []
    for folder in ("scripts", "agents"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.append(node.value)
    return sorted({*documented(), *commands_in(texts)})


def commands_in(texts: list[str]) -> list[str]:
    found = {
        match.group(0).removeprefix("python scripts/")
        for text in texts
        for match in COMMAND.finditer(text)
    }
    return sorted({command.strip().rstrip(".") for command in found})


def next_commands() -> list[tuple[str, list[str]]]:
    """Script and options of each `next_command(...)` in scripts and agents."""
    calls = []
    for folder in ("scripts", "agents"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id == "next_command"
                ):
                    words = [one.value for one in node.args if isinstance(one, ast.Constant)]
                    calls.append((words[0], [word for word in words[1:] if word.startswith("--")]))
    return calls


def options_of(script: str) -> str:
    """The script's help."""
    arguments = ["digits", "--help"] if script == "train_module.py" else ["--help"]
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / script, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def options() -> dict[str, str]:
    """Help by script, made once."""
    return {}


def test_there_are_commands_to_look_at() -> None:
    assert len(recommended()) > 30
    assert {script for script, _ in next_commands()} >= {
        "evaluate_agent.py",
        "evaluate_module.py",
        "train_agent.py",
    }


def test_each_recommended_script_is_there() -> None:
    scripts = {command.split()[0] for command in recommended()} | {
        script for script, _ in next_commands()
    }
    assert [script for script in scripts if not (ROOT / "scripts" / script).is_file()] == []


@pytest.mark.parametrize("script", sorted({script for script, _ in next_commands()}))
def test_options_of_next_commands_exist(script: str, options: dict[str, str]) -> None:
    text = options.setdefault(script, options_of(script))
    for name, flags in next_commands():
        assert name != script or all(flag in text for flag in flags)


@pytest.mark.parametrize("command", documented())
def test_documented_command_lines_are_accepted(command: str, capsys) -> None:
    script, *arguments = shlex.split(command.removesuffix(" --help"))
    if script in PARSERS and "--resume" not in arguments:
        PARSERS[script](arguments)  # names and values, too
        return
    # Runs and modules that documents name are not there: only options are looked up, but those of a
    # run's environment.
    module = arguments[:1] if script == "train_module.py" else []
    with pytest.raises(SystemExit):
        import_module(f"scripts.{script.removesuffix('.py')}").main([*module, "--help"])
    text = capsys.readouterr().out
    flags = [word.partition("=")[0] for word in arguments if word.startswith("--")]
    assert [flag for flag in flags if flag not in text and not flag.startswith("--env.")] == []


def test_recommended_command_lines_can_be_split_by_a_shell() -> None:
    for command in recommended():
        shlex.split(command.replace("...", ""))


@pytest.mark.parametrize("name", ["digits", "folder with spaces"])
def test_the_next_command_of_a_training_of_digits_is_run(
    name: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    train_module.main(
        ["digits", "--total-steps", "20", "--evaluate-every-steps", "20", "--run-dir", name]
    )
    out = capsys.readouterr().out
    python, script, *arguments = shlex.split(out.split("Next: ")[1])
    assert (python, script, arguments) == ("python", "scripts/evaluate_module.py", [name])
    evaluate_module.main(arguments)
    assert "accuracy" in capsys.readouterr().out
    assert (tmp_path / name / "evaluation.json").is_file()


@pytest.mark.parametrize(
    ("command", "arguments", "told"),
    [
        (
            make_captions,
            ["--seed", "-1"],
            "--seed must be a whole number from 0 to 4,294,967,295, not -1",
        ),
        (
            make_captions,
            ["--near-misses", "-1"],
            "--near-misses must be a whole number from 0 to 1,000, not -1",
        ),
        (
            make_captions,
            ["--near-misses", "10000000000"],
            "--near-misses must be a whole number from 0 to 1,000, not 10,000,000,000",
        ),
        (
            make_captions,
            ["--max-matches", "0"],
            "--max-matches must be a whole number from 1 to 1,000, not 0",
        ),
        (make_corpus, ["--seed", "-1"], "--seed must be a whole number from 0 to"),
        (
            make_corpus,
            ["--missions", "1000000000000"],
            r"--missions must be a whole number from 100 to 10,000,000 \(about a gigabyte of "
            r"text\)",
        ),
        (evaluate_module, ["new"], "is no module's folder"),
    ],
)
def test_numbers_that_cannot_be_are_one_line_and_nothing_is_made(
    command, arguments, told, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidExperiment, match=told) as refusal:
        command.main(arguments)
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [make_captions, make_corpus])
@pytest.mark.parametrize("place", ["file", "file/below", "x" * 300])
def test_a_folder_that_cannot_be_made_is_told_before_the_work(
    command, place, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidExperiment):
        command.main(["--output", place])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("command", "name"), [(make_captions, "captions-test"), (make_corpus, "missions-test")]
)
def test_a_part_alone_is_neither_kept_nor_written_over(command, name, tmp_path) -> None:
    (tmp_path / f"{name}.tsv").write_text("mine")
    with pytest.raises(InvalidExperiment, match="is there without the other part"):
        command.main(["--output", str(tmp_path)])
    assert (tmp_path / f"{name}.tsv").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1
