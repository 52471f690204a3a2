"""A folder that a command could not write its results into is told of before the work."""

import json

import pytest

from agents.checkpoint import checkpoint_name, save_state
from agents.experiment import InvalidExperiment
from envs.probe import CountingConfig
from scripts import evaluate_agent, evaluate_module, record_agent
from scripts.recipes import recipe_named


@pytest.fixture
def read_only(tmp_path, monkeypatch):
    """The folder of a run, or of a module, on a file system that is mounted to be read."""
    described = {"experiment": recipe_named("ppo")(CountingConfig()).to_json()}
    (tmp_path / "experiment.json").write_text(json.dumps(described))
    save_state(tmp_path / "checkpoints" / checkpoint_name(100), {})
    monkeypatch.setattr("scripts.cli.os.access", lambda path, mode: False)
    return tmp_path


@pytest.mark.parametrize(
    "script", [evaluate_agent, record_agent, evaluate_module], ids=lambda script: script.__name__
)
def test_results_that_cannot_be_written_are_told_of_before_the_work(script, read_only):
    with pytest.raises(InvalidExperiment, match=f"cannot be written: {read_only} is read-only"):
        script.main([str(read_only)])
