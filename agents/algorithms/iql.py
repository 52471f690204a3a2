"""Implicit Q-learning (Kostrikov et al. 2021): values of the better of the logged actions, and a
policy that clones each the more, the better it was. No action is asked about that the log has
not."""

import torch
from torch import Tensor

from agents.data import Columns
from agents.engine.learner import Loss
from agents.engine.offline import OfflineLearner
from agents.settings.iql import IQL


class IQLLearner(OfflineLearner):
    settings: IQL

    def loss(self, minibatch: Columns) -> Loss:
        observations = minibatch["observations"]
        actions = minibatch["actions"]
        parameters, values, _ = self.network(observations)
        with torch.no_grad():
            target_q = self.target.network.q_values(observations, actions).amin(0)
            _, following, _ = self.bare_network(minibatch["next_observations"])
        return Loss(
            *iql_loss(
                self.bare_network.distribution.log_prob(parameters, actions),
                values,
                self.bare_network.q_values(observations, actions),
                target_q,
                minibatch["rewards"] + minibatch["discounts"] * following,
                self.settings,
            )
        )


def iql_loss(
    log_probs: Tensor,
    values: Tensor,
    q_values: Tensor,
    target_q: Tensor,
    targets: Tensor,
    settings: IQL,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Equations 5 to 7, which share no parameters, in one: `log_probs` of the logged actions and
    `values` (B,), the critics' `q_values` of these actions (2, B) and, without gradient, the lower
    of the target critics' (B,) and the critics' `targets` (B,)."""
    advantages = target_q - values
    shares = torch.where(advantages > 0, settings.expectile, 1 - settings.expectile)
    value_loss = (shares * advantages**2).mean()
    q_loss = ((q_values - targets) ** 2).mean(1).sum()
    # Without gradient: the policy's loss must not move the values.
    weights = (
        (settings.inverse_temperature * advantages.detach()).exp().clamp_max(settings.max_weight)
    )
    policy_loss = -(weights * log_probs).mean()
    metrics = {
        "value_loss": value_loss,
        "q_loss": q_loss,
        "policy_loss": policy_loss,
        "value_mean": values.mean(),
        "q_mean": q_values.mean(),
        "advantage_deviation": advantages.std(),
        "weight_mean": weights.mean(),
    }
    loss = value_loss + q_loss + policy_loss
    return loss, {name: value.detach() for name, value in metrics.items()}
