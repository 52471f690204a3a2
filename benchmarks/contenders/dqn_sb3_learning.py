"""Stable-Baselines3's DQN learns, and plays whole games: what benchmarks/learning_beside_sb3.py compares with."""

import json
from pathlib import Path

import numpy as np
import tyro
from dqn_sb3 import games, model
from stable_baselines3 import DQN
from watch import Watch


def main(
    output: Path,
    env: str = "SpaceInvaders",
    seed: int = 1,
    total_env_steps: int = 200_000,
    play_at: tuple[int, ...] = (),
    episodes: int = 30,
    epsilon: float = 0.001,
) -> None:
    """Trains with the settings of Praxis's recipe and writes returns and curve as JSON.

    Args:
        output: Where to.
        env: The game.
        seed: Of training; the games that are played to judge it have their own.
        total_env_steps: How long to train.
        play_at: Env steps after which to play.
        episodes: Whole games, each time.
        epsilon: Chance of a random action in them.
    """
    dqn = model(
        env,
        seed=seed,
        num_envs=8,
        total_env_steps=total_env_steps,
        learning_starts=20_000,
        buffer_size=total_env_steps,
        stacks_once=True,
    )
    watch = Watch(list(play_at), lambda: play(dqn, env, episodes, epsilon))
    dqn.learn(total_env_steps, callback=watch)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"returns": watch.returns, "curve": watch.curve}) + "\n")


def play(dqn: DQN, env: str, count: int, epsilon: float) -> list[float]:
    """One whole game in each of `count` consoles, so that short ones do not count more often."""
    consoles = games(env, count, seed=1_000_000, whole=True)
    random = np.random.default_rng(1_000_000)
    returns: dict[int, float] = {}
    observations = consoles.reset()
    while len(returns) < count:
        actions, _ = dqn.predict(observations, deterministic=True)
        anything = random.integers(consoles.action_space.n, size=count)  # pyright: ignore[reportAttributeAccessIssue]
        actions = np.where(random.random(count) < epsilon, anything, actions)
        observations, _, dones, infos = consoles.step(actions)
        for n in np.flatnonzero(dones):
            returns.setdefault(int(n), float(infos[n]["episode"]["r"]))
    return [returns[n] for n in range(count)]


if __name__ == "__main__":
    tyro.cli(main)
