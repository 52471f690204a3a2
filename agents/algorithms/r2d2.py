"""Recurrent replay distributed DQN (Kapturowski et al. 2019): deep Q-learning of a network that
remembers, from stretches of steps, each with the memory that was stored before it and some steps to
bring that up to date."""

import numpy as np
import torch
from torch import Tensor

from agents.algorithms.dqn import DQNLearner
from agents.data import Columns
from agents.engine.learner import Loss
from agents.engine.off_policy import discounted
from agents.replay.sequences import Sequences, can_draw, draw_sequences
from agents.settings.r2d2 import R2D2


class R2D2Learner(DQNLearner):
    settings: R2D2
    capturable = False

    def draw(self, env_steps: int, batches: int) -> Sequences | None:
        """All batches of a visit at once; None before learning starts."""
        settings = self.settings
        length = settings.burn_in + self.config.experiment.memory.steps
        held = len(self.replay) * self.config.learner_count
        if held < settings.learning_starts_env_steps or not can_draw(
            self.replay, length, settings.n_step
        ):
            return None
        random = np.random.default_rng([self.config.seed or 0, self._learner_index, env_steps])
        return draw_sequences(
            self.replay,
            batches * settings.batch_size,
            length,
            settings.n_step,
            settings.discount,
            random,
        )

    def columns(self, sequences: Sequences) -> Columns:
        """What the loss asks for of a visit's stretches (B, steps, ...); the target network is asked
        once a visit, about all of them."""
        self.update_target()
        network = self.bare_network
        steps, size = sequences.first.shape
        rewards = self.extrinsic_reward.of_environment(sequences.rewards)
        first = torch.from_numpy(sequences.first).to(self._device)
        memories = torch.from_numpy(sequences.memories).to(self._device)
        with torch.no_grad():
            observations = network.prepare(
                sequences.observations.flatten(0, 1).to(self._device, non_blocking=True)
            )
            target_q, _ = self.target.network(observations, memory=memories, first=first.flatten())
        by_stretch = {
            "observations": observations.unflatten(0, (steps, size)),
            "target_q": target_q.unflatten(0, (steps, size)),
            "first": first,
        } | {
            name: torch.as_tensor(column).to(self._device)
            for name, column in {
                "actions": sequences.actions,
                "rewards": discounted(rewards, sequences.discount),
                "discounts": sequences.discounts,
                "after": sequences.after,
                "known": sequences.known,
            }.items()
        }
        columns = {name: column.transpose(0, 1) for name, column in by_stretch.items()}
        return columns | {"memories": memories}

    def loss(self, minibatch: Columns) -> Loss:
        network = self.bare_network
        values = network.values
        columns = {
            name: column if name == "memories" else column.transpose(0, 1)
            for name, column in minibatch.items()
        }
        burn_in = self.settings.burn_in
        network.draw_noise(self.noise)
        outputs = self.remembered(columns, burn_in)
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
        loss = (known * losses).sum() / known.sum().clamp(min=1)
        errors = (known * errors.detach().abs()).view(actions.shape).mean(0)
        metrics = {"q_mean": values.mean(chosen.detach()).mean(), "td_error": errors.mean()}
        return Loss(loss, metrics, errors)

    def remembered(self, columns: Columns, burn_in: int) -> Tensor:
        """The outputs (steps - burn_in, B, A, K) of the steps after the first ones, which bring the
        memory up to date without a gradient."""
        observations = columns["observations"]
        first = columns["first"]
        memory = columns["memories"]
        if burn_in:
            with torch.no_grad():
                _, memory = self.bare_network(
                    observations[:burn_in].flatten(0, 1),
                    memory=memory,
                    first=first[:burn_in].flatten(),
                )
            memory = memory.masked_fill(first[burn_in][:, None], 0.0)
        outputs, _ = self.network(
            observations[burn_in:].flatten(0, 1), memory=memory, first=first[burn_in:].flatten()
        )
        return outputs.unflatten(0, (-1, len(memory)))


def at(outputs: Tensor, actions: Tensor) -> Tensor:
    """The outputs (L, B, K) of these actions (L, B), out of those of all (L, B, A, K)."""
    chosen = actions[..., None, None].expand(-1, -1, 1, outputs.shape[-1])
    return outputs.gather(2, chosen).squeeze(2)


def rows_of(column: Tensor, steps: Tensor) -> Tensor:
    """Of each stretch the rows (L, B, ...) of these steps (L, B), out of (T, B, ...)."""
    return column[steps, torch.arange(steps.shape[1], device=column.device)]
