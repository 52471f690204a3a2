"""Stable-Baselines3's DQN with its own Atari wrappers and eight games, as in its tuned settings.

Two updates of 32 every 8 env steps.
Timed by itself; `model` is also what benchmarks/learning_beside_sb3.py lets learn."""

import ale_py
import gymnasium
import tyro
from measure import count_parameters, measure
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.vec_env import VecFrameStack


def main(seconds: float = 30.0, num_envs: int = 8) -> None:
    dqn = model(
        "SpaceInvaders",
        seed=1,
        num_envs=num_envs,
        total_env_steps=10_000_000,
        learning_starts=1_000,
        buffer_size=50_000,
    )

    def iterate() -> int:
        before = dqn.num_timesteps
        dqn.learn(1_000, reset_num_timesteps=False)
        return dqn.num_timesteps - before

    measure(iterate, seconds, count_parameters(dqn.q_net))


def model(
    game: str,
    *,
    seed: int,
    num_envs: int,
    total_env_steps: int,
    learning_starts: int,
    buffer_size: int,
    stacks_once: bool = False,
) -> DQN:
    """With the settings of Praxis's recipe `dqn`; `stacks_once` halves the memory it needs by its own option."""
    return DQN(
        "CnnPolicy",
        games(game, num_envs, seed),
        buffer_size=buffer_size,
        optimize_memory_usage=stacks_once,
        replay_buffer_kwargs={"handle_timeout_termination": not stacks_once},
        learning_starts=learning_starts,
        batch_size=32,
        train_freq=1,  # one step of all games
        gradient_steps=num_envs // 4,
        target_update_interval=1_000,  # env steps of all games together
        learning_rate=1e-4,
        exploration_initial_eps=1.0,
        exploration_final_eps=0.01,
        exploration_fraction=100_000 / total_env_steps,
        max_grad_norm=10,
        seed=seed,
    )


def games(game: str, num_envs: int, seed: int, *, whole: bool = False) -> VecFrameStack:
    """As agents learn from them; or `whole`, over when the game is, with its own rewards."""
    gymnasium.register_envs(ale_py)
    wrapper = {"terminal_on_life_loss": not whole, "clip_reward": not whole}
    env = make_atari_env(f"{game}NoFrameskip-v4", num_envs, seed=seed, wrapper_kwargs=wrapper)
    return VecFrameStack(env, n_stack=4)


if __name__ == "__main__":
    tyro.cli(main)
