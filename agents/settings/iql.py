"""Implicit Q-learning's settings; loss and learner: agents/algorithms/iql.py."""

from dataclasses import dataclass
from typing import Annotated, Any

import gymnasium

from agents.interfaces import AlgorithmParts
from agents.settings.offline import Offline
from agents.settings.search_space import Choice, LogUniform, SearchSpace, Uniform
from common.ranges import NonNegative, Positive, Range, Size

SEARCH_SPACE: SearchSpace = {
    "learning_rate": LogUniform(1e-4, 1e-3),
    "expectile": Uniform(0.5, 0.95),
    "inverse_temperature": LogUniform(1.0, 30.0),
    "discount": Choice((0.95, 0.98, 0.99, 0.995)),
}


@dataclass(frozen=True)
class IQL(Offline):
    """Learns from a log what its better actions are worth, and a policy that prefers them."""

    expectile: Annotated[float, Range(0.5, 1.0)] = 0.7
    """Whose value is learnt: 0.5 of the mean of the logged actions, towards 1 of the best (tau;
    section 4.1)."""
    inverse_temperature: NonNegative = 3.0
    """How much more an action is cloned for what it is better than that: 0 clones all alike (beta;
    equation 7)."""
    max_weight: Positive = 100.0
    """No step is cloned more than this."""
    hidden_sizes: tuple[Size, ...] = (256,)
    """Hidden layers of each of the two critics, after the encoder and beside the action."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.hidden_sizes:
            raise ValueError("hidden_sizes must have at least one width.")

    @property
    def name(self) -> str:
        return "iql"

    @property
    def search_space(self) -> SearchSpace:
        return SEARCH_SPACE

    @property
    def parts(self) -> AlgorithmParts:
        from agents.algorithms.iql import IQLLearner
        from agents.engine.offline import OfflineAlgorithm
        from agents.engine.on_policy_runners import OnPolicyEnvRunner
        from agents.networks.q_actor_critic import QActorCritic

        return AlgorithmParts(
            algorithm=OfflineAlgorithm,
            runner=OnPolicyEnvRunner,
            learner=IQLLearner,
            module=QActorCritic,
        )

    def fewest_steps(self, memory_steps: int) -> int:
        return 0

    def check(
        self, environment: gymnasium.Env, frame_stack: int, num_envs: int, num_learners: int
    ) -> None:
        from agents.networks.distributions import distribution_for

        distribution_for(environment.action_space)
        self.check_log(environment, num_envs, num_learners)

    def module_config(self) -> dict[str, Any]:
        own = {"share_encoder": False, "hidden_sizes": self.hidden_sizes}
        return own | {"normalize_observations": self.normalize_observations}
