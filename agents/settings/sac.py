"""Soft actor-critic's settings, with TQC and CrossQ as fields; losses and learner:
agents/algorithms/sac.py."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from agents.interfaces import AlgorithmParts
from agents.settings.bounded_actions import check_bounded_actions
from agents.settings.off_policy import OffPolicy
from agents.settings.search_space import Choice, LogUniform, SearchSpace
from common.ranges import (
    Count,
    CountOrZero,
    FractionBelowOne,
    Positive,
    PositiveFraction,
    Range,
    Size,
    Steps,
)

SEARCH_SPACE: SearchSpace = {
    "learning_rate": LogUniform(1e-4, 3e-3),
    "batch_size": Choice((128, 256, 512)),
    "discount": Choice((0.95, 0.98, 0.99)),
    "target_rate": LogUniform(1e-3, 5e-2),
    "policy_delay": Choice((1, 2, 3)),
}
"""Where to look for better settings: those that rl-baselines3-zoo varies, and CrossQ's delay."""


@dataclass(frozen=True)
class SAC(OffPolicy):
    """Off-policy: critics learn what actions are worth, a stochastic actor is rewarded for its
    entropy, too."""

    name: str = "sac"
    """What this choice of fields is called, in the run folder's name and in evaluations."""
    learning_rate: PositiveFraction = 3e-4
    hidden_sizes: tuple[Size, ...] = (256, 256)
    """Hidden layers of the actor, after the encoder (Haarnoja et al. 2018)."""
    critic_hidden_sizes: tuple[Size, ...] = ()
    """Hidden layers of each critic; none: those of the actor."""
    num_critics: Count = 2
    """Critics with weights of their own."""
    num_quantiles: Count = 1
    """Numbers that a critic says of a return: 1 is its mean, more are its quantiles (TQC; Kuznetsov
    et al. 2020)."""
    dropped_quantiles: CountOrZero = 0
    """The highest quantiles of each critic that targets leave out. Of critics that say a mean, the
    lowest alone is kept."""
    target_rate: PositiveFraction = 0.005
    """How far the target networks move towards the networks at each gradient step (tau); without
    meaning for `batch_norm`, which has none."""
    batch_norm: bool = False
    """Normalize each layer's inputs over the batch. There are no target networks then (CrossQ;
    Bhatt et al. 2024)."""
    policy_delay: Steps = 1
    """Gradient steps of the critics for each of the actor."""
    initial_temperature: Positive = 1.0
    """What an action's entropy, in nats, is worth in rewards at the start."""
    learn_temperature: bool = True
    """Change the temperature so that the entropy comes near its target (Haarnoja et al. 2019)."""
    target_entropy: Annotated[float, Range(-100.0, 100.0)] = -1.0
    """The entropy to keep for each dimension of the actions, in nats, where they lie in [-1, 1]."""
    state_dependent_noise: bool = False
    """Explore by noise that is the same function of the state for a whole visit to the environments
    (gSDE; Raffin et al. 2022), not by new noise at each step."""
    initial_noise: Positive = 0.05
    """Standard deviation of this function's weights at the start; without meaning for noise that is
    new at each step."""
    adam_beta1: FractionBelowOne = 0.9
    """How much of its mean of gradients Adam keeps at each step."""
    compile_losses: bool = True
    """Translate the losses and their gradients to machine code at the start, which takes some
    seconds (torch.compile); where no C++ compiler is found, they run as they are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.hidden_sizes:
            raise ValueError("hidden_sizes must have at least one width.")
        if self.dropped_quantiles >= self.num_quantiles:
            raise ValueError(
                f"dropped_quantiles must be below num_quantiles, {self.num_quantiles}, not "
                f"{self.dropped_quantiles}."
            )

    @property
    def search_space(self) -> SearchSpace:
        return SEARCH_SPACE

    @property
    def parts(self) -> AlgorithmParts:
        from agents.algorithms.sac import SACLearner
        from agents.engine.off_policy import OffPolicyAlgorithm
        from agents.engine.off_policy_runners import (
            OffPolicyEnvRunner,
            StateDependentNoiseEnvRunner,
        )
        from agents.networks.stochastic_actor_critic import StochasticActorCritic

        return AlgorithmParts(
            algorithm=OffPolicyAlgorithm,
            runner=StateDependentNoiseEnvRunner
            if self.state_dependent_noise
            else OffPolicyEnvRunner,
            learner=SACLearner,
            module=StochasticActorCritic,
        )

    @property
    def kept_quantiles(self) -> int:
        """Numbers of all critics together that a target is made of: the lowest."""
        if self.num_quantiles == 1:
            return 1
        return self.num_critics * (self.num_quantiles - self.dropped_quantiles)

    def check(
        self, environment: gymnasium.Env, frame_stack: int, num_envs: int, num_learners: int
    ) -> None:
        check_bounded_actions(environment.action_space, self.name)
        if self.batch_norm and num_learners > 1:
            raise ValueError(
                "Batch normalization knows the moments of one learner's batches; use --num-learners "
                f"1 with --algo.batch-norm, not {num_learners}."
            )
        self.check_replay(environment, frame_stack, num_envs, num_learners)

    def module_config(self) -> dict[str, Any]:
        return {
            "hidden_sizes": self.hidden_sizes,
            "critic_hidden_sizes": self.critic_hidden_sizes or self.hidden_sizes,
            "num_critics": self.num_critics,
            "num_quantiles": self.num_quantiles,
            "batch_norm": self.batch_norm,
            "initial_temperature": self.initial_temperature,
            "state_dependent_noise": self.state_dependent_noise,
            "initial_noise": self.initial_noise,
        }

    def exploration_at(
        self, env_steps: int, num_envs: int, num_runners: int
    ) -> NDArray[np.float32]:
        """Infinite, that is any action, until learning starts; then 1, the policy's own chance:
        (num_envs,)."""
        return np.full(
            num_envs, math.inf if env_steps < self.learning_starts_env_steps else 1.0, np.float32
        )
