"""Behavior cloning's settings; loss and learner: agents/algorithms/bc.py."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium

from agents.interfaces import AlgorithmParts
from agents.settings.search_space import Choice, LogUniform, SearchSpace
from common.ranges import Fraction, Positive, PositiveFraction, Size, Steps, check_ranges

if TYPE_CHECKING:
    from agents.logged.demonstrations import Demonstrations


SEARCH_SPACE: SearchSpace = {
    "learning_rate": LogUniform(1e-4, 3e-3),
    "minibatch_size": Choice((256, 512, 1024)),
}


@dataclass(frozen=True)
class BC:
    """Clones a demonstrated behavior; env steps are then demonstrated ones, each as often as it
    was learnt from."""

    demonstrations: str = ""
    """The file of logged episodes, of scripts/make_demonstrations.py or scripts/log_episodes.py
    (.parquet)."""
    rollout_length: Steps = 32
    """Steps of a window (T), in which a memory begins with nothing; --num-envs of them are taken an
    update."""
    minibatch_size: Size = 512
    """Steps a gradient step, on each learner."""
    learning_rate: PositiveFraction = 1e-3
    """Adam's step size at the start."""
    anneal_learning_rate: bool = True
    """Lower the learning rate linearly to zero at the end of the run."""
    adam_epsilon: PositiveFraction = 1e-5
    """Adam's epsilon."""
    discount: Fraction = 0.99
    """Gamma: what a reward one step later is worth."""
    value_coefficient: Fraction = 0.5
    """Weight of the value loss."""
    max_gradient_norm: Positive = 0.5
    """Gradients are scaled down to this global norm."""
    share_encoder: bool = True
    """Policy and value read one encoder; false gives each its own. A memory reads both and is
    one."""
    normalize_observations: bool = False
    """Standardize observations by their mean and deviation among those that were demonstrated."""
    normalize_rewards: bool = False
    """Divide rewards by the deviation of the discounted returns that were demonstrated."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return "bc"

    @property
    def search_space(self) -> SearchSpace:
        return SEARCH_SPACE

    @property
    def parts(self) -> AlgorithmParts:
        from agents.algorithms.bc import CloningLearner
        from agents.engine.offline import OfflineAlgorithm
        from agents.engine.on_policy_runners import OnPolicyEnvRunner
        from agents.networks.actor_critic import ActorCritic

        return AlgorithmParts(
            algorithm=OfflineAlgorithm,
            runner=OnPolicyEnvRunner,
            learner=CloningLearner,
            module=ActorCritic,
        )

    def fewest_steps(self, memory_steps: int) -> int:
        return 0

    def check(
        self, environment: gymnasium.Env, frame_stack: int, num_envs: int, num_learners: int
    ) -> None:
        from agents.networks.distributions import distribution_for

        distribution_for(environment.action_space)
        self.read_log(environment.observation_space, environment.action_space)
        batch = num_envs * self.rollout_length // max(1, num_learners)
        if batch % self.minibatch_size or self.minibatch_size % self.rollout_length:
            raise ValueError(
                f"{num_envs} windows of {self.rollout_length} steps do not divide into minibatches "
                "of "
                f"{self.minibatch_size} that are whole windows, on {max(1, num_learners)} "
                "learner(s). Change "
                "--algo.minibatch-size, --algo.rollout-length or --num-envs."
            )

    def read_log(self, observations: gymnasium.Space, actions: gymnasium.Space) -> "Demonstrations":
        """The demonstrated steps in windows. Raises ValueError, in one line, as
        `Demonstrations.read` does."""
        from agents.logged.demonstrations import Demonstrations

        return Demonstrations.read(
            self.demonstrations,
            observations,
            actions,
            self.discount,
            self.rollout_length,
            self.normalize_rewards,
        )

    def check_memory(self, steps: int, num_envs: int, frame_stack: int) -> None:
        """Errors go back over a whole window, however long."""

    @property
    def judges_single_steps(self) -> bool:
        return False

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
