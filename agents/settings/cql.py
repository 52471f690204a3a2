"""Conservative Q-learning's settings; loss and learner: agents/algorithms/cql.py."""

from dataclasses import dataclass
from typing import Any

import gymnasium
from gymnasium.spaces import Discrete

from agents.interfaces import AlgorithmParts
from agents.settings.offline import Offline
from agents.settings.search_space import Choice, LogUniform, SearchSpace
from common.ranges import NonNegative
from common.spaces import in_words

SEARCH_SPACE: SearchSpace = {
    "learning_rate": LogUniform(1e-5, 1e-3),
    "alpha": LogUniform(0.05, 5.0),
    "discount": Choice((0.95, 0.98, 0.99, 0.995)),
}


@dataclass(frozen=True)
class CQL(Offline):
    """Learns from a log what every action is worth, and less of those that it has seldom seen."""

    alpha: NonNegative = 1.0
    """Weight of how much more all actions seem to be worth than those of the log."""
    double: bool = True
    """The network chooses the action that the target network values (van Hasselt et al. 2016)."""

    @property
    def name(self) -> str:
        return "cql"

    @property
    def search_space(self) -> SearchSpace:
        return SEARCH_SPACE

    @property
    def parts(self) -> AlgorithmParts:
        from agents.algorithms.cql import CQLLearner
        from agents.engine.off_policy_runners import OffPolicyEnvRunner
        from agents.engine.offline import OfflineAlgorithm
        from agents.networks.q_network import QNetwork

        return AlgorithmParts(
            algorithm=OfflineAlgorithm,
            runner=OffPolicyEnvRunner,
            learner=CQLLearner,
            module=QNetwork,
        )

    def fewest_steps(self, memory_steps: int) -> int:
        return 0

    def check(
        self, environment: gymnasium.Env, frame_stack: int, num_envs: int, num_learners: int
    ) -> None:
        space = environment.action_space
        if not (isinstance(space, Discrete) and space.start == 0):
            raise ValueError(
                f"CQL chooses among actions that are Discrete from 0, not {in_words(space)}; try --algo iql "
                "or bc."
            )
        self.check_log(environment, num_envs, num_learners)

    def module_config(self) -> dict[str, Any]:
        from agents.networks.value_distributions import Expectation

        own = {
            "stream_width": 0,
            "noisy": False,
            "evaluation_epsilon": 0.0,
            "values": Expectation(),
        }
        return own | {"normalize_observations": self.normalize_observations}
