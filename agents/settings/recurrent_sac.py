"""Recurrent SAC's settings; its learner: agents/algorithms/recurrent_sac.py."""

from dataclasses import dataclass

from agents.interfaces import AlgorithmParts
from agents.settings.sac import SAC, SEARCH_SPACE
from agents.settings.search_space import Choice, SearchSpace
from agents.settings.stretches import check_stretch, refuse
from common.ranges import Size, StepsOrZero


@dataclass(frozen=True)
class RecurrentSAC(SAC):
    """Soft actor-critic for networks that remember: learns from stretches of steps, as long as
    `--memory.steps`."""

    name: str = "recurrent-sac"
    batch_size: Size = 16
    """Stretches a gradient step, on each learner."""
    compile_losses: bool = False
    """Translate the losses and their gradients to machine code at the start, which takes some
    seconds (torch.compile); where no C++ compiler is found, they run as they are."""
    burn_in: StepsOrZero = 10
    """Steps at the beginning of a stretch that only bring the memory up to date, and are not learnt
    from; 0 trusts what was stored when they were lived."""

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

    @property
    def judges_single_steps(self) -> bool:
        return False

    def fewest_steps(self, memory_steps: int) -> int:
        return self.burn_in + memory_steps + self.n_step

    def check_memory(self, steps: int, num_envs: int) -> None:
        check_stretch(self, steps, num_envs)
