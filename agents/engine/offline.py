"""What algorithms that learn from a log share: settings, experience that nobody has to live
through, a target network that follows."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.data import Columns, Experience, Logged
from agents.engine.algorithm import ColumnarAlgorithm
from agents.engine.learner import ColumnarLearner, in_order
from agents.environments import opened
from agents.networks.running_moments import RunningMoments
from agents.networks.target_network import TargetNetwork

ROWS_AT_ONCE = 65_536


class OfflineAlgorithm(ColumnarAlgorithm):
    """Never steps its environments: what it learns from is drawn from what the settings' `read_log`
    gives, in an order that follows from the seed and the env steps so far."""

    def setup(self, config: Any) -> None:
        super().setup(config)
        with opened(config.experiment.env) as environment:
            self.log = self.settings.read_log(
                environment.observation_space, environment.action_space
            )
        if self.settings.normalize_observations:
            moments = moments_of(self.log.observations)
            self.each_learner(
                lambda learner: learner.bare_network.normalizer.load_state_dict(moments)
            )
            self.synchronize()

    def sample(self) -> Experience:
        drawn = self.log.draw(
            self.env_steps // self.log.length,
            self.config.experiment.num_envs,
            self.config.seed or 0,
        )
        self._count([], drawn)
        return drawn


class OfflineLearner(ColumnarLearner):
    """Takes logged steps in the order in which they come; an algorithm adds its loss, which may ask
    the target."""

    def build(self) -> None:
        super().build()
        self.target = TargetNetwork(self.bare_network)
        self.saved["target"] = self.target

    def learn(self, experience: Logged) -> dict[str, float]:
        steps = []
        for minibatch in in_order(self.columns(experience), self.settings.minibatch_size):
            steps.append(self.gradient_step(minibatch))
            self.target.move(self.settings.target_rate)
        return self.means(steps)

    def columns(self, experience: Logged) -> Columns:
        """Logged steps as flat columns (T * N, ...) on the device."""
        prepare = self.bare_network.prepare
        observations = self.to_device(experience.observations)
        actions = self.to_device(self.bare_network.to_policy(experience.actions))
        rewards = self.rewards(experience.rewards, observations, actions)
        discounts = np.float32(self.settings.discount) * ~experience.terminated
        with torch.no_grad():
            return {
                "observations": prepare(observations),
                "actions": actions,
                "rewards": self.to_device(rewards),
                "discounts": self.to_device(discounts),
                "next_observations": prepare(self.to_device(experience.next_observations)),
            }


def moments_of(observations: NDArray) -> dict[str, Tensor]:
    """Of all packed observations (M, ...), as a RunningMoments holds them."""
    moments = RunningMoments(observations.shape[1:])
    for part in np.array_split(observations, math.ceil(len(observations) / ROWS_AT_ONCE)):
        moments.update(torch.from_numpy(part))
    return moments.state_dict()
