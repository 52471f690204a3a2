"""A deterministic actor with one critic or several, for actions in a Box."""

from contextlib import AbstractContextManager
from itertools import pairwise

import torch
from torch import Tensor, nn

from agents.networks.action_scaling import ActionScaling
from agents.networks.actor_critic import Network, Precision, use_bf16
from agents.networks.packing import build_encoder


class DeterministicActorCritic(Network):
    """Observations -> features -> actions (B, A), each number in [-1, 1]; features and actions ->
    values (C, B).

    The encoder learns from the critics. The environment's Box is reached by `to_environment`.

    `model_config`: `encoder` (an Encoder), `hidden_sizes` (of the actor and of each critic),
    `num_critics`, `precision`.
    """

    def setup(self) -> None:
        config = self.model_config
        self.precision: Precision = config["precision"]
        self.encoder = build_encoder(config["encoder"], self.observation_space)
        features = self.encoder.output_dim
        actions = self.action_space.shape[0]
        self.actor = Trunk(features, config["hidden_sizes"], actions)
        self.critics = nn.ModuleList(
            Trunk(features + actions, config["hidden_sizes"], 1)
            for _ in range(config["num_critics"])
        )
        self.action_scaling = ActionScaling(self.action_space)

    def prepare(self, observations: Tensor) -> Tensor:
        """What can be done once an observation, without parameters: cast, lay out."""
        with self.low_precision(observations):
            return self.encoder.input_layer(observations)

    def features(self, prepared: Tensor) -> Tensor:
        """Prepared observations (B, ...) -> (B, F) float32."""
        with self.low_precision(prepared):
            return self.encoder.torso(prepared).float()

    def actions(self, features: Tensor) -> Tensor:
        """The policy's actions (B, A) for features (B, F)."""
        with self.low_precision(features):
            return self.actor(features).tanh()

    def values(self, features: Tensor, actions: Tensor) -> Tensor:
        """What each critic thinks of actions (B, A): (C, B)."""
        both = torch.cat([features, actions], 1)
        with self.low_precision(features):
            return torch.stack([critic(both).squeeze(1) for critic in self.critics])

    def first_value(self, features: Tensor, actions: Tensor) -> Tensor:
        """What the first critic thinks: (B,)."""
        with self.low_precision(features):
            return self.critics[0](torch.cat([features, actions], 1)).squeeze(1)

    memory_size = 0
    """It remembers nothing."""

    def no_memory(self, num_envs: int) -> Tensor:
        """(B, 0), for it remembers nothing."""
        return torch.zeros(num_envs, 0)

    def act(
        self, prepared: Tensor, memory: Tensor, generator: torch.Generator, deterministic: bool
    ) -> tuple[Tensor, Tensor]:
        """Actions (B, A) in [-1, 1], without noise; and `memory` as it was, for it has none."""
        return self.actions(self.features(prepared)), memory

    def explore(
        self, prepared: Tensor, exploration: Tensor, noise: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Actions (B, A) in [-1, 1]: the policy's with `noise` (B, A) times `exploration` (B,);
        where that is infinite, any, all with the same chance."""
        anything = torch.rand(noise.shape, generator=generator, device=noise.device) * 2 - 1
        by_chance = exploration.isinf()[:, None]
        if by_chance.all():
            return anything
        noisy = self.actions(self.features(prepared)) + exploration[:, None] * noise
        return torch.where(by_chance, anything, noisy.clamp(-1, 1))

    def low_precision(self, x: Tensor) -> AbstractContextManager:
        """A context in which layers run in bfloat16 if the precision and the device of `x` say
        so."""
        low = use_bf16(self.precision, True, x.device.type)
        return torch.autocast(x.device.type, torch.bfloat16, enabled=low)


class Trunk(nn.Module):
    """Fully connected layers with ReLU between them: (B, inputs) -> (B, outputs) float32.

    The first and the last layer stay in float32 whatever autocast says: they are small, and
    positions, actions and values have more digits than bfloat16 holds."""

    def __init__(self, inputs: int, hidden_sizes: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((inputs, *hidden_sizes)))
        self.head = nn.Linear(hidden_sizes[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x = self.layers[0](x).relu()
        for layer in self.layers[1:]:
            x = layer(x).relu()
        with torch.autocast(x.device.type, enabled=False):
            return self.head(x.float())
