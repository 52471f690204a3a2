"""Asynchronous PPO's settings; loss and learner: agents/algorithms/appo.py."""

from dataclasses import dataclass, replace
from typing import Annotated

from agents.interfaces import AlgorithmParts
from agents.settings.ppo import PPO
from common.ranges import Range, Steps


@dataclass(frozen=True)
class APPO(PPO):
    """PPO whose env runners do not wait for the learner; for where sampling is the bottleneck."""

    max_policy_lag: Steps = 4
    """Updates that a rollout's policy may be old; older rollouts are thrown away."""
    max_weight: Annotated[float, Range(1.0, 1e9)] = 1.0
    """Where importance weights are cut off (V-trace's rho and c)."""

    @property
    def name(self) -> str:
        return "appo"

    @property
    def parts(self) -> AlgorithmParts:
        from agents.algorithms.appo import APPOLearner
        from agents.engine.asynchronous import AsynchronousAlgorithm

        return replace(super().parts, algorithm=AsynchronousAlgorithm, learner=APPOLearner)
