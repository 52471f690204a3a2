"""A stochastic actor with one critic or several, for actions in a Box (Haarnoja et al. 2018)."""

import math
from contextlib import AbstractContextManager
from itertools import pairwise

import torch
from torch import Tensor, nn

from agents.networks.action_scaling import ActionScaling
from agents.networks.actor_critic import Network, Precision, use_bf16
from agents.networks.batch_renorm import BatchRenorm
from agents.networks.distributions import squashed_gaussian
from agents.networks.packing import build_encoder

MIN_LOG_STD = -20.0
MAX_LOG_STD = 2.0
"""Limits of the noise on actions, before tanh (Haarnoja et al. 2018, their implementation)."""
MAX_MEAN = 2.0
"""The most that a policy with state-dependent noise says before tanh: there, its noise still moves
the action (Raffin et al. 2022)."""
MIN_VARIANCE = 1e-6


class StochasticActorCritic(Network):
    """Observations -> features -> a distribution of actions (B, A), each number in [-1, 1];
    features and actions -> values (C, B, Q): what C critics say of a return, in Q numbers each.

    Encoder and memory learn from the critics. The environment's Box is reached by `to_environment`.

    `model_config`: `encoder` (an Encoder), `memory` (a Memory), `hidden_sizes` (of the actor), `critic_hidden_sizes`,
    `num_critics`, `num_quantiles`, `batch_norm`, `initial_temperature`, `state_dependent_noise`,
    `initial_noise`, `precision`.
    """

    def setup(self) -> None:
        config = self.model_config
        self.precision: Precision = config["precision"]
        self.encoder = build_encoder(config["encoder"], self.observation_space)
        features = self.encoder.output_dim
        self.memory = config["memory"].build(features)
        self.memory_size: int = config["memory"].size
        features = features if self.memory is None else self.memory.output_dim
        actions = self.action_space.shape[0]
        batch_norm = config["batch_norm"]
        width = config["hidden_sizes"][-1]
        self.actor = HiddenLayers(features, config["hidden_sizes"], batch_norm)
        self.mean = nn.Linear(width, actions)
        self.log_std = None
        self.noise_log_std = None
        if config["state_dependent_noise"]:
            self.noise_log_std = nn.Parameter(
                torch.full((width, actions), math.log(config["initial_noise"]))
            )
        else:
            self.log_std = nn.Linear(width, actions)
        self.critics = nn.ModuleList(
            Critic(
                features + actions,
                config["critic_hidden_sizes"],
                config["num_quantiles"],
                batch_norm,
            )
            for _ in range(config["num_critics"])
        )
        self.log_temperature = nn.Parameter(torch.tensor(math.log(config["initial_temperature"])))
        self.action_scaling = ActionScaling(self.action_space)

    def actor_parameters(self) -> list[nn.Parameter]:
        """Those that the policy's loss moves."""
        parts = (self.actor, self.mean, self.log_std)
        layers = [p for part in parts if part is not None for p in part.parameters()]
        return layers if self.noise_log_std is None else [*layers, self.noise_log_std]

    def prepare(self, observations: Tensor) -> Tensor:
        """What can be done once an observation, without parameters: cast, lay out."""
        with self.low_precision(observations):
            return self.encoder.input_layer(observations)

    def features(self, prepared: Tensor) -> Tensor:
        """Prepared observations (B, ...) -> (B, F) float32, where nothing was before."""
        return self.features_from(prepared, self.no_memory(len(prepared)))[0]

    def features_from(
        self, prepared: Tensor, memory: Tensor, first: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Prepared observations (B, ...), and what is remembered from before them (B, S) -> features
        (B, F) float32, memory (B, S).

        Of L steps, prepared (L * B, ...), it is what was before the first one, and `first` (L * B,)
        says which later ones begin an episode."""
        with self.low_precision(prepared):
            seen = self.encoder.torso(prepared).float()
        if self.memory is None:
            return seen, memory
        begins = torch.zeros(len(prepared), dtype=torch.bool, device=prepared.device)
        return self.memory(seen, memory, begins if first is None else first)

    def latent(self, features: Tensor, learning: bool = False) -> Tensor:
        """The actor's last hidden layer (B, L) float32; `learning` counts for batch
        normalization."""
        with self.low_precision(features):
            return self.actor(features, learning).float()

    def mean_and_std(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Of the actions before tanh, each (B, A)."""
        with torch.autocast(latent.device.type, enabled=False):
            mean = self.mean(latent)
            if self.log_std is not None:
                return mean, self.log_std(latent).clamp(MIN_LOG_STD, MAX_LOG_STD).exp()
            assert self.noise_log_std is not None
            variance = latent.square() @ (2 * self.noise_log_std).exp()
            return mean.clamp(-MAX_MEAN, MAX_MEAN), (variance + MIN_VARIANCE).sqrt()

    def sample(
        self, features: Tensor, noise: Tensor, learning: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Actions (B, A) by standard normal `noise` (B, A), through which gradients flow, and their
        log-probabilities (B,)."""
        mean, std = self.mean_and_std(self.latent(features, learning))
        return squashed_gaussian(mean, std, noise)

    def values(self, features: Tensor, actions: Tensor, learning: bool = False) -> Tensor:
        """What each critic says of actions (B, A): (C, B, Q)."""
        both = torch.cat([features, actions], 1)
        with self.low_precision(features):
            return torch.stack([critic(both, learning) for critic in self.critics])

    def no_memory(self, num_envs: int) -> Tensor:
        """Of so many environments where nothing was before (B, S)."""
        return torch.zeros(num_envs, self.memory_size, device=self.log_temperature.device)

    def act(
        self, prepared: Tensor, memory: Tensor, generator: torch.Generator, deterministic: bool
    ) -> tuple[Tensor, Tensor]:
        """Actions (B, A) in [-1, 1]: a draw, or the middle; and what is remembered then (B, S)."""
        features, memory = self.features_from(prepared, memory)
        mean, std = self.mean_and_std(self.latent(features))
        if deterministic:
            return mean.tanh(), memory
        return (mean + std * normal_like(mean, generator)).tanh(), memory

    def explore(self, prepared: Tensor, exploration: Tensor, generator: torch.Generator) -> Tensor:
        """Actions (B, A) in [-1, 1]: draws of the policy; where `exploration` (B,) is infinite,
        any, all with the same chance."""
        return self.explore_from(prepared, self.no_memory(len(prepared)), exploration, generator)[0]

    def explore_from(
        self, prepared: Tensor, memory: Tensor, exploration: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """As `explore`, with what is remembered (B, S) before and after."""
        features, memory = self.features_from(prepared, memory)
        mean, std = self.mean_and_std(self.latent(features))
        drawn = mean + std * normal_like(mean, generator)
        return explored(drawn, exploration, generator), memory

    def explore_along(
        self, prepared: Tensor, exploration: Tensor, weights: Tensor, generator: torch.Generator
    ) -> Tensor:
        """As `explore`, but the noise is the latent times `weights` (B, L, A)."""
        latent = self.latent(self.features(prepared))
        mean, _ = self.mean_and_std(latent)
        noise = (latent[:, None] @ weights)[:, 0]
        return explored(mean + noise, exploration, generator)

    def noise_weights(self, num_envs: int, generator: torch.Generator) -> Tensor:
        """A draw of the state-dependent noise's weights for each environment: (N, L, A)."""
        assert self.noise_log_std is not None
        std = self.noise_log_std.exp().expand(num_envs, -1, -1)
        return std * normal_like(std, generator)

    def low_precision(self, x: Tensor) -> AbstractContextManager:
        """Autocast to bfloat16, where this network runs in it."""
        low = use_bf16(self.precision, True, x.device.type)
        return torch.autocast(x.device.type, torch.bfloat16, enabled=low)


class HiddenLayers(nn.Module):
    """Fully connected layers, each followed by ReLU: (B, inputs) -> (B, last width).

    Batch normalization comes before the first and after each (Bhatt et al. 2024). The first layer
    stays in float32 whatever autocast says: positions and actions have more digits than bfloat16
    holds."""

    def __init__(self, inputs: int, sizes: tuple[int, ...], batch_norm: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((inputs, *sizes)))
        self.norms = nn.ModuleList(BatchRenorm(size) for size in (inputs, *sizes) if batch_norm)

    def forward(self, x: Tensor, learning: bool) -> Tensor:
        if self.norms:
            x = self.norms[0](x, learning)
        with torch.autocast(x.device.type, enabled=False):
            x = self.layers[0](x).relu()
        for n, layer in enumerate(self.layers[1:], 1):
            if self.norms:
                x = self.norms[n](x, learning)
            x = layer(x).relu()
        return self.norms[-1](x, learning) if self.norms else x


class Critic(nn.Module):
    """Features and actions (B, F + A) -> what it says of the return (B, Q) float32."""

    def __init__(
        self, inputs: int, hidden_sizes: tuple[int, ...], num_quantiles: int, batch_norm: bool
    ) -> None:
        super().__init__()
        self.hidden = HiddenLayers(inputs, hidden_sizes, batch_norm)
        self.head = nn.Linear(hidden_sizes[-1], num_quantiles)

    def forward(self, x: Tensor, learning: bool) -> Tensor:
        hidden = self.hidden(x, learning)
        with torch.autocast(x.device.type, enabled=False):
            return self.head(hidden.float())


def normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal noise in the shape of `x`."""
    return torch.empty(x.shape, device=x.device).normal_(generator=generator)


def explored(before_tanh: Tensor, exploration: Tensor, generator: torch.Generator) -> Tensor:
    """Actions (B, A); where `exploration` (B,) is infinite, any in [-1, 1] with the same chance."""
    anything = torch.rand(before_tanh.shape, generator=generator, device=before_tanh.device) * 2 - 1
    return torch.where(exploration.isinf()[:, None], anything, before_tanh.tanh())
