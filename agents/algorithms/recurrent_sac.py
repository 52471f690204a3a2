"""Soft actor-critic for networks that remember: as SAC and TQC, but learnt from stretches of steps,
each with the memory that was stored before it and some steps to bring that up to date (Kapturowski
et al. 2019; Ni et al. 2022)."""

import torch
from torch import Tensor

from agents.acceleration.adam import Adam
from agents.algorithms.sac import SACLearner
from agents.data import Columns
from agents.engine.stretches import columns_of, drawn_stretches, rows_of, turned, unrolled
from agents.replay.sequences import Sequences
from agents.settings.recurrent_sac import RecurrentSAC


class RecurrentSACLearner(SACLearner):
    settings: RecurrentSAC

    def draw(self, env_steps: int, batches: int) -> Sequences | None:
        return drawn_stretches(self, env_steps, batches)

    def columns(self, sequences: Sequences) -> Columns:
        """What the losses ask for of a visit's stretches (B, steps, ...)."""
        columns = columns_of(self, sequences)
        actions = columns["actions"].float()
        columns["actions"] = actions
        for name in ("noise", "next_noise"):
            columns[name] = torch.empty_like(actions).normal_(generator=self.noise)
        return turned(columns)

    def _step(self, minibatch: Columns, optimizer: Adam) -> Columns:
        """SAC's step on the features of all steps that are learnt from, as rows (L * B, ...). The
        actor learns on those from before the critics' step, of which SAC makes new ones."""
        columns = turned(minibatch)
        burn_in = self.settings.burn_in
        features = unrolled(self.bare_network.features_from, columns, burn_in)
        with torch.no_grad():
            of_target = unrolled(self.target.network.features_from, columns, burn_in)
        after = columns["after"][burn_in:] - burn_in
        known = columns["known"][burn_in:].float()
        rows = {
            name: columns[name][burn_in:].flatten(0, 1)
            for name in ("actions", "rewards", "discounts", "noise", "next_noise")
        }
        return super()._step(
            rows
            | {
                "features": features[: len(after)].flatten(0, 1),
                "next_features": rows_of(features.detach(), after).flatten(0, 1),
                "next_target_features": rows_of(of_target, after).flatten(0, 1),
                "weights": (known / known.mean().clamp(min=1e-6)).flatten(),
            },
            optimizer,
        )

    def features(self, minibatch: Columns) -> Tensor:
        return minibatch["features"]

    def next_features(self, minibatch: Columns) -> Tensor:
        return minibatch["next_features"]

    def next_target_features(self, minibatch: Columns) -> Tensor:
        return minibatch["next_target_features"]
