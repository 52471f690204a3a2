"""DDPG's and TD3's settings; losses and learner: agents/algorithms/ddpg.py."""

import math
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from agents.interfaces import AlgorithmParts
from agents.settings.bounded_actions import check_bounded_actions
from agents.settings.off_policy import OffPolicy
from agents.settings.search_space import Choice, LogUniform, SearchSpace, Uniform
from common.ranges import Count, Fraction, NonNegative, PositiveFraction, Size, Steps

SEARCH_SPACE: SearchSpace = {
    "learning_rate": LogUniform(1e-4, 3e-3),
    "batch_size": Choice((64, 128, 256)),
    "discount": Choice((0.95, 0.98, 0.99)),
    "target_rate": LogUniform(1e-3, 2e-2),
    "noise": Uniform(0.05, 0.3),
    "policy_delay": Choice((1, 2)),
}
"""Where to look for better settings: those that rl-baselines3-zoo varies, and TD3's delay."""


@dataclass(frozen=True)
class DDPG(OffPolicy):
    """Off-policy: critics learn what actions are worth, a deterministic actor follows their
    gradient."""

    name: str = "ddpg"
    """What this choice of fields is called, in the run folder's name and in evaluations."""
    hidden_sizes: tuple[Size, ...] = (400, 300)
    """Hidden layers of the actor and of each critic, after the encoder (Lillicrap et al. 2016)."""
    target_rate: PositiveFraction = 0.005
    """How far the target networks move towards the networks at a time (tau; Fujimoto et al.
    2018)."""
    num_critics: Count = 1
    """The target is the least that any of them says."""
    policy_delay: Steps = 1
    """Gradient steps of the critics for each of the actor and of the target networks."""
    target_noise: NonNegative = 0.0
    """Deviation of the noise on the target's actions, as a share of half the action's range."""
    target_noise_limit: NonNegative = 0.5
    """Most that this noise may be."""
    noise: NonNegative = 0.1
    """Deviation of what is added to the noise on actions at each step of exploring, as a share of
    half the action's range."""
    noise_correlation: Fraction = 0.0
    """What the noise keeps of itself at each step: 0 is Gaussian noise, 0.85 an Ornstein-Uhlenbeck process with theta
    0.15 (Lillicrap et al. 2016), whose deviation grows to 1.9 times `noise`."""
    compile_losses: bool = True
    """Translate the losses and their gradients to machine code at the start, which takes some
    seconds (torch.compile); where no C++ compiler is found, they run as they are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.hidden_sizes:
            raise ValueError("hidden_sizes must have at least one width.")

    @property
    def search_space(self) -> SearchSpace:
        return SEARCH_SPACE

    @property
    def parts(self) -> AlgorithmParts:
        from agents.algorithms.ddpg import DDPGLearner
        from agents.engine.off_policy import OffPolicyAlgorithm
        from agents.engine.off_policy_runners import ActionNoiseEnvRunner
        from agents.networks.deterministic_actor_critic import DeterministicActorCritic

        return AlgorithmParts(
            algorithm=OffPolicyAlgorithm,
            runner=ActionNoiseEnvRunner,
            learner=DDPGLearner,
            module=DeterministicActorCritic,
        )

    def check(
        self, environment: gymnasium.Env, frame_stack: int, num_envs: int, num_learners: int
    ) -> None:
        check_bounded_actions(environment.action_space, self.name)
        self.check_replay(environment, frame_stack, num_envs, num_learners)

    def module_config(self) -> dict[str, Any]:
        return {"hidden_sizes": self.hidden_sizes, "num_critics": self.num_critics}

    def exploration_at(
        self, env_steps: int, num_envs: int, num_runners: int
    ) -> NDArray[np.float32]:
        """Deviation of each environment's noise (num_envs,); infinite, that is any action, until
        learning starts."""
        deviation = math.inf if env_steps < self.learning_starts_env_steps else self.noise
        return np.full(num_envs, deviation, np.float32)
