"""What learners of networks that remember share: stretches of steps out of the replay, with the
stored memory before each, brought up to date (Kapturowski et al. 2019)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.data import Columns
from agents.engine.off_policy import discounted
from agents.replay.sequences import Sequences, can_draw, draw_sequences

Unroll = Callable[..., tuple[Tensor, Tensor]]
"""Prepared observations (L * B, ...), memory (B, S) and `first` (L * B,) -> what a network makes of
each step (L * B, ...), and memory (B, S)."""


def drawn_stretches(learner: Any, env_steps: int, batches: int) -> Sequences | None:
    """All batches of a learner's visit at once; None before learning starts."""
    settings = learner.settings
    replay = learner.replay
    length = settings.burn_in + learner.config.experiment.memory.steps
    held = len(replay) * learner.config.learner_count
    if held < settings.learning_starts_env_steps or not can_draw(replay, length, settings.n_step):
        return None
    random = np.random.default_rng([learner.config.seed or 0, learner._learner_index, env_steps])
    size = batches * settings.batch_size
    return draw_sequences(replay, size, length, settings.n_step, settings.discount, random)


def columns_of(learner: Any, sequences: Sequences) -> Columns:
    """A visit's stretches on the learner's device, with their steps first (steps, B, ...), and the
    memories (B, S)."""
    rewards = learner.extrinsic_reward.of_environment(sequences.rewards)
    columns = {
        "first": sequences.first,
        "memories": sequences.memories,
        "actions": sequences.actions,
        "rewards": discounted(rewards, sequences.discount),
        "discounts": sequences.discounts,
        "after": sequences.after,
        "known": sequences.known,
    }
    there = {name: torch.as_tensor(column).to(learner._device) for name, column in columns.items()}
    with torch.no_grad():
        flat = sequences.observations.flatten(0, 1).to(learner._device, non_blocking=True)
        prepared = learner.bare_network.prepare(flat)
    return there | {"observations": prepared.unflatten(0, sequences.first.shape)}


def turned(columns: Columns) -> Columns:
    """Columns (steps, B, ...) as (B, steps, ...), of which a minibatch is some rows, or back; but for
    the memories, which have no steps."""
    return {
        name: column if name == "memories" else column.transpose(0, 1)
        for name, column in columns.items()
    }


def unrolled(unroll: Unroll, columns: Columns, burn_in: int) -> Tensor:
    """What a network makes of the steps after the first ones (steps - burn_in, B, ...), which only
    bring the memory up to date, without a gradient."""
    observations = columns["observations"]
    first = columns["first"]
    memory = columns["memories"]
    if burn_in:
        with torch.no_grad():
            _, memory = unroll(
                observations[:burn_in].flatten(0, 1),
                memory=memory,
                first=first[:burn_in].flatten(),
            )
        memory = memory.masked_fill(first[burn_in][:, None], 0.0)
    seen, _ = unroll(
        observations[burn_in:].flatten(0, 1), memory=memory, first=first[burn_in:].flatten()
    )
    return seen.unflatten(0, (-1, len(memory)))


def rows_of(column: Tensor, steps: Tensor) -> Tensor:
    """Of each stretch the rows (L, B, ...) of these steps (L, B), out of (T, B, ...)."""
    return column[steps, torch.arange(steps.shape[1], device=column.device)]
