"""What a command imports before it has read its command line, and what old files name."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from agents.experiment import Experiment, InvalidExperiment, from_json, to_json
from common.renamed import renamed
from scripts.cli import parse_experiment
from scripts.recipes import SAVED_CLASSES, modules

ROOT = Path(__file__).parents[2]
COMMANDS = sorted(
    path.stem for path in (ROOT / "scripts").glob("*.py") if path.stem not in ("__init__", "cli")
)
HEAVY = (
    *(
        "torch",
        "ray",
        "scipy",
        "cv2",
        "pandas",
        "pyarrow",
        "sklearn",
        "rich",
        "tensorboard",
        "optuna",
    ),
    *("pybullet", "minigrid", "pygame", "matplotlib"),
)
SAVED = json.loads(Path(__file__).with_name("saved_settings.json").read_text())
"""Experiments and trainings of modules as they were saved before settings and networks were
apart."""
PROBE = """
import runpy, sys
for sys.argv in {lines}:
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
        print("exit 0")
    except SystemExit as end:
        print("exit", end.code or 0)
print("imported", *(name for name in {heavy} if name in sys.modules))
"""
TREATMENTS = (
    "hiv-sti",
    "care-episode",
    "sepsis-icu",
    "epidemic-npi",
    "glucose-t1d",
    "tumor-imaging",
    "warfarin-pgx",
)


def ends(lines, folder):
    """How each of several command lines ends, and what heavy packages were imported for them, by
    one process."""
    split = [line.split() for line in lines]
    probe = folder / "probe.py"
    probe.write_text(
        PROBE.format(
            lines=[[f"{ROOT}/scripts/{name}.py", *rest] for name, *rest in split], heavy=HEAVY
        )
    )
    done = subprocess.run(
        [sys.executable, probe],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith(("exit", "imported"))]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_and_typing_mistakes_import_nothing_heavy(command, tmp_path):
    lines = [f"{command} --help", f"{command} --no-such-setting=1"]
    assert ends(lines, tmp_path) == ["exit 0", "exit 2", "imported"]


def test_typing_mistakes_beside_an_environment_import_nothing_heavy(tmp_path):
    lines = [
        f"train_agent --env {name} --no-such-setting=1" for name in (*TREATMENTS, "CartPole-v1")
    ]
    lines += [
        f"train_agent --env Pong --algo {name} --no-such-setting=1"
        for name in ("dqn", "rainbow", "bc")
    ]
    assert ends(lines, tmp_path) == [*["exit 2"] * len(lines), "imported"]


@pytest.mark.parametrize("command", [*COMMANDS, "cli"])
def test_what_is_imported_late_stands_at_the_top_of_its_function(command):
    """After the docstring, in one block, so that a reader sees it at once."""
    tree = ast.parse((ROOT / "scripts" / f"{command}.py").read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    late = {}
    for function in functions:
        body = function.body[1:] if ast.get_docstring(function) else function.body
        if body and isinstance(body[0], ast.With):  # progress, where the import takes seconds
            body = body[0].body + body[1:]
        is_import = [isinstance(statement, ast.Import | ast.ImportFrom) for statement in body]
        nested = [node for statement in body for node in ast.walk(statement)]
        if is_import != sorted(is_import, reverse=True) or count_of_imports(nested) != sum(
            is_import
        ):
            late[function.name] = function.lineno
    assert not late


def count_of_imports(nodes):
    return sum(isinstance(node, ast.Import | ast.ImportFrom) for node in nodes)


@pytest.mark.parametrize("name", SAVED["experiments"])
def test_saved_experiments_still_load(name):
    saved = SAVED["experiments"][name]
    loaded = json.loads(json.dumps(Experiment.from_json(saved, SAVED_CLASSES).to_json()))
    assert kept_of(loaded, saved) == saved


def kept_of(loaded, saved):
    """What was loaded without the settings that are newer than what was saved, which have their
    defaults."""
    if not isinstance(saved, dict):
        return loaded
    return {name: kept_of(loaded[renamed(name)], value) for name, value in saved.items()}


@pytest.mark.parametrize("name", SAVED["modules"])
def test_saved_trainings_of_modules_still_load(name):
    saved = SAVED["modules"][name]
    assert json.loads(json.dumps(to_json(from_json(saved, modules.SAVED_CLASSES)))) == saved


@pytest.mark.parametrize(
    "line",
    [
        "--env hiv-sti --env.noise nan",
        "--env hiv-sti --env.cost-weight inf",
        "--env glucose-t1d --env.sensor-error inf",
        "--env Pong --encoder filtered --encoder.noise inf",
        "--env Pong --env.max-frames-per-episode 9223372036854775808",
        "--env MultiRoom-N4-S5 --reward rnd --reward.environment-weight nan",
        "--env CartPole-v1 --encoder.hidden-sizes 1000000000000000000000000",
    ],
)
def test_numbers_that_no_setting_can_be_are_one_line(line):
    with pytest.raises(InvalidExperiment, match=line.split()[-2]) as refusal:
        parse_experiment(line.split())
    assert len(str(refusal.value)) < 200
