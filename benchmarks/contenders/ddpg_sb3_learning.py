"""Stable-Baselines3's DDPG or TD3 learns, and plays episodes: what benchmarks/learning_beside_sb3.py compares with."""

import json
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from ddpg_sb3 import make, model
from watch import Watch


def main(
    output: Path,
    env: str = "HalfCheetah",
    algo: Literal["ddpg", "td3"] = "td3",
    seed: int = 1,
    total_env_steps: int = 100_000,
    play_at: tuple[int, ...] = (),
    episodes: int = 30,
) -> None:
    """Trains with the settings of Praxis's recipe and writes returns and curve as JSON.

    Args:
        output: Where to.
        env: The robot.
        algo: DDPG or TD3.
        seed: Of training; the episodes that are played to judge it have their own.
        total_env_steps: How long to train.
        play_at: Env steps after which to play.
        episodes: Whole ones, each time.
    """
    torch.set_num_threads(1)
    agent = model(env, algo, seed=seed)
    watch = Watch(list(play_at), lambda: play(agent, env, episodes))
    agent.learn(total_env_steps, callback=watch)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"returns": watch.returns, "curve": watch.curve}) + "\n")


def play(agent: Any, robot: str, episodes: int) -> list[float]:
    """Whole episodes without noise."""
    env = make(robot)
    returns = []
    for number in range(episodes):
        observation, _ = env.reset(seed=1_000_000 + number)
        total, over = 0.0, False
        while not over:
            action, _ = agent.predict(observation, deterministic=True)
            observation, reward, terminated, truncated, _ = env.step(action)
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
    env.close()
    return returns


if __name__ == "__main__":
    tyro.cli(main)
