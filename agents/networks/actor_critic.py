"""The actor-critic network: an encoder, a policy head and a value head."""

from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor, nn
from torch.nn.functional import one_hot

from agents.networks.action_mask import ActionMask
from agents.networks.action_scaling import ActionScaling
from agents.networks.distributions import DiagonalGaussian, distribution_for
from agents.networks.packing import Packing, build_encoder
from agents.networks.running_moments import RunningMoments
from common.precision import has_fast_bf16

Precision = Literal["auto", "bf16", "fp32"]


class Network(TorchRLModule):
    """RLlib's module with actions in two units, and a state that is loaded to the last digit."""

    action_scaling: ActionScaling | None
    """From the network's actions to the environment's; None where both are the same."""

    def to_environment(self, actions: NDArray) -> NDArray:
        """The network's actions (B, ...) as the environment takes them, within its action space."""
        return (
            actions if self.action_scaling is None else self.action_scaling.to_environment(actions)
        )

    def to_policy(self, actions: NDArray) -> NDArray:
        """The environment's actions (..., A) in the network's units."""
        return actions if self.action_scaling is None else self.action_scaling.to_policy(actions)

    def get_state(self, *_: Any, **__: Any) -> dict[str, NDArray]:
        """Weights and buffers by name, each in its dtype: RLlib's own rounds float64, as of running
        moments, to float32. All of them, whatever part RLlib asks for."""
        return {
            name: value.detach().cpu().numpy().copy() for name, value in self.state_dict().items()
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Weights and buffers by name, in their dtypes; raises RuntimeError where they are of
        another network."""
        self.load_state_dict({name: torch.tensor(value) for name, value in state.items()})


class ActorCritic(Network):
    """Observations -> (parameters of the action distribution, value of the observation, what is
    remembered then).

    Call it in two steps, `prepare` once an observation, then the module as often as needed.
    The encoder may run in bfloat16; memory and both heads, and all that follows them, are float32.

    `model_config`: `encoder` (an Encoder), `memory` (a Memory), `share_encoder`,
    `normalize_observations`, `precision`.
    """

    def setup(self) -> None:
        config = self.model_config
        self.distribution = distribution_for(self.action_space)
        gaussian = isinstance(self.distribution, DiagonalGaussian)
        # A Gaussian's deviations are `log_std`, not an output of the head.
        outputs = self.distribution.num_parameters // (2 if gaussian else 1)
        packing = Packing(self.observation_space)
        self.action_mask = ActionMask(self.observation_space)
        self.encoder = build_encoder(config["encoder"], self.observation_space)
        shared = config["share_encoder"]
        self.value_encoder = (
            None if shared else build_encoder(config["encoder"], self.observation_space)
        )
        features = self.encoder.output_dim
        self.memory = config["memory"].build(features if shared else 2 * features)
        self.memory_size: int = config["memory"].size
        width = features if self.memory is None else self.memory.output_dim
        # Weights near zero: at first the policy hardly depends on what is seen.
        self.policy_head = head(width, outputs, gain=0.01)
        self.value_head = head(width, 1, gain=1.0)
        self.log_std = nn.Parameter(torch.zeros(outputs)) if gaussian else None
        self.action_scaling = (
            ActionScaling(self.action_space, earlier="clipped") if gaussian else None
        )
        normalize = config["normalize_observations"]
        self.normalizer = RunningMoments(packing.shape) if normalize else None
        self.precision: Precision = config["precision"]
        self.low_precision_pays = packing.sees_images

    @property
    def capturable(self) -> bool:
        """Whether its kernels are the same at each call, so that a CUDA graph can hold them."""
        parts = filter(None, (self.encoder, self.value_encoder, self.memory))
        return all(getattr(part, "capturable", False) for part in parts)

    def prepare(self, observations: Tensor) -> Tensor:
        """What can be done once an observation, without parameters: normalize, cast, lay out."""
        if self.normalizer is not None:
            observations = self.action_mask.kept(self.normalizer(observations), observations)
        with self._autocast(observations):
            return self.encoder.input_layer(observations)

    def forward(
        self, prepared: Tensor, memory: Tensor | None = None, first: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Prepared observations (B, ...) -> distribution parameters (B, P), values (B,), memory (B,
        S).

        `memory` (B, S) is what is remembered from before, nothing if not said. Of L steps, prepared
        (L * B, ...), it is what was before the first one, and `first` (L * B,) says which later
        ones begin an episode."""
        kept = self.no_memory(len(prepared)) if memory is None else memory
        with self._autocast(prepared):
            read = [
                encoder.torso(prepared)
                for encoder in (self.encoder, self.value_encoder)
                if encoder is not None
            ]
        if self.memory is not None:
            first = (
                torch.zeros(len(prepared), dtype=torch.bool, device=prepared.device)
                if first is None
                else first
            )
            remembered, kept = self.memory(torch.cat(read, 1).float(), kept, first)
            read = [remembered]
        parameters = self.policy_head(read[0].float())
        if self.log_std is not None:
            parameters = torch.cat([parameters, self.log_std.expand_as(parameters)], -1)
        parameters = self.action_mask(parameters, prepared)
        return parameters, self.value_head(read[-1].float()).squeeze(-1), kept

    def no_memory(self, num_envs: int) -> Tensor:
        """Of so many environments where nothing was before (B, S)."""
        return torch.zeros(num_envs, self.memory_size, device=self.policy_head.weight.device)

    def act(
        self, prepared: Tensor, memory: Tensor, generator: torch.Generator, deterministic: bool
    ) -> tuple[Tensor, Tensor]:
        """Actions (B, ...) in the policy's units, drawn from it or its likeliest, and what is
        remembered after them (B, S)."""
        parameters, _, memory = self(prepared, memory)
        if deterministic:
            return self.distribution.mode(parameters), memory
        return self.distribution.sample(parameters, generator), memory

    def probabilities(
        self, prepared: Tensor, memory: Tensor, deterministic: bool
    ) -> tuple[Tensor, Tensor]:
        """Of each discrete action (B, A), by which `act` draws; and what is remembered after it (B,
        S)."""
        logits, _, memory = self(prepared, memory)
        if deterministic:
            return one_hot(self.distribution.mode(logits), logits.shape[1]).float(), memory
        return logits.softmax(-1), memory

    def _autocast(self, x: Tensor) -> AbstractContextManager:
        low = use_bf16(self.precision, self.low_precision_pays, x.device.type)
        return torch.autocast(x.device.type, torch.bfloat16, enabled=low)


def head(features: int, outputs: int, gain: float) -> nn.Linear:
    """A linear layer with orthogonal weights and no bias at first (Huang et al. 2022, PPO detail
    2)."""
    layer = nn.Linear(features, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def use_bf16(precision: Precision, pays: bool, device_type: str) -> bool:
    """Whether a network's large layers run in bfloat16: on request, or where it pays on a device
    made for it."""
    return precision == "bf16" or (precision == "auto" and pays and has_fast_bf16(device_type))
