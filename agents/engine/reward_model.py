"""A reward model at work in the learner: asked for rewards, then trained from the same steps."""

from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from ray.rllib.utils.numpy import convert_to_numpy
from ray.rllib.utils.torch_utils import convert_to_torch_tensor
from torch import Tensor, nn

from agents.acceleration.adam import Adam, averaged
from agents.data import Steps
from agents.networks.packing import Packing

ROWS_AT_A_TIME = 1_024
MINIBATCH_SIZE = 256
ADAM_EPSILON = 1e-8


class LearntReward:
    """A RewardModule with its optimizer; with several learners they learn along their mean
    gradient."""

    def __init__(
        self, module: Any, packing: Packing, device: torch.device, generator: torch.Generator
    ) -> None:
        self.module = module.to(device)
        self.packing = packing
        self.device = device
        self.generator = generator
        if dist.is_initialized():
            for value in self.module.state_dict().values():
                dist.broadcast(value, 0)
        self.parameters: list[nn.Parameter] = [
            p for p in self.module.parameters() if p.requires_grad
        ]
        learns = bool(self.parameters)
        self.optimizer = (
            Adam(self.parameters, self.module.learning_rate, ADAM_EPSILON) if learns else None
        )
        self.terms: list[dict[str, Tensor]] = []
        self.rewards_mean: float | None = None

    def steps(self, observations: Tensor, actions: Tensor, repeated: Tensor) -> Steps:
        """Of packed observations (B, ...) and actions (B, ...)."""
        return Steps(
            self.packing.unpack(observations) if self.packing.parts else observations,
            actions,
            repeated,
        )

    @torch.no_grad()
    def reward(self, steps: Steps) -> NDArray[np.float32]:
        """(B,)"""
        everywhere = torch.arange(len(steps.actions), device=self.device)
        parts = [self.module.reward(steps.rows(rows)) for rows in everywhere.split(ROWS_AT_A_TIME)]
        rewards = torch.cat(parts).float().cpu().numpy()
        self.rewards_mean = float(rewards.mean())
        return rewards

    def learn(self, steps: Steps) -> None:
        """Once from every step, in minibatches in an order of chance; a module that learnt before
        does not."""
        self.terms.clear()
        if self.optimizer is None:
            return
        order = torch.randperm(len(steps.actions), generator=self.generator).to(self.device)
        for rows in order.split(MINIBATCH_SIZE):
            loss, terms = self.module.loss(steps.rows(rows))
            gradients = torch.autograd.grad(loss, self.parameters)
            self.optimizer.descend(self.parameters, averaged(gradients))
            self.terms.append({"loss": loss.detach()} | terms)
        if dist.is_initialized():
            for buffer in filter(torch.is_floating_point, self.module.buffers()):
                dist.all_reduce(buffer)
                buffer /= dist.get_world_size()

    def metrics(self) -> dict[str, float]:
        """Of the latest rewards and what was learnt from their steps; nothing before the first."""
        told = {} if self.rewards_mean is None else {"mean": self.rewards_mean}
        if self.terms:
            table = (
                torch.stack([torch.stack(list(row.values())) for row in self.terms]).float().mean(0)
            )
            told |= dict(zip(self.terms[0], table.tolist(), strict=True))
        return {f"reward_model_{name}": value for name, value in told.items()}

    def get_state(self) -> dict[str, Any]:
        # Not by RLlib's function, which makes Python's floats of single numbers: these would come
        # back as float32.
        module = {
            name: value.detach().cpu().numpy().copy()
            for name, value in self.module.state_dict().items()
        }
        state: dict[str, Any] = {"module": module}
        if self.optimizer is not None:
            state["optimizer"] = convert_to_numpy(self.optimizer.state_dict(), reduce_type=False)
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        device = str(self.device)
        # Not by RLlib's function, which would round float64 to float32.
        self.module.load_state_dict(
            {name: torch.tensor(value) for name, value in state["module"].items()}
        )
        if self.optimizer is not None:
            moments = convert_to_torch_tensor(state["optimizer"]["state"], device)
            self.optimizer.load_state_dict(state["optimizer"] | {"state": moments})
