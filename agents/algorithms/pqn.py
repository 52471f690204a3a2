"""Parallelized Q-network (Gallici et al. 2024): Q(lambda) on the newest rollout of many
environments, with layer normalization in the place of a replay and a target network."""

import torch

from agents.algorithms.ppo import (
    discounted_sums,
    explained_variance,
    sequences,
    td_errors_and_decays,
)
from agents.data import Columns, Rollout
from agents.engine.learner import ColumnarLearner, Loss
from agents.settings.pqn import PQN


class PQNLearner(ColumnarLearner):
    """Learns lambda-returns whose later values are those of the best actions, which the rollout's
    `values` and `next_values` are."""

    settings: PQN
    capturable = True

    def learn(self, experience: Rollout) -> dict[str, float]:
        settings = self.settings
        raw_observations = self.to_device(experience.observations)
        actions = self.to_device(experience.actions)
        rewards = self.rewards(experience.rewards, raw_observations, actions, experience)
        errors, decays = td_errors_and_decays(
            experience, rewards, settings.discount, settings.td_lambda
        )
        returns = experience.values + discounted_sums(errors, decays)
        with torch.no_grad():
            observations = self.bare_network.prepare(raw_observations)
        columns = {
            "observations": observations,
            "actions": actions,
            "returns": self.to_device(returns),
        }
        rows = sequences(returns.shape, 1).to(self._device)
        steps = [
            self.gradient_step(minibatch)
            for _ in range(settings.epochs)
            for minibatch in self.shuffled(columns, rows)
        ]
        epsilon = settings.exploration_at(self.env_steps, 1, self.config.runner_count)[0]
        explained = explained_variance(experience.values, returns)
        return self.means(steps) | {"epsilon": float(epsilon), "explained_variance": explained}

    def loss(self, minibatch: Columns) -> Loss:
        outputs, _ = self.network(minibatch["observations"])
        q_values = self.bare_network.values.mean(outputs)
        taken = q_values.gather(1, minibatch["actions"][:, None])[:, 0]
        errors = minibatch["returns"] - taken
        metrics = {
            "q_mean": taken.detach().mean(),
            "td_error": errors.detach().abs().mean(),
        }
        return Loss(0.5 * errors.square().mean(), metrics)
