"""What a policy would earn, by what others did: python scripts/estimate_policy.py runs/RUN --episodes-file LOG"""

import json
import sys
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from typeguard import TypeCheckError

sys.path.insert(0, str(Path(__file__).parents[1]))

from agents.checkpoint import write_durably
from agents.evaluate import chosen_checkpoint, load_network
from agents.evaluation.behaviour import suited
from agents.evaluation.episodes import Episodes
from agents.evaluation.log_file import read_log
from agents.evaluation.off_policy import HEADLINE, LOGGED, OffPolicyEvaluation, evaluate_off_policy, probabilities_of
from agents.evaluation.policies import trained_policy
from agents.experiment import InvalidExperiment, from_json, require
from agents.interfaces import Policy
from agents.progress import progress
from envs.health.treatment import TreatmentConfig
from scripts.cli import load_experiment, main_with_clear_errors, mistakes_are_the_users, parse
from scripts.recipes import PLUGS, named

USAGE = """Off-policy evaluation of a trained agent or a baseline, on episodes that another policy was logged in; writes
JSON beside what it prints."""


@dataclass(frozen=True)
class Settings:
    policy: str
    """The run's folder, or the name of a baseline of the logged environment."""
    episodes_file: str = ""
    """What scripts/log_episodes.py wrote; needed."""
    checkpoint: str = "latest"
    """Of the run: latest, best, or a name."""
    deterministic: bool = False
    """The agent takes its likeliest action instead of drawing."""
    behaviour: Literal["auto", "logged", "counts", "logistic", "boosting", "network"] = "auto"
    """Where the behaviour policy's probabilities come from: the log, or a fit to its actions. auto takes the log's
    if it has some, else counts where observations are a finite set of states, else a network."""
    discount: float = 1.0
    """What a reward one step later is worth."""
    resamples: int = 1_000
    """Of the episodes, for the intervals."""
    seed: int = 0
    """Of the resamples."""
    output: str = ""
    """The file; empty makes <run>/off_policy.json, or <log>-<policy>.json beside the log."""


def main(arguments: list[str]) -> None:
    settings = parse(Settings, arguments, USAGE)
    require(settings.episodes_file != "", "--episodes-file says which log; scripts/log_episodes.py makes one.")
    require(0 < settings.discount <= 1, f"--discount must be in (0, 1], not {settings.discount}.")
    require(settings.resamples >= 20, f"--resamples must be at least 20, not {settings.resamples}.")
    with mistakes_are_the_users(), progress("estimating"):
        episodes, about = read_log(Path(settings.episodes_file))
        policy = policy_of(settings, about, len(episodes))
        behaviour = chosen_behaviour(settings.behaviour, episodes)
        told = evaluate_off_policy(
            episodes,
            probabilities_of(policy, episodes),
            behaviour=behaviour,
            discount=settings.discount,
            resamples=settings.resamples,
            seed=settings.seed,
        )
    path = output_path(settings)
    logged = {"file": settings.episodes_file, **about}
    write_durably(
        path,
        (
            json.dumps({"policy": settings.policy, "log": logged} | without_nan(told.to_json()), indent=1) + "\n"
        ).encode(),
    )
    print(report(settings.policy, about, told))
    print(f"written to {path}")


def policy_of(settings: Settings, about: dict[str, Any], episodes: int) -> Policy:
    """The run's agent, or the baseline of the environment that was logged."""
    run = Path(settings.policy)
    if (run / "experiment.json").is_file():
        experiment = load_experiment(run)
        env = experiment.env.name
        require(env == about.get("env"), f"{run} treats {env}, but the log is of {about.get('env')}.")
        network = load_network(experiment, chosen_checkpoint(run, settings.checkpoint))
        space, shape = network.observation_space, tuple(about["observation_shape"])
        require(space.shape == shape, f"{run} reads observations {space.shape}, but the log has {shape}.")
        return trained_policy(network, seed=settings.seed, deterministic=settings.deterministic)
    try:
        env = from_json(about["env_settings"], PLUGS)
    except (LookupError, TypeError, ValueError, TypeCheckError) as damage:
        raise InvalidExperiment(
            f"{settings.episodes_file} does not say what environment it is of: {damage}"
        ) from damage
    require(isinstance(env, TreatmentConfig), f"{settings.policy} is no run's folder, and {env.name} has no baselines.")
    require(
        "oracle" not in settings.policy,
        f"{settings.policy} sees what no log has; it can only be played: python scripts/log_episodes.py.",
    )
    made = named(settings.policy, env.baselines(), f"run, or policy of {env.name},")
    return made(env.simulation(episodes))


def chosen_behaviour(behaviour: str, episodes: Episodes) -> str:
    if behaviour != "auto":
        return behaviour
    return LOGGED if episodes.probabilities.shape[2] else suited(episodes)


def output_path(settings: Settings) -> Path:
    if settings.output:
        return Path(settings.output)
    run, log = Path(settings.policy), Path(settings.episodes_file)
    if (run / "experiment.json").is_file():
        return run / "off_policy.json"
    return log.with_name(f"{log.stem}-{settings.policy.replace(' ', '-')}.json")


def report(policy: str, about: dict[str, Any], told: OffPolicyEvaluation) -> str:
    """A table of all estimators, and what it rests on."""
    lines = [
        f"{policy} on {about['env']}, from {told.episodes:,} episodes of {about['policy']}, discount {told.discount:g}"
    ]
    rows = {"logged": told.logged} | told.estimates
    for name, row in rows.items():
        own = " (of the first observations alone)" if name == "direct method" and not told.refitted else ""
        if isfinite(row.value):
            lines.append(f"  {name:<14}{row.value:>12.3f}  (95 % interval {row.low:.3f} to {row.high:.3f}{own})")
        else:
            lines.append(f"  {name:<14}{'none':>12}  (all weights are zero)")
    lines.append(
        f"  effective sample size {told.effective_sample_size:,.1f} of {told.episodes:,} episodes, mean weight "
        f"{told.mean_weight:.2f}"
    )
    lines.append(f"  weights: {told.weights.zeros:,} are zero; the others are {span(told)}")
    calibrated = told.calibration
    lines.append(
        f"  behaviour: {told.behaviour}, calibration error {calibrated.expected_error:.4f}, Brier score "
        f"{calibrated.brier:.3f} (by frequencies {calibrated.brier_of_frequencies:.3f})"
    )
    headline = told.estimates[HEADLINE]
    estimate = f"{headline.value:.3f} ({headline.low:.3f} to {headline.high:.3f}), by {HEADLINE}"
    lines.append(f"  NO HEADLINE: {told.refusal}" if told.refusal else f"  headline: {estimate}")
    return "\n".join(lines)


def without_nan(value: Any) -> Any:
    """JSON knows no nan; what cannot be estimated is null."""
    if isinstance(value, dict):
        return {name: without_nan(part) for name, part in value.items()}
    return None if isinstance(value, float) and not isfinite(value) else value


def span(told: OffPolicyEvaluation) -> str:
    edges = told.weights.edges
    return f"10^{edges[0]:.1f} to 10^{edges[-1]:.1f}" if any(told.weights.counts) else "none"


if __name__ == "__main__":
    main_with_clear_errors(main)
