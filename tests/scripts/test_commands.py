"""The commands as users type them: a whole life of a run, and mistakes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from agents.experiment import InvalidExperiment
from agents.monitoring.metrics import read_progress
from scripts import evaluate_agent, record_agent
from tests.commands import ROOT, Command, run

SMALL = (
    "--total-env-steps",
    "2048",
    "--evaluate-every-env-steps",
    "2048",
    "--evaluation-episodes",
    "2",
)


def refused(*arguments, folder, script="train_agent.py"):
    """The one line that a user's mistake ends in, after how far work was; nothing may have been
    written."""
    before = contents(folder)
    result = run(script, *arguments, folder=folder)
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = (line for line in result.stderr.splitlines() if " so far" not in line)
    assert contents(folder) == before
    return line


def contents(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in Path(folder).rglob("*")}


@pytest.fixture(scope="module")
def space_invaders(tmp_path_factory):
    """A folder with a run in it, trained on 2,048 env steps of Space Invaders."""
    folder = tmp_path_factory.mktemp("user")
    command = [
        sys.executable,
        str(ROOT / "scripts" / "train_agent.py"),
        "--env",
        "SpaceInvaders",
        *SMALL,
    ]
    result = subprocess.run(
        [*command, "--run-dir", "run"], cwd=folder, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "python scripts/evaluate_agent.py run" in result.stdout
    return folder


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory):
    """A finished run on CartPole, for mistakes to be made with."""
    folder = tmp_path_factory.mktemp("user")
    settings = ("--total-env-steps", "512", "--evaluate-every-env-steps", "0", "--run-dir", "run")
    result = run("train_agent.py", "--env", "CartPole-v1", *settings, folder=folder)
    assert result.returncode == 0, result.stderr
    return folder


def test_a_run_of_space_invaders_leaves_what_it_promises(space_invaders):
    folder = space_invaders / "run"
    lines = read_progress(folder / "progress.jsonl")
    evaluations = [line for line in lines if "evaluation/return_mean" in line]
    assert [line["env_steps"] for line in lines if line not in evaluations] == [1024, 2048]
    assert evaluations[-1]["env_steps"] == 2048
    # Two whole games of Space Invaders: unclipped scores are multiples of five.
    assert evaluations[-1]["evaluation/return_mean"] * 2 % 5 == 0
    assert (folder / "checkpoints" / "step-000000002048").is_dir()
    assert list(folder.glob("events.out.tfevents.*"))
    video = cv2.VideoCapture(str(folder / "videos" / "step-000000002048.webm"))
    shown, frame = video.read()
    assert shown
    assert frame.shape == (210, 160, 3)
    assert frame.max() > 100


def test_evaluate_plays_exactly_the_episodes_asked_for(space_invaders):
    result = run("evaluate_agent.py", "run", "--episodes", "3", folder=space_invaders)
    assert result.returncode == 0, result.stderr
    evaluation = json.loads((space_invaders / "run" / "evaluation.json").read_text())
    assert evaluation["env"] == "SpaceInvaders"
    assert evaluation["algo"] == "ppo"
    assert evaluation["checkpoint"] == "step-000000002048"
    assert evaluation["episodes"] == len(evaluation["returns"]) == 3
    assert evaluation["mean"] == pytest.approx(sum(evaluation["returns"]) / 3)
    assert (evaluation["random"], evaluation["human"]) == (148.0, 1668.7)
    assert evaluation["success_rate"] is None
    assert {"median", "iqm", "ci95"} <= evaluation.keys()


def test_evaluate_plays_under_other_conditions_when_asked_to(space_invaders):
    conditions = ("--env.repeat-action-probability", "0.25", "run", "--episodes", "1")
    result = run("evaluate_agent.py", *conditions, folder=space_invaders)
    assert result.returncode == 0, result.stderr
    folder = space_invaders / "run"
    evaluation = json.loads((folder / "evaluation-changed-env.json").read_text())
    assert evaluation["env_settings"]["repeat_action_probability"] == 0.25
    described = json.loads((folder / "experiment.json").read_text())
    assert described["experiment"]["env"]["repeat_action_probability"] == 0.0


def test_record_films_an_episode(space_invaders):
    result = run("record_agent.py", "run", "--max-steps", "40", folder=space_invaders)
    assert result.returncode == 0, result.stderr
    (film,) = (space_invaders / "run" / "videos").glob("*seed1000000.webm")
    assert cv2.VideoCapture(str(film)).get(cv2.CAP_PROP_FRAME_COUNT) == 41


def test_resume_goes_on_where_the_run_stopped(space_invaders):
    result = run(
        "train_agent.py", "--resume", "run", "--total-env-steps", "3072", folder=space_invaders
    )
    assert result.returncode == 0, result.stderr
    steps = [line["env_steps"] for line in read_progress(space_invaders / "run" / "progress.jsonl")]
    assert steps == sorted(steps)
    assert set(steps) == {1024, 2048, 3072}


@pytest.mark.parametrize(
    ("send", "stop"),
    [
        (os.kill, signal.SIGINT),
        (os.kill, signal.SIGTERM),
        (os.killpg, signal.SIGTERM),
        (os.killpg, signal.SIGHUP),
    ],
    ids=["ctrl-c", "sigterm", "timeout", "closed-terminal"],
)
def test_an_interrupt_saves_and_says_how_to_go_on(send, stop, tmp_path):
    training = Command(
        "train_agent.py", "--env", "CartPole-v1", "--run-dir", "run", folder=tmp_path
    )
    progress = tmp_path / "run" / "progress.jsonl"
    training.wait_until(lambda: bool(read_progress(progress)))
    send(training.pid, stop)  # terminals, and the program timeout, tell all of the group
    training.finish(within=30)  # what a preempted machine has left
    out = training.out
    assert "python scripts/train_agent.py --resume run" in out
    saved = re.search(r"saved at ([\d,]+) env steps", out)
    assert saved
    done = int(saved.group(1).replace(",", ""))
    assert read_progress(progress)[-1]["env_steps"] == done < 100_000
    assert (tmp_path / "run" / "checkpoints" / f"step-{done:012d}").is_dir()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--env", "SpaceInvader"), "Did you mean SpaceInvaders"),
        (("--env", "CartPol-v1"), "Did you mean CartPole-v1"),
        (
            ("--algo", "pppo"),
            "There is no algorithm 'pppo'; there are: appo, bc, btr, cql, crossq, "
            "data-efficient, ddpg, double-dqn, dqn, iql, ppo",
        ),
        (("--env", "Pendulum-v1", "--algo", "dqn"), "try --algo ppo, td3 or sac"),
        (("--algo.learning-rat", "1"), "Did you mean --algo.learning-rate"),
        (("--precision", "fp16"), "Expected one of ('auto', 'bf16', 'fp32')"),
        (("--total-env-steps", "1e4"), "'1e4' is no whole number; write it in digits"),
        (("--algo.minibatch-size", "1"), "A minibatch of one has no deviation"),
        (
            ("--algo.entropy-coefficient", "nan"),
            "--algo.entropy-coefficient must be a number from 0 to 1,000,000,000, not nan",
        ),
        (
            ("--seed", "5000000000"),
            "--seed must be a whole number from 0 to 4,294,967,295, not 5,000,000,000",
        ),
        (("--encoder", "natur"), "Did you mean nature"),
        (("--env", "CartPole-v1", "--encoder", "nature"), "--encoder mlp reads vectors"),
        (
            ("--env", "CartPole-v1", "--algo.minibatch-size", "100"),
            "do not divide into minibatches of 100",
        ),
        (("--num-envs", "10", "--num-env-runners", "3"), "do not divide among 3 runner"),
        (("--total-env-steps", "0"), "--total-env-steps must be a whole number from 1 to"),
        (("--resume", "nowhere"), "nowhere is not a run folder"),
        (("--env",), "--env needs a name after it"),
        (("--encoder.hidden-sizes", "--"), "-- stands for no option"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(arguments, says, tmp_path):
    assert says in refused(*arguments, folder=tmp_path)


def test_a_run_folder_that_exists_is_not_touched(cartpole):
    line = refused("--env", "CartPole-v1", "--run-dir", "run", folder=cartpole)
    assert "run exists already" in line
    assert "--resume run" in line


def test_another_networks_weights_are_refused(cartpole):
    line = refused(
        "--resume",
        "run",
        "--total-env-steps",
        "1024",
        "--encoder.hidden-sizes",
        "32",
        "32",
        folder=cartpole,
    )
    assert "weights of another network" in line


@pytest.mark.parametrize("script", ["evaluate_agent.py", "record_agent.py"])
def test_a_run_that_is_none_is_refused(script, cartpole):
    assert "nowhere is not a run folder" in refused("nowhere", folder=cartpole, script=script)


@pytest.mark.parametrize("command", [evaluate_agent, record_agent])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "RUN is missing"),
        (("run", "--env.id", "CartPol-v1"), "There is no environment 'CartPol-v1'"),
        (("run", "--env.held-out"), "--env.held-out"),
    ],
)
def test_a_mistake_about_a_run_is_one_line(command, arguments, says, cartpole, monkeypatch):
    monkeypatch.chdir(cartpole)
    before = contents(cartpole)
    with pytest.raises(InvalidExperiment) as mistake:
        command.main(list(arguments))
    assert says in str(mistake.value)
    assert "\n" not in str(mistake.value)
    assert contents(cartpole) == before


@pytest.mark.parametrize(
    ("command", "option", "says"),
    [
        (
            evaluate_agent,
            "--episodes",
            "to 1,000,000 (each is played to its end), not 1,000,000,000,000",
        ),
        (
            record_agent,
            "--max-steps",
            "to 2,592,000 (which make a day of film), not 1,000,000,000,000",
        ),
    ],
)
def test_what_would_take_for_ever_is_refused(command, option, says, cartpole, monkeypatch):
    monkeypatch.chdir(cartpole)
    with pytest.raises(InvalidExperiment, match=re.escape(says)):
        command.main(["run", option, "1000000000000"])


@pytest.mark.parametrize("script", ["evaluate_agent.py", "record_agent.py"])
def test_a_checkpoint_that_is_not_there_is_told_of_with_those_that_are(script, cartpole):
    line = refused("run", "--checkpoint", "step-7", folder=cartpole, script=script)
    assert "has no checkpoint step-7; it has latest, best, step-000000000512" in line


def test_a_damaged_checkpoint_is_refused(cartpole, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(cartpole / "run", copy)
    arrays = copy / "checkpoints" / "step-000000000512" / "arrays.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-1])
    for script, arguments in (
        ("train_agent.py", ("--resume", "copy", "--total-env-steps", "1024")),
        ("evaluate_agent.py", ("copy",)),
    ):
        assert "not a readable checkpoint" in refused(*arguments, folder=tmp_path, script=script)


def test_help_explains_every_setting(tmp_path):
    result = run("train_agent.py", "--env", "SpaceInvaders", "--help", folder=tmp_path)
    assert result.returncode == 0
    for setting in (
        "--total-env-steps",
        "--algo.learning-rate",
        "--env.repeat-action-probability",
        "--resume",
    ):
        assert setting in result.stdout


def test_a_reader_who_leaves_early_is_no_error(tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "train_agent.py"), "--help"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("--env.id", "CartPole-v0"), "its own environment, CartPole-v1, not CartPole-v0"),
        (("--reward", "rnd"), "its own --reward"),
        (("--begin-from", "run"), "its own network"),
    ],
)
def test_a_run_goes_on_with_its_own_task(change, says, cartpole):
    assert says in refused("--resume", "run", "--total-env-steps", "1024", *change, folder=cartpole)


def test_checkpoints_by_other_names_are_not_passed_over(cartpole, tmp_path):
    shutil.copytree(cartpole / "run", tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "step-000000000512").rename(
        tmp_path / "run" / "checkpoints" / "step-512"
    )
    assert "holds step-512" in refused(
        "--resume", "run", "--total-env-steps", "1024", folder=tmp_path
    )
