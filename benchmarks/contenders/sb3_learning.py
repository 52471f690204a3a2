"""Stable-Baselines3's agents learn and play whole episodes: what benchmarks/learning_beside_sb3.py
compares with."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from sb3 import ROBOT_ALGORITHMS, dqn, games, robot_agent, robot_env
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback


def main(
    output: Path,
    algo: Literal["dqn", "ddpg", "td3"],
    env: str,
    total_env_steps: int,
    seed: int = 1,
    play_at: tuple[int, ...] = (),
    episodes: int = 30,
    epsilon: float = 0.0,
) -> None:
    """Trains with the settings of Praxis's recipe and writes returns and curve as JSON.

    Args:
        output: The file.
        algo: The algorithm.
        env: The game or the robot.
        total_env_steps: The length of the training.
        seed: Of the training; the episodes that are played to evaluate it have their own.
        play_at: Env steps after which to play.
        episodes: Whole episodes, each time.
        epsilon: Probability of a random action in the games of DQN.
    """
    if algo in ROBOT_ALGORITHMS:
        torch.set_num_threads(1)
        agent = robot_agent(env, algo, seed=seed)
        play = partial(play_robot, agent, env, episodes)
    else:
        agent = dqn(
            games(env, 8, seed),
            seed=seed,
            total_env_steps=total_env_steps,
            learning_starts=20_000,
            buffer_size=total_env_steps,
            single_frames=True,
        )
        play = partial(play_games, agent, env, episodes, epsilon)
    watch = Watch(list(play_at), play)
    agent.learn(total_env_steps, callback=watch)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"returns": watch.returns, "curve": watch.curve}) + "\n")


class Watch(BaseCallback):
    """Mean return of the latest 100 training episodes every 1,000 env steps; and episodes played at
    some env steps."""

    def __init__(self, play_at: list[int], play: Callable[[], list[float]]) -> None:
        super().__init__()
        self.curve: list[tuple[int, float]] = []
        self.returns: dict[int, list[float]] = {}
        self.play_at = play_at
        self.play = play

    def _on_step(self) -> bool:
        done = self.model.ep_info_buffer
        if self.num_timesteps % 1_000 < self.training_env.num_envs and done:
            self.curve.append((self.num_timesteps, float(np.mean([game["r"] for game in done]))))
        if self.play_at and self.num_timesteps >= self.play_at[0]:
            self.returns[self.play_at.pop(0)] = self.play()
        return True


def play_games(agent: DQN, game: str, count: int, epsilon: float) -> list[float]:
    """The returns of one whole game in each of `count` consoles, so that short games do not count
    more often."""
    consoles = games(game, count, seed=1_000_000, for_evaluation=True)
    generator = np.random.default_rng(1_000_000)
    returns: dict[int, float] = {}
    observations = consoles.reset()
    while len(returns) < count:
        actions, _ = agent.predict(observations, deterministic=True)
        num_actions = consoles.action_space.n  # pyright: ignore[reportAttributeAccessIssue]
        random_actions = generator.integers(num_actions, size=count)
        actions = np.where(generator.random(count) < epsilon, random_actions, actions)
        observations, _, dones, infos = consoles.step(actions)
        for n in np.flatnonzero(dones):
            returns.setdefault(int(n), float(infos[n]["episode"]["r"]))
    return [returns[n] for n in range(count)]


def play_robot(agent: Any, robot: str, episodes: int) -> list[float]:
    """The returns of whole episodes without noise."""
    env = robot_env(robot)
    returns = []
    for number in range(episodes):
        observation, _ = env.reset(seed=1_000_000 + number)
        total = 0.0
        over = False
        while not over:
            action, _ = agent.predict(observation, deterministic=True)
            observation, reward, terminated, truncated, _ = env.step(action)
            total += float(reward)
            over = terminated or truncated
        returns.append(total)
    env.close()
    return returns


if __name__ == "__main__":
    tyro.cli(main)
