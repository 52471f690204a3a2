"""What a run writes of its evaluations."""

from dataclasses import replace
from typing import Any

from agents.evaluation.evaluate import Evaluation
from agents.training.recorder import evaluation_metrics


def evaluation(**changes: Any) -> Evaluation:
    plain = Evaluation(
        env="e",
        env_settings={},
        algo="ppo",
        checkpoint="step-1",
        episodes=1,
        mean=10.0,
        median=10.0,
        iqm=10.0,
        ci95=(10.0, 10.0),
        random=None,
        human=None,
        success_rate=1.0,
        metrics={},
        deterministic=False,
        seed=1,
        returns=[10.0],
        lengths=[5],
    )
    return replace(plain, **changes)


def test_an_environments_measures_do_not_take_the_place_of_a_runs_own() -> None:
    measures = {"return_mean": -77.0, "success_rate": 0.1, "a/b": 3.0}
    metrics = evaluation_metrics(evaluation(metrics=measures))
    assert metrics["evaluation/return_mean"] == 10.0
    assert metrics["evaluation/success_rate"] == 1.0
    assert metrics["evaluation/return_mean_of_environment"] == -77.0
    assert metrics["evaluation/a_b"] == 3.0
