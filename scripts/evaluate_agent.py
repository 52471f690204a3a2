"""Plays whole episodes with a trained agent: python scripts/evaluate_agent.py runs/RUN"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

sys.path.insert(0, str(Path(__file__).parents[1]))

from agents.experiment import Experiment
from agents.interfaces import Environment
from agents.monitoring.progress import progress
from common.files import write_json
from common.ranges import Range, Seed
from scripts.cli import load_experiment, main_with_clear_errors, parse_run, require_writable

if TYPE_CHECKING:
    from agents.evaluation.evaluate import Evaluation

USAGE = """Plays whole episodes with a trained agent and writes evaluation.json into its run folder;
evaluation-changed-env.json where settings of its environment were changed."""
CHANGED_ENV = "evaluation-changed-env.json"


@dataclass(frozen=True)
class Settings:
    run: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    env: Environment
    """The run's environment; what is changed of it here, such as --env.held-out, was not so in
    training."""
    episodes: Annotated[int, Range(1, 1_000_000, reason="each is played to its end")] = 30
    """Whole episodes; exactly so many."""
    checkpoint: str = "latest"
    """latest, best (by the evaluations during training), or a name such as step-000001000448."""
    deterministic: bool = False
    """Take the policy's likeliest action instead of drawing from it."""
    seed: Seed = 1_000_000
    """Seeds environments and policy; the evaluations during training use others."""


def main(arguments: list[str]) -> None:
    settings, experiment = parse_run(Settings, arguments, USAGE)
    is_own = settings.env == load_experiment(settings.run).env
    path = settings.run / ("evaluation.json" if is_own else CHANGED_ENV)
    require_writable(path)
    evaluate_run(settings, experiment, path)


def evaluate_run(settings: Settings, experiment: Experiment, path: Path) -> None:
    """Plays the episodes; prints the evaluation and writes it to `path`."""
    # Here, because help and mistakes do without torch and Ray, which take seconds to import.
    with progress("loading torch and Ray", at_once=True):
        from agents.evaluation.evaluate import evaluate, load_chosen

    network, checkpoint = load_chosen(experiment, settings.run, settings.checkpoint)
    with progress("evaluating", settings.episodes) as advance:
        result = evaluate(
            experiment,
            network,
            episodes=settings.episodes,
            seed=settings.seed,
            deterministic=settings.deterministic,
            checkpoint=checkpoint.name,
            advance=advance,
        )
    write_json(path, result.to_json())
    print(report(result))
    print(f"written to {path}")


def report(result: Evaluation) -> str:
    """The evaluation as printed: scores, then references, success and other metrics, if any."""
    low, high = result.ci95
    lines = [
        f"{result.env}, {result.algo}, {result.checkpoint}: {result.episodes} whole episodes, "
        "unclipped",
        f"  mean    {result.mean:.1f}  (95 % interval {low:.1f} to {high:.1f})",
        f"  median  {result.median:.1f}",
        f"  IQM     {result.iqm:.1f}",
    ]
    references = {"random": result.random, "human": result.human}
    lines += [
        f"  {name:<7} {score:.1f}  (reference)"
        for name, score in references.items()
        if score is not None
    ]
    if result.success_rate is not None:
        lines.append(f"  success {result.success_rate:.0%} of {result.episodes} episodes")
    lines += [f"  {name} {value:.3f}" for name, value in result.metrics.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main_with_clear_errors(main)
