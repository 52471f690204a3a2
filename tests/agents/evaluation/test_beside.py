"""Evaluations in a process of their own say what they would have said here, and their death costs
no training."""

from dataclasses import replace

import pytest
import ray

from agents.evaluation.beside import Evaluator, Player
from agents.evaluation.evaluate import never
from agents.experiment import Resources
from agents.monitoring.metrics import read_progress
from agents.training.train import train
from envs.classic import ClassicConfig
from scripts.recipes import recipe_named

pytestmark = pytest.mark.usefixtures("ray_here")


def cartpole(run_dir):
    return replace(
        recipe_named("ppo")(ClassicConfig("CartPole-v1")),
        total_env_steps=2_048,
        evaluate_every_env_steps=1_024,
        evaluation_episodes=3,
        run_dir=str(run_dir),
    )


def evaluations(run_dir):
    lines = read_progress(run_dir / "progress.jsonl")
    return [
        {k: v for k, v in line.items() if k != "time"}
        for line in lines
        if "evaluation/return_mean" in line
    ]


def test_they_say_what_they_would_have_said_in_this_process(tmp_path):
    train(cartpole(tmp_path / "here"))
    train(replace(cartpole(tmp_path / "beside"), evaluate_beside=True))
    here, beside = evaluations(tmp_path / "here"), evaluations(tmp_path / "beside")
    assert [line["env_steps"] for line in here] == [512, 1_024, 2_048]
    assert beside == here
    films = [
        sorted(path.name for path in (tmp_path / run / "videos").iterdir())
        for run in ("here", "beside")
    ]
    assert films[0] == films[1]
    assert (tmp_path / "here" / "best.json").read_text() == (
        tmp_path / "beside" / "best.json"
    ).read_text()


def test_a_death_costs_one_evaluation_and_the_next_has_a_new_process(tmp_path, monkeypatch, capsys):
    deaths = []

    def start(evaluator, *arguments):
        begin(evaluator, *arguments)
        if not deaths:
            deaths.append(ray.kill(evaluator.player))

    begin = Evaluator.start
    monkeypatch.setattr(Evaluator, "start", start)
    train(replace(cartpole(tmp_path / "run"), evaluate_beside=True))
    assert [line["env_steps"] for line in evaluations(tmp_path / "run")] == [1_024, 2_048]
    assert capsys.readouterr().out.count("an evaluation is lost") == 1
    assert read_progress(tmp_path / "run" / "progress.jsonl")[-1]["env_steps"] == 2_048


def test_no_room_for_it_ends_the_wait_for_it():
    hungry = replace(
        cartpole("unused"), resources=Resources(evaluator_cpus=99.0, patience_seconds=0.2)
    )
    evaluator = Evaluator(hungry)
    evaluator.start({}, 0, "step")
    assert evaluator.take(lambda: True) is None
    with pytest.raises(ConnectionError, match="no machine had room for it"):
        evaluator.take(never)
    assert evaluator.take(never) is None


def test_the_player_is_given_weights_that_act(tmp_path):
    experiment = cartpole(tmp_path)
    player = Player(experiment)
    weights = {name: value * 0 for name, value in player.network.get_state().items()}
    first = player.judge(weights, 7, "step-7").evaluation
    assert (first.checkpoint, first.episodes) == ("step-7", 3)
    assert player.judge(weights, 8, "step-8").evaluation.returns == first.returns
