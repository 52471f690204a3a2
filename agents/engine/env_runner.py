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
from agents.data import Columns, Rollout
from agents.engine.config import ColumnarConfig
from agents.environments import all_environments, built_vector, close, faults
from agents.interfaces import Environment, EnvironmentFailure
from agents.networks.packing import Packing
from agents.replay.buffer import Frames
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

    What stays RLlib's: construction, the actor's life, weight synchronisation.
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


class OnPolicyEnvRunner(ColumnarEnvRunner):
    """Draws from the policy, and keeps what it thought: log-probabilities, the values on both sides
    of a step, and what it remembered before."""

    def act(self, t: int, env_steps: int) -> NDArray:
        """Draws actions from the policy; fills row t of them, their log-probabilities, the values
        and the memories."""
        columns = self._columns
        if self.module.memory_size:
            columns.memories[t] = self._memory.cpu().numpy()
        decided = self._decide(
            {"observations": self._there(columns.observations[t]), "memory": self._memory}
        )
        self._memory = decided["memory"]
        packed = decided["packed"].cpu().numpy()
        columns.log_probs[t] = packed[:, 0]
        columns.values[t] = packed[:, 1]
        columns.actions[t] = packed[:, 2:].reshape(columns.actions[t].shape)
        return self.module.to_environment(columns.actions[t])

    @torch.no_grad()
    def decide(self, columns: Columns) -> Columns:
        """Of observations (N, ...) and memory (N, S): log-probabilities, values and actions side by
        side (N, 2 + A), so that they are one copy from the device, and memory (N, S) after them."""
        distribution = self.module.distribution
        parameters, values, memory = self.module(
            self.module.prepare(columns["observations"]), columns["memory"]
        )
        actions = distribution.sample(parameters, self._generator)
        log_probs = distribution.log_prob(parameters, actions)
        packed = torch.cat(
            [log_probs[:, None], values[:, None], actions.reshape(len(values), -1)], 1
        )
        return {"packed": packed, "memory": memory}

    def after_step(self, t: int, over: NDArray[np.bool_], info: dict[str, Any]) -> None:
        """Computes the value of a truncated episode's last observation, for bootstrapping, and
        clears the memory of every episode that ended."""
        rows = np.flatnonzero(self._columns.truncated[t])
        if len(rows):
            final = np.stack([self.packing.pack_one(info["final_obs"][n]) for n in rows])
            with torch.no_grad():
                _, values, _ = self._evaluate(final, self._memory[torch.from_numpy(rows)])
            self._columns.next_values[t, rows] = values.cpu().numpy()
        if over.any():
            self._memory = self._memory.masked_fill(
                torch.from_numpy(over).to(self._device)[:, None], 0.0
            )

    def after_rollout(self) -> None:
        """Fills `next_values` with the values of the next row; truncated steps keep theirs from
        `after_step`."""
        columns = self._columns
        with torch.no_grad():
            _, last, _ = self._evaluate(np.ascontiguousarray(self._observations), self._memory)
        following = np.concatenate([columns.values[1:], last.cpu().numpy()[None]])
        np.copyto(columns.next_values, following, where=~columns.truncated)

    def _evaluate(
        self, observations: NDArray, memory: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.module(self.module.prepare(self._there(observations)), memory)

    def _reset(self, env_steps: int) -> None:
        super()._reset(env_steps)
        self._memory = self.module.no_memory(self.num_envs)

    def _allocate(self, length: int) -> Rollout:
        steps = (length, self.num_envs)
        own: dict[str, Any] = {
            name: np.zeros(steps, np.float32) for name in ("log_probs", "values", "next_values")
        }
        own["memories"] = np.zeros((*steps, self.config.experiment.memory.size), np.float32)
        shared = self._shared_columns(length)
        if self._device.type == "cuda":
            shared["observations"] = pinned(shared["observations"])
        return Rollout(**shared, **own)


class GreedyEnvRunner(OnPolicyEnvRunner):
    """Takes what a Q network thinks best, and now and then any action; a step's value is that of the
    best action."""

    def act(self, t: int, env_steps: int) -> NDArray:
        if t == 0:
            self._exploration = self.exploration(env_steps)
        return super().act(t, env_steps)

    @torch.no_grad()
    def decide(self, columns: Columns) -> Columns:
        """As in the base class, with log-probabilities of 0, which nobody asks for."""
        q_values = self.module.q_values(self.module.prepare(columns["observations"]))
        actions = self.module.explored(q_values, self._exploration, self._generator)
        values = q_values.amax(-1)
        packed = torch.stack([torch.zeros_like(values), values, actions.to(values.dtype)], 1)
        return {"packed": packed, "memory": columns["memory"]}

    def _evaluate(
        self, observations: NDArray, memory: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        q_values = self.module.q_values(self.module.prepare(self._there(observations)))
        return q_values, q_values.amax(-1), memory


class OffPolicyEnvRunner(ColumnarEnvRunner):
    """Explores around what the network thinks best, as much as the algorithm's `exploration_at`
    says.

    Of stacked frames it brings home the newest alone: the replay has the others."""

    def observe(self, t: int) -> None:
        """Fills row t, of stacked frames with the newest alone; what an episode ends in follows in
        `after_step`."""
        columns = self._columns
        columns.observations[t] = self._observations[:, -1] if self._stacks else self._observations
        columns.first[t] = columns.starts[t] = self._lengths == 0
        columns.finals[t] = None

    def act(self, t: int, env_steps: int) -> NDArray:
        """Explores, and fills row t of the actions. How much each environment explores is set at
        the first row of a sample."""
        columns = self._columns
        if t == 0:
            self._exploration = self.exploration(env_steps)
        decided = self._decide(
            {"observations": self._there(self._observations), "exploration": self._exploration}
        )
        columns.actions[t] = decided["actions"].cpu().numpy()
        return self.module.to_environment(columns.actions[t])

    @torch.no_grad()
    def decide(self, columns: Columns) -> Columns:
        """Of observations (N, ...), and how much each environment explores (N,): actions (N,
        ...)."""
        return {
            "actions": self.explore(
                self.module.prepare(columns["observations"]), columns["exploration"]
            )
        }

    def explore(self, prepared: torch.Tensor, exploration: torch.Tensor) -> torch.Tensor:
        """Actions (N, ...) for prepared observations (N, ...)."""
        return self.module.explore(prepared, exploration, self._generator)

    def after_step(self, t: int, over: NDArray[np.bool_], info: dict[str, Any]) -> None:
        """Keeps what each ended episode ended in, of stacked frames the newest alone."""
        for n in np.flatnonzero(over):
            final = self.packing.pack_one(info["final_obs"][n])
            # A copy, because the vector may write to its array again.
            self._columns.finals[t, n] = np.array(final[-1] if self._stacks else final)

    def _allocate(self, length: int) -> Frames:
        self._stacks = self.config.experiment.env.frame_stack > 1
        shared = self._shared_columns(length)
        if self._stacks:
            shared["observations"] = np.zeros_like(shared["observations"][:, :, -1])
        return Frames(
            **shared,
            starts=np.zeros_like(shared["first"]),
            finals=np.full((length, self.num_envs), None, object),
        )


class ActionNoiseEnvRunner(OffPolicyEnvRunner):
    """Explores around a deterministic policy by noise, which may drift from step to step; at first
    by chance alone."""

    def observe(self, t: int) -> None:
        """As in the base class; episodes that begin have no noise of earlier ones."""
        super().observe(t)
        self._noise = torch.where(
            torch.from_numpy(self._columns.first[t, :, None]).to(self._device), 0.0, self._noise
        )

    def explore(self, prepared: torch.Tensor, exploration: torch.Tensor) -> torch.Tensor:
        """Actions (N, A) with noise that keeps a share of itself from the step before."""
        settings: Any = self.config.experiment.algo
        draw = torch.empty_like(self._noise).normal_(generator=self._generator)
        self._noise = settings.noise_correlation * self._noise + draw
        return self.module.explore(prepared, exploration, self._noise, self._generator)

    def _allocate(self, length: int) -> Frames:
        self._noise = torch.zeros(
            (self.num_envs, *self.env.single_action_space.shape), device=self._device
        )
        return super()._allocate(length)


class StateDependentNoiseEnvRunner(OffPolicyEnvRunner):
    """Explores by noise that is the same function of the state for a whole visit (gSDE; Raffin et
    al. 2022)."""

    def act(self, t: int, env_steps: int) -> NDArray:
        if t == 0:
            with torch.no_grad():
                self._weights = self.module.noise_weights(self.num_envs, self._generator)
        return super().act(t, env_steps)

    def explore(self, prepared: torch.Tensor, exploration: torch.Tensor) -> torch.Tensor:
        return self.module.explore_along(prepared, exploration, self._weights, self._generator)


def action_dtype(space: gymnasium.Space) -> np.dtype:
    """The dtype of a network's actions: float32, whatever a Box has, or the numbers of discrete
    ones."""
    return np.dtype(np.float32 if isinstance(space, Box) else space.dtype or np.int64)


def pinned(column: NDArray) -> NDArray:
    """The column in memory that reaches a GPU while the processor goes on."""
    return torch.from_numpy(column).pin_memory().numpy()


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
