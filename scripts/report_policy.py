"""Reports what a trained policy does for patients: python scripts/report_policy.py runs/RUN"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from gymnasium.spaces import Discrete

sys.path.insert(0, str(Path(__file__).parents[1]))

from agents.checkpoint import env_steps_of
from agents.evaluation.report import NOT_FOR_CLINICAL_USE, page, verdict
from agents.experiment import Experiment, require
from agents.interfaces import Environment
from agents.monitoring.progress import Advance, progress
from agents.training.origin import differences
from common.files import write_durably, write_json
from common.policy import Policy
from common.ranges import Range
from envs.health import TREATMENTS
from envs.health.core.cohorts import Cohort
from envs.health.core.policies import always
from envs.health.core.simulation import Simulation
from envs.health.core.treatment import TreatmentConfig
from scripts.cli import (
    load_experiment,
    main_with_clear_errors,
    mistakes_are_the_users,
    parse_run,
    require_writable,
)

if TYPE_CHECKING:
    from agents.evaluation.clinical import Make
    from agents.logged.episodes import Episodes

USAGE = """Reports what a trained policy does for patients, beside what clinicians, chance and no treatment do:
report.html, one page that needs nothing else, and report.json, in the run's folder."""
SEED = 2_000_000
BY_CHANCE = 0.2
MAX_CONSTANT = 32
"""Discrete actions of which each is also tried as the only one."""


@dataclass(frozen=True)
class Settings:
    run: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """The run's folder; the report is written there."""
    env: Environment
    """The run's environment; what is changed of it here was not so in training."""
    also: tuple[Path, ...] = ()
    """Folders of further trainings of the same, with other seeds, to know what another training
    would have learnt."""
    cohort: Cohort = "held-out"
    """Patients to judge by."""
    patients: Annotated[int, Range(2, 1_000, reason="all are treated side by side")] = 1_000
    """How many, the same for all policies; at most 1,000."""
    checkpoint: str = "latest"
    """latest, best (by the evaluations during training), or a name such as step-000001000448."""
    deterministic: bool = False
    """Take the policy's likeliest action instead of drawing from it."""
    shown: Annotated[
        int, Range(1, 100, reason="chosen from ten times as many patients, treated one by one")
    ] = 3
    """Single patients to show of each kind."""
    log: str = ""
    """What scripts/log_episodes.py wrote, to judge by off-policy, too; empty logs usual care of as
    many patients, one action in five by chance. Where actions are doses, there is none."""


def main(arguments: list[str]) -> None:
    settings, experiment = parse_run(Settings, arguments, USAGE)
    treatment = settings.env
    require(
        isinstance(treatment, TreatmentConfig),
        f"{treatment.name} is no treatment; a report can be had of {', '.join(TREATMENTS)}.",
    )
    assert isinstance(treatment, TreatmentConfig)
    for name in ("report.json", "report.html"):
        require_writable(settings.run / name)
    report(settings, experiment, treatment)


def report(settings: Settings, experiment: Experiment, treatment: TreatmentConfig) -> None:
    """Treats the patients, prints the verdict, and writes the report into the run's folder."""
    # Here, because help and mistakes do without torch and Ray, which take seconds to import.
    with progress("loading torch and Ray", at_once=True):
        from agents.evaluation.clinical import compared, doses, summary, trajectories
        from agents.evaluation.off_policy.estimate import evaluate_off_policy, probabilities_of
        from agents.logged.episodes import play

    agents = [agent_of(run, settings, experiment) for run in (settings.run, *settings.also)]
    trained = [make for make, _ in agents]
    checkpoints = [checkpoint for _, checkpoint in agents]
    require_different_trainings((settings.run, *settings.also))
    agent = experiment.algo.name
    judged = replace(treatment, cohort=settings.cohort, cost_weight=0.0)
    baselines = {name: treating(made) for name, made in judged.baselines().items()}

    def of_all(
        environment: TreatmentConfig, others: dict[str, Make], advance: Advance
    ) -> dict[str, list[Episodes]]:
        def one(make: Make) -> Episodes:
            return play(environment, make, settings.patients, SEED, advance).outcomes()

        return {agent: [one(make) for make in trained]} | {
            name: [one(make)] for name, make in others.items()
        }

    simulation = judged.simulation(1)
    log = read_logged(settings, judged) if settings.log else None
    others = baselines | best_constant(judged, settings.patients)
    usual = {treatment.usual_care: baselines[treatment.usual_care]}
    changes = conditions(treatment, judged)
    cohorts = len(trained) + len(others) + len(changes) * (len(trained) + len(usual))
    with progress("treating patients", settings.patients * cohorts) as advance:
        found = of_all(judged, others, advance)
        under = {
            condition: of_all(changed, usual, advance) for condition, changed in changes.items()
        }
    told: dict[str, Any] = {
        "about": NOT_FOR_CLINICAL_USE,
        "env": treatment.name,
        "runs": [run.name for run in (settings.run, *settings.also)],
        "checkpoint": ", ".join(checkpoint.name for checkpoint in checkpoints),
        "agent": agent,
        "usual_care": treatment.usual_care,
        "cohort": settings.cohort,
        "patients": settings.patients,
        "deterministic": settings.deterministic,
        "policies": compared(found, agent),
        "doses": doses(
            found, [agent, treatment.usual_care], simulation.action_space, simulation.doses
        ),
        "conditions": {
            condition: {
                name: summary([episodes.returns() for episodes in trained])
                for name, trained in played.items()
            }
            for condition, played in under.items()
        },
        "card": model_card(settings, experiment, treatment, env_steps_of(checkpoints[0].name)),
    }
    if isinstance(simulation.action_space, Discrete):
        with progress("estimating by what others were logged to do"):
            log, whose = log or logged(settings, judged, usual[treatment.usual_care])
            # A trained policy is made without its environment, so that None will do.
            estimated = evaluate_off_policy(log, probabilities_of(trained[0](None), log))
        told["off_policy"] = estimated.to_json() | {
            "about": whose,
            "played": told["policies"][agent]["return"]["by_training"][0],
        }
    seeds = range(SEED, SEED + 10 * settings.shown)
    with progress("following single patients", len(seeds)) as advance:
        charts = trajectories(
            judged, trained[0], usual[treatment.usual_care], seeds, settings.shown, advance
        )
    told["trajectories"] = {
        kind: [{name: value for name, value in one.items() if name != "chart"} for one in ones]
        for kind, ones in charts.items()
    }
    write_json(settings.run / "report.json", told)
    write_durably(settings.run / "report.html", page(told, charts).encode())
    print(
        f"{verdict(told)}\n{NOT_FOR_CLINICAL_USE}\nwritten to {settings.run / 'report.html'} and "
        "report.json"
    )


def require_different_trainings(runs: Sequence[Path]) -> None:
    """Raises InvalidExperiment where two of the runs are one training, which would count twice."""
    seen: dict[int, Path] = {}
    for run in runs:
        seed = load_experiment(run).seed
        require(
            seed not in seen,
            f"{run} and {seen.get(seed)} have the same seed, {seed}: they are one training.",
        )
        seen[seed] = run


def agent_of(run: Path, settings: Settings, experiment: Experiment) -> tuple[Make, Path]:
    """The policy that a training came to, and the checkpoint that it is read from."""
    # Here, because help and mistakes do without torch and Ray, which take seconds to import.
    from agents.evaluation.evaluate import load_chosen
    from agents.evaluation.policies import trained_policy

    own = load_experiment(run)
    require(
        replace(own, seed=experiment.seed, run_dir=experiment.run_dir, env=experiment.env)
        == experiment,
        f"{run} is another experiment than {settings.run}, not the same with another seed.",
    )
    network, checkpoint = load_chosen(own, run, settings.checkpoint)
    return lambda env: trained_policy(network, deterministic=settings.deterministic), checkpoint


def read_logged(settings: Settings, treatment: TreatmentConfig) -> tuple[Episodes, str]:
    """The episodes of --log, and whose they are; prints at last in which settings they differ,
    where they may.

    Raises InvalidExperiment for a log by which this treatment cannot be judged."""
    # Here, because help and mistakes do without torch, which takes seconds to import.
    from agents.logged.log_file import read_rows, require_spaces

    env = treatment.build()
    require(
        isinstance(env.action_space, Discrete),
        f"--log is for discrete actions; {treatment.name} has doses.",
    )
    with mistakes_are_the_users():
        rows, about = read_rows(Path(settings.log))
        notes = differences(settings.log, about, treatment)
        require_spaces(settings.log, rows, env.observation_space, env.action_space)
        require(
            rows.probabilities.shape[1] > 0,
            f"{settings.log} has no probabilities of the behavior policy.",
        )
        log = rows.side_by_side()
    for note in notes:
        print(note)
    return log, f"{len(log):,} episodes of {about.get('policy')}, in {settings.log}"


def logged(settings: Settings, treatment: TreatmentConfig, usual: Make) -> tuple[Episodes, str]:
    """Episodes of usual care with some chance in it, and whose they are."""
    # Here, because help and mistakes do without torch, which takes seconds to import.
    from agents.evaluation.off_policy.estimate import softened
    from agents.logged.episodes import play

    log = play(
        treatment,
        lambda env: softened(usual(env), BY_CHANCE, env.single_observation_space),
        settings.patients,
        SEED + 1,
    )
    return (
        log,
        f"{len(log):,} episodes of {treatment.usual_care}, with one action in five by chance",
    )


def treating(made: Callable[[Simulation], Policy]) -> Make:
    """A baseline for an environment or a vector of them; it reads numbers also where the agent is
    told notes."""

    def make(env: Any) -> Policy:
        policy = made(env.ward.simulation)
        return lambda observations, first: policy(env.ward.readings(), first)

    return make


def best_constant(treatment: TreatmentConfig, patients: int) -> dict[str, Make]:
    """The best of the policies that always do one thing, chosen on patients to train on; nothing
    for other spaces.

    What looks good only because it never changes must be known."""
    # Here, because help and mistakes do without torch, which takes seconds to import.
    from agents.logged.episodes import play

    simulation = treatment.simulation(1)
    actions = getattr(simulation.action_space, "n", 0)
    if not 2 <= actions <= MAX_CONSTANT:
        return {}
    constant = {
        "always "
        + "; ".join(
            f"{name}: {amounts[action]:g}" for name, amounts in simulation.doses.items()
        ): treating(always(action))
        for action in range(int(actions))
    }
    train = replace(treatment, cohort="train")
    worth = {}
    with progress("trying constant treatments", len(constant)) as advance:
        for name, make in constant.items():
            worth[name] = play(train, make, min(patients, 100), SEED).returns().mean()
            advance()
    best = max(worth, key=lambda name: worth[name])
    return {f"{best}, the best": constant[best]}


def conditions(trained: TreatmentConfig, judged: TreatmentConfig) -> dict[str, TreatmentConfig]:
    """What reviewers change to see whether a policy still holds; what the environment cannot have
    is left out."""
    changes: dict[str, dict[str, Any]] = {
        "patients of another population": {"cohort": "shifted"},
        "errors of readings, 0.3 of their deviation": {"noise": 0.3},
        "three readings of ten missing": {"missing": 0.3},
        "what a clinic does not have is hidden": {"partial": True},
    }
    as_trained = replace(trained, cost_weight=0.0)
    told = {f"patients of the {trained.cohort} cohort, as in training": as_trained}
    told[f"patients of the {judged.cohort} cohort"] = judged
    for condition, change in changes.items():
        with suppress(ValueError):
            changed = replace(judged, **change)
            if changed != judged:
                told[condition] = changed
    return told


def model_card(
    settings: Settings, experiment: Experiment, treatment: TreatmentConfig, env_steps: int
) -> dict[str, str]:
    """What a reader must know of the policy, by heading; `env_steps` is what its checkpoint was
    trained for."""
    described = json.loads((settings.run / "experiment.json").read_text())
    module = inspect.getmodule(type(treatment))
    return {
        "use": f"Research on methods. {NOT_FOR_CLINICAL_USE}",
        "policy": f"{experiment.algo.name} by Praxis, {env_steps:,} env steps, seed "
        f"{experiment.seed}",
        "trained on": f"{treatment.name}, cohort {treatment.cohort}",
        "judged on": f"cohort {settings.cohort}, {settings.patients} patients",
        "trainings": f"{1 + len(settings.also)}"
        + ("" if settings.also else "; what another seed would have learnt is not known"),
        "commit": str(described.get("git_commit", "unknown")),
        "packages": ", ".join(
            f"{name} {version}" for name, version in described.get("packages", {}).items()
        ),
        "environment": (module.__doc__ or "") if module else "",
    }


if __name__ == "__main__":
    main_with_clear_errors(main)
