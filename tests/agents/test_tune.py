"""Sweeps: what is varied, what is refused before anything starts, and how one trial goes on from another's weights."""

import json
from dataclasses import replace

import pytest
from ray.tune.search.sample import Categorical

from agents import tune
from agents.checkpoint import checkpoint_name, finished_checkpoints, load_state, save_state
from agents.evaluate import read_best
from agents.experiment import InvalidExperiment
from agents.tune import Sweep, extremes, read_settings, search_space, sweep, take_over, with_settings
from envs.classic import ClassicConfig
from scripts.recipes import RECIPES, recipe_named

CARTPOLE = recipe_named("ppo")(ClassicConfig("CartPole-v1"))
CONTINUOUS = ("ddpg", "td3")


@pytest.mark.parametrize("name", RECIPES)
def test_whatever_a_space_gives_is_a_valid_setting(name):
    experiment = recipe_named(name)(ClassicConfig("Pendulum-v1" if name in CONTINUOUS else "CartPole-v1"))
    space = search_space(experiment, Sweep())
    assert len(space) >= 5
    for candidate in extremes(experiment, space):
        candidate.validate()
    for _ in range(20):
        with_settings(experiment, {name: domain.sample() for name, domain in space.items()})


def test_each_choice_is_tried_before_the_sweep_starts():
    space = search_space(CARTPOLE, Sweep(vary=("minibatch_size", "clip")))
    assert isinstance(space["minibatch_size"], Categorical)
    sizes = [candidate.algo.minibatch_size for candidate in extremes(CARTPOLE, space)]
    assert sizes == [CARTPOLE.algo.minibatch_size, *space["minibatch_size"].categories]


@pytest.mark.parametrize(
    ("changes", "settings", "told"),
    [
        ({}, Sweep(trials=0), "--trials must be above 0"),
        ({}, Sweep(reduction=1), "--reduction must be at least 2, not 1"),
        ({}, Sweep(vary=("speed",)), "speed cannot be varied; of ppo can: learning_rate"),
        ({"evaluate_every_env_steps": 0}, Sweep(), "--evaluate-every-env-steps must lie between 1 and"),
        ({"num_envs": 1}, Sweep(vary=("minibatch_size",)), "do not divide into minibatches of 128"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(tmp_path, changes, settings, told):
    folder = tmp_path / "sweep"
    with pytest.raises(InvalidExperiment, match=told) as end:
        sweep(replace(CARTPOLE, run_dir=str(folder), **changes), settings)
    assert "\n" not in str(end.value)
    assert not folder.exists()


def test_a_folder_without_a_sweep_cannot_go_on(tmp_path):
    with pytest.raises(InvalidExperiment, match="holds no sweep that could go on"):
        read_settings(tmp_path)


def test_settings_come_back_from_a_sweeps_folder(tmp_path):
    settings = Sweep(trials=3, scheduler="pbt", vary=("clip", "epochs"))
    tune.write_sweep(tmp_path, settings, [])
    assert read_settings(tmp_path) == settings


@pytest.fixture
def two_runs(tmp_path):
    for name, steps in (("poor", (100, 200)), ("good", (100,))):
        for done in steps:
            save_state(tmp_path / name / "checkpoints" / checkpoint_name(done), {"env_steps": done, "of": name})
        (tmp_path / name / "best.json").write_text(json.dumps({"checkpoint": checkpoint_name(100), "mean": 5.0}))
    return tmp_path / "poor", tmp_path / "good"


def test_a_poor_trial_takes_over_a_good_ones_checkpoint(two_runs):
    poor, good = two_runs
    take_over(good / "checkpoints" / checkpoint_name(100), poor)
    assert [load_state(path) for path in finished_checkpoints(poor / "checkpoints")] == [
        {"env_steps": 100, "of": "good"}
    ]
    assert read_best(poor)["checkpoint"] is None
    assert finished_checkpoints(good / "checkpoints")


def test_a_trial_that_only_goes_on_keeps_what_it_has(two_runs):
    poor, _ = two_runs
    take_over(poor / "checkpoints" / checkpoint_name(100), poor)
    assert [path.name for path in finished_checkpoints(poor / "checkpoints")] == [
        checkpoint_name(200),
        checkpoint_name(100),
    ]
    assert read_best(poor)["mean"] == 5.0
