"""What commands about a run make of their arguments."""

import json
from pathlib import Path

import pytest

from scripts.cli import parse_run
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
