"""Whole episodes, true returns, and how sure we are of their mean."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from torch import nn

from agents.checkpoint import checkpoint_name, chosen_checkpoint, is_count, load_state
from agents.engine.config import build_network
from agents.environments import all_environments, built_vector, closing_quietly, faults, says
from agents.experiment import Experiment, InvalidExperiment, require, to_json
from agents.interfaces import EnvironmentFailure
from agents.monitoring.progress import Advance, unseen
from agents.networks.packing import Packing
from common.info import EPISODE_METRICS, IS_SUCCESS

MAX_ENVS = 16
RESAMPLES = 10_000


@dataclass(frozen=True)
class Evaluation:
    """The returns of exactly as many whole episodes as were asked for, and their summary."""

    env: str
    env_settings: dict[str, Any]
    algo: str
    checkpoint: str
    episodes: int
    mean: float
    median: float
    iqm: float
    """Mean of the middle half (Agarwal et al. 2021)."""
    ci95: tuple[float, float]
    """Bootstrap interval of the mean."""
    random: float | None
    human: float | None
    success_rate: float | None
    """Share of episodes that are a success: the last thing that an episode's infos say of
    `is_success` is true. An episode that says nothing of it is none. None where no episode says
    anything of it."""
    metrics: dict[str, float]
    """Means of the environment's own measures, each over the episodes that have it."""
    deterministic: bool
    seed: int
    returns: list[float]
    lengths: list[int]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Stopped(Exception):
    """Somebody asked for the end while episodes were being played."""


def never() -> bool:
    """The `stop` of an evaluation that nobody stops."""
    return False


def load_network(experiment: Experiment, checkpoint: Path) -> Any:
    """The experiment's network with a checkpoint's weights, without Ray.

    Raises InvalidExperiment for a checkpoint that is damaged, foreign, or of another network."""
    try:
        state = load_state(checkpoint)
        learner = state["learner"]
        weights = learner[COMPONENT_LEARNER][COMPONENT_RL_MODULE][DEFAULT_MODULE_ID]
    except ValueError as damage:
        raise InvalidExperiment(str(damage)) from damage
    except (KeyError, TypeError) as missing:
        raise InvalidExperiment(f"{checkpoint} holds no network.") from missing
    env_steps: Any = state.get("env_steps")
    require(
        not is_count(env_steps) or checkpoint_name(env_steps) == checkpoint.name,
        f"{checkpoint} is of {env_steps} env steps, which its name does not say.",
    )
    try:
        network = build_network(experiment)
    except ValueError as missing:
        raise InvalidExperiment(str(missing)) from missing
    try:
        network.set_state(weights)
    except (AttributeError, RuntimeError, TypeError, ValueError) as mismatch:
        raise InvalidExperiment(
            f"{checkpoint} holds the weights of another network than this experiment's. Leave out "
            "options of --env, --algo, --encoder or --memory that change the network."
        ) from mismatch
    return network


def load_chosen(experiment: Experiment, run_dir: Path, name: str) -> tuple[Any, Path]:
    """The network of a run's checkpoint, chosen as by `chosen_checkpoint`, and that checkpoint.

    A training that is under way removes old checkpoints: where the chosen one vanishes before it is
    read, the choice is made again. Raises InvalidExperiment as `chosen_checkpoint` and
    `load_network` do."""
    while True:
        checkpoint = chosen_checkpoint(run_dir, name)
        try:
            return load_network(experiment, checkpoint), checkpoint
        except InvalidExperiment:
            if checkpoint.is_dir():
                raise


def evaluate(
    experiment: Experiment,
    network: Any,
    *,
    episodes: int,
    seed: int,
    deterministic: bool,
    checkpoint: str,
    stop: Callable[[], bool] = never,
    advance: Advance = unseen,
) -> Evaluation:
    """Plays `episodes` whole episodes, unclipped. Raises as `play` does."""
    with all_environments():
        env = built_vector(experiment.env, min(episodes, MAX_ENVS))
    with closing_quietly(env):
        played = play(env, network, episodes, seed, deterministic, stop, advance)
    returns = np.array(played.returns)
    scores = experiment.env.reference_scores
    return Evaluation(
        env=experiment.env.name,
        env_settings=to_json(experiment.env),
        algo=experiment.algo.name,
        checkpoint=checkpoint,
        episodes=episodes,
        mean=float(returns.mean()),
        median=float(np.median(returns)),
        iqm=interquartile_mean(returns),
        ci95=bootstrap_interval(returns, seed),
        random=scores.get("random"),
        human=scores.get("human"),
        success_rate=played.success_rate,
        metrics=played.metrics,
        deterministic=deterministic,
        seed=seed,
        returns=played.returns,
        lengths=played.lengths,
    )


class Played(NamedTuple):
    """Whole episodes, those of the first environment first."""

    returns: list[float]
    lengths: list[int]
    success_rate: float | None
    """None where no episode says whether it was a success."""
    metrics: dict[str, float]
    """The means of what episodes are measured by, by name."""


def play(
    env: VectorEnv,
    network: Any,
    episodes: int,
    seed: int,
    deterministic: bool,
    stop: Callable[[], bool],
    advance: Advance,
) -> Played:
    """Plays `episodes` whole episodes.

    Each environment plays a fixed share: stopping at the first episodes to end would favor short
    ones. An episode that is cut because its environment failed does not count. Raises
    EnvironmentFailure where more are cut than asked for, or all environments fail, and Stopped soon
    after `stop()` says so.
    """
    num_envs = env.num_envs
    generator = torch.Generator(device_of(network)).manual_seed(seed)
    shares = np.full(num_envs, episodes // num_envs)
    shares[: episodes % num_envs] += 1
    returns: list[list[float]] = [[] for _ in range(num_envs)]
    lengths: list[list[int]] = [[] for _ in range(num_envs)]
    successes: list[bool] = []
    says_success = False  # any episode, so that those that say nothing are failures
    succeeded = np.zeros(num_envs, np.bool_)
    measures: dict[str, list[float]] = {}
    running = np.zeros(num_envs)
    clock = np.zeros(num_envs, np.int64)
    faulty = 0
    memory = network.no_memory(num_envs)
    with all_environments():
        observations, _ = env.reset(seed=seed)
    while any(len(r) < share for r, share in zip(returns, shares, strict=True)):
        if stop():
            raise Stopped
        actions, memory = act(network, observations, memory, generator, deterministic)
        with all_environments():
            observations, rewards, terminated, truncated, info = env.step(actions)
        running += rewards
        clock += 1
        final = info.get("final_info", info)
        cut = faults(info.get("final_info", {}))
        over = terminated | truncated
        for infos, rows in (
            (info, ~over),
            (final, over),
        ):  # where an episode is over, `info` is the next one's
            said = np.flatnonzero(says(infos, IS_SUCCESS, num_envs) & rows)
            if len(said):
                says_success = True
                succeeded[said] = np.asarray(infos[IS_SUCCESS])[said].astype(np.bool_)
        for n in np.flatnonzero(over):
            waited_for = len(returns[n]) < shares[n]
            if waited_for and n in cut:
                faulty += 1
                if faulty > episodes:
                    raise EnvironmentFailure(
                        f"More than {episodes} episodes were cut; the last one: {cut[int(n)]}"
                    )
            elif waited_for:
                returns[n].append(float(running[n]))
                advance()
                lengths[n].append(int(clock[n]))
                successes.append(bool(succeeded[n]))
                for measure, value in measured(final.get(EPISODE_METRICS, {}), int(n)).items():
                    measures.setdefault(measure, []).append(value)
            running[n] = clock[n] = 0
            succeeded[n] = False
            memory[n] = 0.0
    return Played(
        returns=[value for own in returns for value in own],
        lengths=[length for own in lengths for length in own],
        success_rate=float(np.mean(successes)) if says_success else None,
        metrics={measure: float(np.mean(values)) for measure, values in measures.items()},
    )


def measured(infos: dict[str, NDArray], n: int) -> dict[str, float]:
    """The measures of environment n in a vector's infos, by name."""
    names = (name for name in infos if not name.startswith("_"))
    return {name: float(infos[name][n]) for name in names if says(infos, name, len(infos[name]))[n]}


@torch.no_grad()
def act(
    network: Any,
    observations: NDArray | dict[str, NDArray],
    memory: torch.Tensor,
    generator: torch.Generator,
    deterministic: bool,
) -> tuple[NDArray, torch.Tensor]:
    """Actions (B, ...) that the environment understands, for observations (B, ...) and what is
    remembered from before them (B, S); and what is remembered then."""
    packed = Packing(network.observation_space).pack(observations)
    prepared = network.prepare(torch.from_numpy(packed).to(device_of(network)))
    actions, memory = network.act(prepared, memory, generator, deterministic)
    return network.to_environment(actions.cpu().numpy()), memory


def batch_of_one(observation: Any) -> NDArray | dict[str, NDArray]:
    """One observation, or each of its parts by name, as a batch (1, ...)."""
    if isinstance(observation, dict):
        return {name: np.asarray(part)[None] for name, part in observation.items()}
    return np.asarray(observation)[None]


def interquartile_mean(returns: NDArray) -> float:
    """Mean of what lies between the quartiles, with the border values weighted by their share."""
    ordered = np.sort(returns)
    size = len(returns)
    edges = np.arange(size + 1) / size
    inside = np.clip(edges[1:], 0.25, 0.75) - np.clip(edges[:-1], 0.25, 0.75)
    return float((ordered * inside).sum() / inside.sum())


def bootstrap_interval(returns: NDArray, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean (Efron 1979)."""
    draws = np.random.default_rng(seed).integers(len(returns), size=(RESAMPLES, len(returns)))
    low, high = np.percentile(returns[draws].mean(1), (2.5, 97.5))
    return float(low), float(high)


def device_of(network: nn.Module) -> torch.device:
    """The device of the first of a network's parameters."""
    return next(network.parameters()).device
