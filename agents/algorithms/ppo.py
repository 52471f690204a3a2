"""Proximal policy optimisation (Schulman et al. 2017), with the details that make it work
(Huang et al. 2022, The 37 Implementation Details of PPO)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from ray.tune import choice, loguniform, randint, uniform
from ray.tune.search.sample import Domain
from torch import Tensor

from agents.algorithms.ranges import require_above, require_within
from agents.engine.algorithm import ColumnarAlgorithm
from agents.engine.distributions import distribution_for
from agents.engine.env_runner import OnPolicyEnvRunner
from agents.engine.learner import ColumnarLearner
from agents.engine.module import ActorCritic
from agents.engine.normaliser import RunningMoments
from agents.engine.packing import Packing
from agents.interfaces import Columns, Rollout

SEARCH_SPACE: dict[str, Domain] = {
    "learning_rate": loguniform(3e-5, 3e-3),
    "entropy_coefficient": loguniform(1e-5, 3e-2),
    "clip": uniform(0.1, 0.3),
    "epochs": randint(2, 11),
    "minibatch_size": choice([64, 128, 256]),
    "discount": choice([0.95, 0.98, 0.99, 0.995]),
    "gae_lambda": uniform(0.85, 1.0),
}
"""Where to look for better settings (after Andrychowicz et al. 2021, What Matters In On-Policy RL)."""


@dataclass(frozen=True)
class PPO:
    """On-policy actor-critic whose updates are clipped to stay near the policy that acted."""

    rollout_length: int = 128
    """Steps that each environment takes between two updates (T)."""
    epochs: int = 4
    """Passes over a rollout."""
    minibatch_size: int = 256
    """Env steps a gradient step, on each learner."""
    learning_rate: float = 2.5e-4
    """Adam's step size at the start."""
    anneal_learning_rate: bool = True
    """Lower the learning rate linearly to zero at the end of the run."""
    adam_epsilon: float = 1e-5
    """Adam's epsilon (Huang et al. 2022, detail 3)."""
    discount: float = 0.99
    """Gamma: what a reward one step later is worth."""
    gae_lambda: float = 0.95
    """Lambda of generalised advantage estimation: 0 trusts the critic, 1 the returns."""
    clip: float = 0.2
    """How far the probability ratio may move from 1 before it earns nothing more."""
    anneal_clip: bool = False
    """Lower the clipping range linearly to zero at the end of the run."""
    clip_value: float = 0.0
    """How far a value may move from the old one in an update; 0 leaves values unclipped."""
    value_coefficient: float = 0.5
    """Weight of the value loss."""
    entropy_coefficient: float = 0.0
    """Weight of the entropy bonus."""
    anneal_entropy: bool = False
    """Lower the entropy bonus linearly to zero at the end of the run."""
    max_gradient_norm: float = 0.5
    """Gradients are scaled down to this global norm."""
    normalize_advantages: bool = True
    """Standardise advantages in each minibatch."""
    target_kl: float = 0.0
    """End an update after the epoch in which the policy moved this far (nats); 0 never does."""
    share_encoder: bool = True
    """Policy and value read one encoder; false gives each its own. A memory reads both and is one."""
    normalize_observations: bool = False
    """Standardise observations by their running mean and deviation; for vectors."""
    normalize_rewards: bool = False
    """Divide rewards by the running deviation of the discounted return."""

    def __post_init__(self) -> None:
        require_within(self, 0.0, 1.0, "discount", "gae_lambda")
        require_above(self, 0.0, "rollout_length", "epochs", "minibatch_size", "learning_rate", "adam_epsilon")
        require_above(self, 0.0, "max_gradient_norm", "clip")
        require_within(self, 0.0, math.inf, "clip_value", "value_coefficient", "entropy_coefficient", "target_kl")
        if self.normalize_advantages and self.minibatch_size == 1:
            raise ValueError("A minibatch of one has no deviation; raise minibatch_size, or normalize_advantages off.")

    @property
    def name(self) -> str:
        return "ppo"

    @property
    def search_space(self) -> dict[str, Domain]:
        return SEARCH_SPACE

    @property
    def algorithm_class(self) -> type:
        return ColumnarAlgorithm

    @property
    def runner_class(self) -> type:
        return OnPolicyEnvRunner

    @property
    def learner_class(self) -> type:
        return PPOLearner

    @property
    def module_class(self) -> type:
        return ActorCritic

    def check(self, environment: gymnasium.Env, frame_stack: int, num_envs: int, num_learners: int) -> None:
        distribution_for(environment.action_space)
        packing = Packing(environment.observation_space)
        if self.normalize_observations and packing.dtype == np.uint8:
            raise ValueError("Images and text cannot be normalised; use --algo.no-normalize-observations.")
        batch, remainder = divmod(num_envs * self.rollout_length, max(1, num_learners))
        if remainder or batch % self.minibatch_size:
            raise ValueError(
                f"{num_envs} environments x {self.rollout_length} steps are {num_envs * self.rollout_length} env steps "
                f"an update; they do not divide into minibatches of {self.minibatch_size} "
                f"on {max(1, num_learners)} learner(s). Change --algo.minibatch-size or --algo.rollout-length."
            )

    def check_memory(self, steps: int) -> None:
        if self.rollout_length % steps or self.minibatch_size % steps:
            raise ValueError(
                f"{steps} steps of memory do not divide both a rollout of {self.rollout_length} and a minibatch of "
                f"{self.minibatch_size}; {math.gcd(self.rollout_length, self.minibatch_size)} do: --memory.steps."
            )

    @property
    def judges_single_steps(self) -> bool:
        return True

    @property
    def learning_starts_env_steps(self) -> int:
        return 0

    def checkpoint_bytes(self, observation_space: gymnasium.Space, frame_stack: int, total_env_steps: int) -> int:
        return 0

    def module_config(self) -> dict[str, Any]:
        return {"share_encoder": self.share_encoder, "normalize_observations": self.normalize_observations}

    def learning_rate_at(self, progress: float) -> float:
        return self.learning_rate * (1.0 - progress if self.anneal_learning_rate else 1.0)

    def clip_at(self, progress: Any) -> Any:
        return self.clip * (1.0 - progress if self.anneal_clip else 1.0)

    def entropy_coefficient_at(self, progress: Any) -> Any:
        return self.entropy_coefficient * (1.0 - progress if self.anneal_entropy else 1.0)


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
