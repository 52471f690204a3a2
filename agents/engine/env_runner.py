"""Samples experience: one batched forward pass and one vector step at a time, into columns."""

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

from agents.interfaces import LEARNING_TERMINATED, Rollout


@dataclass(frozen=True)
class Sample:
    """What one runner brings home: a rollout, the episodes that ended in it, and where time went."""

    rollout: Rollout
    episode_returns: list[float]  # whole episodes, unclipped
    episode_lengths: list[int]  # env steps
    environment_seconds: float
    inference_seconds: float


class ColumnarEnvRunner(SingleAgentEnvRunner):
    """RLlib's runner with its per-step Python replaced by columns.

    What stays RLlib's: construction, the actor's life, weight synchronisation.
    """

    config: Any
    env: Any
    module: Any

    def make_env(self) -> None:
        if self.env is not None:
            self.env.close()
        settings = self.config.env_config
        self.env = settings["environment"].build_vector(self.config.num_envs_per_env_runner)
        if self.env.metadata.get("autoreset_mode") != AutoresetMode.SAME_STEP:
            raise ValueError(f"{self.env} must reset in the same step (AutoresetMode.SAME_STEP).")
        if self.worker_index:
            torch.set_num_threads(settings["threads_per_runner"])
        self.num_envs = self.env.num_envs
        self._columns = allocate(settings["rollout_length"], self.num_envs, self.env)
        self._generator = torch.Generator(self._device)
        self._generator.manual_seed(self._fresh_seed(0))
        self._needs_initial_reset = True

    def sample(self) -> Sample:
        if self._needs_initial_reset:
            self._reset()
        columns, distribution = self._columns, self.module.distribution
        low, high = action_bounds(self.env.single_action_space)
        episode_returns: list[float] = []
        episode_lengths: list[int] = []
        started = perf_counter()
        environment_seconds = 0.0
        for t in range(len(columns.rewards)):
            columns.observations[t] = self._observations
            with torch.no_grad():
                parameters, values = self._evaluate(columns.observations[t])
                actions = distribution.sample(parameters, self._generator)
                log_probs = distribution.log_prob(parameters, actions)
                # One copy from the device for all three.
                packed = torch.cat([log_probs[:, None], values[:, None], actions.reshape(len(values), -1)], 1)
            packed = packed.cpu().numpy()
            columns.log_probs[t], columns.values[t] = packed[:, 0], packed[:, 1]
            columns.actions[t] = packed[:, 2:].reshape(columns.actions[t].shape)

            before = perf_counter()
            to_env = columns.actions[t] if low is None else np.clip(columns.actions[t], low, high)
            self._observations, rewards, terminated, truncated, info = self.env.step(to_env)
            environment_seconds += perf_counter() - before

            columns.rewards[t] = rewards
            columns.terminated[t] = info.get(LEARNING_TERMINATED, terminated)
            columns.truncated[t] = truncated & ~columns.terminated[t]
            if columns.truncated[t].any():
                self._bootstrap_truncated(t, info)
            self._returns += rewards
            self._lengths += 1
            for n in np.flatnonzero(terminated | truncated):
                episode_returns.append(float(self._returns[n]))
                episode_lengths.append(int(self._lengths[n]))
                self._returns[n] = self._lengths[n] = 0
        self._link_values()
        self.num_env_steps_sampled_lifetime += columns.env_steps()
        inference_seconds = perf_counter() - started - environment_seconds
        return Sample(columns, episode_returns, episode_lengths, environment_seconds, inference_seconds)

    def get_metrics(self) -> dict[str, Any]:
        return self.metrics.reduce()

    def get_state(self, components=None, *, not_components=None, **kwargs) -> dict[str, Any]:
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self._check_component("generator", components, not_components) and self.env is not None:
            state["generator"] = self._generator.get_state().numpy()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        if "generator" in state and self.env is not None:
            self._generator.set_state(torch.as_tensor(state["generator"]))

    def _reset(self) -> None:
        self._observations, _ = self.env.reset(seed=self._fresh_seed(1 + self.num_env_steps_sampled_lifetime))
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, np.int64)
        self._needs_initial_reset = False

    def _fresh_seed(self, purpose: int) -> int:
        """A seed for this runner and purpose, the same in every run with the experiment's seed."""
        entropy = [self.config.seed or 0, self.worker_index or 0, purpose]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 2)

    def _evaluate(self, observations: NDArray) -> tuple[torch.Tensor, torch.Tensor]:
        on_device = torch.from_numpy(observations).to(self._device, non_blocking=True)
        return self.module(self.module.prepare(on_device))

    def _bootstrap_truncated(self, t: int, info: dict[str, Any]) -> None:
        """A truncated episode goes on beyond its border: value the observation it ended in."""
        rows = np.flatnonzero(self._columns.truncated[t])
        final = np.stack([info["final_obs"][n] for n in rows])
        with torch.no_grad():
            _, values = self._evaluate(final)
        self._columns.next_values[t, rows] = values.cpu().numpy()

    def _link_values(self) -> None:
        """A step's next value is its successor's, but for truncated steps, which have theirs."""
        columns = self._columns
        with torch.no_grad():
            _, last = self._evaluate(np.ascontiguousarray(self._observations))
        following = np.concatenate([columns.values[1:], last.cpu().numpy()[None]])
        np.copyto(columns.next_values, following, where=~columns.truncated)


def allocate(length: int, num_envs: int, env: Any) -> Rollout:
    """Columns for T steps of N environments, used again for every rollout."""
    observation, action = env.single_observation_space, env.single_action_space
    steps = (length, num_envs)
    return Rollout(
        observations=np.zeros((*steps, *observation.shape), observation.dtype),
        actions=np.zeros((*steps, *action.shape), action.dtype),
        log_probs=np.zeros(steps, np.float32),
        values=np.zeros(steps, np.float32),
        next_values=np.zeros(steps, np.float32),
        rewards=np.zeros(steps, np.float32),
        terminated=np.zeros(steps, np.bool_),
        truncated=np.zeros(steps, np.bool_),
    )


def action_bounds(space: Any) -> tuple[NDArray | None, NDArray | None]:
    """Lowest and highest action of a Box; a Gaussian policy's actions are clipped to them."""
    return getattr(space, "low", None), getattr(space, "high", None)
