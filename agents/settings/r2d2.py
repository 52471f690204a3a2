"""R2D2's settings; its learner: agents/algorithms/r2d2.py."""

from dataclasses import dataclass

from agents.interfaces import AlgorithmParts
from agents.settings.dqn import DQN
from agents.settings.stretches import FromStretches, refuse
from common.ranges import Size


@dataclass(frozen=True)
class R2D2(FromStretches, DQN):
    """Deep Q-learning for networks that remember: learns from stretches of steps, as long as
    `--memory.steps`."""

    name: str = "r2d2"
    batch_size: Size = 32
    """Stretches a gradient step, on each learner."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse(
            self,
            "priority_exponent",
            "munchausen",
            "random_shift",
            "reset_every_updates",
            "anneal_updates",
            "hindsight",
        )
        if self.values == "implicit-quantile":
            raise ValueError(
                "Implicit quantiles are not for stretches of steps; take --algo.values quantile, "
                "categorical or expectation."
            )

    @property
    def parts(self) -> AlgorithmParts:
        from agents.algorithms.r2d2 import R2D2Learner
        from agents.engine.off_policy import OffPolicyAlgorithm
        from agents.engine.off_policy_runners import RememberingEnvRunner
        from agents.networks.q_network import QNetwork

        return AlgorithmParts(
            algorithm=OffPolicyAlgorithm,
            runner=RememberingEnvRunner,
            learner=R2D2Learner,
            module=QNetwork,
        )
