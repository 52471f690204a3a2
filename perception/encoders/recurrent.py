"""Recurrent memory: what an agent keeps of what it saw before (RNN, Elman 1990; LSTM, Hochreiter
and Schmidhuber 1997; GRU, Cho et al. 2014)."""

import torch
from torch import Tensor, nn

from perception.settings.memory import RecurrentConfig

CELLS = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}


class Recurrent(nn.Module):
    """Features of L steps of B environments, and what was remembered before them -> the features,
    and beside them what the cell tells."""

    capturable = True

    def __init__(self, config: RecurrentConfig, features: int) -> None:
        super().__init__()
        self.cell = CELLS[config.cell](features, config.units)
        self.output_dim = features + config.units
        for name, parameter in self.cell.named_parameters():
            if name.startswith("weight"):
                nn.init.orthogonal_(parameter)
            else:
                nn.init.zeros_(parameter)

    def forward(self, features: Tensor, memory: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """Features (L * B, F), one step of all environments after the other; memory (B, S) before
        the first step; and whether a later step (L * B,) begins an episode -> outputs (L * B, F +
        units), memory (B, S) after the last."""
        outputs = []
        begins = first.view(-1, len(memory), 1)
        for step, seen in enumerate(features.view(-1, len(memory), features.shape[1])):
            # At the first step the caller has zeroed the memory where an episode begins.
            if step:
                memory = memory.masked_fill(begins[step], 0.0)
            output, memory = self.advance(seen, memory)
            outputs.append(output)
        return torch.cat([features, torch.cat(outputs)], 1), memory

    def advance(self, seen: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """One step: features (B, F), memory (B, S) -> output (B, units), memory (B, S)."""
        if not isinstance(self.cell, nn.LSTMCell):
            output = self.cell(seen, memory)
            return output, output
        output, state = self.cell(seen, memory.chunk(2, 1))
        return output, torch.cat([output, state], 1)
