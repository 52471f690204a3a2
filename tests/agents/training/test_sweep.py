"""The state of a sweep in its folder: what is read back, and what a stranger may not have written
into it."""

import json
import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import ray.tune
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.search import Searcher

from agents.checkpoint import checkpoint_name, save_state
from agents.experiment import InvalidExperiment
from agents.monitoring.metrics import EVALUATION_RETURN_MEAN
from agents.settings.search_space import Choice
from agents.training import trials, tune
from agents.training.sweep import Sweep, Trial, read_sweep, search_space, write_sweep
from agents.training.trials import Trials
from agents.training.tune import (
    make_known,
    ray_domain,
    ray_space,
    sampler,
    scheduler,
    sweep,
    tuner,
)
from envs.classic import ClassicConfig
from scripts.recipes import recipe_named

EXPERIMENT = replace(
    recipe_named("ppo")(ClassicConfig("CartPole-v1")),
    total_env_steps=8_000,
    evaluate_every_env_steps=1_000,
)
SETTINGS = Sweep(trials=4, reduction=2, vary=("clip", "minibatch_size"))
SPACE = search_space(EXPERIMENT, SETTINGS)
CHOSEN = {"clip": 0.15, "minibatch_size": 64}
CONTINUE, STOP = "CONTINUE", "STOP"


def trials_in(folder) -> list[Trial]:
    return [
        Trial(folder / "trial-00000", CHOSEN, ((1_000, 20.0), (2_000, 30.0)), 30.0, 2_000, "early"),
        Trial(
            folder / "trial-00001",
            {"clip": 0.2, "minibatch_size": 128},
            ((1_000, 25.0),),
            25.0,
            1_000,
        ),
    ]


@pytest.fixture
def stored(tmp_path):
    """A sweep's folder and the content of its sweep.json, to be changed."""
    write_sweep(tmp_path, SETTINGS, trials_in(tmp_path))
    return tmp_path, json.loads((tmp_path / "sweep.json").read_text())


def test_settings_and_trials_come_back_wherever_the_folder_is_moved(stored):
    folder, _ = stored
    assert read_sweep(folder, EXPERIMENT) == (SETTINGS, trials_in(folder))
    moved = folder.rename(folder.with_name("moved"))
    assert read_sweep(moved, EXPERIMENT)[1] == trials_in(moved)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("format",), "praxis-sweep-0", "its format is"),
        (("trials",), "many", "is not a list"),
        (("trials",), None, "is not a list"),
        (("settings",), [], "is not a dict"),
        (("settings", "reduction"), "two", "is not an instance of int"),
        (("settings", "trials"), 1, "it has 2 trials of 1"),
        (
            ("settings", "at_a_time"),
            -3,
            "at-a-time must be a whole number from 0 to 1,048,576, not -3",
        ),
        (("settings", "vary"), ["speed"], "speed cannot be varied"),
        (("settings", "scheduler"), "random", "is not any of"),
        (("settings", "code"), "x", "code"),
        (("trials", 0, "run"), "../../elsewhere", "is no trial's folder"),
        (("trials", 0, "run"), "trial-00001", "two of its trials have one run folder"),
        (("trials", 0, "settings"), {"clip": 0.2}, "must have the settings clip, minibatch_size"),
        (("trials", 0, "settings", "clip"), 7.0, "has clip 7.0, which is not"),
        (("trials", 0, "settings", "clip"), "0.2", "has clip '0.2', which is not"),
        (
            ("trials", 0, "settings", "minibatch_size"),
            64.0,
            "has minibatch_size 64.0, which is not",
        ),
        (("trials", 0, "evaluations"), [[1_000]], "tuple"),
        (("trials", 0, "evaluations"), [[1_000, float("nan")]], "returns that are not finite"),
        (("trials", 0, "best"), "30", "did not match any element in the union"),
        (("trials", 0, "ended"), None, "is not an instance of str"),
    ],
)
def test_what_a_stranger_changed_is_told_in_one_line(stored, path, value, told):
    folder, content = stored
    *parents, last = path
    place = content
    for key in parents:
        place = place[key]
    place[last] = value
    (folder / "sweep.json").write_text(json.dumps(content))
    with pytest.raises(InvalidExperiment, match="holds no sweep that could go on") as refusal:
        read_sweep(folder, EXPERIMENT)
    assert told in str(refusal.value)
    assert not isinstance(refusal.value.__cause__, AttributeError)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000, chr(0), "{}"])
def test_what_is_no_sweep_is_told_in_one_line(tmp_path, text):
    with pytest.raises(InvalidExperiment, match="holds no sweep that could go on"):
        read_sweep(tmp_path, EXPERIMENT)
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(InvalidExperiment, match="holds no sweep that could go on"):
        read_sweep(tmp_path, EXPERIMENT)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Sweep(trials=-1), "--trials must be a whole number from 1 to .*, not -1"),
        (Sweep(at_a_time=-3), "at-a-time must be a whole number from 0 to 1,048,576, not -3"),
        (Sweep(gpus_per_trial=-1.0), "--gpus-per-trial must be a number from 0 to .*, not -1"),
        (Sweep(gpus_per_trial=1.5), "--gpus-per-trial above 1 must be whole, and is 1.5"),
        (
            Sweep(gpus_per_trial=float("nan")),
            "--gpus-per-trial must be a number from 0 to .*, not nan",
        ),
        (Sweep(cpus_per_trial=0.0), "--cpus-per-trial must be a number above 0 and .*, not 0"),
        (
            Sweep(cpus_per_trial=float("inf")),
            "--cpus-per-trial must be a number above 0 and .*, not inf",
        ),
    ],
)
def test_numbers_that_cannot_be_are_refused(tmp_path, settings, told):
    with pytest.raises(InvalidExperiment, match=told):
        sweep(replace(EXPERIMENT, run_dir=str(tmp_path / "new")), settings)
    assert not (tmp_path / "new").exists()


@given(st.sampled_from(sorted(SPACE)), st.integers(0, 2**32 - 1))
def test_whatever_a_space_gives_lies_in_it_and_in_json_too(name, seed):
    value = ray_domain(SPACE[name]).sample(random_state=np.random.default_rng(seed))
    assert SPACE[name].contains(json.loads(json.dumps(value)))


def test_a_choice_is_one_of_the_categories_and_of_their_type():
    domain = Choice((1, 2))
    assert [domain.contains(value) for value in (1, 2, 3, 1.0, True, "1")] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]


def tunes(trial_id: str, settings: dict) -> SimpleNamespace:
    """A trial as Tune shows it."""
    return SimpleNamespace(trial_id=trial_id, config=settings, error_file=None)


def test_what_trials_do_is_in_the_folder_at_once(tmp_path):
    under_way = Trials(EXPERIMENT, SETTINGS, tmp_path, [])
    first, second = tunes("a", CHOSEN), tunes("b", CHOSEN)
    assert [under_way.name(trial) for trial in (first, second, first)] == [
        "trial-00000",
        "trial-00001",
        "trial-00000",
    ]
    save_state(tmp_path / "trial-00000" / "checkpoints" / checkpoint_name(1_024), {})
    under_way.on_trial_result(1, [], first, {"env_steps": 1_024, EVALUATION_RETURN_MEAN: 21.5})
    under_way.on_trial_complete(1, [], first)
    (tmp_path / "error.txt").write_text("Traceback\nValueError: it broke\n\n")
    second.error_file = str(tmp_path / "error.txt")
    under_way.on_trial_error(1, [], second)
    _, trials = read_sweep(tmp_path, EXPERIMENT)
    assert trials == [
        Trial(tmp_path / "trial-00000", CHOSEN, ((1_024, 21.5),), None, 1_024, "early"),
        Trial(tmp_path / "trial-00001", CHOSEN, (), None, 0, "ValueError: it broke"),
    ]


def test_unfinished_trials_go_on_in_their_folders_before_new_ones_begin(tmp_path):
    failed = Trial(
        tmp_path / "trial-00002",
        {"clip": 0.25, "minibatch_size": 256},
        ended="ValueError: it broke",
    )
    under_way = Trials(EXPERIMENT, SETTINGS, tmp_path, [*trials_in(tmp_path), failed])
    assert under_way.left == 3
    search = sampler(EXPERIMENT, SETTINGS, SPACE, under_way)
    proposed = {name: search.suggest(name) for name in ("x", "y", "z")}
    assert proposed["x"] == {"clip": 0.2, "minibatch_size": 128}
    assert proposed["y"] == {"clip": 0.25, "minibatch_size": 256}
    names = [under_way.name(tunes(trial_id, settings)) for trial_id, settings in proposed.items()]
    assert names == ["trial-00001", "trial-00002", "trial-00003"]
    assert under_way.by_name["trial-00001"].evaluations == ((1_000, 25.0),)
    assert under_way.by_name["trial-00002"].ended == ""


def test_progress_counts_the_env_steps_that_are_done_or_not_needed_any_more(tmp_path):
    """4 trials of 8,000 env steps. One ended early; one stands at 1,000, a failed one at 2,000:
    7,000 + 6,000 + 8,000 are left."""
    failed = Trial(tmp_path / "trial-00002", CHOSEN, (), None, 2_000, "ValueError: it broke")
    under_way = Trials(EXPERIMENT, SETTINGS, tmp_path, [*trials_in(tmp_path), failed])
    assert under_way.env_steps_left == 21_000
    advanced: list[int] = []
    under_way.advance = advanced.append
    for trial, done in (("trial-00001", 1_000), ("trial-00002", 2_000)):
        save_state(tmp_path / trial / "checkpoints" / checkpoint_name(done), {})
    goes_on, again, new = (tunes(trial_id, CHOSEN) for trial_id in "abc")
    for trial in (goes_on, again, new):
        under_way.on_trial_start(0, [], trial)
    assert sum(advanced) == 0
    save_state(tmp_path / "trial-00003" / "checkpoints" / checkpoint_name(3_000), {})
    under_way.on_trial_result(1, [], new, {"env_steps": 3_000, EVALUATION_RETURN_MEAN: 1.0})
    assert sum(advanced) == 3_000
    under_way.on_trial_complete(2, [], new)  # early
    assert sum(advanced) == 8_000
    for trial in (goes_on, again):
        under_way.on_trial_error(3, [], trial)
    assert sum(advanced) == 21_000


def test_a_stop_reaches_tune_with_its_next_step(tmp_path, monkeypatch):
    raised = []
    asked = iter([False, True])
    monkeypatch.setattr(trials.signal, "raise_signal", raised.append)
    under_way = Trials(EXPERIMENT, SETTINGS, tmp_path, [], stop_requested=lambda: next(asked))
    under_way.on_step_begin(0, [])
    assert raised == []
    under_way.on_step_begin(1, [])
    assert raised == [signal.SIGUSR1]


def test_population_based_training_draws_settings_by_chance_after_those_of_unfinished_trials(
    tmp_path,
):
    settings = replace(SETTINGS, scheduler="pbt")
    under_way = Trials(EXPERIMENT, settings, tmp_path, trials_in(tmp_path))
    search = sampler(EXPERIMENT, settings, SPACE, under_way)
    assert not isinstance(search, Searcher), "which Tune refuses beside this scheduler"
    ray.tune.register_trainable("training", lambda config: None)
    spec = {
        "run": "training",
        "config": ray_space(SPACE),
        "num_samples": under_way.left,
        "storage_path": str(tmp_path),
    }
    search.add_configurations({"sweep": spec})
    proposed = [search.next_trial().config for _ in range(under_way.left)]
    assert search.next_trial() is None
    assert proposed[0] == {"clip": 0.2, "minibatch_size": 128}
    assert len({config["clip"] for config in proposed}) == 3
    assert all(SPACE[name].contains(value) for config in proposed for name, value in config.items())


def test_optuna_knows_the_trials_that_ended(tmp_path):
    under_way = Trials(EXPERIMENT, SETTINGS, tmp_path, trials_in(tmp_path))
    search = sampler(EXPERIMENT, SETTINGS, SPACE, under_way)
    known = {
        trial.value: trial.params for trial in search._ot_study.trials if trial.value is not None
    }
    assert known == {30.0: CHOSEN}


def test_a_sampler_that_goes_on_does_not_begin_anew(tmp_path):
    proposals = []
    for earlier in ([], trials_in(tmp_path)[:1]):
        search = sampler(
            EXPERIMENT, SETTINGS, SPACE, Trials(EXPERIMENT, SETTINGS, tmp_path, earlier)
        )
        proposals.append(search.suggest("new"))
    assert proposals[0] != proposals[1]


def test_asha_compares_with_trials_from_before_the_stop(tmp_path):
    """With a reduction of 2, a trial goes on at a milestone if it is at or above the median of
    those before it."""

    def decisions(*returns: float, earlier: tuple[float, ...] = ()) -> list[str]:
        asha = scheduler(EXPERIMENT, SETTINGS, SPACE)
        for place, mean in enumerate(earlier):
            make_known(asha, f"earlier-{place}", Trial(tmp_path, {}, ((1_000, mean),)))
        made = []
        for place, mean in enumerate(returns):
            trial = SimpleNamespace(trial_id=str(place))
            asha.on_trial_add(None, trial)
            made.append(
                asha.on_trial_result(
                    None, trial, {"env_steps": 1_000, EVALUATION_RETURN_MEAN: mean}
                )
            )
        return made

    assert decisions(10.0, 20.0, 14.0, 16.0) == [
        CONTINUE,
        CONTINUE,
        STOP,
        CONTINUE,
    ]  # medians: none, 10, 15, 14
    assert decisions(14.0, 16.0, earlier=(10.0, 20.0)) == [STOP, CONTINUE]
    assert decisions(14.0, 16.0) == [CONTINUE, CONTINUE]


def test_a_trial_that_goes_on_is_not_judged_twice_at_a_milestone(tmp_path):
    asha = scheduler(EXPERIMENT, SETTINGS, SPACE)
    make_known(asha, "good", Trial(tmp_path, {}, ((1_000, 20.0),)))
    make_known(asha, "goes on", Trial(tmp_path, {}, ((1_000, 25.0),)))
    trial = SimpleNamespace(trial_id="goes on")
    asha.on_trial_add(None, trial)
    assert (
        asha.on_trial_result(None, trial, {"env_steps": 1_500, EVALUATION_RETURN_MEAN: 1.0})
        == CONTINUE
    )
    assert (
        asha.on_trial_result(None, trial, {"env_steps": 2_000, EVALUATION_RETURN_MEAN: 1.0})
        == CONTINUE
    )


def test_a_sweep_whose_trials_have_all_ended_only_says_so(tmp_path, capsys):
    ended = [replace(trial, ended="whole") for trial in trials_in(tmp_path)]
    settings = replace(SETTINGS, trials=2)
    assert sweep(replace(EXPERIMENT, run_dir=str(tmp_path)), settings, ended) == ended
    assert "has all its 2 trials" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["asha", "pbt"])
def test_tune_keeps_its_own_state_in_the_private_folder(tmp_path, name):
    settings = replace(SETTINGS, scheduler=name)
    under_way = Trials(EXPERIMENT, settings, tmp_path / "sweep", [])
    private = tmp_path / "private"
    built = tuner(EXPERIMENT, settings, search_space(EXPERIMENT, settings), under_way, private)
    assert built._local_tuner.get_run_config().storage_path == str(private)
    assert not (tmp_path / "sweep").exists()
    assert tune.PRIVATE.startswith(".")
