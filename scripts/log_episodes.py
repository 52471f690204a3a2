"""Writes down what a policy does: python scripts/log_episodes.py --env care-episode --policy
"standard of care"
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import gymnasium
from gymnasium.spaces import Discrete

from agents.environments import opened
from agents.experiment import require, to_json
from agents.interfaces import Environment
from agents.monitoring.progress import progress
from common.policy import Policy
from common.ranges import Fraction, Seed, Steps
from envs.health.core.treatment import TreatmentConfig
from scripts.cli import (
    load_experiment,
    main_with_clear_errors,
    mistakes_are_the_users,
    parse,
    require_writable,
    take_choices,
)
from scripts.recipes import environment_named, named

if TYPE_CHECKING:
    from agents.logged.episodes import Episodes

USAGE = """Plays whole episodes with a baseline or a trained agent, and writes a row a step as Parquet, with the
probability of every action; for off-policy evaluation (estimate_policy.py) and offline training.

  --env NAME     the treatment, where a baseline plays (default care-episode)
  --run FOLDER   the run whose agent plays, in its environment
"""


@dataclass(frozen=True)
class Settings:
    env: Environment
    """The environment; what is changed of it here, such as --env.noise 0.1, is logged with the
    episodes."""
    policy: str = ""
    """The baseline that plays, where there is no --run; empty takes what clinicians do."""
    checkpoint: str = "latest"
    """Of the run: latest, best, or a name."""
    epsilon: Fraction = 0.0
    """Chance of any action instead, so that every action is logged sometimes."""
    episodes: Steps = 5_000
    """Whole episodes."""
    seed: Seed = 3_000_000
    """Seeds environment and actions. Training and evaluations use others."""
    output: str = ""
    """The file; empty makes runs/logs/<env>-<policy>.parquet."""
    minari: str = ""
    """A Minari dataset to write as well, such as care-episode/usual-care-v0."""


def main(arguments: list[str]) -> None:
    rest, choices = take_choices(arguments, ("env", "run"))
    require(len(choices) < 2, "--run plays in its own environment; leave out --env.")
    run = Path(choices["run"]) if "run" in choices else None
    with mistakes_are_the_users():
        env = (
            load_experiment(run).env
            if run
            else environment_named(choices.get("env", "care-episode"))
        )
    settings = parse(Settings, rest, USAGE, Settings(env=env))
    require(
        run is None or settings.policy == Settings.policy,
        "--run plays with its own agent; leave out --policy.",
    )
    if run is None:
        settings = replace(settings, policy=settings.policy or usual_care(settings.env))
    who = run.name if run else settings.policy
    soft = f"-epsilon-{settings.epsilon:g}" if settings.epsilon else ""
    path = Path(
        settings.output or f"runs/logs/{settings.env.name}-{who.replace(' ', '-')}{soft}.parquet"
    )
    require_writable(path)
    require(not path.exists(), f"{path} exists already; choose another --output.")
    log_episodes(settings, run, who, path)


def usual_care(env: Environment) -> str:
    """The baseline that clinicians follow. Raises InvalidExperiment where there is none."""
    require(
        isinstance(env, TreatmentConfig), f"{env.name} has no baselines; say whose --run plays."
    )
    assert isinstance(env, TreatmentConfig)
    return env.usual_care


def log_episodes(settings: Settings, run: Path | None, who: str, path: Path) -> None:
    """Plays the episodes with the run's agent, or with the baseline, and writes them to `path`."""
    # Here, because help and mistakes do without torch, which takes seconds to import.
    from agents.logged.episodes import play
    from agents.logged.log_file import write_log
    from agents.logged.minari_dataset import require_new_dataset

    if settings.epsilon:
        require_discrete_actions(settings.env)
    if settings.minari:
        with mistakes_are_the_users():
            require_new_dataset(settings.minari)
    with mistakes_are_the_users():
        maker = trained(run, settings) if run else baseline(settings)
        with progress("playing episodes", settings.episodes) as advance:
            episodes = play(settings.env, maker, settings.episodes, settings.seed, advance)
        write_log(episodes, path, origin(settings, who))
    if settings.minari:
        export(episodes, settings, f"{settings.env.name}, {who}, epsilon {settings.epsilon:g}")
    mean = episodes.returns().mean()
    print(
        f"{path}: {len(episodes):,} episodes, {int(episodes.alive.sum()):,} steps, mean return "
        f"{mean:.3f}"
    )


def origin(settings: Settings, who: str) -> dict[str, Any]:
    """What the log says of where its episodes come from."""
    return {
        "env": settings.env.name,
        "env_settings": to_json(settings.env),
        "policy": who,
        "epsilon": settings.epsilon,
        "seed": settings.seed,
    }


def export(episodes: Episodes, settings: Settings, about: str) -> None:
    """Writes the episodes as the Minari dataset of --minari; `about` is its description."""
    # Here, because help and mistakes do without torch, which takes seconds to import.
    from agents.logged.minari_dataset import write_minari

    with opened(settings.env) as env, mistakes_are_the_users():
        write_minari(episodes, settings.minari, env.observation_space, env.action_space, about)


def baseline(settings: Settings) -> Any:
    """Makes the named baseline for a vector of patients."""
    require(
        isinstance(settings.env, TreatmentConfig),
        f"{settings.env.name} has no baselines; say whose --run plays.",
    )
    assert isinstance(settings.env, TreatmentConfig)
    made = named(settings.policy, settings.env.baselines(), f"policy of {settings.env.name}")

    def reading(env: Any) -> Policy:
        """It reads numbers also where an agent would read notes."""
        policy = made(env.ward.simulation)
        return soft(
            lambda observations, first: policy(env.ward.readings(), first),
            settings.epsilon,
            env.single_observation_space,
        )

    return reading


def trained(run: Path, settings: Settings) -> Any:
    """Makes the run's agent for a vector of environments."""
    # Here, because help and mistakes do without torch and Ray, which take seconds to import.
    from agents.evaluation.evaluate import load_chosen
    from agents.evaluation.policies import trained_policy

    network, _ = load_chosen(load_experiment(run), run, settings.checkpoint)
    return lambda env: soft(
        trained_policy(network, seed=settings.seed),
        settings.epsilon,
        network.observation_space,
    )


def require_discrete_actions(environment: Environment) -> None:
    """Raises InvalidExperiment where actions are doses, none of which can be taken by chance with a
    probability."""
    with mistakes_are_the_users(), opened(environment) as env:
        space = env.action_space
    require(isinstance(space, Discrete), "--epsilon is for discrete actions; these are doses.")


def soft(policy: Policy, epsilon: float, observation_space: gymnasium.Space) -> Policy:
    """The policy with a chance of `epsilon` of any action instead, of those that are possible."""
    # Here, because help and mistakes do without torch, which takes seconds to import.
    from agents.evaluation.off_policy.estimate import softened

    return softened(policy, epsilon, observation_space) if epsilon else policy


if __name__ == "__main__":
    main_with_clear_errors(main)
