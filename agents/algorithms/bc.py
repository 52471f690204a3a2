"""Behavior cloning (Pomerleau 1991): the policy learns to do what was demonstrated, the critic
what that was worth."""

from typing import Any

import torch
from torch import Tensor

from agents.algorithms.ppo import sequences
from agents.data import Columns, Demonstrated
from agents.engine.learner import ColumnarLearner, Loss
from agents.settings.bc import BC


class CloningLearner(ColumnarLearner):
    settings: BC
    capturable = True

    def learn(self, experience: Demonstrated) -> dict[str, float]:
        with torch.no_grad():
            observations = self.bare_network.prepare(self.to_device(experience.observations))
        columns = {name: self.to_device(getattr(experience, name)) for name in ("returns", "first")}
        columns["actions"] = self.to_device(self.bare_network.to_policy(experience.actions))
        windows = sequences(experience.rewards.shape, self.settings.rollout_length).to(self._device)
        minibatches = self.shuffled({"observations": observations} | columns, windows)
        return self.means([self.gradient_step(minibatch) for minibatch in minibatches])

    def loss(self, minibatch: Columns) -> Loss:
        nothing = self.bare_network.no_memory(
            len(minibatch["first"]) // self.settings.rollout_length
        )
        parameters, values, _ = self.network(minibatch["observations"], nothing, minibatch["first"])
        return Loss(
            *cloning_loss(
                self.bare_network.distribution, parameters, values, minibatch, self.settings
            )
        )


def cloning_loss(
    distribution: Any, parameters: Tensor, values: Tensor, batch: Columns, settings: BC
) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross-entropy of the demonstrated `actions` (B, ...) in the policy's units, and half the
    squared error of the `returns` (B,). The metrics have the share of actions that are the policy's
    likeliest, or how far from these real ones are on average."""
    imitation_loss = -distribution.log_prob(parameters, batch["actions"]).mean()
    value_loss = 0.5 * ((values - batch["returns"]) ** 2).mean()
    metrics = {"imitation_loss": imitation_loss, "value_loss": value_loss}
    with torch.no_grad():
        mode = distribution.mode(parameters)
        if mode.is_floating_point():
            metrics["action_error"] = (mode - batch["actions"]).abs().mean()
        else:
            metrics["agreement"] = (mode == batch["actions"]).float().mean()
    loss = imitation_loss + settings.value_coefficient * value_loss
    return loss, {name: value.detach() for name, value in metrics.items()}
