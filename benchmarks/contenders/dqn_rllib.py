"""RLlib's own DQN on its new API stack, with its own Atari wrapper and model settings; a batch of 32 every 4 steps."""

import logging
import os

import ray
import tyro
from measure import measure
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME
from ray.tune.registry import register_env
from rllib import NATURE_SETTINGS, space_invaders


def main(seconds: float = 30.0, num_envs_per_env_runner: int = 1) -> None:
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR, num_cpus=os.cpu_count() or 1)
    register_env("space_invaders", space_invaders)
    model = DefaultModelConfig(conv_filters=NATURE_SETTINGS.conv_filters, head_fcnet_hiddens=[])
    config = (
        DQNConfig()
        .environment("space_invaders")
        .env_runners(num_env_runners=0, num_envs_per_env_runner=num_envs_per_env_runner)
        .learners(num_learners=0)
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
        .rl_module(model_config=model)
        .debugging(seed=1, log_level="ERROR")
    )
    algorithm = config.build_algo()
    env_steps = 0

    def iterate() -> int:
        nonlocal env_steps
        before = env_steps
        env_steps = algorithm.train()[ENV_RUNNER_RESULTS][NUM_ENV_STEPS_SAMPLED_LIFETIME]
        return int(env_steps - before)

    while env_steps <= 1_100:
        iterate()
    network = algorithm.learner_group._learner.module["default_policy"]
    online = sum(parameter.numel() for name, parameter in network.named_parameters() if "target" not in name)
    measure(iterate, seconds, online)
    algorithm.stop()
    ray.shutdown()


if __name__ == "__main__":
    tyro.cli(main)
