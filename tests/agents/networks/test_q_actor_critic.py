"""Critics beside policy and value: of choices and of doses."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from agents.networks.q_actor_critic import QActorCritic
from agents.settings.no_memory import NoMemory
from perception.settings.encoders import MLPConfig


def network(actions: Any) -> QActorCritic:
    torch.manual_seed(0)
    config: dict[str, Any] = {
        "encoder": MLPConfig((16,)),
        "memory": NoMemory(),
        "share_encoder": False,
        "hidden_sizes": (8,),
        "normalize_observations": False,
        "precision": "auto",
    }
    return QActorCritic(
        observation_space=Box(-1, 1, (3,), np.float32),
        action_space=actions,
        inference_only=False,
        model_config=config,
    )


@pytest.mark.parametrize(
    "actions", [Discrete(4), Box(-1, 1, (2,), np.float32)], ids=["choices", "doses"]
)
def test_two_critics_judge_what_was_done(actions: Any) -> None:
    net, seen = network(actions), torch.randn(6, 3)
    done = torch.as_tensor(np.stack([actions.sample() for _ in range(6)]))
    worth = net.q_values(seen, done)
    assert worth.shape == (2, 6)
    assert worth.dtype == torch.float32
    assert (worth[0] != worth[1]).all()
    other = (done + 1) % 4 if done.dim() == 1 else -done
    assert (net.q_values(seen, other) != worth).all()


def test_policy_value_and_critics_share_nothing() -> None:
    net, seen = network(Discrete(4)), torch.randn(6, 3)
    parameters, values, _ = net(seen)
    critics = net.q_values(seen, torch.zeros(6, dtype=torch.int64))
    reached = []
    for part in (parameters, values, critics):
        gradients = torch.autograd.grad(part.sum(), list(net.parameters()), allow_unused=True)
        reached.append({n for n, gradient in enumerate(gradients) if gradient is not None})
    everything = len(list(net.parameters()))
    assert sum(len(part) for part in reached) == len(set.union(*reached)), (
        "no parameter is reached from two"
    )
    assert set.union(*reached) == set(range(everything)), "and DDP finds nothing that is not used"
