"""What commands about a run make of their arguments."""

import json
from pathlib import Path

import pytest

from agents.experiment import InvalidExperiment
from scripts.cli import parse, parse_experiment, parse_run
from scripts.recipes import environment_named, recipe_named
from scripts.report_policy import USAGE, Settings


def write_run(folder: Path, env: str) -> str:
    folder.mkdir()
    experiment = recipe_named("ppo")(environment_named(env))
    (folder / "experiment.json").write_text(json.dumps({"experiment": experiment.to_json()}))
    return str(folder)


@pytest.mark.parametrize(
    "order",
    [
        "{own} --also {other}",
        "--also {other} --patients 20 {own}",
        "--also {other} --deterministic {own}",
    ],
)
def test_a_run_is_told_from_the_values_of_options(
    order: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.cli.chosen_checkpoint", lambda *_: None)
    own = write_run(tmp_path / "own", "sepsis-icu")
    other = write_run(tmp_path / "other", "hiv-sti")
    arguments = order.format(own=own, other=other).split()
    settings, experiment = parse_run(Settings, arguments, USAGE)
    assert settings.run == Path(own)
    assert experiment.env.name == settings.env.name == "sepsis-icu"


@pytest.mark.parametrize(
    "arguments",
    [
        "own --patients 20 --patients 30",
        "own --patients=20 --patients 30",
        "own --cohort published --cohort=shifted",
    ],
)
def test_an_option_that_is_given_twice_is_refused(arguments: str) -> None:
    with pytest.raises(InvalidExperiment, match="is given twice; once is enough"):
        parse(Settings, arguments.split(), USAGE)


def test_a_choice_that_is_given_twice_is_refused() -> None:
    with pytest.raises(InvalidExperiment, match="--env is given twice"):
        parse_experiment(["--env", "CartPole-v1", "--env", "Acrobot-v1"])
