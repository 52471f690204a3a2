"""Writes down how a task is done: python scripts/make_demonstrations.py --env GoToRedBallGrey"""

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from safetensors.numpy import save

from agents.environments import opened
from agents.experiment import InvalidExperiment, require, to_json
from agents.interfaces import Environment
from agents.monitoring.progress import Advance, progress, unseen
from common.files import write_durably, write_json
from common.info import IS_SUCCESS
from common.ranges import Seed, Steps
from envs.grids.instructed import LanguageGridConfig
from envs.grids.minigrid import GridConfig, bot_of
from scripts.cli import main_with_clear_errors, mistakes_are_the_users, parse, require_writable
from scripts.recipes import environment_named

USAGE = """Lets BabyAI's bot play whole episodes, and writes what it saw and did for --algo bc and --reward gail."""


@dataclass(frozen=True)
class Settings:
    env: str = "GoToRedBallGrey"
    """The grid; a task of BabyAI's, which tells its bot what to do."""
    episodes: Steps = 2_000
    """Whole episodes, of which those that fail are left out."""
    seed: Seed = 2_000_000
    """Of the first episode; the next ones follow. Training and evaluations use others."""
    output: str = ""
    """The file; empty makes runs/demonstrations/<env>.safetensors."""


def main(arguments: list[str]) -> None:
    settings = parse(Settings, arguments, USAGE)
    with mistakes_are_the_users():
        config = environment_named(settings.env)
        require(
            isinstance(config, GridConfig | LanguageGridConfig),
            f"BabyAI's bot does not play {config.name}.",
        )
        path = Path(settings.output or f"runs/demonstrations/{config.name}.safetensors")
        require_writable(path)
        require(not path.exists(), f"{path} exists already; choose another --output.")
        require_episode_memory(config, settings.episodes)
        with progress("playing episodes", settings.episodes) as advance:
            columns, told = played_by_bot(config, settings.episodes, settings.seed, advance)
    if not told["episodes"]:
        raise InvalidExperiment(
            f"The bot succeeded in none of {settings.episodes} episodes of {config.name}."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"env": config.name, "env_settings": to_json(config)}
    write_durably(path, save(columns, {"praxis": json.dumps(about)}))
    write_json(path.with_suffix(".json"), told)
    print(
        f"{path}: {told['episodes']} episodes, {told['steps']:,} steps, mean return "
        f"{told['mean_return']:.3f}"
    )


def require_episode_memory(config: Environment, episodes: int) -> None:
    """Raises ValueError where so many episodes, of a step each at least, would not fit the
    memory."""
    # Here, because help and mistakes do without torch, which takes seconds to import.
    from agents.logged.values import require_memory
    from agents.networks.packing import Packing

    with opened(config) as env:
        packing = Packing(env.observation_space)
    require_memory(
        episodes * math.prod(packing.shape) * packing.dtype.itemsize, f"{episodes:,} episodes"
    )


def played_by_bot(
    config: Environment, episodes: int, seed: int, advance: Advance = unseen
) -> tuple[dict[str, np.ndarray], dict]:
    """Columns of all steps of the episodes that succeeded, and what there is to say of them."""
    # Here, because help and mistakes do without torch, which takes seconds to import.
    from agents.networks.packing import Packing

    env = config.build()
    packing = Packing(env.observation_space)
    seen = []
    done = []
    earned = []
    lengths = []
    for episode in range(episodes):
        observation, _ = env.reset(seed=seed + episode)
        bot = bot_of(env.unwrapped)
        over = False
        info = {}
        begun = len(done)
        while not over:
            seen.append(
                np.array(packing.pack_one(observation))
            )  # the environment may write to its array again
            done.append(bot())
            observation, reward, terminated, truncated, info = env.step(done[-1])
            earned.append(float(reward))
            over = terminated or truncated
        if info[IS_SUCCESS]:
            lengths.append(len(done) - begun)
        else:
            del seen[begun:], done[begun:], earned[begun:]
        advance()
    env.close()
    columns = {
        "observations": np.array(seen, packing.dtype),
        "actions": np.array(done, np.int64),
        "rewards": np.array(earned, np.float32),
        "first": np.zeros(len(done), np.bool_),
    }
    columns["first"][np.cumsum([0, *lengths])[:-1]] = True
    told = {
        "env": config.name,
        "by": "BabyAI's bot",
        "seeds": [seed, seed + episodes - 1],
        "played": episodes,
        "episodes": len(lengths),
        "steps": len(done),
        "mean_return": float(sum(earned) / len(lengths)) if lengths else 0.0,
    }
    return columns, told


if __name__ == "__main__":
    main_with_clear_errors(main)
