"""Settings that algorithms share which learn from a log alone; their learner:
agents/engine/offline.py."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gymnasium

from common.ranges import Fraction, Positive, PositiveFraction, Size, Steps, check_ranges

if TYPE_CHECKING:
    from agents.logged.demonstrations import LoggedSteps


@dataclass(frozen=True)
class Offline:
    """Settings of learning from single logged steps; env steps are then these, each as often as it
    was learnt from."""

    demonstrations: str = ""
    """The file of logged episodes, of scripts/log_episodes.py (.parquet) or
    scripts/make_demonstrations.py."""
    rollout_length: Steps = 256
    """Steps an update, times --num-envs."""
    minibatch_size: Size = 256
    """Steps a gradient step, on each learner."""
    learning_rate: PositiveFraction = 3e-4
    """Adam's step size at the start."""
    anneal_learning_rate: bool = False
    """Lower the learning rate linearly to zero at the end of the run."""
    adam_epsilon: PositiveFraction = 1e-8
    """Adam's epsilon."""
    discount: Fraction = 0.99
    """Gamma: what a reward one step later is worth."""
    target_rate: PositiveFraction = 0.005
    """How far the target network moves towards the network at each gradient step (tau)."""
    max_gradient_norm: Positive = 10.0
    """Gradients are scaled down to this global norm."""
    normalize_observations: bool = False
    """Standardize observations by the log's mean and deviation."""
    normalize_rewards: bool = False
    """Divide rewards by the deviation of the log's discounted returns."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def judges_single_steps(self) -> bool:
        return True

    @property
    def learning_starts_env_steps(self) -> int:
        return 0

    def check_log(self, environment: gymnasium.Env, num_envs: int, num_learners: int) -> None:
        """Raises ValueError, in one line, where the log is not this environment's, or is taken in
        uneven parts."""
        self.read_log(environment.observation_space, environment.action_space)
        batch = num_envs * self.rollout_length // max(1, num_learners)
        if batch % self.minibatch_size:
            raise ValueError(
                f"{num_envs} x {self.rollout_length} steps do not divide into minibatches of "
                f"{self.minibatch_size} on "
                f"{max(1, num_learners)} learner(s). Change --algo.minibatch-size, "
                "--algo.rollout-length or --num-envs."
            )

    def read_log(self, observations: gymnasium.Space, actions: gymnasium.Space) -> "LoggedSteps":
        """The logged steps, with what followed each. Raises ValueError, in one line, where the log
        is not of these spaces."""
        from agents.logged.demonstrations import Log, LoggedSteps

        log = Log.read(self.demonstrations, observations, actions)
        unit = log.reward_unit(self.discount) if self.normalize_rewards else 1.0
        return LoggedSteps.of(log, self.rollout_length, unit)

    def check_memory(self, steps: int, num_envs: int, frame_stack: int) -> None:
        raise ValueError(
            "CQL and IQL judge single steps, by which no memory can be trained; --memory is for "
            "ppo, appo, bc, r2d2 and recurrent-sac. "
            "Where one reading says too little, log and train with more of them: --env.history."
        )

    def checkpoint_bytes(
        self, observation_space: gymnasium.Space, frame_stack: int, total_env_steps: int
    ) -> int:
        return 0

    def learning_rate_at(self, progress: float) -> float:
        return self.learning_rate * (1.0 - progress if self.anneal_learning_rate else 1.0)
