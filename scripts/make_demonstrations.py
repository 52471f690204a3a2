"""Writes down how a task is done: python scripts/make_demonstrations.py --env GoToRedBallGrey"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from safetensors.numpy import save

from agents.checkpoint import write_durably
from agents.experiment import InvalidExperiment, require
from envs.grid import GridConfig, bot_of
from scripts.cli import main_with_clear_errors, mistakes_are_the_users, parse

USAGE = """Lets BabyAI's bot play whole episodes, and writes its observations and actions for --reward gail."""


@dataclass(frozen=True)
class Settings:
    env: str = "GoToRedBallGrey"
    """The grid; a task of BabyAI's, which tells its bot what to do."""
    episodes: int = 2_000
    """Whole episodes, of which those that fail are left out."""
    seed: int = 2_000_000
    """Of the first episode; the next ones follow. Training and evaluations use others."""
    output: str = ""
    """The file; empty makes runs/demonstrations/<env>.safetensors."""


def main(arguments: list[str]) -> None:
    settings = parse(Settings, arguments, USAGE)
    require(settings.episodes >= 1, f"--episodes must be at least 1, not {settings.episodes}.")
    require(settings.seed >= 0, f"--seed must not be negative, but is {settings.seed}.")
    with mistakes_are_the_users():
        config = GridConfig(settings.env)
        path = Path(settings.output or f"runs/demonstrations/{config.name}.safetensors")
        require(not path.exists(), f"{path} exists already; choose another --output.")
        columns, told = played_by_bot(config, settings.episodes, settings.seed)
    if not told["episodes"]:
        raise InvalidExperiment(f"The bot succeeded in none of {settings.episodes} episodes of {config.name}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, save(columns))
    write_durably(path.with_suffix(".json"), (json.dumps(told, indent=1) + "\n").encode())
    print(f"{path}: {told['episodes']} episodes, {told['steps']:,} steps, mean return {told['mean_return']:.3f}")


def played_by_bot(config: GridConfig, episodes: int, seed: int) -> tuple[dict[str, np.ndarray], dict]:
    """Columns of all steps of the episodes that succeeded, and what there is to say of them."""
    env = config.build()
    observations, actions, first, returns = [], [], [], []
    for episode in range(episodes):
        observation, _ = env.reset(seed=seed + episode)
        bot, seen, taken, total, over, info = bot_of(env.unwrapped), [], [], 0.0, False, {}
        while not over:
            seen.append(observation)
            taken.append(bot())
            observation, reward, terminated, truncated, info = env.step(taken[-1])
            total, over = total + float(reward), terminated or truncated
        if info["is_success"]:
            observations, actions = observations + seen, actions + taken
            first += [True] + [False] * (len(seen) - 1)
            returns.append(total)
    env.close()
    columns = {
        "observations": np.array(observations, np.uint8),
        "actions": np.array(actions, np.int64),
        "first": np.array(first, np.bool_),
    }
    told = {
        "env": config.name,
        "by": "BabyAI's bot",
        "seeds": [seed, seed + episodes - 1],
        "played": episodes,
        "episodes": len(returns),
        "steps": len(actions),
        "mean_return": float(np.mean(returns)) if returns else 0.0,
    }
    return columns, told


if __name__ == "__main__":
    main_with_clear_errors(main)
