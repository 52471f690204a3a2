"""Stable-Baselines3's DDPG or TD3 on HalfCheetah with its tuned settings, on one core: one update of 256 an env step.

Timed by itself; `model` is also what benchmarks/learning_beside_sb3.py lets learn."""

from typing import Any, Literal

import gymnasium
import numpy as np
import pybullet_envs_gymnasium  # noqa: F401, registers the robots
import tyro
from measure import count_parameters, measure, on_one_core
from stable_baselines3 import DDPG, TD3
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.noise import NormalActionNoise

ALGORITHMS: dict[str, Any] = {"ddpg": DDPG, "td3": TD3}


def main(seconds: float = 30.0, algo: Literal["ddpg", "td3"] = "td3") -> None:
    on_one_core()
    agent = model("HalfCheetah", algo, seed=1, learning_starts=1_000)
    agent.learn(1_000)

    def iterate() -> int:
        before = agent.num_timesteps
        agent.learn(1_000, reset_num_timesteps=False)
        return agent.num_timesteps - before

    measure(iterate, seconds, count_parameters(agent.actor) + count_parameters(agent.critic))


def model(robot: str, algo: str, *, seed: int, learning_starts: int = 10_000) -> Any:
    """With the settings of Praxis's recipes (rl-baselines3-zoo, ddpg.yml, HalfCheetahBulletEnv)."""
    env = Monitor(make(robot))
    actions = env.action_space.shape[0]  # pyright: ignore[reportOptionalSubscript]
    return ALGORITHMS[algo](
        "MlpPolicy",
        env,
        gamma=0.98,
        buffer_size=200_000,
        learning_starts=learning_starts,
        batch_size=256,
        action_noise=NormalActionNoise(np.zeros(actions), 0.1 * np.ones(actions)),
        train_freq=1,
        gradient_steps=1,
        learning_rate=1e-3,
        policy_kwargs={"net_arch": [400, 300]},
        seed=seed,
        device="cpu",
    )


def make(robot: str) -> gymnasium.Env:
    return gymnasium.make(f"{robot}BulletEnv-v0")


if __name__ == "__main__":
    tyro.cli(main)
