"""Implicit Q-learning (Kostrikov et al. 2021): values of the better of the logged actions, and a policy that clones
each the more, the better it was. No action is asked about that the log has not."""

import torch
from torch import Tensor

from agents.engine.offline import OfflineLearner
from agents.interfaces import Columns
from agents.settings.iql import IQL


class IQLLearner(OfflineLearner):
    def loss(self, minibatch: Columns) -> tuple[Tensor, dict[str, Tensor]]:
        observations, actions = minibatch["observations"], minibatch["actions"]
        parameters, values, _ = self.network(observations)
        with torch.no_grad():
            worth = self.target.q_values(observations, actions).amin(0)
            _, following, _ = self.bare_network(minibatch["next_observations"])
        return iql_loss(
            self.bare_network.distribution.log_prob(parameters, actions),
            values,
            self.bare_network.q_values(observations, actions),
            worth,
            minibatch["rewards"] + minibatch["discounts"] * following,
            self.settings,
        )


def iql_loss(
    log_probs: Tensor, values: Tensor, q_values: Tensor, worth: Tensor, targets: Tensor, settings: IQL
) -> tuple[Tensor, dict[str, Tensor]]:
    """Equations 5 to 7, which share no parameters, in one: `log_probs` of the logged actions and `values` (B,), what
    the critics say of these actions (2, B), and, without gradient, what the target critics agree on and what the
    critics should say (B,)."""
    advantages = worth - values
    shares = torch.where(advantages > 0, settings.expectile, 1 - settings.expectile)
    value_loss = (shares * advantages**2).mean()
    q_loss = ((q_values - targets) ** 2).mean(1).sum()
    weights = (settings.inverse_temperature * advantages.detach()).exp().clamp_max(settings.most_weight)
    policy_loss = -(weights * log_probs).mean()
    terms = {
        "value_loss": value_loss,
        "q_loss": q_loss,
        "policy_loss": policy_loss,
        "value_mean": values.mean(),
        "q_mean": q_values.mean(),
        "advantage_deviation": advantages.std(),
        "weight_mean": weights.mean(),
    }
    return value_loss + q_loss + policy_loss, {name: term.detach() for name, term in terms.items()}
