"""Recurrent replay distributed DQN (Kapturowski et al. 2019): deep Q-learning of a network that
remembers, from stretches of steps, each with the memory that was stored before it and some steps to
bring that up to date."""

import torch
from torch import Tensor

from agents.algorithms.dqn import DQNLearner
from agents.data import Columns
from agents.engine.learner import Loss
from agents.engine.stretches import columns_of, drawn_stretches, rows_of, turned, unrolled
from agents.replay.sequences import Sequences
from agents.settings.r2d2 import R2D2


class R2D2Learner(DQNLearner):
    settings: R2D2
    capturable = False

    def draw(self, env_steps: int, batches: int) -> Sequences | None:
        return drawn_stretches(self, env_steps, batches)

    def columns(self, sequences: Sequences) -> Columns:
        """What the loss asks for of a visit's stretches (B, steps, ...); the target network is asked
        once a visit, about all of them."""
        self.update_target()
        columns = columns_of(self, sequences)
        with torch.no_grad():
            self.target.network.draw_noise(self.noise)
            columns["target_q"] = unrolled(self.target.network, columns, burn_in=0)
        return turned(columns)

    def loss(self, minibatch: Columns) -> Loss:
        network = self.bare_network
        values = network.values
        columns = turned(minibatch)
        burn_in = self.settings.burn_in
        network.draw_noise(self.noise)
        outputs = unrolled(self.network, columns, burn_in)
        length = len(columns["actions"])
        # Of the steps that are learnt from (L, B): what was done, and which step's value follows.
        actions = columns["actions"][burn_in:]
        after = columns["after"][burn_in:]
        chosen = at(outputs[: length - burn_in], actions)
        with torch.no_grad():
            target_q = rows_of(columns["target_q"], after)
            seen = rows_of(columns["observations"], after)
            choosing_q = (
                rows_of(outputs.detach(), after - burn_in) if self.settings.double else target_q
            )
            best = network.expected(choosing_q.flatten(0, 1), seen.flatten(0, 1)).argmax(-1)
            following = at(target_q, best.view(after.shape))
        losses, errors = values.loss(
            chosen.flatten(0, 1),
            columns["rewards"][burn_in:].flatten(),
            columns["discounts"][burn_in:].flatten(),
            following.flatten(0, 1),
        )
        known = columns["known"][burn_in:].flatten().float()
        number = known.sum().clamp(min=1)
        loss = (known * losses).sum() / number
        errors = known * errors.detach().abs()
        q_values = values.mean(chosen.detach()).flatten()
        metrics = {"q_mean": (known * q_values).sum() / number, "td_error": errors.sum() / number}
        return Loss(loss, metrics, errors.view(actions.shape).mean(0))


def at(outputs: Tensor, actions: Tensor) -> Tensor:
    """The outputs (L, B, K) of these actions (L, B), out of those of all (L, B, A, K)."""
    chosen = actions[..., None, None].expand(-1, -1, 1, outputs.shape[-1])
    return outputs.gather(2, chosen).squeeze(2)
