"""What modules need, by command: data, training, evaluation, and their place in an agent."""

import json
import re

import pytest

from tests.scripts.test_commands import refused, run

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
    ("script", "arguments", "told"),
    [
        ("train_module.py", ("une",), "no module 'une'; there are: .*unet.*Did you mean unet"),
        ("train_module.py", ("unet", "--task.data", "nowhere"), "holds no frames"),
        ("train_module.py", ("unet", "--batch-size", "0"), "--batch-size must be at least 1"),
        ("evaluate_module.py", (".",), "is no module's folder"),
        ("make_frames.py", ("--games", "CartPole-v1"), "are Atari games"),
        ("make_frames.py", ("--every", "0"), "--every must be at least 1"),
        ("make_frames.py", (), "exists already"),
        ("make_demonstrations.py", (), "exists already"),
        ("make_demonstrations.py", ("--env", "MultiRoom-N6"), "bot cannot play"),
        ("train_agent.py", ("--env", "GoToRedBallGrey", "--reward", "gail"), "needs demonstrations"),
        ("train_agent.py", ("--env", "SpaceInvaders", "--encoder", "unet"), "needs a trained module"),
        ("train_agent.py", ("--reward", "rdn"), "no reward 'rdn'; there are: .*rnd"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(script, arguments, told, workshop) -> None:
    assert re.search(told, refused(*arguments, folder=workshop, script=script))
