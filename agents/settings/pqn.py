"""PQN's settings (Gallici et al. 2024); loss and learner: agents/algorithms/pqn.py."""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from agents.interfaces import AlgorithmParts
from agents.settings.search_space import Choice, LogUniform, SearchSpace, Uniform
from common.ranges import Count, Fraction, Positive, PositiveFraction, Size, Steps, check_ranges
from common.spaces import in_words

SEARCH_SPACE: SearchSpace = {
    "learning_rate": LogUniform(3e-5, 3e-3),
    "epochs": Choice((1, 2, 4)),
    "minibatch_size": Choice((64, 128, 256)),
    "discount": Choice((0.95, 0.98, 0.99, 0.995)),
    "td_lambda": Uniform(0.3, 0.95),
    "epsilon_end": LogUniform(1e-3, 1e-1),
}
"""Where to look for better settings: those that Gallici et al. 2024 vary."""


@dataclass(frozen=True)
class PQN:
    """Q-learning without a replay and without a target network, on what many environments have just
    done."""

    rollout_length: Steps = 32
    """Steps that each environment takes between two updates (T)."""
    epochs: Count = 2
    """Passes over a rollout."""
    minibatch_size: Size = 128
    """Env steps a gradient step, on each learner."""
    learning_rate: PositiveFraction = 2.5e-4
    """Adam's step size at the start."""
    anneal_learning_rate: bool = True
    """Lower the learning rate linearly to zero at the end of the run."""
    adam_epsilon: PositiveFraction = 1e-5
    """Adam's epsilon."""
    discount: Fraction = 0.99
    """Gamma: what a reward one step later is worth."""
    td_lambda: Fraction = 0.65
    """Lambda of the returns that are learnt: 0 trusts the network's next value, 1 the rewards."""
    max_gradient_norm: Positive = 10.0
    """Gradients are scaled down to this global norm."""
    epsilon_start: Fraction = 1.0
    """Chance of a random action at first."""
    epsilon_end: Fraction = 0.01
    """Chance of a random action in the end."""
    epsilon_decay_env_steps: Steps = 100_000
    """Env steps in which it falls linearly."""
    evaluation_epsilon: Fraction = 0.001
    """Chance of a random action in evaluations (Castro et al. 2018)."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return "pqn"

    @property
    def search_space(self) -> SearchSpace:
        return SEARCH_SPACE

    @property
    def parts(self) -> AlgorithmParts:
        from agents.algorithms.pqn import PQNLearner
        from agents.engine.algorithm import ColumnarAlgorithm
        from agents.engine.on_policy_runners import GreedyEnvRunner
        from agents.networks.q_network import QNetwork

        return AlgorithmParts(
            algorithm=ColumnarAlgorithm,
            runner=GreedyEnvRunner,
            learner=PQNLearner,
            module=QNetwork,
        )

    def fewest_steps(self, memory_steps: int) -> int:
        return 0

    def check(
        self, environment: gymnasium.Env, frame_stack: int, num_envs: int, num_learners: int
    ) -> None:
        from agents.networks.packing import require_exact

        space = environment.action_space
        if not (isinstance(space, Discrete) and space.start == 0):
            raise ValueError(
                f"PQN chooses among actions that are Discrete from 0, not {in_words(space)}; try --algo ppo, "
                "td3 or sac."
            )
        require_exact(environment.observation_space, "use --algo ppo, which can normalize them")
        batch, remainder = divmod(num_envs * self.rollout_length, max(1, num_learners))
        if remainder or batch % self.minibatch_size:
            raise ValueError(
                f"{num_envs} environments x {self.rollout_length} steps do not divide into "
                f"minibatches of {self.minibatch_size} on {max(1, num_learners)} learner(s). Change "
                "--algo.minibatch-size or --algo.rollout-length."
            )

    def check_memory(self, steps: int, num_envs: int, frame_stack: int) -> None:
        raise ValueError(
            "This algorithm learns from single steps, by which no memory can be trained; --memory is "
            "for ppo, appo, bc, r2d2 and recurrent-sac."
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
        from agents.networks.value_distributions import Expectation

        return {
            "stream_width": 0,
            "noisy": False,
            "normalize_observations": False,
            "evaluation_epsilon": self.evaluation_epsilon,
            "values": Expectation(),
        }

    def learning_rate_at(self, progress: float) -> float:
        return self.learning_rate * (1.0 - progress if self.anneal_learning_rate else 1.0)

    def exploration_at(
        self, env_steps: int, num_envs: int, num_runners: int
    ) -> NDArray[np.float32]:
        """Epsilon of each environment: (num_envs,)."""
        done = min(1.0, env_steps / self.epsilon_decay_env_steps)
        epsilon = self.epsilon_start + done * (self.epsilon_end - self.epsilon_start)
        return np.full(num_envs, epsilon, np.float32)
