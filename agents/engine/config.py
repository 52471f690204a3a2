"""From an Experiment to RLlib's AlgorithmConfig: the only place that speaks both."""

import logging
import os
from typing import Any, cast

import torch
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from agents.environments import opened
from agents.experiment import Experiment
from agents.processes.cluster import cluster_address, env_runner_bundle, learner_bundle

ENVIRONMENT_NAME = "praxis"


class ColumnarConfig(AlgorithmConfig):
    """What RLlib hands to every process of a run: its own settings, and the experiment that they
    were made from."""

    experiment: Experiment
    threads_per_runner: int
    threads_per_learner: int

    @property
    def runner_count(self) -> int:
        """How many sample: RLlib counts none where the run's own process does."""
        return self.num_env_runners or 1

    @property
    def learner_count(self) -> int:
        """How many learn: RLlib counts none where the run's own process does."""
        return self.num_learners or 1

    @property
    def envs_per_runner(self) -> int:
        return self.experiment.num_envs // self.runner_count

    def get_default_learner_class(self) -> type:
        return self.experiment.algo.parts.learner

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        return RLModuleSpec(module_class=self.experiment.algo.parts.module)

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        return {}


def rllib_config(experiment: Experiment) -> ColumnarConfig:
    """The whole experiment as RLlib wants it."""
    quiet_ray()
    algorithm = experiment.algo
    parts = algorithm.parts
    runners = experiment.num_env_runners
    learners = experiment.num_learners
    runner = env_runner_bundle(experiment)
    learner = learner_bundle(experiment)
    config = (
        ColumnarConfig(algo_class=parts.algorithm)
        .environment(ENVIRONMENT_NAME, disable_env_checking=True)
        .env_runners(
            env_runner_cls=parts.runner,
            num_env_runners=runners,
            num_envs_per_env_runner=experiment.num_envs // max(1, runners),
            num_cpus_per_env_runner=cast(int, runner.cpus),  # RLlib takes shares, too
            num_gpus_per_env_runner=runner.gpus,
            rollout_fragment_length=algorithm.rollout_length,
            sample_timeout_s=None,
        )
        .learners(
            num_learners=learners,
            num_cpus_per_learner=cast(int, learner.cpus),
            num_gpus_per_learner=learner.gpus
            if learners
            else min(learner.gpus, torch.cuda.device_count()),
        )
        .training(
            train_batch_size_per_learner=experiment.num_envs
            * algorithm.rollout_length
            // max(1, learners)
        )
        .rl_module(
            rl_module_spec=RLModuleSpec(
                module_class=parts.module, model_config=model_config(experiment)
            )
        )
        .debugging(seed=experiment.seed, log_level="ERROR")
        .fault_tolerance(restart_failed_env_runners=True)
        .reporting(min_time_s_per_iteration=0, min_sample_timesteps_per_iteration=0)
    )
    config.experiment = experiment
    config.threads_per_runner = threads(
        experiment, experiment.resources.env_runner_cpus, runners, learners
    )
    config.threads_per_learner = threads(experiment, experiment.resources.learner_cpus, learners, 0)
    config._dont_auto_sync_env_runner_states = True
    return config


def threads(experiment: Experiment, cpus: float | None, processes: int, beside: int) -> int:
    """Threads of each process: as many as it was given cores; if it was not, one on a cluster's
    machine, which others may use, and its share of this one, but for what stands `beside`."""
    if cpus is not None:
        return max(1, round(cpus))
    return (
        1
        if cluster_address(experiment)
        else max(1, ((os.cpu_count() or 1) - beside) // max(1, processes))
    )


def quiet_ray() -> None:
    """Ray's own progress and deprecation chatter is not the run's."""
    for name in ("ray", "ray.rllib", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)


def build_network(experiment: Experiment) -> Any:
    """The experiment's network alone, for acting without Ray; its weights are fresh."""
    return new_network(experiment).eval().to("cuda" if torch.cuda.is_available() else "cpu")


def new_network(experiment: Experiment) -> Any:
    """The experiment's network with fresh weights, on torch's current device."""
    quiet_ray()
    with opened(experiment.env) as environment:
        return experiment.algo.parts.module(
            observation_space=environment.observation_space,
            action_space=environment.action_space,
            inference_only=True,
            model_config=model_config(experiment),
        )


def model_config(experiment: Experiment) -> dict[str, Any]:
    """The `model_config` of the network: what all networks are told, and the algorithm's own
    entries."""
    own = {
        "encoder": experiment.encoder,
        "memory": experiment.memory,
        "precision": experiment.precision,
    }
    return own | experiment.algo.module_config()
