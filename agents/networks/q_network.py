"""The Q network: an encoder and a head that says of every action what it is worth."""

import math
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agents.networks.action_mask import IMPOSSIBLE, ActionMask
from agents.networks.actor_critic import Network, Precision, use_bf16
from agents.networks.packing import Packing, build_encoder
from agents.networks.running_moments import RunningMoments

COSINES = 64
"""Cosines that a probability is embedded by (Dabney et al. 2018b, n)."""


class QNetwork(Network):
    """Observations -> (outputs (B, actions, K), of which `values.mean` makes expected returns, and
    what is remembered then).

    Call it in two steps, as the actor-critic: `prepare` once an observation, then the module. The
    encoder and the hidden layers may run in bfloat16; memory, outputs, and all that follows them,
    are float32.

    `model_config`: `encoder` (an Encoder), `memory` (a Memory), `values` (a ValueDistribution), `stream_width` (0 for a
    head without streams), `noisy` (layers of the head), `normalize_observations`, `precision`,
    `evaluation_epsilon`.
    """

    def setup(self) -> None:
        config = self.model_config
        self.values = config["values"]
        self.evaluation_epsilon: float = config["evaluation_epsilon"]
        self.precision: Precision = config["precision"]
        packing = Packing(self.observation_space)
        self.low_precision_pays = packing.sees_images
        self.normalizer = (
            RunningMoments(packing.shape) if config["normalize_observations"] else None
        )
        self.num_actions = int(self.action_space.n)
        self.action_mask = ActionMask(self.observation_space)
        self.action_scaling = None
        self.encoder = build_encoder(config["encoder"], self.observation_space)
        features = self.encoder.output_dim
        self.memory = config["memory"].build(features)
        self.memory_size: int = config["memory"].size
        features = features if self.memory is None else self.memory.output_dim
        asks = self.values.acting_levels(1, torch.device("cpu")) is not None
        self.level_embedding = LevelEmbedding(features) if asks else None
        layer = NoisyLinear if config["noisy"] else nn.Linear
        outputs = self.num_actions * self.values.num_outputs
        if width := config["stream_width"]:
            # Two streams (Wang et al. 2016), each with a layer of its own.
            self.streams = nn.ModuleList(
                nn.Sequential(layer(features, width), nn.ReLU()) for _ in range(2)
            )
            self.advantage, self.state_value = (
                layer(width, outputs),
                layer(width, self.values.num_outputs),
            )
        else:
            self.streams = None
            self.advantage = layer(features, outputs)
            self.state_value = None

    @property
    def capturable(self) -> bool:
        """Whether its kernels are the same at each call, so that a CUDA graph can hold them."""
        return getattr(self.encoder, "capturable", False)

    def prepare(self, observations: Tensor) -> Tensor:
        """What can be done once an observation, without parameters: normalize, cast, lay out."""
        if self.normalizer is not None:
            observations = self.action_mask.kept(self.normalizer(observations), observations)
        with self._autocast(observations):
            return self.encoder.input_layer(observations)

    def forward(
        self,
        prepared: Tensor,
        levels: Tensor | None = None,
        memory: Tensor | None = None,
        first: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Prepared observations (B, ...) -> outputs (B, actions, K), memory (B, S).

        The outputs are of the probabilities `levels` (B, K) where the values have some, which are
        those to act by if not said. `memory` (B, S) is what is remembered from before, nothing if
        not said. Of L steps, prepared (L * B, ...), it is what was before the first one, and `first`
        (L * B,) says which later ones begin an episode."""
        kept = self.no_memory(len(prepared)) if memory is None else memory
        with self._autocast(prepared):
            features = self.encoder.torso(prepared)
        if self.memory is not None:
            begins = torch.zeros(len(prepared), dtype=torch.bool, device=prepared.device)
            features, kept = self.memory(features.float(), kept, begins if first is None else first)
        with self._autocast(prepared):
            if self.level_embedding is None:
                return self._heads(features), kept
            if levels is None:
                levels = self.values.acting_levels(len(features), features.device)
            assert levels is not None
            asked = features[:, None] * self.level_embedding(levels)
            outputs = self._heads(asked.flatten(0, 1))
        return outputs.view(*levels.shape, self.num_actions).transpose(1, 2), kept

    def _heads(self, features: Tensor) -> Tensor:
        """Features (R, F) -> outputs (R, actions, K) float32."""
        hidden = (
            [features] if self.streams is None else [stream(features) for stream in self.streams]
        )
        with torch.autocast(features.device.type, enabled=False):
            outputs = self.advantage(hidden[0].float()).view(
                -1, self.num_actions, self.values.num_outputs
            )
            if self.state_value is None:
                return outputs
            # Advantages over their mean, so that value and advantage are told apart (equation 9).
            state_value = self.state_value(hidden[1].float())[:, None]
            return state_value + outputs - outputs.mean(1, keepdim=True)

    def q_values(self, prepared: Tensor) -> Tensor:
        """Prepared observations (B, ...) -> expected returns (B, actions), IMPOSSIBLE for actions
        that are not possible."""
        return self.expected(self(prepared)[0], prepared)

    def expected(self, outputs: Tensor, prepared: Tensor) -> Tensor:
        """As `q_values`, of outputs (B, actions, K) for prepared observations (B, ...), whichever
        network they are of."""
        return self.action_mask(self.values.mean(outputs), prepared)

    def no_memory(self, num_envs: int) -> Tensor:
        """Of so many environments where nothing was before (B, S)."""
        return torch.zeros(num_envs, self.memory_size, device=self.advantage.weight.device)

    def act(
        self, prepared: Tensor, memory: Tensor, generator: torch.Generator, deterministic: bool
    ) -> tuple[Tensor, Tensor]:
        """Actions (B,): the best, or now and then any, lest a policy without chance is caught in a
        loop; and what is remembered after them (B, S)."""
        epsilon = torch.full(
            (len(prepared),),
            0.0 if deterministic else self.evaluation_epsilon,
            device=prepared.device,
        )
        return self.explore_from(prepared, memory, epsilon, generator)

    def probabilities(
        self, prepared: Tensor, memory: Tensor, deterministic: bool
    ) -> tuple[Tensor, Tensor]:
        """Of each action (B, A), by which `act` draws; and what is remembered after it (B, S)."""
        epsilon = 0.0 if deterministic else self.evaluation_epsilon
        outputs, kept = self(prepared, memory=memory)
        q_values = self.expected(outputs, prepared)
        best = F.one_hot(q_values.argmax(-1), self.num_actions)
        possible = q_values > IMPOSSIBLE
        return (1 - epsilon) * best + epsilon * possible / possible.sum(1, keepdim=True), kept

    def explore(self, prepared: Tensor, epsilon: Tensor, generator: torch.Generator) -> Tensor:
        """Actions (B,): any with chance `epsilon` (B,), else the best, where nothing was before."""
        return self.explore_from(prepared, self.no_memory(len(prepared)), epsilon, generator)[0]

    def explore_from(
        self, prepared: Tensor, memory: Tensor, epsilon: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """As `explore`, with what is remembered (B, S) before and after."""
        if self.training:
            self.draw_noise(generator)
        outputs, kept = self(prepared, memory=memory)
        return self.explored(self.expected(outputs, prepared), epsilon, generator), kept

    def explored(self, q_values: Tensor, epsilon: Tensor, generator: torch.Generator) -> Tensor:
        """Actions (B,) for expected returns (B, actions): any possible one with chance `epsilon`
        (B,), else the best."""
        best = q_values.argmax(-1)
        chance = torch.rand(len(best), generator=generator, device=best.device)
        if self.action_mask.columns is None:
            anything = torch.randint(
                self.num_actions, best.shape, generator=generator, device=best.device
            )
        else:
            draws = torch.rand(q_values.shape, generator=generator, device=best.device)
            anything = draws.masked_fill_(q_values <= IMPOSSIBLE, -1.0).argmax(-1)
        return torch.where(chance < epsilon, anything, best)

    def draw_noise(self, generator: torch.Generator) -> None:
        """New noise for noisy layers; without them, nothing."""
        for module in self.modules():
            if isinstance(module, NoisyLinear):
                module.draw_noise(generator)

    def _autocast(self, x: Tensor) -> AbstractContextManager:
        low = use_bf16(self.precision, self.low_precision_pays, x.device.type)
        return torch.autocast(x.device.type, torch.bfloat16, enabled=low)


class LevelEmbedding(nn.Module):
    """Probabilities (B, K) -> factors of features (B, K, F), by cosines (Dabney et al. 2018b,
    equation 4)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layer = nn.Linear(COSINES, features)

    def forward(self, levels: Tensor) -> Tensor:
        frequencies = math.pi * torch.arange(1, COSINES + 1, device=levels.device)
        return self.layer((levels[..., None] * frequencies).cos()).relu()


class NoisyLinear(nn.Module):
    """A linear layer whose weights carry learnt, factorized Gaussian noise (Fortunato et al. 2018).

    In evaluation mode the noise is left out."""

    input_noise: Tensor
    output_noise: Tensor

    def __init__(self, inputs: int, outputs: int, deviation: float = 0.5) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))
        self.weight_deviation = nn.Parameter(torch.full((outputs, inputs), deviation * bound))
        self.bias_deviation = nn.Parameter(torch.full((outputs,), deviation * bound))
        self.register_buffer("input_noise", torch.zeros(inputs), persistent=False)
        self.register_buffer("output_noise", torch.zeros(outputs), persistent=False)

    @torch.no_grad()
    def draw_noise(self, generator: torch.Generator) -> None:
        """Draws new noise, sign(x) sqrt(|x|) of a normal x, for each input and each output."""
        for noise in (self.input_noise, self.output_noise):
            draw = torch.empty(noise.shape, device=generator.device).normal_(generator=generator)
            noise.copy_(draw.sign() * draw.abs().sqrt())

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return F.linear(x, self.weight, self.bias)
        noise = torch.outer(self.output_noise, self.input_noise)
        weight = torch.addcmul(self.weight, self.weight_deviation, noise)
        return F.linear(x, weight, self.bias + self.bias_deviation * self.output_noise)
