"""Env runners of off-policy algorithms: they explore, and keep what a replay remembers."""

from dataclasses import fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.data import Columns
from agents.engine.env_runner import ColumnarEnvRunner
from agents.replay.buffer import Frames, FramesAndMemories


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


class RememberingEnvRunner(OffPolicyEnvRunner):
    """Explores with a network that remembers, and keeps what that was before each step."""

    def act(self, t: int, env_steps: int) -> NDArray:
        """As in the base class; fills row t of the memories, too."""
        columns = self._columns
        if t == 0:
            self._exploration = self.exploration(env_steps)
        columns.memories[t] = self._memory.cpu().numpy()
        decided = self._decide(
            {
                "observations": self._there(self._observations),
                "exploration": self._exploration,
                "memory": self._memory,
            }
        )
        self._memory = decided["memory"]
        columns.actions[t] = decided["actions"].cpu().numpy()
        return self.module.to_environment(columns.actions[t])

    @torch.no_grad()
    def decide(self, columns: Columns) -> Columns:
        """As in the base class, from memory (N, S), and with it."""
        actions, memory = self.module.explore_from(
            self.module.prepare(columns["observations"]),
            columns["memory"],
            columns["exploration"],
            self._generator,
        )
        return {"actions": actions, "memory": memory}

    def after_step(self, t: int, over: NDArray[np.bool_], info: dict[str, Any]) -> None:
        """As in the base class; clears the memory of every episode that ended."""
        super().after_step(t, over, info)
        if over.any():
            ended = torch.from_numpy(over).to(self._device)[:, None]
            self._memory = self._memory.masked_fill(ended, 0.0)

    def _reset(self, env_steps: int) -> None:
        super()._reset(env_steps)
        self._memory = self.module.no_memory(self.num_envs)

    def _allocate(self, length: int) -> FramesAndMemories:
        frames = super()._allocate(length)
        size = self.config.experiment.memory.size
        columns = {field.name: getattr(frames, field.name) for field in fields(frames)}
        memories = np.zeros((length, self.num_envs, size), np.float32)
        return FramesAndMemories(**columns, memories=memories)


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
