"""Sweeps: what is varied, what is refused before anything starts, and how one trial goes on from
another's weights."""

import random
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from agents.checkpoint import (
    checkpoint_name,
    finished_checkpoints,
    load_state,
    read_best,
    save_state,
)
from agents.experiment import InvalidExperiment
from agents.monitoring.metrics import EVALUATION_RETURN_MEAN
from agents.settings.search_space import Choice
from agents.training import trial, tune
from agents.training.folders import owned, owner_of, this_process
from agents.training.sweep import Sweep, search_space, with_settings
from agents.training.trial import take_over, to_tune_with_checkpoint
from agents.training.tune import extremes, ray_domain, sweep
from envs.classic import ClassicConfig
from scripts.recipes import RECIPES, recipe_named

CARTPOLE = recipe_named("ppo")(ClassicConfig("CartPole-v1"))
CONTINUOUS = ("ddpg", "td3", "sac", "tqc", "crossq", "recurrent-sac")
ALONE = [name for name in RECIPES if name not in ("bc", "cql", "iql")]  # which need demonstrations


@pytest.mark.parametrize("name", ALONE)
def test_whatever_a_space_gives_is_a_valid_setting(name):
    experiment = recipe_named(name)(
        ClassicConfig("Pendulum-v1" if name in CONTINUOUS else "CartPole-v1")
    )
    space = search_space(experiment, Sweep())
    assert len(space) >= 5
    for candidate in extremes(experiment, space):
        candidate.validate()
    for _ in range(20):
        with_settings(
            experiment, {name: ray_domain(domain).sample() for name, domain in space.items()}
        )


def test_each_choice_is_tried_before_the_sweep_starts():
    space = search_space(CARTPOLE, Sweep(vary=("minibatch_size", "clip")))
    assert isinstance(space["minibatch_size"], Choice)
    sizes = [candidate.algo.minibatch_size for candidate in extremes(CARTPOLE, space)]
    assert sizes == [CARTPOLE.algo.minibatch_size, *space["minibatch_size"].values]


@pytest.mark.parametrize(
    ("changes", "settings", "told"),
    [
        ({}, Sweep(trials=0), "--trials must be a whole number from 1 to .*, not 0"),
        ({}, Sweep(reduction=1), "--reduction must be a whole number from 2 to .*, not 1"),
        ({}, Sweep(vary=("speed",)), "speed cannot be varied; of ppo with asha can: learning_rate"),
        (
            {"evaluate_every_env_steps": 0},
            Sweep(),
            "--evaluate-every-env-steps must lie between 1 and",
        ),
        ({"num_envs": 1}, Sweep(vary=("minibatch_size",)), "do not divide into minibatches of 128"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(tmp_path, changes, settings, told):
    folder = tmp_path / "sweep"
    with pytest.raises(InvalidExperiment, match=told) as end:
        sweep(replace(CARTPOLE, run_dir=str(folder), **changes), settings)
    assert "\n" not in str(end.value)
    assert not folder.exists()


@pytest.fixture
def poor_run(tmp_path):
    for done in (100, 200):
        save_state(
            tmp_path / "poor" / "checkpoints" / checkpoint_name(done),
            {"env_steps": done, "of": "poor"},
        )
    return tmp_path / "poor"


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """What Tune keeps of a good trial's report."""
    checkpoint = tmp_path / "good" / "checkpoints" / checkpoint_name(150)
    save_state(checkpoint, {"env_steps": 150, "of": "good"})
    reports = []

    def report(metrics, checkpoint):
        shutil.copytree(checkpoint.path, tmp_path / "kept")
        reports.append(metrics)

    monkeypatch.setattr("agents.training.trial.tune.report", report)
    to_tune_with_checkpoint(150, {EVALUATION_RETURN_MEAN: 7.0}, checkpoint)
    assert reports == [{"env_steps": 150, EVALUATION_RETURN_MEAN: 7.0}]
    shutil.rmtree(tmp_path / "good")  # its run goes on and keeps only the newest
    return tmp_path / "kept"


def test_a_poor_trial_takes_over_what_tune_kept_of_a_good_one(poor_run, kept):
    take_over(kept, poor_run)
    [only] = finished_checkpoints(poor_run / "checkpoints")
    assert only.name == checkpoint_name(150)
    assert load_state(only) == {"env_steps": 150, "of": "good"}
    assert read_best(poor_run) == {"checkpoint": checkpoint_name(150), "mean": 7.0}


def test_a_take_over_that_was_killed_is_made_again(poor_run, kept, monkeypatch):
    monkeypatch.setattr(
        "agents.training.trial.shutil.rmtree", lambda path: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        take_over(kept, poor_run)
    assert load_state(finished_checkpoints(poor_run / "checkpoints")[0])["of"] == "poor"
    monkeypatch.undo()
    take_over(kept, poor_run)
    assert load_state(finished_checkpoints(poor_run / "checkpoints")[0])["of"] == "good"


@pytest.fixture
def exploiting(poor_run, kept, monkeypatch):
    """A poor trial that Tune has go on from a good one. Instead of a training, what is done to its
    folder, and who owns it then."""
    monkeypatch.setattr(
        "agents.training.trial.tune.get_context",
        lambda: SimpleNamespace(get_trial_name=lambda: "poor"),
    )
    monkeypatch.setattr(
        "agents.training.trial.tune.get_checkpoint",
        lambda: tune.tune.Checkpoint.from_directory(kept),
    )
    (poor_run / "experiment.json").touch()
    done = []
    monkeypatch.setattr(
        "agents.training.trial.take_over",
        lambda theirs, run: done.append(("takes over", owner_of(run))),
    )
    monkeypatch.setattr("agents.training.trial.is_complete", lambda mine, run: False)
    monkeypatch.setattr(
        "agents.training.trial.resume",
        lambda mine, run, report: done.append(("goes on", owner_of(run))),
    )
    return done


def test_a_trial_owns_its_folder_while_it_takes_over(exploiting, poor_run):
    trial.run_trial({}, CARTPOLE, shares=True, folder=str(poor_run.parent))
    assert exploiting == [
        ("takes over", this_process()),
        ("goes on", None),
    ]  # resuming takes the folder itself


def test_a_trial_takes_nothing_over_while_another_process_writes_into_its_folder(
    exploiting, poor_run
):
    with owned(poor_run), pytest.raises(InvalidExperiment, match="is written to by process"):
        trial.run_trial({}, CARTPOLE, shares=True, folder=str(poor_run.parent))
    assert exploiting == []


@pytest.mark.parametrize("name", ALONE)
def test_what_population_based_training_makes_of_settings_is_valid(name):
    experiment = recipe_named(name)(
        ClassicConfig("Pendulum-v1" if name in CONTINUOUS else "CartPole-v1")
    )
    settings = Sweep(scheduler="pbt")
    space = search_space(experiment, settings)
    assert "n_step" not in space
    explorer = tune.scheduler(experiment, settings, space)
    random.seed(1)
    config = {name: ray_domain(domain).sample() for name, domain in space.items()}
    seen = set()
    for _ in range(60):
        config, _ = explorer._get_new_config(
            SimpleNamespace(config=config), SimpleNamespace(config=config)
        )
        with_settings(experiment, config).validate()
        seen.add(tuple(config.values()))
    assert len(seen) > 20
