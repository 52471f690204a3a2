"""Env runners of on-policy algorithms: they keep what the network thought of each step."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.data import Columns, Rollout
from agents.engine.env_runner import ColumnarEnvRunner


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


def pinned(column: NDArray) -> NDArray:
    """The column in memory that reaches a GPU while the processor goes on."""
    return torch.from_numpy(column).pin_memory().numpy()
