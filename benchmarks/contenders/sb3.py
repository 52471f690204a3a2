"""Stable-Baselines3's PPO with the settings of its own Atari examples; float32, which is all it has."""

from typing import Literal

import ale_py
import gymnasium
import tyro
from measure import count_parameters, measure
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecFrameStack

VECTOR_ENVIRONMENTS = {"dummy": DummyVecEnv, "subproc": SubprocVecEnv}


def main(
    seconds: float = 30.0,
    num_envs: int = 8,
    rollout_length: int = 128,
    vector_environment: Literal["dummy", "subproc"] = "dummy",
) -> None:
    gymnasium.register_envs(ale_py)
    env = make_atari_env(
        "SpaceInvadersNoFrameskip-v4", num_envs, seed=1, vec_env_cls=VECTOR_ENVIRONMENTS[vector_environment]
    )
    model = PPO(
        "CnnPolicy",
        VecFrameStack(env, n_stack=4),
        n_steps=rollout_length,
        batch_size=256,
        n_epochs=4,
        learning_rate=2.5e-4,
        clip_range=0.1,
        ent_coef=0.01,
        vf_coef=0.5,
        max_grad_norm=0.5,
        gamma=0.99,
        gae_lambda=0.95,
        seed=1,
    )

    def iterate() -> int:
        # One rollout and one update; what learn() does before and after them takes no time to speak of.
        before = model.num_timesteps
        model.learn(num_envs * rollout_length, reset_num_timesteps=False)
        return model.num_timesteps - before

    measure(iterate, seconds, count_parameters(model.policy))
    env.close()


if __name__ == "__main__":
    tyro.cli(main)
