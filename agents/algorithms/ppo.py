"""Proximal policy optimisation (Schulman et al. 2017), with the details that make it work
(Huang et al. 2022, The 37 Implementation Details of PPO)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from agents.engine.learner import ColumnarLearner
from agents.engine.normaliser import RunningMoments
from agents.interfaces import Columns, Rollout
from agents.settings.ppo import PPO


def advantages_and_returns(rollout: Rollout, rewards: NDArray, settings: PPO) -> tuple[NDArray, NDArray]:
    """Generalised advantage estimation (Schulman et al. 2016), both (T, N) float32."""
    advantages = sums_of_later(*errors_of_values(rollout, rewards, settings))
    return advantages, advantages + rollout.values


def errors_of_values(rollout: Rollout, rewards: NDArray, settings: PPO) -> tuple[NDArray, NDArray]:
    """Temporal-difference errors, and what each keeps of the sum of those after it, both (T, N).

    Termination has no future; truncation has one, but not in this rollout: it is worth
    `next_values` there, and the sum of later errors is cut.
    """
    goes_on = ~rollout.terminated
    errors = rewards + settings.discount * rollout.next_values * goes_on - rollout.values
    return errors, settings.discount * settings.gae_lambda * (goes_on & ~rollout.truncated)


def sums_of_later(errors: NDArray, keeps: NDArray) -> NDArray:
    """Each error (T, N) with what it keeps of the sum that follows it."""
    sums = np.empty_like(errors)
    later = np.zeros_like(errors[0])
    for t in reversed(range(len(errors))):
        sums[t] = later = errors[t] + keeps[t] * later
    return sums


def ppo_loss(
    log_probs: Tensor, values: Tensor, entropies: Tensor, batch: Columns, settings: PPO, progress: float | Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """The clipped surrogate objective with value loss and entropy bonus, and its terms.

    `batch` has `log_probs`, `values`, `advantages` and `returns` of the policy that acted; all (B,).
    `progress` is the share of the run that is done, from 0 to 1; a tensor () where a CUDA graph reads it.
    """
    clip = settings.clip_at(progress)
    advantages = batch["advantages"]
    if settings.normalize_advantages:
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    log_ratio = log_probs - batch["log_probs"]
    ratio = log_ratio.exp()
    policy_loss = -torch.min(advantages * ratio, advantages * ratio.clamp(1 - clip, 1 + clip)).mean()

    errors = (values - batch["returns"]) ** 2
    if settings.clip_value > 0:
        move = (values - batch["values"]).clamp(-settings.clip_value, settings.clip_value)
        errors = torch.max(errors, (batch["values"] + move - batch["returns"]) ** 2)
    value_loss = 0.5 * errors.mean()

    entropy = entropies.mean()
    loss = policy_loss + settings.value_coefficient * value_loss - settings.entropy_coefficient_at(progress) * entropy
    with torch.no_grad():
        terms = {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": entropy,
            "kl": (ratio - 1 - log_ratio).mean(),  # Schulman 2020, the low-variance estimator k3
            "clip_fraction": ((ratio - 1).abs() > clip).float().mean(),
        }
    return loss, {name: term.detach() for name, term in terms.items()}


def sequences(shape: tuple[int, ...], steps: int) -> Tensor:
    """Numbers of a rollout's flat rows (T * N), for its shape (T, N), in sequences of so many steps of one environment
    each, which divide T: (Q, steps)."""
    length, num_envs = shape
    return torch.arange(length * num_envs).view(-1, steps, num_envs).transpose(1, 2).reshape(-1, steps)


class PPOLearner(ColumnarLearner):
    capturable = True

    def build(self) -> None:
        super().build()
        self.return_moments = RunningMoments(()).to(self._device)
        self.discounted_returns = np.zeros(0, np.float32)
        self.memory_steps: int = self.config.learner_config_dict["memory_steps"]

    def minibatches(self, experience: Rollout, terms: list[dict[str, Tensor]]) -> Iterator[Columns]:
        columns = self.prepare(experience)
        in_order = sequences(experience.rewards.shape, self.memory_steps).to(self._device)
        for _epoch in range(self.settings.epochs):
            seen = len(terms)
            yield from self.shuffled(columns, in_order)
            if self.moved_too_far(terms[seen:]):
                break

    def prepare(self, rollout: Rollout) -> Columns:
        """A rollout as flat columns (T * N, ...), with what to learn from: advantages and returns."""
        observations, actions = self.to_device(rollout.observations), self.to_device(rollout.actions)
        if self.settings.normalize_observations:
            self.observed = observations
        rewards = self.rewards(rollout.rewards, observations, actions, rollout)
        if self.settings.normalize_rewards:
            rewards = self._normalized(rewards, rollout)
        with torch.no_grad():
            observations = self.bare_network.prepare(observations)
        rollout, advantages, returns = self.credit(rollout, rewards, observations)
        self.explained_variance = explained_variance(rollout.values, returns)
        columns = {
            "log_probs": rollout.log_probs,
            "values": rollout.values,
            "advantages": advantages,
            "returns": returns,
            "memories": rollout.memories,
            "first": rollout.first,
        }
        return {"observations": observations, "actions": actions} | {k: self.to_device(v) for k, v in columns.items()}

    def credit(self, rollout: Rollout, rewards: NDArray, observations: Tensor) -> tuple[Rollout, NDArray, NDArray]:
        """The rollout as the policy before this update sees it, its advantages and returns (T, N); `observations` are
        prepared, (T * N, ...)."""
        return rollout, *advantages_and_returns(rollout, rewards, self.settings)

    def loss(self, minibatch: Columns) -> tuple[Tensor, dict[str, Tensor]]:
        before = minibatch["memories"][: len(minibatch["first"]) // self.memory_steps]
        parameters, values, _ = self.network(minibatch["observations"], before, minibatch["first"])
        distribution = self.bare_network.distribution
        return ppo_loss(
            distribution.log_prob(parameters, minibatch["actions"]),
            values,
            distribution.entropy(parameters),
            minibatch,
            self.settings,
            self.progress_of_loss,
        )

    def moved_too_far(self, terms: list[dict[str, Tensor]]) -> bool:
        """Whether the policy left the trust region in an epoch, by its minibatches' terms."""
        if self.settings.target_kl <= 0:
            return False
        kl = torch.stack([row["kl"] for row in terms]).mean()
        if dist.is_initialized():  # all learners stop, or none: DDP waits for the missing one
            dist.all_reduce(kl)
            kl /= dist.get_world_size()
        return bool(kl > self.settings.target_kl)

    def after_update(self, experience: Rollout) -> dict[str, float]:
        # Only now, so that the ratio starts at 1: the policy that learnt is the one that acted.
        if self.settings.normalize_observations:
            self.bare_network.normaliser.update(self.observed)
        return {"explained_variance": self.explained_variance, "clip": self.settings.clip_at(self.progress)}

    def get_state(self, components=None, *, not_components=None, **kwargs: Any) -> dict[str, Any]:
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self._check_component("return_moments", components, not_components):
            moments = self.return_moments.state_dict()
            state["return_moments"] = {name: value.cpu().numpy().copy() for name, value in moments.items()}
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        if "return_moments" in state:
            moments = {name: torch.as_tensor(value) for name, value in state["return_moments"].items()}
            self.return_moments.load_state_dict(moments)

    def _normalized(self, rewards: NDArray, rollout: Rollout) -> NDArray:
        """Rewards over the deviation of the discounted return (Huang et al. 2022, continuous detail 4)."""
        if len(self.discounted_returns) != rollout.num_envs:
            self.discounted_returns = np.zeros(rollout.num_envs, np.float32)
        before = self.discounted_returns
        running = np.empty_like(rewards)
        for t in range(len(rewards)):
            running[t] = before = before * self.settings.discount * ~rollout.first[t] + rewards[t]
        self.discounted_returns = running[-1]
        self.return_moments.update(torch.from_numpy(running).flatten().to(self._device))
        return np.clip(rewards / self.return_moments.deviation.item(), -10.0, 10.0)


def explained_variance(values: NDArray, returns: NDArray) -> float:
    """1 for a perfect critic, 0 for one that knows only the mean, below 0 for worse."""
    variance = float(np.var(returns))
    return float("nan") if variance == 0 else 1.0 - float(np.var(returns - values)) / variance
