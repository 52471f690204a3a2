"""Whole runs on tiny environments: determinism, resume, several runners and learners."""

import json
import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from ray.exceptions import RayActorError, RayTaskError

from agents.checkpoint import chosen_checkpoint, load_state, save_state
from agents.engine.algorithm import ColumnarAlgorithm
from agents.experiment import InvalidExperiment
from agents.interfaces import EnvironmentFailure
from agents.monitoring.metrics import read_progress
from agents.training.recorder import last_env_step, multiple_after
from agents.training.train import resume, train
from envs.classic import ClassicConfig
from envs.probe import CountingEnv, FlawedConfig
from scripts.recipes import recipe_named
from tests.agents.algorithms.logs import logged_by_chance
from tests.agents.tiny_runs import (
    ClockConfig,
    assert_same,
    final_state,
    losses,
    stop_after_lines,
    tiny,
    tiny_dqn,
    tiny_offline,
    tiny_r2d2,
    tiny_recurrent_sac,
    tiny_sac,
    tiny_td3,
)

pytestmark = pytest.mark.usefixtures("ray_here")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "uninterrupted"
    train(tiny(run_dir))
    return run_dir


def test_a_seed_decides_every_bit(uninterrupted, tmp_path):
    train(tiny(tmp_path / "again"))
    train(tiny(tmp_path / "other", seed=2))
    assert_same(final_state(uninterrupted)["learner"], final_state(tmp_path / "again")["learner"])
    assert losses(uninterrupted) == losses(tmp_path / "again")
    assert losses(uninterrupted) != losses(tmp_path / "other")


def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(uninterrupted, tmp_path):
    run_dir = tmp_path / "interrupted"
    stop_after_lines(run_dir, 4)
    train(tiny(run_dir))
    stopped_at = final_state(run_dir)["env_steps"]
    assert 128 <= stopped_at < 320
    resume(tiny(run_dir), run_dir)
    assert_same(final_state(uninterrupted), final_state(run_dir))
    assert losses(uninterrupted) == losses(run_dir)


def test_a_resumed_dqn_has_the_same_replay_priorities_target_and_noise(tmp_path, monkeypatch):
    monkeypatch.setattr("agents.engine.off_policy.REPORT_EVERY_ENV_STEPS", 32)
    train(tiny_dqn(tmp_path / "whole", total_env_steps=640))
    stop_after_lines(tmp_path / "parts", 6)
    train(tiny_dqn(tmp_path / "parts", total_env_steps=640))
    stopped_at = final_state(tmp_path / "parts")["env_steps"]
    assert 192 <= stopped_at < 640
    other = tiny_dqn(tmp_path / "parts", total_env_steps=640)
    with pytest.raises(InvalidExperiment, match=r"made with --algo\.n-step 5, not 2"):
        resume(replace(other, algo=replace(other.algo, n_step=2)), tmp_path / "parts")
    assert final_state(tmp_path / "parts")["env_steps"] == stopped_at
    resume(tiny_dqn(tmp_path / "parts", total_env_steps=640), tmp_path / "parts")
    one, other = (chosen_checkpoint(tmp_path / run, "latest") for run in ("whole", "parts"))
    assert_same(load_state(one), load_state(other))
    replays = [load_state(checkpoint / "replay-0") for checkpoint in (one, other)]
    for state in replays:
        state.pop("frames")  # how they are cut into files depends on when they were saved
    assert_same(*replays)
    names = (
        "loss",
        "q_mean",
        "td_error",
        "gradient_norm",
        "epsilon",
        "replay_fill",
        "priority_mean",
    )
    assert losses(tmp_path / "whole", names) == losses(tmp_path / "parts", names)
    assert losses(tmp_path / "whole", names)[-1][1] is not None


def test_a_resumed_td3_goes_on_as_if_it_had_not_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("agents.engine.off_policy.REPORT_EVERY_ENV_STEPS", 32)
    train(tiny_td3(tmp_path / "whole"))
    stop_after_lines(tmp_path / "parts", 4)
    train(tiny_td3(tmp_path / "parts"))
    assert 128 <= final_state(tmp_path / "parts")["env_steps"] < 320
    resume(tiny_td3(tmp_path / "parts"), tmp_path / "parts")
    assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "parts"))
    names = ("loss", "policy_loss", "q_mean", "td_error", "noise", "replay_fill")
    assert losses(tmp_path / "whole", names) == losses(tmp_path / "parts", names)
    assert all(value is not None for value in losses(tmp_path / "whole", names)[-1])


@pytest.mark.parametrize("changes", [{}, {"batch_norm": True}], ids=["tqc", "crossq"])
def test_a_resumed_sac_goes_on_as_if_it_had_not_stopped(changes, tmp_path, monkeypatch):
    monkeypatch.setattr("agents.engine.off_policy.REPORT_EVERY_ENV_STEPS", 32)

    def experiment(name):
        base = tiny_sac(tmp_path / name)
        return replace(base, algo=replace(base.algo, **changes))

    train(experiment("whole"))
    stop_after_lines(tmp_path / "parts", 4)
    train(experiment("parts"))
    assert 128 <= final_state(tmp_path / "parts")["env_steps"] < 320
    resume(experiment("parts"), tmp_path / "parts")
    assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "parts"))
    names = ("loss", "policy_loss", "q_mean", "td_error", "entropy", "temperature")
    assert losses(tmp_path / "whole", names) == losses(tmp_path / "parts", names)
    assert all(value is not None for value in losses(tmp_path / "whole", names)[-1])


@pytest.mark.parametrize("tiny_run", [tiny_r2d2, tiny_recurrent_sac])
def test_a_resumed_run_on_stretches_goes_on_as_if_it_had_not_stopped(
    tiny_run, tmp_path, monkeypatch
):
    monkeypatch.setattr("agents.engine.off_policy.REPORT_EVERY_ENV_STEPS", 32)
    train(tiny_run(tmp_path / "whole"))
    stop_after_lines(tmp_path / "parts", 4)
    train(tiny_run(tmp_path / "parts"))
    assert 128 <= final_state(tmp_path / "parts")["env_steps"] < 320
    resume(tiny_run(tmp_path / "parts"), tmp_path / "parts")
    assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "parts"))
    names = ("loss", "q_mean", "td_error", "replay_fill")
    assert losses(tmp_path / "whole", names) == losses(tmp_path / "parts", names)
    assert losses(tmp_path / "whole", names)[-1][0] is not None


@pytest.mark.parametrize("name", ["cql", "iql"])
def test_a_resumed_run_on_a_log_goes_on_as_if_it_had_not_stopped(name, tmp_path):
    log = logged_by_chance(ClockConfig(), tmp_path / "log.parquet", episodes=30)
    train(tiny_offline(tmp_path / "whole", name, log))
    stop_after_lines(tmp_path / "parts", 4)
    train(tiny_offline(tmp_path / "parts", name, log))
    assert 128 <= final_state(tmp_path / "parts")["env_steps"] < 320
    resume(tiny_offline(tmp_path / "parts", name, log), tmp_path / "parts")
    assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "parts"))
    names = ("loss", "q_mean", "gradient_norm", "learning_rate")
    assert losses(tmp_path / "whole", names) == losses(tmp_path / "parts", names)
    network = final_state(tmp_path / "whole")["learner"]["learner"]["rl_module"]["default_policy"]
    assert network["normalizer.mean"].tolist() == [1.5, 1.0], "of all that was logged"


def test_a_run_that_left_its_replay_out_collects_anew_before_it_learns(tmp_path, monkeypatch):
    monkeypatch.setattr("agents.engine.off_policy.REPORT_EVERY_ENV_STEPS", 32)
    without = tiny_dqn(tmp_path / "run", total_env_steps=256)
    without = replace(without, algo=replace(without.algo, checkpoint_replay=False))
    train(without)
    assert not list((tmp_path / "run").rglob("replay-*"))
    resume(replace(without, total_env_steps=512), tmp_path / "run")
    learnt = [steps for steps, loss in losses(tmp_path / "run", ("loss",)) if loss is not None]
    assert learnt == [*range(160, 257, 32), *range(416, 513, 32)]


REPLAY_DAMAGES = {
    "state gone": (
        lambda replay: (replay / "state.json").unlink(),
        r"the replay in .* is lost: .*No such file",
    ),
    "state cut": (
        lambda replay: os.truncate(replay / "state.json", 99),
        r"the replay in .* is lost: ",
    ),
    "frames gone": (
        lambda replay: next(replay.glob("frames-*")).unlink(),
        r"256 env steps of the replay are lost",
    ),
    "all of it gone": (lambda replay: shutil.rmtree(replay), "has no replay"),
}


@pytest.mark.parametrize(("damage", "told"), REPLAY_DAMAGES.values(), ids=REPLAY_DAMAGES)
def test_a_run_goes_on_without_a_damaged_replay_and_says_so(
    damage, told, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("agents.engine.off_policy.REPORT_EVERY_ENV_STEPS", 32)
    run_dir = tmp_path / "run"
    experiment = tiny_dqn(run_dir, total_env_steps=256)
    experiment = replace(experiment, algo=replace(experiment.algo, replay_capacity=1_000))
    train(experiment)
    damage(chosen_checkpoint(run_dir, "latest") / "replay-0")
    capsys.readouterr()
    resume(replace(experiment, total_env_steps=512), run_dir)
    out = capsys.readouterr().out
    assert re.search(told, out), out
    assert "Done" in out
    learnt = [steps for steps, loss in losses(run_dir, ("loss",)) if loss is not None]
    assert learnt == [*range(160, 257, 32), *range(416, 513, 32)], (
        "128 env steps are collected before it learns"
    )
    newest = load_state(chosen_checkpoint(run_dir, "latest") / "replay-0")
    assert newest["added"] * 4 == 256, "of the new steps alone"


def test_a_replay_that_counts_more_than_its_run_is_refused(tmp_path):
    run_dir = tmp_path / "run"
    experiment = tiny_dqn(run_dir, total_env_steps=160)
    train(experiment)
    checkpoint = chosen_checkpoint(run_dir, "latest")
    state = load_state(checkpoint / "replay-0")
    shift = {"added": state["added"] + 10**6, "oldest": state["oldest"] + 10**6, "frames": {}}
    files = sorted(checkpoint.glob("replay-0/frames-*"))
    for file in files:
        start, stop = (int(number) + 10**6 for number in file.stem.split("-")[1:])
        shift["frames"][f"frames-{start:012d}-{stop:012d}.safetensors"] = state["frames"][file.name]
        file.rename(file.with_name(f"frames-{start:012d}-{stop:012d}.safetensors"))
    save_state(checkpoint / "replay-0", state | shift)
    with pytest.raises(InvalidExperiment, match="and its run 160"):
        resume(replace(experiment, total_env_steps=320), run_dir)
    save_state(checkpoint / "replay-0", state | {"actions": state["actions"] + 7})
    for file, name in zip(
        sorted(checkpoint.glob("replay-0/frames-*")), sorted(state["frames"]), strict=True
    ):
        file.rename(file.with_name(name))
    with pytest.raises(InvalidExperiment, match=r"has actions that Discrete\(3\) does not have"):
        resume(replace(experiment, total_env_steps=320), run_dir)


def test_a_checkpoint_is_due_at_multiples_wherever_a_run_was_stopped():
    assert [multiple_after(steps, 50) for steps in (0, 49, 50, 83, 99, 100)] == [
        50,
        50,
        100,
        100,
        100,
        150,
    ]


def test_what_a_stopped_run_had_done_is_saved_to_the_step(tmp_path):
    run_dir = tmp_path / "stopped"
    stop_after_lines(run_dir, 3)
    train(tiny(run_dir, checkpoint_every_env_steps=10**6))
    assert (
        final_state(run_dir)["env_steps"]
        == read_progress(run_dir / "progress.jsonl")[-1]["env_steps"]
        < 320
    )


def test_an_evaluation_that_a_kill_cost_is_made_up_for(tmp_path, capsys):
    run_dir = tmp_path / "run"
    experiment = tiny(run_dir, evaluate_every_env_steps=160)
    train(experiment)
    progress = run_dir / "progress.jsonl"
    lines = progress.read_text().splitlines()
    assert json.loads(lines[-1])["env_steps"] == 320
    assert "evaluation/return_mean" in lines[-1]
    progress.write_text("".join(f"{line}\n" for line in lines[:-1]))
    resume(experiment, run_dir)
    made_up_for = json.loads(progress.read_text().splitlines()[-1])
    assert made_up_for | {"time": 0} == json.loads(lines[-1]) | {"time": 0}
    capsys.readouterr()
    resume(experiment, run_dir)
    assert "has all its 320 env steps" in capsys.readouterr().out


def test_a_run_that_was_killed_before_its_first_checkpoint_is_resumed_from_its_beginning(
    uninterrupted, tmp_path
):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "experiment.json").write_text("{}")
    (run_dir / "progress.jsonl").write_text('{"env_steps": 32, "learner/loss": 9.0}\n')
    resume(tiny(run_dir), run_dir)
    assert_same(final_state(uninterrupted), final_state(run_dir))
    assert losses(uninterrupted) == losses(run_dir)


def test_a_sweep_is_no_run_to_resume(tmp_path):
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(
        InvalidExperiment, match=r"is a sweep: python scripts/tune_agent\.py --resume"
    ):
        resume(tiny(tmp_path), tmp_path)


def test_a_finished_run_says_so_and_goes_on_with_more_steps(tmp_path, capsys):
    run_dir = tmp_path / "finished"
    train(tiny(run_dir, total_env_steps=64))
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    resume(tiny(run_dir, total_env_steps=64), run_dir)
    assert "has all its 64 env steps; to go on, raise --total-env-steps" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before
    resume(tiny(run_dir, total_env_steps=128), run_dir)
    assert final_state(run_dir)["env_steps"] == 128
    assert [line["env_steps"] for line in read_progress(run_dir / "progress.jsonl")] == [
        32,
        64,
        96,
        128,
    ]


def test_another_networks_checkpoint_is_refused_before_anything_starts(tmp_path):
    run_dir = tmp_path / "run"
    train(tiny(run_dir, total_env_steps=32))
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    wider = replace(tiny(run_dir).encoder, hidden_sizes=(32,))
    with pytest.raises(InvalidExperiment, match="weights of another network"):
        resume(tiny(run_dir, encoder=wider), run_dir)
    assert before == {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}


def test_environments_that_fail_now_and_then_are_counted_and_told_of(tmp_path, capsys):
    """Four environments that fail in their 70th step, of 80 each."""
    train(
        tiny(
            tmp_path / "run",
            env=FlawedConfig(flaw="observation", fails_at=70),
        )
    )
    counts = [
        line["episode/environment_faults"]
        for line in read_progress(tmp_path / "run" / "progress.jsonl")
    ]
    assert (counts[-3], counts[-1]) == (0, 4)
    assert (
        "4 environment(s) failed and were built again; the last one: FloatingPointError"
        in capsys.readouterr().out
    )
    assert final_state(tmp_path / "run")["faults_in_all"] == 4


def test_environments_that_fail_too_often_stop_the_run_which_is_saved(tmp_path):
    experiment = tiny(
        tmp_path / "run", env=FlawedConfig(flaw="raises", fails_at=3), max_environment_faults=7
    )
    with pytest.raises(
        EnvironmentFailure, match=r"8 environments .* more than the 7 .* the flaw\. Saved at 32"
    ) as end:
        train(experiment)
    assert "\n" not in str(end.value)
    assert final_state(tmp_path / "run")["env_steps"] == 32


def test_an_environment_that_fails_in_evaluations_alone_costs_no_training(
    tmp_path, capsys, monkeypatch
):
    def failing(*_, **__):
        raise EnvironmentFailure("the flaw")

    monkeypatch.setattr("agents.evaluation.judge.evaluate", failing)
    train(tiny(tmp_path / "run", evaluate_every_env_steps=160))
    assert "no evaluation at 160 env steps: the flaw" in capsys.readouterr().out
    assert final_state(tmp_path / "run")["env_steps"] == 320


def let_die(monkeypatch, deaths):
    """Iterations end in these deaths, each the first time that so many env steps are done."""
    train_for_real = ColumnarAlgorithm.train

    def dying(algorithm):
        result = train_for_real(algorithm)
        if deaths and algorithm.env_steps >= deaths[0][0]:
            raise deaths.pop(0)[1]
        return result

    monkeypatch.setattr(ColumnarAlgorithm, "train", dying)


def task_error(cause):
    return RayTaskError("update", "a traceback", cause).as_instanceof_cause()


def test_a_run_with_deaths_ends_as_one_without(uninterrupted, tmp_path, monkeypatch, capsys):
    let_die(
        monkeypatch,
        [
            (32, RayActorError()),
            (96, RayActorError()),
            (96, task_error(RuntimeError("peer is gone"))),
        ],
    )
    train(tiny(tmp_path / "run"))
    assert_same(final_state(tmp_path / "run"), final_state(uninterrupted))
    told = capsys.readouterr().out
    assert told.count("a process died") == 3
    assert "going on from the beginning" in told
    assert "(peer is gone); going on from step-000000000064" in told


def test_what_is_no_death_ends_the_run_at_once(tmp_path, monkeypatch, capsys):
    let_die(monkeypatch, [(64, task_error(FloatingPointError("The loss became nan")))])
    with pytest.raises(FloatingPointError):
        train(tiny(tmp_path / "run"))
    assert "a process died" not in capsys.readouterr().out


def test_deaths_without_end_end_the_run(tmp_path, monkeypatch):
    let_die(monkeypatch, [(64, RayActorError()) for _ in range(9)])
    with pytest.raises(ConnectionError, match="died 4 times since the last checkpoint"):
        train(tiny(tmp_path / "run"))


def test_experiment_json_says_how_to_run_it_again(uninterrupted):
    described = json.loads((uninterrupted / "experiment.json").read_text())
    assert described["experiment"]["seed"] == 1
    assert described["packages"]["ray"] == "2.60.0"
    assert described["git_commit"]


def test_every_metric_of_a_classic_run_is_finite(tmp_path):
    experiment = replace(
        recipe_named("ppo")(ClassicConfig("CartPole-v1")),
        total_env_steps=1024,
        evaluation_episodes=3,
        run_dir=str(tmp_path / "cartpole"),
    )
    train(experiment)
    *training, evaluation = read_progress(tmp_path / "cartpole" / "progress.jsonl")
    assert all(value is not None for line in training for value in line.values())
    assert 8 <= evaluation["evaluation/return_min"] <= evaluation["evaluation/return_mean"] <= 500
    assert list((tmp_path / "cartpole" / "videos").glob("*.webm"))


@pytest.mark.parametrize(
    ("asked", "done", "ends"),
    [(320, 0, 320), (321, 0, 352), (1, 0, 32), (320, 300, 332), (320, 320, 320), (320, 400, 400)],
)
def test_a_run_ends_after_the_whole_update_that_reaches_what_was_asked_for(
    asked, done, ends, tmp_path
):
    # Four environments with rollouts of eight steps: 32 env steps an update.
    assert last_env_step(tiny(tmp_path, total_env_steps=asked), done) == ends


def test_a_total_that_is_no_multiple_of_an_update_is_told_of_before_and_counted_against(
    tmp_path, capsys
):
    train(tiny(tmp_path / "run", total_env_steps=50))
    out = capsys.readouterr().out
    assert "64 env steps: 50 rounded up to whole updates of 32" in out
    assert "steps 64/64" in out


def test_a_run_whose_checkpoints_are_gone_does_not_begin_anew(tmp_path):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "experiment.json").write_text("{}")
    (run_dir / "best.json").write_text('{"checkpoint": "step-000000000032", "mean": 59.0}')
    with pytest.raises(InvalidExperiment, match="has evaluations, but no checkpoint"):
        resume(tiny(run_dir), run_dir)
    assert not (run_dir / "progress.jsonl").exists()


class Wandering(CountingEnv):
    def reset(self, **given):
        os.chdir("/")
        return super().reset(**given)


@dataclass(frozen=True)
class WanderingConfig(ClockConfig):
    """Changes the working directory in each reset."""

    def build(self):
        return Wandering(4)

    def build_vector(self, num_envs):
        return SyncVectorEnv([self.build] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


def test_an_environment_that_changes_the_folder_does_not_take_the_run_along(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(tiny("runs/here", env=WanderingConfig(), total_env_steps=64))
    assert final_state(tmp_path / "runs" / "here")["env_steps"] == 64
    assert not (tmp_path / "runs" / "here" / "owner.json").exists()
    assert not Path("/runs").exists()
