"""The memory that training an algorithm's whole network needs, from the shapes of its layers."""

from dataclasses import replace
from typing import Any

import gymnasium
import torch
from torch import nn

from agents.engine.config import new_network
from agents.engine.memory_needed import PARAMETER_BYTES
from agents.experiment import Experiment, InvalidExperiment
from agents.logged.values import require_memory


def require_network_memory(experiment: Experiment, encoder: nn.Module) -> None:
    """Raises InvalidExperiment, in one line, where training the whole network does not fit into
    memory.

    `encoder` is the experiment's, already built; all other layers are built as shapes without
    numbers. On a cluster, whose machines have memories of their own, nothing is checked."""
    if experiment.address:
        return
    with torch.device("meta"):
        network = new_network(replace(experiment, encoder=CountedEncoder(encoder)))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    try:
        require_memory(
            parameters * PARAMETER_BYTES, f"Training the network, of {parameters:,} parameters,"
        )
    except ValueError as mistake:
        raise InvalidExperiment(str(mistake)) from mistake


class CountedEncoder:
    """Encoder settings that build as many parameters as a given encoder has, without any layer that
    uses them."""

    def __init__(self, encoder: Any) -> None:
        self.output_dim: int = encoder.output_dim
        self.parameters = sum(parameter.numel() for parameter in encoder.parameters())

    def build(self, observation_space: gymnasium.Space) -> Any:
        module: Any = nn.ParameterList([torch.empty(self.parameters)])
        module.output_dim = self.output_dim
        return module
