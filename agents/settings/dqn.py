"""Deep Q-learning's settings, each of its improvements a field; loss and learner:
agents/algorithms/dqn.py."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from agents.interfaces import AlgorithmParts
from agents.settings.off_policy import OffPolicy
from agents.settings.search_space import Choice, LogUniform, SearchSpace, Uniform
from common.ranges import (
    Count,
    CountOrZero,
    Fraction,
    NonNegative,
    Positive,
    PositiveFraction,
    Range,
    Size,
    Steps,
    StepsOrZero,
)
from common.spaces import in_words

if TYPE_CHECKING:
    from agents.networks.value_distributions import ValueDistribution


FLOAT32_BYTES = 4
# Horgan et al. 2018, section 4.1
APEX_EPSILON = 0.4
APEX_EXPONENT = 7.0
SEARCH_SPACE: SearchSpace = {
    "learning_rate": LogUniform(1e-5, 3e-3),
    "batch_size": Choice((32, 64, 128)),
    "discount": Choice((0.95, 0.98, 0.99, 0.995)),
    "target_update_every_env_steps": Choice((250, 500, 1_000, 4_000, 10_000)),
    "epsilon_end": Uniform(0.01, 0.1),
    "n_step": Choice((1, 3, 5)),
    "double": Choice((False, True)),
}
"""Where to look for better settings: those that Hessel et al. 2018 and rl-baselines3-zoo vary."""


@dataclass(frozen=True)
class DQN(OffPolicy):
    """Off-policy: learns what every action is worth from replayed experience."""

    name: str = "dqn"
    """What this choice of fields is called, in the run folder's name and in evaluations."""
    update_every_env_steps: Steps = 4
    batch_size: Size = 32
    learning_starts_env_steps: StepsOrZero = 20_000
    learning_rate: PositiveFraction = 1e-4
    target_update_every_env_steps: Steps = 1_000
    """Env steps between copies of the network to the target network."""
    target_rate: Fraction = 0.0
    """How far the target network moves towards the network at each gradient step (tau), in place of
    copies; 0 copies."""
    weight_decay: NonNegative = 0.0
    """Share of the weights that a step of size 1 takes away (AdamW; Loshchilov and Hutter 2019)."""
    random_shift: CountOrZero = 0
    """Pixels by which drawn images are shifted at random, at most (Yarats et al. 2021)."""
    reset_every_updates: StepsOrZero = 0
    """Gradient steps between resets: the encoder moves half the way to fresh weights, the head gets
    fresh ones (Schwarzer et al. 2023); 0 never."""
    anneal_updates: StepsOrZero = 0
    """Gradient steps, at the start and after each reset, in which n and the discount change to
    `n_step` and `discount`; 0 has these from the start."""
    first_n_step: Count = 10
    """The n that is annealed from."""
    first_discount: Fraction = 0.97
    """The discount that is annealed from."""
    max_gradient_norm: Positive = 10.0
    """Gradients are scaled down to this global norm (Wang et al. 2016)."""
    double: bool = False
    """The online network chooses the action that the target network values."""
    dueling: bool = False
    """Value and advantages in streams of their own."""
    stream_width: Size = 512
    """Width of each stream's hidden layer."""
    noisy: bool = False
    """Explore by learnt noise in the head's weights; set epsilon to 0 with it."""
    values: Literal["expectation", "categorical", "quantile", "implicit-quantile"] = "expectation"
    """What is learnt of a return: its mean, C51's probabilities of fixed values, QR-DQN's
    quantiles, or IQN's quantiles of whatever probability."""
    num_atoms: Annotated[int, Range(2, 10_000)] = 51
    """Values of the categorical distribution."""
    value_limit: Positive = 10.0
    """The categorical distribution's values lie between minus this and this."""
    num_quantiles: Annotated[int, Range(2, 10_000)] = 200
    """Quantiles of the quantile distribution; with implicit-quantile, those that a gradient step
    draws."""
    munchausen: Fraction = 0.0
    """How much of the soft policy's log-probability of the action is added to its reward (alpha;
    Vieillard et al. 2020); above 0, targets are those of that policy."""
    munchausen_temperature: Positive = 0.03
    """Temperature of the soft policy, in rewards."""
    munchausen_floor: Annotated[float, Range(-1e9, 0.0)] = -1.0
    """The least that this log-probability, times the temperature, counts."""
    epsilon_start: Fraction = 1.0
    """Chance of a random action at first."""
    epsilon_end: Fraction = 0.01
    """Chance of a random action in the end."""
    epsilon_decay_env_steps: Steps = 100_000
    """Env steps in which it falls linearly. With several runners it falls in each environment to a
    chance of its own instead, from 0.4 to 0.0007, as in Ape-X."""
    evaluation_epsilon: Fraction = 0.001
    """Chance of a random action in evaluations (Castro et al. 2018)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.anneal_updates and self.first_n_step < self.n_step:
            raise ValueError(
                f"first_n_step must be at least n_step, {self.n_step}, not {self.first_n_step}."
            )
        if self.munchausen > 0 and self.double:
            raise ValueError(
                "Munchausen targets weigh all actions, and double Q-learning chooses one; leave out "
                "--algo.double or --algo.munchausen."
            )
        if self.munchausen > 0 and self.values == "categorical":
            raise ValueError(
                "Munchausen targets mix the actions' values, which C51's probabilities cannot be; "
                "take --algo.values implicit-quantile, quantile or expectation."
            )

    @property
    def search_space(self) -> SearchSpace:
        without = {"double"} if self.munchausen > 0 else set()
        return {name: values for name, values in SEARCH_SPACE.items() if name not in without}

    @property
    def parts(self) -> AlgorithmParts:
        from agents.algorithms.dqn import DQNLearner
        from agents.engine.off_policy import OffPolicyAlgorithm
        from agents.engine.off_policy_runners import OffPolicyEnvRunner
        from agents.networks.q_network import QNetwork

        return AlgorithmParts(
            algorithm=OffPolicyAlgorithm,
            runner=OffPolicyEnvRunner,
            learner=DQNLearner,
            module=QNetwork,
        )

    def check(
        self, environment: gymnasium.Env, frame_stack: int, num_envs: int, num_learners: int
    ) -> None:
        space = environment.action_space
        if not (isinstance(space, Discrete) and space.start == 0):
            raise ValueError(
                f"DQN chooses among actions that are Discrete from 0, not {in_words(space)}; try --algo ppo, "
                "td3 or sac."
            )
        shape = environment.observation_space.shape or ()
        side = min(shape[1:], default=0) if len(shape) == 3 else 0
        if 8 * self.random_shift > side:
            raise ValueError(
                "--algo.random-shift is for images, whose sides must be eight times as long; leave "
                "it out."
            )
        visit = num_envs * self.rollout_length
        if not self.target_rate and visit > self.target_update_every_env_steps:
            raise ValueError(
                f"{num_envs * self.rollout_length:,} env steps between two visits to the replay "
                "are more than "
                f"target_update_every_env_steps, {self.target_update_every_env_steps:,}; lower "
                "--algo.rollout-length."
            )
        self.check_loss_memory()
        self.check_replay(environment, frame_stack, num_envs, num_learners)

    @property
    def longest_n_step(self) -> int:
        return self.first_n_step if self.anneal_updates else self.n_step

    def updates_at(self, env_steps: int) -> int:
        """Gradient steps that a run has made after so many env steps."""
        return self.updates_after(max(0, env_steps - self.learning_starts_env_steps))

    def horizon_at(self, env_steps: int) -> tuple[int, float]:
        """Steps of real rewards and the discount of a step, which change exponentially since the
        last reset (Schwarzer et al. 2023)."""
        if not self.anneal_updates:
            return self.n_step, self.discount
        updates = self.updates_at(env_steps)
        since_reset = updates % self.reset_every_updates if self.reset_every_updates else updates
        done = min(1.0, since_reset / self.anneal_updates)
        n_step = self.first_n_step * (self.n_step / self.first_n_step) ** done
        short = (1 - self.first_discount) * (
            (1 - self.discount) / (1 - self.first_discount)
        ) ** done
        return round(n_step), 1 - short

    def check_loss_memory(self) -> None:
        """Raises ValueError where a batch's loss, which compares all atoms or quantiles, does not
        fit into memory."""
        from agents.logged.values import require_memory

        compared = {
            "expectation": 1,
            "categorical": self.num_atoms,
            "quantile": self.num_quantiles,
            "implicit-quantile": self.num_quantiles,
        }[self.values]
        what = f"The loss of batches of {self.batch_size:,} transitions with {compared:,} x {compared:,} comparisons"
        require_memory(self.batch_size * compared**2 * FLOAT32_BYTES, what)

    def module_config(self) -> dict[str, Any]:
        own = {
            "stream_width": self.stream_width if self.dueling else 0,
            "noisy": self.noisy,
            "normalize_observations": False,
            "evaluation_epsilon": self.evaluation_epsilon,
        }
        return own | {"values": self.value_distribution()}

    def value_distribution(self) -> "ValueDistribution":
        """What the network predicts of a return, and the loss that belongs to it, as `values`
        chooses."""
        from agents.networks.value_distributions import (
            CategoricalValues,
            Expectation,
            ImplicitQuantiles,
            Quantiles,
            ValueDistribution,
        )

        kinds: dict[str, ValueDistribution] = {
            "expectation": Expectation(),
            "categorical": CategoricalValues(self.num_atoms, -self.value_limit, self.value_limit),
            "quantile": Quantiles(self.num_quantiles),
            "implicit-quantile": ImplicitQuantiles(self.num_quantiles),
        }
        return kinds[self.values]

    def exploration_at(
        self, env_steps: int, num_envs: int, num_runners: int
    ) -> NDArray[np.float32]:
        """Epsilon of each environment: (num_envs,)."""
        done = min(1.0, env_steps / self.epsilon_decay_env_steps)
        if num_runners < 2 or self.noisy:
            end = np.full(num_envs, self.epsilon_end)
        else:
            end = APEX_EPSILON ** (1 + APEX_EXPONENT * np.linspace(0, 1, num_envs))
        return (self.epsilon_start + done * (end - self.epsilon_start)).astype(np.float32)
