"""RLlib's own PPO on its new API stack, with its own Atari wrapper; float32, its default."""

import logging
import os

import ale_py
import gymnasium
import ray
import torch
import tyro
from measure import count_parameters, measure
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

# The same layers by RLlib's own model settings: the dense layer is a convolution over the whole 7x7 image.
NATURE_SETTINGS = DefaultModelConfig(
    conv_filters=[(32, 8, 4, "valid"), (64, 4, 2, "valid"), (64, 3, 1, "valid"), (512, 7, 1, "valid")]
)


def main(
    seconds: float = 30.0, num_env_runners: int = 0, num_envs_per_env_runner: int = 8, own_module: bool = False
) -> None:
    gpu = torch.cuda.is_available()
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray.init(
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        num_cpus=max(os.cpu_count() or 1, num_env_runners + 1),
    )
    register_env("space_invaders", space_invaders)
    module = RLModuleSpec(model_config=NATURE_SETTINGS) if own_module else RLModuleSpec(module_class=NatureCNN)
    config = (
        PPOConfig()
        .environment("space_invaders")
        .env_runners(num_env_runners=num_env_runners, num_envs_per_env_runner=num_envs_per_env_runner)
        .learners(num_learners=0, num_gpus_per_learner=1 if gpu else 0)
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
        .rl_module(rl_module_spec=module)
        .debugging(seed=1, log_level="ERROR")
    )
    algorithm = config.build_algo()
    env_steps = 0

    def iterate() -> int:
        nonlocal env_steps
        before = env_steps
        env_steps = algorithm.train()[ENV_RUNNER_RESULTS][NUM_ENV_STEPS_SAMPLED_LIFETIME]
        return int(env_steps - before)

    network = algorithm.learner_group._learner.module["default_policy"]
    measure(iterate, seconds, count_parameters(network))
    algorithm.stop()
    ray.shutdown()


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
        return self.torso(batch[Columns.OBS].permute(0, 3, 1, 2))  # the wrapper's images are channels-last


if __name__ == "__main__":
    tyro.cli(main)
