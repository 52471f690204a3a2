"""Env runners in processes of their own: they do not wait for the learner, they fail, they cannot be
started."""

import os
from dataclasses import dataclass, fields, replace

import pytest

from agents.monitoring.metrics import read_progress
from agents.settings.appo import APPO
from agents.training.train import train
from envs.probe import FlawedConfig
from tests.agents.tiny_runs import (
    ClockConfig,
    final_state,
    tiny,
)

pytestmark = pytest.mark.usefixtures("ray_here")


def test_runners_that_do_not_wait_for_the_learner_train_one_policy(tmp_path):
    base = tiny(tmp_path / "run", num_env_runners=2, total_env_steps=640)
    algo = APPO(**{field.name: getattr(base.algo, field.name) for field in fields(base.algo)})
    train(replace(base, algo=algo))
    lines = read_progress(tmp_path / "run" / "progress.jsonl")
    assert [line["env_steps"] for line in lines] == list(range(32, 641, 32))
    assert lines[0]["learner/policy_lag_max"] == 0
    assert {line["learner/policy_lag_max"] for line in lines[1:]} <= {1, 2, 3, 4}
    assert lines[-1]["learner/samples_thrown_away"] == 0
    normalizer = final_state(tmp_path / "run")["learner"]["learner"]["rl_module"]["default_policy"]
    assert normalizer["normalizer.count"] == 640


@dataclass(frozen=True)
class StrangeConfig(ClockConfig):
    """Builds only in the process where it was made, as with a package that other processes do not
    have."""

    home: int = 0

    def build_vector(self, num_envs):
        if os.getpid() != self.home:
            raise ModuleNotFoundError("No module named 'mypackage'")
        return super().build_vector(num_envs)


def test_an_env_runner_that_cannot_be_started_says_why_in_one_line(tmp_path):
    strange = tiny(tmp_path / "run", env=StrangeConfig(home=os.getpid()), num_env_runners=2)
    with pytest.raises(ConnectionError) as refusal:
        train(strange)
    assert str(refusal.value) == "No env runner could be started: No module named 'mypackage'."


def test_environments_that_fail_in_another_process_are_counted_and_told_of(tmp_path, capsys):
    """Four environments that fail in their 70th step, of 80 each."""
    flawed = FlawedConfig(flaw="observation", fails_at=70)
    train(tiny(tmp_path / "run", env=flawed, num_env_runners=1))
    lines = read_progress(tmp_path / "run" / "progress.jsonl")
    assert [line["episode/environment_faults"] for line in lines][-1] == 4
    assert "the last one: FloatingPointError" in capsys.readouterr().out
    assert final_state(tmp_path / "run")["faults_in_all"] == 4
