"""Implicit Q-learning (Kostrikov et al. 2021): values of the better of the logged actions, and a policy that clones
each the more, the better it was. No action is asked about that the log has not."""

from dataclasses import dataclass
from typing import Any

import gymnasium
import torch
from ray.tune import choice, loguniform, uniform
from ray.tune.search.sample import Domain
from torch import Tensor

from agents.algorithms.ranges import require_above, require_within
from agents.engine.distributions import distribution_for
from agents.engine.env_runner import OnPolicyEnvRunner
from agents.engine.offline import Offline, OfflineLearner
from agents.engine.q_actor_critic import QActorCritic
from agents.interfaces import Columns

SEARCH_SPACE: dict[str, Domain] = {
    "learning_rate": loguniform(1e-4, 1e-3),
    "expectile": uniform(0.5, 0.95),
    "inverse_temperature": loguniform(1.0, 30.0),
    "discount": choice([0.95, 0.98, 0.99, 0.995]),
}


@dataclass(frozen=True)
class IQL(Offline):
    """Learns from a log what its better actions are worth, and a policy that prefers them."""

    expectile: float = 0.7
    """Whose value is learnt: 0.5 of the mean of the logged actions, towards 1 of the best (tau; section 4.1)."""
    inverse_temperature: float = 3.0
    """How much more an action is cloned for what it is better than that: 0 clones all alike (beta; equation 7)."""
    most_weight: float = 100.0
    """No step is cloned more than this."""
    hidden_sizes: tuple[int, ...] = (256,)
    """Hidden layers of each of the two critics, after the encoder and beside the action."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_within(self, 0.5, 1.0, "expectile")
        require_within(self, 0.0, float("inf"), "inverse_temperature")
        require_above(self, 0.0, "most_weight")
        if min(self.hidden_sizes, default=0) < 1:
            raise ValueError(f"hidden_sizes must be at least one width of at least 1, not {self.hidden_sizes}.")

    @property
    def name(self) -> str:
        return "iql"

    @property
    def search_space(self) -> dict[str, Domain]:
        return SEARCH_SPACE

    @property
    def runner_class(self) -> type:
        return OnPolicyEnvRunner

    @property
    def learner_class(self) -> type:
        return IQLLearner

    @property
    def module_class(self) -> type:
        return QActorCritic

    def check(self, environment: gymnasium.Env, frame_stack: int, num_envs: int, num_learners: int) -> None:
        distribution_for(environment.action_space)
        self.check_log(environment, num_envs, num_learners)

    def module_config(self) -> dict[str, Any]:
        own = {"share_encoder": False, "hidden_sizes": self.hidden_sizes}
        return own | {"normalize_observations": self.normalize_observations}


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
