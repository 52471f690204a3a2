"""Trained agents as policies, with the interface that clinicians' rules have."""

from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from agents.evaluation.evaluate import device_of
from agents.networks.packing import Packing
from common.policy import Policy


def trained_policy(network: Any, *, seed: int = 0, deterministic: bool = False) -> Policy:
    """What a network decides. It remembers what the rows before told it, until the number of rows
    changes.

    Where actions are discrete it tells their probabilities, which are all 0 or 1 if
    `deterministic`."""
    device = device_of(network)
    generator = torch.Generator(device).manual_seed(seed)
    packing = Packing(network.observation_space)
    space = network.action_space
    memory = network.no_memory(0)

    @torch.no_grad()
    def policy(observations: NDArray, first: NDArray[np.bool_]) -> NDArray:
        nonlocal memory
        if len(memory) != len(first):
            memory = network.no_memory(len(first))
        memory = memory.masked_fill(torch.from_numpy(first).to(device)[:, None], 0.0)
        prepared = network.prepare(torch.from_numpy(packing.pack(observations)).to(device))
        if not isinstance(space, Discrete):
            actions, memory = network.act(prepared, memory, generator, deterministic)
            return network.to_environment(actions.cpu().numpy())
        probabilities, memory = network.probabilities(prepared, memory, deterministic)
        return probabilities.double().cpu().numpy()

    return policy
