"""Stable-Baselines3's DQN with its own Atari wrappers and eight games: two updates of 32 every 8 env steps."""

import ale_py
import gymnasium
import tyro
from measure import count_parameters, measure
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.vec_env import VecFrameStack


def main(seconds: float = 30.0, num_envs: int = 8) -> None:
    gymnasium.register_envs(ale_py)
    env = VecFrameStack(make_atari_env("SpaceInvadersNoFrameskip-v4", num_envs, seed=1), n_stack=4)
    model = DQN(
        "CnnPolicy",
        env,
        buffer_size=50_000,
        learning_starts=1_000,
        batch_size=32,
        train_freq=1,  # one step of all games
        gradient_steps=num_envs // 4,
        target_update_interval=8_000 // num_envs,
        learning_rate=1e-4,
        exploration_initial_eps=1.0,
        exploration_final_eps=0.01,
        max_grad_norm=10,
        seed=1,
    )

    def iterate() -> int:
        before = model.num_timesteps
        model.learn(1_000, reset_num_timesteps=False)
        return model.num_timesteps - before

    measure(iterate, seconds, count_parameters(model.q_net))
    env.close()


if __name__ == "__main__":
    tyro.cli(main)
