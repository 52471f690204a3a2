"""Each example of docs/ trains, and does what its page says."""

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from agents.checkpoint import chosen_checkpoint, load_state
from agents.data import Steps
from agents.monitoring.metrics import EVALUATION_RETURN_MEAN, read_progress
from agents.training.pretrain import pretrain
from agents.training.train import train
from docs.examples import act, algorithm, encoder, environment, memory, module, reward
from perception.settings.encoders import MLPConfig

EXAMPLES = Path(environment.__file__).parent


def returned(experiment) -> float:
    """Mean return of the last evaluation of a run."""
    train(experiment)
    lines = read_progress(Path(experiment.run_dir) / "progress.jsonl")
    return [line[EVALUATION_RETURN_MEAN] for line in lines if EVALUATION_RETURN_MEAN in line][-1]


def learner_state(run_dir):
    return load_state(chosen_checkpoint(run_dir, "latest"))["learner"]["learner"]


def test_no_example_is_left_out_here():
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == {
        one.__name__.rpartition(".")[2]
        for one in (act, algorithm, encoder, environment, memory, module, reward)
    }


@pytest.mark.parametrize("name", [path.stem for path in EXAMPLES.glob("*.py")])
def test_an_example_says_how_it_is_run(name):
    assert (
        f"python -m docs.examples.{name}"
        in importlib.import_module(f"docs.examples.{name}").__doc__
    )


@pytest.mark.usefixtures("ray_here")
class TestTrainings:
    def test_the_corridor_is_walked_to_its_end(self, tmp_path):
        assert returned(environment.experiment(str(tmp_path / "run"))) == 1.0
        assert list((tmp_path / "run" / "videos").glob("*.webm"))

    def test_fourier_features_tell_the_signs_apart(self, tmp_path):
        assert returned(encoder.experiment(str(tmp_path / "run"))) > 8.0  # of 10; chance earns 2.5

    def test_the_trace_remembers_the_sign(self, tmp_path):
        assert returned(memory.experiment(str(tmp_path / "run"))) == 1.0  # 0.5 without a memory

    def test_the_corridor_with_the_bonus_is_walked_to_its_end(self, tmp_path):
        assert returned(reward.experiment(str(tmp_path / "run"))) == 1.0
        counts = learner_state(tmp_path / "run")["reward_model"]["module"]["counts"]
        assert counts.sum() == 4_096  # one for each env step

    def test_a2c_learns_which_action_belongs_to_which_sign(self, tmp_path):
        assert (
            returned(algorithm.experiment(str(tmp_path / "run"))) > 8.0
        )  # of 10; chance earns 2.5


@pytest.mark.usefixtures("ray_here")
def test_a_trained_agent_is_loaded_and_acts(tmp_path):
    run = tmp_path / "run"
    train(replace(encoder.experiment(str(run)), encoder=MLPConfig(), evaluate_every_env_steps=0))
    assert act.play(run) > 8.0  # of 10; chance earns 2.5


def test_a_bonus_falls_with_the_square_root_of_the_count():
    config = reward.CountRewardConfig(weight=0.6)
    bonus = config.build(Box(0.0, 1.0, (3,), np.float32), Discrete(2))
    steps = Steps(torch.ones(4, 3), torch.zeros(4), torch.zeros(4, dtype=torch.bool))
    torch.testing.assert_close(bonus.reward(steps), torch.full((4,), 0.6 / 2))  # seen 4 times
    torch.testing.assert_close(
        bonus.reward(steps.rows(torch.arange(1))), torch.tensor([0.6 / 5**0.5])
    )


def test_a_trace_fades_and_is_emptied_where_an_episode_begins():
    trace = memory.TraceConfig(units=1, decay=0.5).build(1)
    with torch.no_grad():
        trace.write.weight.fill_(1.0)
        trace.write.bias.fill_(0.0)
    features, first = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([False, False, True])
    outputs, last = trace(features, torch.tensor([[8.0]]), first)
    assert outputs.tolist() == [[1.0, 5.0], [2.0, 4.5], [4.0, 4.0]]  # 8/2 + 1, 5/2 + 2, 0 + 4
    assert last.tolist() == [[4.0]]


def test_the_loss_of_a2c_is_the_weighted_sum_of_its_terms():
    batch = {"advantages": torch.tensor([1.0, -2.0]), "returns": torch.tensor([0.0, 4.0])}
    settings = algorithm.A2C(value_coefficient=0.5, entropy_coefficient=0.1)
    log_probs, values = torch.tensor([-1.0, -3.0]), torch.tensor([2.0, 4.0])
    loss, terms = algorithm.a2c_loss(log_probs, values, torch.tensor([0.5, 0.7]), batch, settings)
    # Policy -(1 * -1 + -2 * -3) / 2, value (4 + 0) / 2 / 2, entropy (0.5 + 0.7) / 2.
    expected = {"policy_loss": -2.5, "value_loss": 1.0, "entropy": 0.6}
    assert {name: round(term.item(), 6) for name, term in terms.items()} == expected
    assert loss.item() == pytest.approx(-2.5 + 0.5 * 1.0 - 0.1 * 0.6)


def test_the_module_predicts_what_the_mean_cannot(tmp_path):
    result = pretrain(module.training(str(tmp_path / "dynamics")))
    assert result.metrics["r2"] > 0.95
    assert abs(result.baseline["r2"]) < 0.05
