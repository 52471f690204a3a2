"""PPO's settings (Schulman et al. 2017); loss and learner: agents/algorithms/ppo.py."""

import math
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from agents.interfaces import AlgorithmParts
from agents.settings.search_space import Choice, LogUniform, SearchSpace, Uniform, UniformInteger
from common.ranges import (
    Count,
    Fraction,
    NonNegative,
    Positive,
    PositiveFraction,
    Size,
    Steps,
    check_ranges,
)

SEARCH_SPACE: SearchSpace = {
    "learning_rate": LogUniform(3e-5, 3e-3),
    "entropy_coefficient": LogUniform(1e-5, 3e-2),
    "clip": Uniform(0.1, 0.3),
    "epochs": UniformInteger(2, 10),
    "minibatch_size": Choice((64, 128, 256)),
    "discount": Choice((0.95, 0.98, 0.99, 0.995)),
    "gae_lambda": Uniform(0.85, 1.0),
}
"""Where to look for better settings (after Andrychowicz et al. 2021, What Matters In On-Policy
RL)."""


@dataclass(frozen=True)
class PPO:
    """On-policy actor-critic whose updates are clipped to stay near the policy that acted."""

    rollout_length: Steps = 128
    """Steps that each environment takes between two updates (T)."""
    epochs: Count = 4
    """Passes over a rollout."""
    minibatch_size: Size = 256
    """Env steps a gradient step, on each learner."""
    learning_rate: PositiveFraction = 2.5e-4
    """Adam's step size at the start."""
    anneal_learning_rate: bool = True
    """Lower the learning rate linearly to zero at the end of the run."""
    adam_epsilon: PositiveFraction = 1e-5
    """Adam's epsilon (Huang et al. 2022, detail 3)."""
    discount: Fraction = 0.99
    """Gamma: what a reward one step later is worth."""
    gae_lambda: Fraction = 0.95
    """Lambda of generalized advantage estimation: 0 trusts the critic, 1 the returns."""
    clip: Positive = 0.2
    """How far the probability ratio may move from 1 before it earns nothing more."""
    anneal_clip: bool = False
    """Lower the clipping range linearly to zero at the end of the run."""
    clip_value: NonNegative = 0.0
    """How far a value may move from the old one in an update; 0 leaves values unclipped."""
    value_coefficient: NonNegative = 0.5
    """Weight of the value loss."""
    entropy_coefficient: NonNegative = 0.0
    """Weight of the entropy bonus."""
    anneal_entropy: bool = False
    """Lower the entropy bonus linearly to zero at the end of the run."""
    max_gradient_norm: Positive = 0.5
    """Gradients are scaled down to this global norm."""
    normalize_advantages: bool = True
    """Standardize advantages in each minibatch."""
    target_kl: NonNegative = 0.0
    """End an update after the epoch in which the policy moved this far (nats); 0 never does."""
    share_encoder: bool = True
    """Policy and value read one encoder; false gives each its own. A memory reads both and is
    one."""
    normalize_observations: bool = False
    """Standardize observations by their running mean and deviation; for vectors."""
    normalize_rewards: bool = False
    """Divide rewards by the running deviation of the discounted return."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.normalize_advantages and self.minibatch_size == 1:
            raise ValueError(
                "A minibatch of one has no deviation; raise minibatch_size, or "
                "normalize_advantages off."
            )

    @property
    def name(self) -> str:
        return "ppo"

    @property
    def search_space(self) -> SearchSpace:
        return SEARCH_SPACE

    @property
    def parts(self) -> AlgorithmParts:
        from agents.algorithms.ppo import PPOLearner
        from agents.engine.algorithm import ColumnarAlgorithm
        from agents.engine.on_policy_runners import OnPolicyEnvRunner
        from agents.networks.actor_critic import ActorCritic

        return AlgorithmParts(
            algorithm=ColumnarAlgorithm,
            runner=OnPolicyEnvRunner,
            learner=PPOLearner,
            module=ActorCritic,
        )

    def fewest_steps(self, memory_steps: int) -> int:
        return 0

    def check(
        self, environment: gymnasium.Env, frame_stack: int, num_envs: int, num_learners: int
    ) -> None:
        from agents.networks.distributions import distribution_for
        from agents.networks.packing import Packing, require_exact

        distribution_for(environment.action_space)
        packing = Packing(environment.observation_space)
        if self.normalize_observations and packing.dtype == np.uint8:
            raise ValueError(
                "Images and text cannot be normalized; use --algo.no-normalize-observations."
            )
        if not self.normalize_observations:
            require_exact(environment.observation_space, "use --algo.normalize-observations")
        batch, remainder = divmod(num_envs * self.rollout_length, max(1, num_learners))
        if remainder or batch % self.minibatch_size:
            raise ValueError(
                f"{num_envs} environments x {self.rollout_length} steps are "
                f"{num_envs * self.rollout_length} env steps "
                f"an update; they do not divide into minibatches of {self.minibatch_size} "
                f"on {max(1, num_learners)} learner(s). Change --algo.minibatch-size or "
                "--algo.rollout-length."
            )

    def check_memory(self, steps: int, num_envs: int, frame_stack: int) -> None:
        if self.rollout_length % steps or self.minibatch_size % steps:
            raise ValueError(
                f"{steps} steps of memory do not divide both a rollout of {self.rollout_length} "
                "and a minibatch of "
                f"{self.minibatch_size}; {math.gcd(self.rollout_length, self.minibatch_size)} do: "
                "--memory.steps."
            )

    @property
    def judges_single_steps(self) -> bool:
        return True

    @property
    def learning_starts_env_steps(self) -> int:
        return 0

    def checkpoint_bytes(
        self, observation_space: gymnasium.Space, frame_stack: int, total_env_steps: int
    ) -> int:
        return 0

    def module_config(self) -> dict[str, Any]:
        return {
            "share_encoder": self.share_encoder,
            "normalize_observations": self.normalize_observations,
        }

    def learning_rate_at(self, progress: float) -> float:
        return self.learning_rate * (1.0 - progress if self.anneal_learning_rate else 1.0)

    def clip_at(self, progress: Any) -> Any:
        """The clipping range when this share of the run is done; `progress` is a number or a tensor
        ()."""
        return self.clip * (1.0 - progress if self.anneal_clip else 1.0)

    def entropy_coefficient_at(self, progress: Any) -> Any:
        """The entropy bonus's weight when this share of the run is done, as `clip_at`."""
        return self.entropy_coefficient * (1.0 - progress if self.anneal_entropy else 1.0)
