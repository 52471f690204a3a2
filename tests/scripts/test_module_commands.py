"""What modules need, by command: data, training, evaluation, and their place in an agent."""

import json

import pytest

from agents.experiment import InvalidExperiment
from scripts import evaluate_module, make_demonstrations, make_frames, train_agent, train_module
from scripts.cli import parse_experiment
from tests.commands import run
from tests.scripts.test_commands import contents

SMALL_UNET = (
    "--total-steps",
    "4",
    "--evaluate-every-steps",
    "2",
    "--batch-size",
    "2",
    "--task.widths",
    "4",
    "8",
)


def output(folder, kind: str, ending: str) -> tuple[str, str]:
    """Where the command would put it by itself, in this folder."""
    name = "SpaceInvaders" if kind == "frames" else "GoToRedBallGrey"
    return "--output", str(folder / "runs" / kind / f"{name}.{ending}")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A folder with frames and demonstrations in it, where commands put them."""
    folder = tmp_path_factory.mktemp("user")
    make_frames.main(
        [
            "--train-episodes",
            "1",
            "--test-episodes",
            "1",
            "--every",
            "50",
            *output(folder, "frames", "npz"),
        ]
    )
    make_demonstrations.main(["--episodes", "5", *output(folder, "demonstrations", "safetensors")])
    return folder


def test_a_module_is_trained_evaluated_and_plugged_into_an_agent(
    workshop, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(workshop)
    train_module.main(["unet", *SMALL_UNET, "--task.size", "84", "--run-dir", "unet"])
    out = capsys.readouterr().out
    assert "mean_iou" in out
    assert "baseline" in out

    evaluate_module.main(["unet"])
    told = json.loads((workshop / "unet" / "module.json").read_text())
    evaluation = json.loads((workshop / "unet" / "evaluation.json").read_text())
    assert evaluation["held_out"] == pytest.approx(told["held_out"])

    agent = (
        "--env",
        "SpaceInvaders",
        "--encoder",
        "unet",
        "--encoder.weights",
        "unet",
        "--total-env-steps",
        "1024",
    )
    trained = run(
        "train_agent.py",
        *agent,
        "--evaluate-every-env-steps",
        "0",
        "--run-dir",
        "agent",
        folder=workshop,
    )
    assert trained.returncode == 0, trained.stderr
    experiment = json.loads((workshop / "agent" / "experiment.json").read_text())["experiment"]
    assert experiment["encoder"]["type"] == "UNetEncoderConfig"


def test_demonstrations_are_what_gail_asks_for(workshop) -> None:
    told = json.loads((workshop / "runs" / "demonstrations" / "GoToRedBallGrey.json").read_text())
    assert told["episodes"] == 5
    path = str(workshop / "runs" / "demonstrations" / "GoToRedBallGrey.safetensors")
    shown = ["--env", "GoToRedBallGrey", "--reward", "gail", "--reward.demonstrations", path]
    experiment, _ = parse_experiment(shown)
    experiment.validate()
    assert experiment.reward.demonstrations == path  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("command", "arguments", "told"),
    [
        (train_module, (), "It needs the name of a module: .*unet"),
        (train_module, ("une",), "no module 'une'; there are: .*unet.*Did you mean unet"),
        (train_module, ("unet", "--task.data", "nowhere"), "holds no frames"),
        (
            train_module,
            ("unet", "--batch-size", "0"),
            "--batch-size must be a whole number from 1 to",
        ),
        (evaluate_module, (".",), "is no module's folder"),
        (make_frames, ("--games", "CartPole-v1"), "are Atari games"),
        (make_frames, ("--every", "0"), "--every must be a whole number from 1 to"),
        (make_frames, ("--every", "1000"), "--every must be a whole number from 1 to 100"),
        (make_frames, ("--games",), "--games needs a name after it"),
        (make_frames, ("--games", "Pong", "Pong"), "names a game twice"),
        (make_frames, (), "exists already"),
        (make_demonstrations, (), "exists already"),
        (make_demonstrations, ("--env", "MultiRoom-N6"), "bot cannot play"),
        (train_agent, ("--env", "GoToRedBallGrey", "--reward", "gail"), "needs demonstrations"),
        (train_agent, ("--env", "SpaceInvaders", "--encoder", "unet"), "needs a trained module"),
        (train_agent, ("--reward", "rdn"), "no reward 'rdn'; there are: .*rnd"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    command, arguments, told, workshop, monkeypatch
) -> None:
    monkeypatch.chdir(workshop)
    before = contents(workshop)
    with pytest.raises(InvalidExperiment, match=told) as refusal:
        command.main(list(arguments))
    assert "\n" not in str(refusal.value)
    assert contents(workshop) == before
