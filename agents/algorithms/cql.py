"""Conservative Q-learning for discrete actions, CQL(H) (Kumar et al. 2020): DQN on logged steps, which thinks little of
what nobody did."""

import torch
from torch import Tensor

from agents.algorithms.value_distributions import Expectation
from agents.engine.offline import OfflineLearner
from agents.interfaces import Columns
from agents.settings.cql import CQL


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
