"""R2D2's settings; its learner: agents/algorithms/r2d2.py."""

from dataclasses import dataclass

from agents.interfaces import AlgorithmParts
from agents.settings.dqn import DQN
from agents.settings.off_policy import MAX_TRANSITIONS_A_VISIT
from common.ranges import Size, StepsOrZero


@dataclass(frozen=True)
class R2D2(DQN):
    """Deep Q-learning for networks that remember: learns from stretches of steps, as long as
    `--memory.steps`."""

    name: str = "r2d2"
    batch_size: Size = 32
    """Stretches a gradient step, on each learner."""
    burn_in: StepsOrZero = 20
    """Steps at the beginning of a stretch that only bring the memory up to date, and are not learnt
    from; 0 trusts what was stored when they were lived."""

    def __post_init__(self) -> None:
        super().__post_init__()
        unused = {
            "priority_exponent": self.priority_exponent,
            "munchausen": self.munchausen,
            "random_shift": self.random_shift,
            "reset_every_updates": self.reset_every_updates,
            "anneal_updates": self.anneal_updates,
        }
        for setting, value in unused.items():
            if value:
                raise ValueError(f"{setting} is not for stretches of steps; leave it out.")
        if self.values == "implicit-quantile":
            raise ValueError(
                "Implicit quantiles are not for stretches of steps; take --algo.values quantile, "
                "categorical or expectation."
            )
        if self.hindsight != "none":
            raise ValueError("Hindsight is not for stretches of steps; leave it out.")

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

    @property
    def judges_single_steps(self) -> bool:
        return False

    def stretch(self, steps: int) -> int:
        """Steps of a stretch, those that are only burnt in and those whose rewards are still
        counted among them."""
        return self.burn_in + steps + self.n_step

    def check_memory(self, steps: int, num_envs: int) -> None:
        stretch = self.stretch(steps)
        held = self.replay_capacity // num_envs
        if stretch > held:
            raise ValueError(
                f"A stretch has {stretch:,} steps (--algo.burn-in {self.burn_in:,}, --memory.steps "
                f"{steps:,}, --algo.n-step {self.n_step:,}), and the replay holds {held:,} of each "
                "environment."
            )
        drawn = self.updates_after(num_envs * self.rollout_length) * self.batch_size * stretch
        if drawn > MAX_TRANSITIONS_A_VISIT:
            raise ValueError(
                f"A visit to the replay would draw {drawn:,} steps at once; "
                f"{MAX_TRANSITIONS_A_VISIT:,} are the most; lower --memory.steps, --algo.burn-in, "
                "--algo.batch-size, --num-envs or --algo.gradient-steps."
            )
