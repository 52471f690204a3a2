"""What algorithms that learn from a log share: settings, experience that nobody has to live through, a target network
that follows."""

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.engine.algorithm import ColumnarAlgorithm
from agents.engine.learner import ColumnarLearner
from agents.engine.normaliser import RunningMoments
from agents.environments import opened
from agents.interfaces import Columns, Experience, Logged

ROWS_AT_ONCE = 65_536


class OfflineAlgorithm(ColumnarAlgorithm):
    """Never steps its environments: what it learns from is drawn from what the settings' `read_log` gives, in an order
    that follows from the seed and the env steps so far."""

    def setup(self, config: Any) -> None:
        super().setup(config)
        settings = config.learner_config_dict["algorithm"]
        with opened(config.env_config["environment"]) as environment:
            self.log = settings.read_log(environment.observation_space, environment.action_space)
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
        observations = self.to_device(experience.observations)
        actions = self.to_device(self.bare_network.to_policy(experience.actions))
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
