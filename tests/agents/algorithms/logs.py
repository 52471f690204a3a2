"""Logs of tiny environments, for tests of what learns from them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete

from agents.interfaces import Environment
from agents.logged.episodes import play
from agents.logged.log_file import write_log
from common.policy import Policy


def logged(
    environment: Environment, make: Callable[[Any], Policy], path: Path, episodes: int
) -> tuple[str, float]:
    """The file, and what an episode brought on average."""
    played = play(environment, make, episodes, seed=3)
    write_log(played, path, {"env": environment.name})
    return str(path), float(played.returns().mean())


def logged_by_chance(environment: Environment, path: Path, episodes: int) -> str:
    """Where actions are discrete."""

    def by_chance(env: Any) -> Policy:
        space = env.single_action_space
        assert isinstance(space, Discrete)
        return lambda observations, first: np.full((len(first), int(space.n)), 1 / int(space.n))

    return logged(environment, by_chance, path, episodes)[0]
