"""Recurrent SAC's settings; its learner: agents/algorithms/recurrent_sac.py."""

from dataclasses import dataclass

from agents.interfaces import AlgorithmParts
from agents.settings.sac import SAC, SEARCH_SPACE
from agents.settings.search_space import Choice, SearchSpace
from agents.settings.stretches import FromStretches, refuse
from common.ranges import Size


@dataclass(frozen=True)
class RecurrentSAC(FromStretches, SAC):
    """Soft actor-critic for networks that remember: learns from stretches of steps, as long as
    `--memory.steps`."""

    name: str = "recurrent-sac"
    batch_size: Size = 16
    """Stretches a gradient step, on each learner."""
    compile_losses: bool = False
    """Translate the losses and their gradients to machine code at the start, which takes some
    seconds (torch.compile); where no C++ compiler is found, they run as they are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse(self, "priority_exponent", "hindsight", "batch_norm", "state_dependent_noise")

    @property
    def search_space(self) -> SearchSpace:
        return SEARCH_SPACE | {"batch_size": Choice((8, 16, 32))}

    @property
    def parts(self) -> AlgorithmParts:
        from agents.algorithms.recurrent_sac import RecurrentSACLearner
        from agents.engine.off_policy import OffPolicyAlgorithm
        from agents.engine.off_policy_runners import RememberingEnvRunner
        from agents.networks.stochastic_actor_critic import StochasticActorCritic

        return AlgorithmParts(
            algorithm=OffPolicyAlgorithm,
            runner=RememberingEnvRunner,
            learner=RecurrentSACLearner,
            module=StochasticActorCritic,
        )
