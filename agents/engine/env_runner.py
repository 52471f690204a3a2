"""Samples experience: one batched forward pass and one vector step at a time, into columns."""

from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

from agents.acceleration.cuda_graph import CUDAGraph
from agents.data import Columns
from agents.engine.config import ColumnarConfig
from agents.environments import all_environments, built_vector, close, faults
from agents.interfaces import Environment, EnvironmentFailure
from agents.networks.packing import Packing
from common.info import CRASHES, LEARNING_TERMINATED

MAX_FAILURES_IN_A_ROW = 3


@dataclass(frozen=True)
class Sample:
    """What one runner brings home: experience, the episodes that ended in it, and where time
    went."""

    experience: Any
    """The runner's kind of Experience."""
    runner: int
    """Its index among the runners."""
    episode_returns: list[float] = field(default_factory=list)
    """Of whole episodes, unclipped."""
    episode_lengths: list[int] = field(default_factory=list)
    """In env steps."""
    episode_environments: list[int] = field(default_factory=list)
    """In which of the runner's environments each episode was."""
    faults: list[str] = field(default_factory=list)
    """Why environments failed and were built again."""
    failure: str = ""
    """Why there is no experience, if there is none."""
    environment_seconds: float = 0.0
    inference_seconds: float = 0.0
    policy_version: int = -1
    """Of the weights that acted."""


class ColumnarEnvRunner(SingleAgentEnvRunner):
    """RLlib's runner with its per-step Python replaced by columns; a kind of runner adds how it
    acts.

    What stays RLlib's: construction, the actor's life, weight synchronization.
    """

    config: ColumnarConfig
    env: Any
    module: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._faults: list[str] = []
        self._attempt = 0
        self.policy_version = -1  # none that a learner gave it
        super().__init__(*arguments, **options)

    def make_env(self) -> None:
        if self.env is not None:
            close(self.env)
        if not self.worker_index and self.config.num_gpus_per_learner and torch.cuda.is_available():
            self._device = torch.device(
                "cuda"
            )  # RLlib lets a runner in the learner's process have no GPU
        experiment = self.config.experiment
        self.env = built_vector(experiment.env, self.config.envs_per_runner)
        if self.worker_index:
            torch.set_num_threads(self.config.threads_per_runner)
        self.packing = Packing(self.env.single_observation_space)
        self.num_envs = self.env.num_envs
        self._columns = self._allocate(experiment.algo.rollout_length)
        self._generator = torch.Generator(self._device)
        self._needs_initial_reset = True

    def observe(self, t: int) -> None:
        """Fills row t of what is known before the step."""
        self._columns.observations[t] = self._observations
        self._columns.first[t] = self._lengths == 0

    def act(self, t: int, env_steps: int) -> NDArray:
        """Fills row t of the actions, and of what else the learner wants to know about them.

        Returns what the environment understands."""
        raise NotImplementedError

    def decide(self, columns: Columns) -> Columns:
        """What `act` asks of the network, of columns (N, ...) on the device: one CUDA graph where
        it can be one."""
        raise NotImplementedError

    def exploration(self, env_steps: int) -> torch.Tensor:
        """How much each of this runner's environments explores now (N,), as the algorithm's
        `exploration_at` says."""
        settings: Any = self.config.experiment.algo
        runners = self.config.runner_count
        first = max(0, self.worker_index - 1) * self.num_envs
        everywhere = settings.exploration_at(env_steps, runners * self.num_envs, runners)
        own = everywhere[first : first + self.num_envs]
        return torch.from_numpy(own).to(self._device)

    def after_step(self, t: int, over: NDArray[np.bool_], info: dict[str, Any]) -> None:
        """Called when row t is full; `over` (N,) are the episodes that ended with it, `info` is
        what the environment said."""

    def after_rollout(self) -> None:
        """Called when all rows are full."""

    def sample(self, env_steps: int = 0) -> Sample:
        """The next rows; `env_steps` is what all runners have done so far.

        It decides the randomness of these rows, so that a resumed run draws as if it had not
        stopped."""
        reason = ""
        for self._attempt in range(MAX_FAILURES_IN_A_ROW):
            try:
                if self._attempt:
                    with all_environments():
                        self.make_env()
                self._generator.manual_seed(self._seed_at(env_steps))
                return self._sample(env_steps)
            except EnvironmentFailure as failure:
                reason = str(failure)
                self._faults.append(reason)
        # What a runner raises would not arrive: RLlib would start it again.
        told = f"All environments failed {MAX_FAILURES_IN_A_ROW} times in a row; the last time: {reason}."
        return Sample(
            self._columns, self.worker_index, failure=told, policy_version=self.policy_version
        )

    def _sample(self, env_steps: int) -> Sample:
        """Raises EnvironmentFailure where not one environment failed, which it could be told of,
        but the vector."""
        if self._needs_initial_reset:
            self._reset(env_steps)
        columns = self._columns
        episode_returns: list[float] = []
        episode_lengths: list[int] = []
        episode_environments: list[int] = []
        started = perf_counter()
        environment_seconds = 0.0
        for t in range(len(columns.rewards)):
            self.observe(t)
            actions = self.act(t, env_steps)

            before = perf_counter()
            with all_environments():
                # An environment may change its action, whose array may be a row of the columns.
                observations, rewards, terminated, truncated, info = self.env.step(
                    np.array(actions)
                )
                self._observations = self.packing.pack(observations)
            environment_seconds += perf_counter() - before

            columns.rewards[t] = rewards
            columns.terminated[t] = terminated | learning_terminated(info)
            # A step that is both is terminated: no value follows it.
            columns.truncated[t] = truncated & ~columns.terminated[t]
            over = terminated | truncated
            self.after_step(t, over, info)
            self._returns += rewards
            self._lengths += 1
            between = faults(info)
            cut = faults(info.get("final_info", {}))
            self._faults += [*between.values(), *cut.values()]
            for n in np.flatnonzero(over):
                # An episode that a fault has cut has no true return.
                if n not in cut:
                    episode_returns.append(float(self._returns[n]))
                    episode_lengths.append(int(self._lengths[n]))
                    episode_environments.append(int(n))
                self._returns[n] = self._lengths[n] = 0
        self.after_rollout()
        inference_seconds = perf_counter() - started - environment_seconds
        met = self._faults
        self._faults = []
        return Sample(
            columns,
            self.worker_index,
            episode_returns=episode_returns,
            episode_lengths=episode_lengths,
            episode_environments=episode_environments,
            faults=met,
            environment_seconds=environment_seconds,
            inference_seconds=inference_seconds,
            policy_version=self.policy_version,
        )

    def _reset(self, env_steps: int) -> None:
        with all_environments():
            observations, info = self.env.reset(seed=self._seed_at(env_steps))
            self._observations = self.packing.pack(observations)
        self._faults += faults(info).values()
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, np.int64)
        self._needs_initial_reset = False
        graph = self._device.type == "cuda" and getattr(self.module, "capturable", False)
        self._decide = CUDAGraph(self.decide, self._generator) if graph else self.decide

    def _seed_at(self, env_steps: int) -> int:
        """A seed for this runner at this step, the same in every run with the experiment's seed.

        A further attempt has one of its own: with the same one, what failed would fail again."""
        entropy = [
            self.config.seed or 0,
            self.worker_index or 0,
            env_steps,
            *([self._attempt] if self._attempt else []),
        ]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 2)

    def _there(self, observations: NDArray) -> torch.Tensor:
        return torch.from_numpy(observations).to(self._device, non_blocking=True)

    def _allocate(self, length: int) -> Any:
        """Columns for so many steps, used again for every sample."""
        raise NotImplementedError

    def _shared_columns(self, length: int) -> dict[str, Any]:
        observation = self.packing
        action = self.env.single_action_space
        steps = (length, self.num_envs)
        return {
            "observations": np.zeros((*steps, *observation.shape), observation.dtype),
            "actions": np.zeros((*steps, *action.shape), action_dtype(action)),
            "rewards": np.zeros(steps, np.float32),
            "terminated": np.zeros(steps, np.bool_),
            "truncated": np.zeros(steps, np.bool_),
            "first": np.zeros(steps, np.bool_),
        }


def action_dtype(space: gymnasium.Space) -> np.dtype:
    """The dtype of a network's actions: float32, whatever a Box has, or the numbers of discrete
    ones."""
    return np.dtype(np.float32 if isinstance(space, Box) else space.dtype or np.int64)


def check_environment(environment: Environment) -> None:
    """Raises ValueError, in one line, where an environment cannot be sampled, as its first reset
    shows.

    What else may fail is tried again while the run goes on."""
    vector = built_vector(environment, 2)  # two, for their spaces must be the same
    try:
        observations, _ = vector.reset(seed=0)
        Packing(vector.single_observation_space).pack(observations)
    except ValueError:
        raise
    except CRASHES:  # it may have failed by chance
        pass
    finally:
        close(vector)


def learning_terminated(info: dict[str, Any]) -> NDArray[np.bool_] | bool:
    """Where a vector's info says that the learner should treat the step as an episode's end (N,).

    Environments that say nothing of it at this step have a False there."""
    final = info.get("final_info", {})
    return np.logical_or(
        info.get(LEARNING_TERMINATED, False), final.get(LEARNING_TERMINATED, False)
    )
