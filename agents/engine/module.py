"""The actor-critic network: an encoder, a policy head and a value head."""

from contextlib import AbstractContextManager
from functools import cache
from typing import Literal

import torch
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor, nn

from agents.engine.distributions import DiagonalGaussian, distribution_for
from agents.engine.normaliser import RunningMoments
from agents.engine.packing import Packing, build_encoder

Precision = Literal["auto", "bf16", "fp32"]


class ActorCritic(TorchRLModule):
    """Observations -> (parameters of the action distribution, value of the observation).

    Call it in two steps, `prepare` once an observation, then the module as often as needed.
    The encoder may run in bfloat16; both heads, and all that follows them, are float32.

    `model_config`: `encoder` (an Encoder), `share_encoder`, `normalize_observations`, `precision`.
    """

    def setup(self) -> None:
        config = self.model_config
        self.distribution = distribution_for(self.action_space)
        gaussian = isinstance(self.distribution, DiagonalGaussian)
        outputs = self.distribution.num_parameters // (2 if gaussian else 1)
        packing = Packing(self.observation_space)
        self.encoder = build_encoder(config["encoder"], self.observation_space)
        shared = config["share_encoder"]
        self.value_encoder = None if shared else build_encoder(config["encoder"], self.observation_space)
        self.policy_head = head(self.encoder.output_dim, outputs, gain=0.01)
        self.value_head = head(self.encoder.output_dim, 1, gain=1.0)
        self.log_std = nn.Parameter(torch.zeros(outputs)) if gaussian else None
        normalize = config["normalize_observations"]
        self.normaliser = RunningMoments(packing.shape) if normalize else None
        self.precision: Precision = config["precision"]
        self.low_precision_pays = packing.sees_images

    def prepare(self, observations: Tensor) -> Tensor:
        """What can be done once an observation, without parameters: normalise, cast, lay out."""
        if self.normaliser is not None:
            observations = self.normaliser(observations)
        with self._autocast(observations):
            return self.encoder.input_layer(observations)

    def forward(self, prepared: Tensor) -> tuple[Tensor, Tensor]:
        """Prepared observations (B, ...) -> distribution parameters (B, P), values (B,)."""
        with self._autocast(prepared):
            features = self.encoder.torso(prepared)
            value_features = features if self.value_encoder is None else self.value_encoder.torso(prepared)
        parameters = self.policy_head(features.float())
        if self.log_std is not None:
            parameters = torch.cat([parameters, self.log_std.expand_as(parameters)], -1)
        return parameters, self.value_head(value_features.float()).squeeze(-1)

    def act(self, prepared: Tensor, generator: torch.Generator, deterministic: bool) -> Tensor:
        """Actions (B, ...): drawn from the policy, or its likeliest."""
        parameters, _ = self(prepared)
        if deterministic:
            return self.distribution.mode(parameters)
        return self.distribution.sample(parameters, generator)

    def _autocast(self, x: Tensor) -> AbstractContextManager:
        low = use_bf16(self.precision, self.low_precision_pays, x.device.type)
        return torch.autocast(x.device.type, torch.bfloat16, enabled=low)


def head(features: int, outputs: int, gain: float) -> nn.Linear:
    """A linear layer with orthogonal weights and no bias at first (Huang et al. 2022, PPO detail 2)."""
    layer = nn.Linear(features, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


@torch.compiler.assume_constant_result
def use_bf16(precision: Precision, pays: bool, device_type: str) -> bool:
    """Whether a network's large layers run in bfloat16: on request, or where it pays on a device made for it."""
    return precision == "bf16" or (precision == "auto" and pays and has_fast_bf16(device_type))


@cache
def has_fast_bf16(device_type: str) -> bool:
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
