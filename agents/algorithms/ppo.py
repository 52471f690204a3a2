"""Proximal policy optimization (Schulman et al. 2017), with the details that make it work
(Huang et al. 2022, The 37 Implementation Details of PPO)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from agents.data import Columns, Rollout
from agents.engine.learner import ColumnarLearner, Loss, StepResult
from agents.networks.running_moments import RunningMoments
from agents.settings.ppo import PPO


def advantages_and_returns(
    rollout: Rollout, rewards: NDArray, settings: PPO
) -> tuple[NDArray, NDArray]:
    """Generalized advantage estimation (Schulman et al. 2016), both (T, N) float32."""
    errors, decays = td_errors_and_decays(rollout, rewards, settings.discount, settings.gae_lambda)
    advantages = discounted_sums(errors, decays)
    return advantages, advantages + rollout.values


def td_errors_and_decays(
    rollout: Rollout, rewards: NDArray, discount: float, trace: float
) -> tuple[NDArray, NDArray]:
    """Temporal-difference errors, and the factors on the sum of later errors, both (T, N): discount
    times lambda, `trace`, and 0 where an episode ends.

    A terminated step has no next value. A truncated step has one, of the observation that its
    episode ended in.
    """
    goes_on = ~rollout.terminated
    errors = rewards + discount * rollout.next_values * goes_on - rollout.values
    return errors, discount * trace * (goes_on & ~rollout.truncated)


def discounted_sums(errors: NDArray, decays: NDArray) -> NDArray:
    """Sums of errors from each step on (T, N): an error, and its decay times the next step's sum."""
    sums = np.empty_like(errors)
    later = np.zeros_like(errors[0])
    for t in reversed(range(len(errors))):
        sums[t] = later = errors[t] + decays[t] * later
    return sums


def ppo_loss(
    log_probs: Tensor,
    values: Tensor,
    entropies: Tensor,
    batch: Columns,
    settings: PPO,
    progress: float | Tensor,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The clipped surrogate objective with value loss and entropy bonus, and its parts as metrics.

    `batch` has `log_probs`, `values`, `advantages` and `returns` of the policy that acted; all
    (B,). `progress` is the share of the run that is done, from 0 to 1; a tensor () where a CUDA
    graph reads it.
    """
    clip = settings.clip_at(progress)
    advantages = batch["advantages"]
    if settings.normalize_advantages:
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    log_ratio = log_probs - batch["log_probs"]
    ratio = log_ratio.exp()
    policy_loss = -torch.min(
        advantages * ratio, advantages * ratio.clamp(1 - clip, 1 + clip)
    ).mean()

    errors = (values - batch["returns"]) ** 2
    if settings.clip_value > 0:
        move = (values - batch["values"]).clamp(-settings.clip_value, settings.clip_value)
        errors = torch.max(errors, (batch["values"] + move - batch["returns"]) ** 2)
    value_loss = 0.5 * errors.mean()

    entropy = entropies.mean()
    loss = (
        policy_loss
        + settings.value_coefficient * value_loss
        - settings.entropy_coefficient_at(progress) * entropy
    )
    with torch.no_grad():
        metrics = {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": entropy,
            "kl": (ratio - 1 - log_ratio).mean(),  # Schulman 2020, the low-variance estimator k3
            "clip_fraction": ((ratio - 1).abs() > clip).float().mean(),
        }
    return loss, {name: value.detach() for name, value in metrics.items()}


def sequences(shape: tuple[int, ...], steps: int) -> Tensor:
    """Numbers of a rollout's flat rows (T * N), for its shape (T, N), in sequences of so many steps
    of one environment each, which divide T: (Q, steps)."""
    length, num_envs = shape
    return (
        torch.arange(length * num_envs).view(-1, steps, num_envs).transpose(1, 2).reshape(-1, steps)
    )


@dataclass(frozen=True)
class Credit:
    """How good each step of a rollout turned out to be, all (T, N)."""

    rollout: Rollout
    """The rollout as the policy before the update sees it."""
    advantages: NDArray
    returns: NDArray
    """What the critic should have said."""
    metrics: dict[str, float]


@dataclass(frozen=True)
class Batch:
    """A rollout, ready to be learnt from."""

    columns: Columns
    """By name, (T * N, ...)."""
    raw_observations: Tensor
    """Before they are prepared, (T * N, ...)."""
    metrics: dict[str, float]


class PPOLearner(ColumnarLearner):
    settings: PPO
    capturable = True

    def build(self) -> None:
        super().build()
        self.return_moments = RunningMoments(()).to(self._device)
        self.saved["return_moments"] = self.return_moments
        self.discounted_returns = np.zeros(0, np.float32)
        self.memory_steps = self.config.experiment.memory.steps

    def learn(self, experience: Rollout) -> dict[str, float]:
        batch = self.prepare(experience)
        in_sequences = sequences(experience.rewards.shape, self.memory_steps).to(self._device)
        steps: list[StepResult] = []
        for _ in range(self.settings.epochs):
            minibatches = self.shuffled(batch.columns, in_sequences)
            epoch = [self.gradient_step(minibatch) for minibatch in minibatches]
            steps += epoch
            if self.kl_exceeded(epoch):
                break
        if self.settings.normalize_observations:
            # Only now, so that the ratio starts at 1: the policy that learnt is the one that acted.
            self.bare_network.normalizer.update(batch.raw_observations)
        return self.means(steps) | batch.metrics | {"clip": self.settings.clip_at(self.progress)}

    def prepare(self, rollout: Rollout) -> Batch:
        """A rollout as columns, with what to learn from: advantages and returns."""
        raw_observations = self.to_device(rollout.observations)
        actions = self.to_device(rollout.actions)
        rewards = self.rewards(rollout.rewards, raw_observations, actions, rollout)
        if self.settings.normalize_rewards:
            rewards = self._normalized(rewards, rollout)
        with torch.no_grad():
            observations = self.bare_network.prepare(raw_observations)
        credit = self.credit(rollout, rewards, observations)
        columns = {
            "log_probs": credit.rollout.log_probs,
            "values": credit.rollout.values,
            "advantages": credit.advantages,
            "returns": credit.returns,
            "memories": credit.rollout.memories,
            "first": credit.rollout.first,
        }
        explained = explained_variance(credit.rollout.values, credit.returns)
        return Batch(
            {"observations": observations, "actions": actions}
            | {k: self.to_device(v) for k, v in columns.items()},
            raw_observations,
            credit.metrics | {"explained_variance": explained},
        )

    def credit(self, rollout: Rollout, rewards: NDArray, observations: Tensor) -> Credit:
        """Advantages and returns for rewards (T, N); `observations` are prepared, (T * N, ...)."""
        return Credit(rollout, *advantages_and_returns(rollout, rewards, self.settings), metrics={})

    def loss(self, minibatch: Columns) -> Loss:
        # The first rows of a minibatch are the first steps of its sequences.
        before = minibatch["memories"][: len(minibatch["first"]) // self.memory_steps]
        parameters, values, _ = self.network(minibatch["observations"], before, minibatch["first"])
        distribution = self.bare_network.distribution
        return Loss(
            *ppo_loss(
                distribution.log_prob(parameters, minibatch["actions"]),
                values,
                distribution.entropy(parameters),
                minibatch,
                self.settings,
                self.progress_of_loss,
            )
        )

    def kl_exceeded(self, epoch: Sequence[StepResult]) -> bool:
        """Whether the policy left the trust region in an epoch."""
        if self.settings.target_kl <= 0:
            return False
        kl = torch.stack([step.metrics["kl"] for step in epoch]).mean()
        if dist.is_initialized():  # all learners stop, or none: DDP waits for the missing one
            dist.all_reduce(kl)
            kl /= dist.get_world_size()
        return bool(kl > self.settings.target_kl)

    def _normalized(self, rewards: NDArray, rollout: Rollout) -> NDArray:
        """Rewards over the deviation of the discounted return (Huang et al. 2022, continuous detail
        4)."""
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
