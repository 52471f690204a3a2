"""What modules need, by command: data, training, evaluation, and their place in an agent."""

import json

import pytest

from agents.experiment import InvalidExperiment
from scripts import evaluate_module, make_demonstrations, make_frames, train_agent, train_module
from tests.scripts.test_commands import contents, run

SMALL_UNET = ("--total-steps", "4", "--evaluate-every-steps", "2", "--batch-size", "2", "--task.widths", "4", "8")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A folder with frames and demonstrations in it, where commands put them."""
    folder = tmp_path_factory.mktemp("user")
    few = ("--train-episodes", "1", "--test-episodes", "1", "--every", "50")
    result = run("make_frames.py", *few, folder=folder)
    assert result.returncode == 0, result.stderr
    result = run("make_demonstrations.py", "--episodes", "5", folder=folder)
    assert result.returncode == 0, result.stderr
    return folder


def test_a_module_is_trained_evaluated_and_plugged_into_an_agent(workshop) -> None:
    result = run("train_module.py", "unet", *SMALL_UNET, "--task.size", "84", "--run-dir", "unet", folder=workshop)
    assert result.returncode == 0, result.stderr
    assert "mean_iou" in result.stdout
    assert "baseline" in result.stdout

    again = run("evaluate_module.py", "unet", folder=workshop)
    assert again.returncode == 0, again.stderr
    told = json.loads((workshop / "unet" / "module.json").read_text())
    evaluation = json.loads((workshop / "unet" / "evaluation.json").read_text())
    assert evaluation["held_out"] == pytest.approx(told["held_out"])

    agent = ("--env", "SpaceInvaders", "--encoder", "unet", "--encoder.weights", "unet", "--total-env-steps", "1024")
    trained = run("train_agent.py", *agent, "--evaluate-every-env-steps", "0", "--run-dir", "agent", folder=workshop)
    assert trained.returncode == 0, trained.stderr
    experiment = json.loads((workshop / "agent" / "experiment.json").read_text())["experiment"]
    assert experiment["encoder"]["type"] == "UNetEncoderConfig"


def test_demonstrations_reward_an_agent(workshop) -> None:
    told = json.loads((workshop / "runs" / "demonstrations" / "GoToRedBallGrey.json").read_text())
    assert told["episodes"] == 5
    agent = ("--env", "GoToRedBallGrey", "--reward", "gail", "--total-env-steps", "2048")
    shown = ("--reward.demonstrations", "runs/demonstrations/GoToRedBallGrey.safetensors")
    trained = run(
        "train_agent.py", *agent, *shown, "--evaluate-every-env-steps", "0", "--run-dir", "imitator", folder=workshop
    )
    assert trained.returncode == 0, trained.stderr


@pytest.mark.parametrize(
    ("command", "arguments", "told"),
    [
        (train_module, ("une",), "no module 'une'; there are: .*unet.*Did you mean unet"),
        (train_module, ("unet", "--task.data", "nowhere"), "holds no frames"),
        (train_module, ("unet", "--batch-size", "0"), "--batch-size must be at least 1"),
        (evaluate_module, (".",), "is no module's folder"),
        (make_frames, ("--games", "CartPole-v1"), "are Atari games"),
        (make_frames, ("--every", "0"), "--every must be at least 1"),
        (make_frames, (), "exists already"),
        (make_demonstrations, (), "exists already"),
        (make_demonstrations, ("--env", "MultiRoom-N6"), "bot cannot play"),
        (train_agent, ("--env", "GoToRedBallGrey", "--reward", "gail"), "needs demonstrations"),
        (train_agent, ("--env", "SpaceInvaders", "--encoder", "unet"), "needs a trained module"),
        (train_agent, ("--reward", "rdn"), "no reward 'rdn'; there are: .*rnd"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(command, arguments, told, workshop, monkeypatch) -> None:
    monkeypatch.chdir(workshop)
    before = contents(workshop)
    with pytest.raises(InvalidExperiment, match=told) as refusal:
        command.main(list(arguments))
    assert "\n" not in str(refusal.value)
    assert contents(workshop) == before
