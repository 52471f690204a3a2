"""What a game pays those who never look: python benchmarks/constant_actions.py

Every action on its own, pressed from the first step to the last but for one random action in
twenty, as DQN's networks are judged in learning_beside_sb3.py. A network that does no better has
learnt which button to press.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tyro
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from agents.evaluation.evaluate import bootstrap_interval, interquartile_mean
from envs.atari.games import AtariConfig


def main(
    game: str = "SpaceInvaders",
    games: int = 60,
    epsilon: float = 0.05,
    output: Path = ROOT / "benchmarks" / "results" / "learning" / "constant-actions.json",
) -> None:
    """Plays whole games, unclipped.

    Args:
        game: The game's plain name.
        games: Whole games of each action.
        epsilon: Chance of a random action.
        output: The returns.
    """
    config = AtariConfig(game)
    env = config.build()
    meanings: list[str] = env.unwrapped.get_action_meanings()  # pyright: ignore[reportAttributeAccessIssue]
    env.close()
    returns = {
        meaning: play(config, action, games, epsilon) for action, meaning in enumerate(meanings)
    }
    for meaning, row in returns.items():
        low, high = bootstrap_interval(row, seed=0)
        print(
            f"{meaning:10} mean {row.mean():.1f} ({low:.1f} to {high:.1f})  IQM "
            f"{interquartile_mean(row):.1f}"
        )
    told = " ".join(["python benchmarks/constant_actions.py", *sys.argv[1:]])
    described = {
        "command": told,
        "game": game,
        "returns": {name: row.tolist() for name, row in returns.items()},
    }
    output.write_text(json.dumps(described, indent=1) + "\n")


def play(config: AtariConfig, action: int, count: int, epsilon: float) -> NDArray[np.float64]:
    """One whole game in each of `count` consoles, so that short ones do not count more often."""
    consoles = config.build_vector(count)
    actions_there = consoles.single_action_space
    assert isinstance(actions_there, Discrete)
    random = np.random.default_rng(1_000_000)
    consoles.reset(seed=1_000_000)
    totals = np.zeros(count)
    over = np.zeros(count, np.bool_)
    while not over.all():
        anything = random.integers(actions_there.n, size=count)
        _, rewards, terminated, truncated, _ = consoles.step(
            np.where(random.random(count) < epsilon, anything, action)
        )
        totals += np.where(over, 0.0, rewards)
        over |= terminated | truncated
    consoles.close()
    return totals


if __name__ == "__main__":
    tyro.cli(main)
