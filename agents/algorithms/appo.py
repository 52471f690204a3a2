"""Asynchronous PPO, as a difference from PPO: env runners sample while the learner learns, so the
policy that acted is some updates old, and V-trace (Espeholt et al. 2018) corrects what is learnt
from it. The clipped ratio starts, as in PPO, from the policy before the update, not from the one
that acted (Hilton et al. 2022, decoupled)."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.algorithms.ppo import Credit, PPOLearner, discounted_sums, td_errors_and_decays
from agents.data import Rollout
from agents.engine.learner import take
from agents.settings.appo import APPO

ROWS_AT_A_TIME = 1_024


def v_trace(
    rollout: Rollout, rewards: NDArray, weights: NDArray, settings: APPO
) -> tuple[NDArray, NDArray]:
    """Advantages, weighed for the policy that learns, and value targets, both (T, N) float32.

    `weights` (T, N) say how much likelier the actions are under that policy than under the one that
    acted; values are its critic's. With weights of 1, this is generalized advantage estimation."""
    cut = np.minimum(weights, settings.max_weight)
    errors, decays = td_errors_and_decays(rollout, rewards, settings.discount, settings.gae_lambda)
    advantages = discounted_sums(cut * errors, cut * decays)
    return advantages, advantages + rollout.values


class APPOLearner(PPOLearner):
    settings: APPO  # pyright: ignore[reportIncompatibleVariableOverride]

    def credit(self, rollout: Rollout, rewards: NDArray, observations: Tensor) -> Credit:
        """V-trace by what the network before the update says; the rollout that is returned has its
        log-probabilities and values in place of those of the policy that acted."""
        log_probs, values = self.judged(rollout, observations, self.to_device(rollout.actions))
        weights = np.exp(log_probs - rollout.log_probs)
        following = np.concatenate([values[1:], rollout.next_values[-1:]])
        # Of the observations that truncated episodes and the rollout end in there is only what the
        # old critic said.
        next_values = np.where(rollout.truncated, rollout.next_values, following)
        rollout = replace(rollout, log_probs=log_probs, values=values, next_values=next_values)
        metrics = {
            "importance_weight_mean": float(weights.mean()),
            "importance_weights_cut": float((weights > self.settings.max_weight).mean()),
        }
        return Credit(rollout, *v_trace(rollout, rewards, weights, self.settings), metrics)

    @torch.no_grad()
    def judged(
        self, rollout: Rollout, observations: Tensor, actions: Tensor
    ) -> tuple[NDArray, NDArray]:
        """What the policy that learns thinks: log-probabilities and values (T, N)."""
        length, num_envs = rollout.rewards.shape
        table = torch.arange(length * num_envs, device=self._device).view(length, num_envs)
        first = self.to_device(rollout.first)
        memories = self.to_device(rollout.memories)
        told = []
        for chosen in table.split(max(1, ROWS_AT_A_TIME // length), 1):
            rows = chosen.flatten()
            parameters, values, _ = self.bare_network(
                take(observations, rows), memories[chosen[0]], first[rows]
            )
            log_probs = self.bare_network.distribution.log_prob(parameters, actions[rows])
            told.append(torch.stack([log_probs, values]).float().view(2, length, -1))
        log_probs, values = torch.cat(told, 2).cpu().numpy()
        return log_probs, values
