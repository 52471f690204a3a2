"""Asynchronous PPO's settings; loss and learner: agents/algorithms/appo.py."""

import math
from dataclasses import dataclass, replace

from agents.interfaces import Parts
from agents.settings.ppo import PPO
from agents.settings.ranges import require_within


@dataclass(frozen=True)
class APPO(PPO):
    """PPO whose env runners do not wait for the learner; for where sampling is the bottleneck."""

    max_policy_lag: int = 4
    """Updates that a rollout's policy may be old; older rollouts are thrown away."""
    most_weight: float = 1.0
    """Where importance weights are cut off (V-trace's rho and c)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_within(self, 1, math.inf, "max_policy_lag", "most_weight")

    @property
    def name(self) -> str:
        return "appo"

    @property
    def parts(self) -> Parts:
        from agents.algorithms.appo import APPOLearner
        from agents.engine.asynchronous import AsynchronousAlgorithm

        return replace(super().parts, algorithm=AsynchronousAlgorithm, learner=APPOLearner)
