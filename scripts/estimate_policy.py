"""What a policy would earn, by what others did: python scripts/estimate_policy.py runs/RUN
--episodes-file LOG"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import gymnasium
import tyro

sys.path.insert(0, str(Path(__file__).parents[1]))

from agents.experiment import require
from agents.monitoring.progress import progress
from agents.training.origin import MAY_DIFFER, described_environment, differences
from common.files import write_json
from common.policy import Policy
from common.ranges import PositiveFraction, Range, Seed
from envs.health.core.treatment import TreatmentConfig
from scripts.cli import (
    load_experiment,
    main_with_clear_errors,
    mistakes_are_the_users,
    parse,
    require_writable,
)
from scripts.recipes import SAVED_CLASSES, named

if TYPE_CHECKING:
    from agents.evaluation.off_policy.estimate import Estimate, OffPolicyEvaluation
    from agents.logged.episodes import Episodes

USAGE = """Off-policy evaluation of a trained agent or a baseline, on episodes that another policy was logged in; writes
JSON beside what it prints."""


@dataclass(frozen=True)
class Settings:
    policy: Annotated[str, tyro.conf.arg(metavar="POLICY")]
    """The run's folder, or the name of a baseline of the logged environment."""
    episodes_file: str = ""
    """What scripts/log_episodes.py wrote; needed."""
    checkpoint: str = "latest"
    """Of the run: latest, best, or a name."""
    deterministic: bool = False
    """The agent takes its likeliest action instead of drawing."""
    behavior: Literal["auto", "logged", "counts", "logistic", "boosting", "network"] = "auto"
    """Where the behavior policy's probabilities come from: the log, or a fit to its actions. auto
    takes the log's if it has some, else counts where observations are a finite set of states, else
    a network."""
    discount: PositiveFraction = 1.0
    """What a reward one step later is worth."""
    resamples: Annotated[
        int, Range(20, 1_000_000, reason="each takes a tenth of a millisecond or more")
    ] = 1_000
    """Of the episodes, for the intervals."""
    seed: Seed = 0
    """Of the resamples."""
    output: str = ""
    """The file; empty makes <run>/off_policy.json, or <log>-<policy>.json beside the log."""


def main(arguments: list[str]) -> None:
    settings = parse(Settings, arguments, USAGE)
    require(
        settings.episodes_file != "",
        "--episodes-file says which log; scripts/log_episodes.py makes one.",
    )
    require(
        Path(settings.episodes_file).is_file(),
        f"{settings.episodes_file} holds no logged episodes: no such file.",
    )
    if not (Path(settings.policy) / "experiment.json").is_file():
        require(
            settings.checkpoint == "latest" and not settings.deterministic,
            f"{settings.policy} is no run's folder; leave out --checkpoint and --deterministic.",
        )
    path = output_path(settings)
    require_writable(path)
    require(
        not (settings.output and path.exists()),
        f"{path} exists already; choose another --output.",
    )
    estimate(settings, path)


def estimate(settings: Settings, path: Path) -> None:
    """Prints the estimates, and writes them to `path`."""
    # Here, because help and mistakes do without torch, which takes seconds to import.
    with progress("loading torch", at_once=True):
        from agents.evaluation.off_policy.estimate import evaluate_off_policy, probabilities_of
        from agents.logged.log_file import read_rows, require_spaces

    # What is wrong with the log or the policy is found before anything is said.
    with mistakes_are_the_users():
        log = Path(settings.episodes_file)
        rows, about = read_rows(log)
        judged = judged_policy(settings, about, len(rows.terminated))
        require_spaces(log, rows, judged.observation_space, judged.action_space)
        episodes = rows.side_by_side()
    with mistakes_are_the_users(), progress("estimating"):
        behavior = chosen_behavior(settings.behavior, episodes)
        told = evaluate_off_policy(
            episodes,
            probabilities_of(judged.policy, episodes),
            behavior=behavior,
            discount=settings.discount,
            resamples=settings.resamples,
            seed=settings.seed,
        )
    logged = {"file": settings.episodes_file, **about}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"policy": settings.policy, "log": logged} | told.to_json())
    for note in judged.notes:
        print(note)
    print(report(settings.policy, about, told))
    print(f"written to {path}")


class Judged(NamedTuple):
    """The policy that is estimated, and what it is for."""

    policy: Policy
    observation_space: gymnasium.Space
    action_space: gymnasium.Space
    notes: list[str]
    """In which settings its environment differs from the log's, a line each."""


def judged_policy(settings: Settings, about: dict[str, Any], episodes: int) -> Judged:
    """The run's agent, or the baseline of the environment that was logged."""
    # Here, because help and mistakes do without torch and Ray, which take seconds to import.
    from agents.evaluation.evaluate import load_chosen
    from agents.evaluation.policies import trained_policy

    run = Path(settings.policy)
    if (run / "experiment.json").is_file():
        experiment = load_experiment(run)
        network, _ = load_chosen(experiment, run, settings.checkpoint)
        # Whoever trained with a weight of costs is judged by the rewards of the log.
        notes = differences(
            settings.episodes_file, about, experiment.env, MAY_DIFFER | {"cost_weight"}
        )
        policy = trained_policy(network, seed=settings.seed, deterministic=settings.deterministic)
        return Judged(policy, network.observation_space, network.action_space, notes)
    env = described_environment(settings.episodes_file, about, SAVED_CLASSES)
    require(
        isinstance(env, TreatmentConfig),
        f"{settings.policy} is no run's folder, and {about.get('env')} has no baselines.",
    )
    assert isinstance(env, TreatmentConfig)
    # Only for what it raises, where the log names another environment than it describes.
    differences(settings.episodes_file, about, env)
    require(
        not env.notes,
        f"{settings.episodes_file} has notes; the baselines of {env.name} read numbers.",
    )
    require(
        "oracle" not in settings.policy,
        f"{settings.policy} sees what no log has; it can only be played: python "
        "scripts/log_episodes.py.",
    )
    made = named(settings.policy, env.baselines(), f"run, or policy of {env.name},")
    one = env.build()
    return Judged(made(env.simulation(episodes)), one.observation_space, one.action_space, notes=[])


def chosen_behavior(behavior: str, episodes: Episodes) -> str:
    """Where the behavior's probabilities come from; auto is the log, if it can be, else
    `suited`."""
    # Here, because help and mistakes do without scikit-learn and torch, which take seconds to
    # import.
    from agents.evaluation.off_policy.behavior import suited
    from agents.evaluation.off_policy.estimate import LOGGED

    if behavior != "auto":
        return behavior
    return LOGGED if episodes.probabilities.shape[2] else suited(episodes)


def output_path(settings: Settings) -> Path:
    """The file of --output, else one in the run's folder or, for a baseline, beside the log."""
    if settings.output:
        return Path(settings.output)
    run = Path(settings.policy)
    log = Path(settings.episodes_file)
    if (run / "experiment.json").is_file():
        return run / "off_policy.json"
    policy = settings.policy.replace(" ", "-").replace("/", "-")
    return log.with_name(f"{log.stem}-{policy}.json")


def report(policy: str, about: dict[str, Any], told: OffPolicyEvaluation) -> str:
    """A table of all estimators, and what it rests on."""
    # Here, because help and mistakes do without torch, which takes seconds to import.
    from agents.evaluation.off_policy.estimate import HEADLINE

    lines = [
        f"{policy} on {about['env']}, from {told.episodes:,} episodes of "
        f"{about.get('policy', 'an unknown policy')}, "
        f"discount {told.discount:g}"
    ]
    rows = {"logged": told.logged} | told.estimates
    for name, row in rows.items():
        own = (
            " (of the first observations alone)"
            if name == "direct method" and not told.refitted
            else ""
        )
        if isfinite(row.value):
            lines.append(f"  {name:<14}{row.value:>12.3f}  ({bounds(row)}{own})")
        else:
            lines.append(f"  {name:<14}{'none':>12}  ({why_none(told)})")
    lines.append(
        f"  effective sample size {told.effective_sample_size:,.1f} of {told.episodes:,} episodes, "
        "mean weight "
        f"{told.mean_weight:.2f}"
    )
    lines.append(f"  weights: {told.weights.zeros:,} are zero; the others are {span(told)}")
    calibrated = told.calibration
    lines.append(
        f"  behavior: {told.behavior}, calibration error {calibrated.expected_error:.4f}, Brier "
        "score "
        f"{calibrated.brier:.3f} (by frequencies {calibrated.brier_of_frequencies:.3f})"
    )
    headline = told.estimates[HEADLINE]
    estimate = f"{headline.value:.3f} ({headline.low:.3f} to {headline.high:.3f}), by {HEADLINE}"
    lines.append(
        f"  no reliable estimate: {told.refusal}" if told.refusal else f"  headline: {estimate}"
    )
    return "\n".join(lines)


def bounds(row: Estimate) -> str:
    """The 95 % interval in words, or why there is none."""
    if isfinite(row.low) and isfinite(row.high):
        return f"95 % interval {row.low:.3f} to {row.high:.3f}"
    return "no interval, for some resamples have no estimate"


def why_none(told: OffPolicyEvaluation) -> str:
    """Why an estimator has no estimate."""
    if told.weights.zeros == told.episodes:
        return "all weights are zero"
    return "a weight is too large for a number"


def span(told: OffPolicyEvaluation) -> str:
    """The range of the weights that are not zero, in powers of ten; none where all are zero."""
    edges = told.weights.edges
    return f"10^{edges[0]:.1f} to 10^{edges[-1]:.1f}" if any(told.weights.counts) else "none"


if __name__ == "__main__":
    main_with_clear_errors(main)
