"""What algorithms that learn from a log share: settings, experience that nobody has to live through, a target network
that follows."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.algorithms.ranges import require_above, require_within
from agents.demonstrations import Log, LoggedSteps
from agents.engine.algorithm import ColumnarAlgorithm
from agents.engine.learner import ColumnarLearner
from agents.engine.normaliser import RunningMoments
from agents.interfaces import Columns, Experience, Logged

ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Offline:
    """Settings of learning from single logged steps; env steps are then these, each as often as it was learnt from."""

    demonstrations: str = ""
    """The file of logged episodes, of scripts/log_episodes.py (.parquet) or scripts/make_demonstrations.py."""
    rollout_length: int = 256
    """Steps an update, times --num-envs."""
    minibatch_size: int = 256
    """Steps a gradient step, on each learner."""
    learning_rate: float = 3e-4
    """Adam's step size at the start."""
    anneal_learning_rate: bool = False
    """Lower the learning rate linearly to zero at the end of the run."""
    adam_epsilon: float = 1e-8
    """Adam's epsilon."""
    discount: float = 0.99
    """Gamma: what a reward one step later is worth."""
    target_rate: float = 0.005
    """How far the target network moves towards the network at each gradient step (tau)."""
    max_gradient_norm: float = 10.0
    """Gradients are scaled down to this global norm."""
    normalize_observations: bool = False
    """Standardise observations by the log's mean and deviation."""
    normalize_rewards: bool = False
    """Divide rewards by the deviation of the log's discounted returns."""

    def __post_init__(self) -> None:
        require_above(self, 0.0, "rollout_length", "minibatch_size", "learning_rate", "adam_epsilon")
        require_above(self, 0.0, "target_rate", "max_gradient_norm")
        require_within(self, 0.0, 1.0, "discount", "target_rate")

    @property
    def algorithm_class(self) -> type:
        return OfflineAlgorithm

    @property
    def judges_single_steps(self) -> bool:
        return True

    @property
    def learning_starts_env_steps(self) -> int:
        return 0

    def check_log(self, environment: gymnasium.Env, num_envs: int, num_learners: int) -> None:
        """Raises ValueError, in one line, where the log is not this environment's, or is taken in uneven parts."""
        self.read_log(environment.observation_space, environment.action_space)
        batch = num_envs * self.rollout_length // max(1, num_learners)
        if batch % self.minibatch_size:
            raise ValueError(
                f"{num_envs} x {self.rollout_length} steps do not divide into minibatches of {self.minibatch_size} on "
                f"{max(1, num_learners)} learner(s). Change --algo.minibatch-size, --algo.rollout-length or --num-envs."
            )

    def read_log(self, observations: gymnasium.Space, actions: gymnasium.Space) -> LoggedSteps:
        log = Log.read(self.demonstrations, observations, actions)
        unit = log.reward_unit(self.discount) if self.normalize_rewards else 1.0
        return LoggedSteps.of(log, self.rollout_length, unit)

    def check_memory(self, steps: int) -> None:
        raise ValueError(
            "CQL and IQL judge single steps, by which no memory can be trained; --memory is for ppo, appo and bc. "
            "Where one reading says too little, log and train with more of them: --env.history."
        )

    def checkpoint_bytes(self, observation_space: gymnasium.Space, frame_stack: int, total_env_steps: int) -> int:
        return 0

    def learning_rate_at(self, progress: float) -> float:
        return self.learning_rate * (1.0 - progress if self.anneal_learning_rate else 1.0)


class OfflineAlgorithm(ColumnarAlgorithm):
    """Never steps its environments: what it learns from is drawn from what the settings' `read_log` gives, in an order
    that follows from the seed and the env steps so far."""

    def setup(self, config: Any) -> None:
        super().setup(config)
        settings = config.learner_config_dict["algorithm"]
        environment = config.env_config["environment"].build()
        self.log = settings.read_log(environment.observation_space, environment.action_space)
        environment.close()
        if settings.normalize_observations:
            moments = moments_of(self.log.observations)
            self.each_learner(lambda learner: learner.bare_network.normaliser.load_state_dict(moments))
            self.synchronise()

    def sample(self) -> Experience:
        size = self.config.num_envs_per_env_runner * max(1, self.config.num_env_runners)
        drawn = self.log.draw(self.env_steps // self.log.length, size, self.config.seed or 0)
        self._count([], drawn)
        return drawn


class OfflineLearner(ColumnarLearner):
    """Takes logged steps in the order in which they come; an algorithm adds its loss, which may ask the target."""

    def build(self) -> None:
        super().build()
        self.target = copy.deepcopy(self.bare_network).requires_grad_(False)
        self.network_parameters = list(self.bare_network.parameters())
        self.target_parameters = list(self.target.parameters())

    def minibatches(self, experience: Logged, terms: list[dict[str, Tensor]]) -> Iterator[Columns]:
        prepare = self.bare_network.prepare
        observations, actions = self.to_device(experience.observations), self.to_device(experience.actions)
        rewards = self.rewards(experience.rewards, observations, actions)
        discounts = np.float32(self.settings.discount) * ~experience.terminated
        with torch.no_grad():
            columns = {
                "observations": prepare(observations),
                "actions": actions,
                "rewards": self.to_device(rewards),
                "discounts": self.to_device(discounts),
                "next_observations": prepare(self.to_device(experience.next_observations)),
            }
        for start in range(0, len(actions), self.settings.minibatch_size):
            yield {name: column[start : start + self.settings.minibatch_size] for name, column in columns.items()}
            self._move_target()

    @torch.no_grad()
    def _move_target(self) -> None:
        rate = self.settings.target_rate
        torch._foreach_lerp_(self.target_parameters, self.network_parameters, rate)  # pyright: ignore[reportPrivateImportUsage]

    def get_state(self, components=None, *, not_components=None, **kwargs: Any) -> dict[str, Any]:
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self._check_component("target", components, not_components):
            state["target"] = self.target.get_state()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        if "target" in state:
            self.target.set_state(state["target"])


def moments_of(observations: NDArray) -> dict[str, Tensor]:
    """Of all packed observations (M, ...), as a RunningMoments holds them."""
    moments = RunningMoments(observations.shape[1:])
    for part in np.array_split(observations, math.ceil(len(observations) / ROWS_AT_ONCE)):
        moments.update(torch.from_numpy(part))
    return moments.state_dict()
