"""Conservative Q-learning for discrete actions, CQL(H) (Kumar et al. 2020): DQN on logged steps,
which thinks little of what nobody did."""

import torch
from torch import Tensor

from agents.data import Columns
from agents.engine.learner import Loss
from agents.engine.offline import OfflineLearner
from agents.networks.value_distributions import Expectation
from agents.settings.cql import CQL


class CQLLearner(OfflineLearner):
    settings: CQL

    def loss(self, minibatch: Columns) -> Loss:
        before = minibatch["observations"]
        after = minibatch["next_observations"]
        outputs = self.masked(self.network(before)[0], before)
        with torch.no_grad():
            target_q = self.masked(self.target.network(after)[0], after)
            choosing_q = (
                self.masked(self.bare_network(after)[0], after)
                if self.settings.double
                else target_q
            )
        return Loss(*cql_loss(outputs, target_q, choosing_q, minibatch, self.settings))

    def masked(self, outputs: Tensor, prepared: Tensor) -> Tensor:
        """Values (B, A, 1), IMPOSSIBLE for actions that are not possible."""
        return self.bare_network.action_mask(outputs.squeeze(-1), prepared).unsqueeze(-1)


def cql_loss(
    outputs: Tensor, target_q: Tensor, choosing_q: Tensor, batch: Columns, settings: CQL
) -> tuple[Tensor, dict[str, Tensor]]:
    """Kumar et al. 2020, equation 4: DQN's loss, and alpha times the distance of the soft maximum
    over all actions from the logged ones. Each (B, A, 1): the values `outputs` of the observations,
    and those of the observations that followed, by the target network and by the network that
    chooses the action."""
    values = Expectation()
    rows = torch.arange(len(outputs), device=outputs.device)
    best = target_q[rows, values.mean(choosing_q).argmax(-1)]
    chosen = outputs[rows, batch["actions"]]
    losses, errors = values.loss(chosen, batch["rewards"], batch["discounts"], best)
    q_values = values.mean(outputs)
    excess = (q_values.logsumexp(-1) - values.mean(chosen)).mean()
    metrics = {
        "td_loss": losses.mean(),
        "td_error": errors.abs().mean(),
        "conservative_loss": excess,
        "q_best": q_values.amax(-1).mean(),
        "q_logged": chosen.mean(),
        "agreement": (q_values.argmax(-1) == batch["actions"]).float().mean(),
    }
    loss = losses.mean() + settings.alpha * excess
    return loss, {name: value.detach() for name, value in metrics.items()}
