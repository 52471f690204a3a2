"""The actor-critic network with critics of actions beside it, for algorithms that learn from what
others did."""

import math

import torch
import torch.nn.functional as F
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from agents.networks.actor_critic import ActorCritic
from agents.networks.deterministic_actor_critic import Trunk
from agents.networks.packing import build_encoder

NUM_CRITICS = 2


class QActorCritic(ActorCritic):
    """Besides policy and value: observations and actions -> what each of two critics thinks that
    these are worth.

    `model_config`: as the actor-critic's, and `hidden_sizes` (of each critic, after the encoder
    that they share)."""

    def setup(self) -> None:
        super().setup()
        config = self.model_config
        space = self.action_space
        self.critic_encoder = build_encoder(config["encoder"], self.observation_space)
        self.num_actions = int(space.n) if isinstance(space, Discrete) else 0
        features = self.critic_encoder.output_dim + (
            self.num_actions or math.prod(space.shape or ())
        )
        self.critics = nn.ModuleList(
            Trunk(features, config["hidden_sizes"], 1) for _ in range(NUM_CRITICS)
        )

    def q_values(self, prepared: Tensor, actions: Tensor) -> Tensor:
        """Prepared observations (B, ...) and actions (B, ...) -> expected returns (2, B)."""
        with self._autocast(prepared):
            features = self.critic_encoder.torso(prepared).float()
        done = F.one_hot(actions, self.num_actions) if self.num_actions else actions
        both = torch.cat([features, done.float()], 1)
        return torch.stack([critic(both).squeeze(1) for critic in self.critics])
