"""Stable-Baselines3: PPO and DQN on Space Invaders with its own Atari wrappers, DDPG, TD3, SAC and
sb3-contrib's TQC on HalfCheetah.

The settings are those of its Atari examples and of its tuned ones (rl-baselines3-zoo); float32,
which is all it has. This file measures speed; sb3_learning.py trains the same agents for
benchmarks/learning_beside_sb3.py.
"""

from typing import Any, Literal

import ale_py
import gymnasium
import numpy as np
import tyro
from measure import count_parameters, measure, on_one_core
from sb3_contrib import TQC
from stable_baselines3 import DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecFrameStack

VECTOR_ENVIRONMENTS = {"dummy": DummyVecEnv, "subproc": SubprocVecEnv}
ROBOT_ALGORITHMS: dict[str, Any] = {"ddpg": DDPG, "td3": TD3, "sac": SAC, "tqc": TQC}
NETWORKS = {
    "ppo": ("policy",),
    "dqn": ("q_net",),
    "ddpg": ("actor", "critic"),
    "td3": ("actor", "critic"),
    "sac": ("actor", "critic"),
    "tqc": ("actor", "critic"),
}
"""The attributes of an agent that hold what Praxis counts as its network, without target
networks."""
ROLLOUT_LENGTH = 128
LEARNING_STARTS = 1_000


def main(
    seconds: float = 30.0,
    algo: Literal["ppo", "dqn", "ddpg", "td3", "sac", "tqc"] = "ppo",
    num_envs: int = 8,
    vector_environment: Literal["dummy", "subproc"] = "dummy",
) -> None:
    """Measures one algorithm and prints one JSON line.

    Args:
        seconds: Time of the measurement, after its warm-up.
        algo: The algorithm.
        num_envs: Games at a time; a robot is always alone.
        vector_environment: Games one after the other, or each in a process.
    """
    env_steps = 1_000
    if algo in ROBOT_ALGORITHMS:
        on_one_core()
        agent = robot_agent("HalfCheetah", algo, seed=1, learning_starts=LEARNING_STARTS)
    elif algo == "dqn":
        played = games("SpaceInvaders", num_envs, seed=1, vector_environment=vector_environment)
        agent = dqn(
            played,
            seed=1,
            total_env_steps=10_000_000,
            learning_starts=LEARNING_STARTS,
            buffer_size=50_000,
        )
    else:
        played = games("SpaceInvaders", num_envs, seed=1, vector_environment=vector_environment)
        agent = ppo(played, seed=1)
        env_steps = num_envs * ROLLOUT_LENGTH  # one rollout and one update

    def iterate() -> int:
        # What learn() does before and after its env steps takes no time to speak of.
        before = agent.num_timesteps
        agent.learn(env_steps, reset_num_timesteps=False)
        return agent.num_timesteps - before

    measure(
        iterate, seconds, sum(count_parameters(getattr(agent, name)) for name in NETWORKS[algo])
    )
    agent.env.close()


def ppo(played: VecFrameStack, *, seed: int) -> PPO:
    """PPO with the settings of Stable-Baselines3's Atari examples."""
    return PPO(
        "CnnPolicy",
        played,
        n_steps=ROLLOUT_LENGTH,
        batch_size=256,
        n_epochs=4,
        learning_rate=2.5e-4,
        clip_range=0.1,
        ent_coef=0.01,
        vf_coef=0.5,
        max_grad_norm=0.5,
        gamma=0.99,
        gae_lambda=0.95,
        seed=seed,
    )


def dqn(
    played: VecFrameStack,
    *,
    seed: int,
    total_env_steps: int,
    learning_starts: int,
    buffer_size: int,
    single_frames: bool = False,
) -> DQN:
    """DQN with the settings of Praxis's recipe, which are two updates of 32 every 8 env steps.

    `single_frames` halves the memory of the replay, by an option of Stable-Baselines3."""
    return DQN(
        "CnnPolicy",
        played,
        buffer_size=buffer_size,
        optimize_memory_usage=single_frames,
        replay_buffer_kwargs={"handle_timeout_termination": not single_frames},
        learning_starts=learning_starts,
        batch_size=32,
        train_freq=1,  # one step of all games
        gradient_steps=played.num_envs // 4,
        target_update_interval=1_000,  # env steps of all games together
        learning_rate=1e-4,
        exploration_initial_eps=1.0,
        exploration_final_eps=0.01,
        exploration_fraction=100_000 / total_env_steps,
        max_grad_norm=10,
        seed=seed,
    )


def robot_agent(robot: str, algo: str, *, seed: int, learning_starts: int = 10_000) -> Any:
    """An agent with the settings of Praxis's recipes (rl-baselines3-zoo, HalfCheetahBulletEnv in
    ddpg.yml, sac.yml and tqc.yml)."""
    env = Monitor(robot_env(robot))
    if algo in ("sac", "tqc"):
        return ROBOT_ALGORITHMS[algo](
            "MlpPolicy",
            env,
            gamma=0.98,
            tau=0.02,
            buffer_size=300_000,
            learning_starts=learning_starts,
            batch_size=256,
            ent_coef="auto",
            train_freq=8,
            gradient_steps=8,
            learning_rate=7.3e-4,
            use_sde=True,
            policy_kwargs={"log_std_init": -3, "net_arch": [400, 300]},
            seed=seed,
            device="cpu",
        )
    actions = env.action_space.shape[0]  # pyright: ignore[reportOptionalSubscript]
    return ROBOT_ALGORITHMS[algo](
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


def games(
    game: str,
    num_envs: int,
    seed: int,
    *,
    for_evaluation: bool = False,
    vector_environment: Literal["dummy", "subproc"] = "dummy",
) -> VecFrameStack:
    """Games as agents learn from them; or whole games with their own rewards, to evaluate."""
    gymnasium.register_envs(ale_py)
    env = make_atari_env(
        f"{game}NoFrameskip-v4",
        num_envs,
        seed=seed,
        wrapper_kwargs={
            "terminal_on_life_loss": not for_evaluation,
            "clip_reward": not for_evaluation,
        },
        vec_env_cls=VECTOR_ENVIRONMENTS[vector_environment],
    )
    return VecFrameStack(env, n_stack=4)


def robot_env(robot: str) -> gymnasium.Env:
    """One of PyBullet's robots; their package is imported here, so that no game waits for it."""
    return gymnasium.make(f"pybullet_envs_gymnasium:{robot}BulletEnv-v0")


if __name__ == "__main__":
    tyro.cli(main)
