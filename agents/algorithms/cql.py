"""Conservative Q-learning for discrete actions, CQL(H) (Kumar et al. 2020): DQN on logged steps, which thinks little of
what nobody did."""

from dataclasses import dataclass
from typing import Any

import gymnasium
import torch
from gymnasium.spaces import Discrete
from ray.tune import choice, loguniform
from ray.tune.search.sample import Domain
from torch import Tensor

from agents.algorithms.ranges import require_within
from agents.algorithms.value_distributions import Expectation
from agents.engine.env_runner import OffPolicyEnvRunner
from agents.engine.offline import Offline, OfflineLearner
from agents.engine.q_network import QNetwork
from agents.interfaces import Columns

SEARCH_SPACE: dict[str, Domain] = {
    "learning_rate": loguniform(1e-5, 1e-3),
    "alpha": loguniform(0.05, 5.0),
    "discount": choice([0.95, 0.98, 0.99, 0.995]),
}


@dataclass(frozen=True)
class CQL(Offline):
    """Learns from a log what every action is worth, and less of those that it has seldom seen."""

    alpha: float = 1.0
    """Weight of how much more all actions seem to be worth than those of the log."""
    double: bool = True
    """The network chooses the action that the target network values (van Hasselt et al. 2016)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_within(self, 0.0, float("inf"), "alpha")

    @property
    def name(self) -> str:
        return "cql"

    @property
    def search_space(self) -> dict[str, Domain]:
        return SEARCH_SPACE

    @property
    def runner_class(self) -> type:
        return OffPolicyEnvRunner

    @property
    def learner_class(self) -> type:
        return CQLLearner

    @property
    def module_class(self) -> type:
        return QNetwork

    def check(self, environment: gymnasium.Env, frame_stack: int, num_envs: int, num_learners: int) -> None:
        space = environment.action_space
        if not (isinstance(space, Discrete) and space.start == 0):
            raise ValueError(f"CQL chooses among actions that are Discrete from 0, not {space}; try --algo iql or bc.")
        self.check_log(environment, num_envs, num_learners)

    def module_config(self) -> dict[str, Any]:
        own = {"stream_width": 0, "noisy": False, "evaluation_epsilon": 0.0, "values": Expectation()}
        return own | {"normalize_observations": self.normalize_observations}


class CQLLearner(OfflineLearner):
    def loss(self, minibatch: Columns) -> tuple[Tensor, dict[str, Tensor]]:
        outputs, after = self.network(minibatch["observations"]), minibatch["next_observations"]
        with torch.no_grad():
            following = self.target(after)
            judged = self.bare_network(after) if self.settings.double else following
        return cql_loss(outputs, following, judged, minibatch, self.settings)


def cql_loss(
    outputs: Tensor, following: Tensor, judged: Tensor, batch: Columns, settings: CQL
) -> tuple[Tensor, dict[str, Tensor]]:
    """Kumar et al. 2020, equation 4: DQN's loss, and alpha times the distance of the soft maximum over all actions from
    the logged ones; each (B, A, 1): values of the observations, of those that followed by the target network, and by
    the one that chooses among them."""
    values, everything = Expectation(), torch.arange(len(outputs), device=outputs.device)
    best = following[everything, values.mean(judged).argmax(-1)]
    chosen = outputs[everything, batch["actions"]]
    losses, errors = values.loss(chosen, batch["rewards"], batch["discounts"], best)
    q_values = values.mean(outputs)
    excess = (q_values.logsumexp(-1) - values.mean(chosen)).mean()
    terms = {
        "td_loss": losses.mean(),
        "td_error": errors.abs().mean(),
        "conservative_loss": excess,
        "q_mean": q_values.mean(),
        "q_logged": chosen.mean(),
        "agreement": (q_values.argmax(-1) == batch["actions"]).float().mean(),
    }
    return losses.mean() + settings.alpha * excess, {name: term.detach() for name, term in terms.items()}
