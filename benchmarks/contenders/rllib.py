"""RLlib's own PPO and DQN on its new API stack, with its own Atari wrapper; float32, its
default."""

import logging
import os
from typing import Literal

import ale_py
import gymnasium
import ray
import torch
import tyro
from measure import measure
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import ValueFunctionAPI
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.rllib.env.wrappers.atari_wrappers import wrap_atari_for_new_api_stack
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME
from ray.tune.registry import register_env
from torch import Tensor, nn

# The same layers by RLlib's own model settings: the dense layer is a convolution over the whole 7x7
# image.
NATURE_SETTINGS = DefaultModelConfig(
    conv_filters=[
        (32, 8, 4, "valid"),
        (64, 4, 2, "valid"),
        (64, 3, 1, "valid"),
        (512, 7, 1, "valid"),
    ]
)
LEARNING_STARTS = {"ppo": 0, "dqn": 1_100}
"""Env steps before the warm-up: DQN learns from 1,000 on."""


def main(
    seconds: float = 30.0,
    algo: Literal["ppo", "dqn"] = "ppo",
    num_env_runners: int = 0,
    num_envs_per_env_runner: int = 1,
    module: Literal["stock", "ours"] = "stock",
) -> None:
    """Measures one algorithm and prints one JSON line.

    Args:
        seconds: Time of the measurement, after its warm-up.
        algo: The algorithm.
        num_env_runners: Processes that sample beside the learner's.
        num_envs_per_env_runner: Games of each of them, or of the only process.
        module: RLlib's module by its model settings, or for PPO the one below, which is faster.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray.init(
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        num_cpus=max(os.cpu_count() or 1, num_env_runners + 1),
    )
    register_env("space_invaders", space_invaders)
    config = ppo(module) if algo == "ppo" else dqn()
    algorithm = (
        config.environment("space_invaders")
        .env_runners(
            num_env_runners=num_env_runners, num_envs_per_env_runner=num_envs_per_env_runner
        )
        .learners(num_learners=0, num_gpus_per_learner=1 if torch.cuda.is_available() else 0)
        .debugging(seed=1, log_level="ERROR")
        .build_algo()
    )
    env_steps = 0

    def iterate() -> int:
        nonlocal env_steps
        before = env_steps
        env_steps = algorithm.train()[ENV_RUNNER_RESULTS][NUM_ENV_STEPS_SAMPLED_LIFETIME]
        return int(env_steps - before)

    while env_steps <= LEARNING_STARTS[algo]:
        iterate()
    network = algorithm.learner_group._learner.module["default_policy"]
    online = sum(
        parameter.numel() for name, parameter in network.named_parameters() if "target" not in name
    )
    measure(iterate, seconds, online)
    algorithm.stop()
    ray.shutdown()


def ppo(module: str) -> AlgorithmConfig:
    spec = (
        RLModuleSpec(module_class=NatureCNN)
        if module == "ours"
        else RLModuleSpec(model_config=NATURE_SETTINGS)
    )
    return (
        PPOConfig()
        .training(
            train_batch_size_per_learner=1024,
            minibatch_size=256,
            num_epochs=4,
            lr=2.5e-4,
            clip_param=0.1,
            entropy_coeff=0.01,
            vf_loss_coeff=0.5,
            vf_clip_param=float("inf"),
            use_kl_loss=False,
            lambda_=0.95,
            gamma=0.99,
            grad_clip=0.5,
            grad_clip_by="global_norm",
        )
        .rl_module(rl_module_spec=spec)
    )


def dqn() -> AlgorithmConfig:
    """A batch of 32 every 4 env steps."""
    return (
        DQNConfig()
        .training(
            lr=1e-4,
            train_batch_size_per_learner=32,
            training_intensity=8.0,  # 32 steps replayed for every 4 sampled
            replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": 50_000},
            num_steps_sampled_before_learning_starts=1_000,
            target_network_update_freq=8_000,
            double_q=False,
            dueling=False,
            n_step=1,
            epsilon=[(0, 1.0), (100_000, 0.01)],
        )
        .rl_module(
            model_config=DefaultModelConfig(
                conv_filters=NATURE_SETTINGS.conv_filters, head_fcnet_hiddens=[]
            )
        )
    )


def space_invaders(_settings: dict) -> gymnasium.Env:
    gymnasium.register_envs(ale_py)
    env = gymnasium.make("ALE/SpaceInvaders-v5", frameskip=1, repeat_action_probability=0.0)
    env = wrap_atari_for_new_api_stack(env, dim=84, frameskip=4, framestack=4)
    # Its setting clip_rewards does nothing on the new API stack.
    return gymnasium.wrappers.TransformReward(env, lambda reward: (reward > 0) - (reward < 0))


class NatureCNN(TorchRLModule, ValueFunctionAPI):
    """The same network as everyone's. RLlib's model settings have no dense layer that policy and
    value share; the nearest they offer, a 7x7 convolution, is slower to act with."""

    def setup(self) -> None:
        self.torso = nn.Sequential(
            nn.Conv2d(4, 32, 8, stride=4),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * 7 * 7, 512),
            nn.ReLU(),
        )
        self.actor = nn.Linear(512, self.action_space.n)
        self.critic = nn.Linear(512, 1)

    def _forward(self, batch: dict, **_) -> dict:
        return {Columns.ACTION_DIST_INPUTS: self.actor(self._features(batch))}

    def _forward_train(self, batch: dict, **_) -> dict:
        features = self._features(batch)
        return {Columns.ACTION_DIST_INPUTS: self.actor(features), Columns.EMBEDDINGS: features}

    def compute_values(self, batch: dict, embeddings: Tensor | None = None) -> Tensor:
        features = self._features(batch) if embeddings is None else embeddings
        return self.critic(features).squeeze(-1)

    def _features(self, batch: dict) -> Tensor:
        return self.torso(
            batch[Columns.OBS].permute(0, 3, 1, 2)
        )  # the wrapper's images are channels-last


if __name__ == "__main__":
    tyro.cli(main)
