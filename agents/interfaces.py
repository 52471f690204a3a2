"""What the learners ask of everything that plugs into them, stated by shape alone.

`envs`, `perception` and `language` never import this file: a class that has these methods
*is* an Environment, an Encoder or a RewardModel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from agents.settings.search_space import SearchSpace

if TYPE_CHECKING:
    import torch

Columns = dict[str, "torch.Tensor"]
"""Named columns of the same rows (B, ...)."""


class EnvironmentFailure(OSError):
    """Environments failed more often than is worth going on, told in one line."""


def has_members(candidate: type, *names: str) -> bool:
    """What `issubclass` answers for a Protocol; the command line asks it, to show a plug's fields.

    Python refuses to answer by itself where a Protocol has properties."""
    return all(hasattr(candidate, name) for name in names)


@runtime_checkable
class Environment(Protocol):
    """A frozen dataclass whose fields describe one environment."""

    @classmethod
    def __subclasshook__(cls, candidate: type, /) -> bool:
        return has_members(candidate, "name", "reference_scores", "frame_stack", "build", "build_vector")

    @property
    def name(self) -> str:
        """The name that users type after `--env`; it also names the run folder."""
        ...

    @property
    def reference_scores(self) -> dict[str, float]:
        """Published whole-episode returns to compare with: `random`, `human`, or neither."""
        ...

    @property
    def frame_stack(self) -> int:
        """How many frames an observation stacks along its first axis, the newest last; 1 where it does not.

        An episode begins with a stack that is zeros but for its newest frame."""
        ...

    def build(self) -> gymnasium.Env:
        """One environment whose `render()` gives an RGB array (height, width, 3), uint8."""
        ...

    def build_vector(self, num_envs: int) -> VectorEnv:
        """`num_envs` environments in step, with autoreset mode SAME_STEP."""
        ...


class EncoderModule(Protocol):
    """A network from observations to features, in two parts.

    `input_layer` has no parameters: it gives a batch of raw observations the dtype and memory
    layout that `torso` wants, so that the learner pays for it once an update, not once an epoch.
    `torso` maps its result to features of shape (B, output_dim).
    A module that has a `capturable` that is true launches the same kernels at each call, never waits for a GPU, and
    keeps nothing but tensors that it changes in their place, so that a CUDA graph can hold it.
    """

    @property
    def input_layer(self) -> torch.nn.Module: ...

    @property
    def torso(self) -> torch.nn.Module: ...

    @property
    def output_dim(self) -> int: ...


@runtime_checkable
class Encoder(Protocol):
    """A frozen dataclass whose fields describe an encoder."""

    def build(self, observation_space: gymnasium.Space) -> EncoderModule:
        """The network, itself a `torch.nn.Module` from raw observations to features.

        Raises ValueError where the encoder cannot read such observations."""
        ...


class MemoryModule(Protocol):
    """A `torch.nn.Module` between encoder and heads that tells what was seen before in the episode; `capturable` as an
    encoder's."""

    @property
    def output_dim(self) -> int: ...

    def __call__(
        self, features: torch.Tensor, memory: torch.Tensor, first: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features of L steps of B environments (L * B, F), one step of all of them after the other; what was
        remembered before the first step (B, S), zeros at an episode's start; and whether a step begins an episode
        (L * B,), which is asked of all but the first B.

        Returns what the heads read (L * B, output_dim), and what is remembered after the last step (B, S)."""
        ...


@runtime_checkable
class Memory(Protocol):
    """A frozen dataclass whose fields describe a memory."""

    @classmethod
    def __subclasshook__(cls, candidate: type, /) -> bool:
        return has_members(candidate, "size", "steps", "build")

    @property
    def size(self) -> int:
        """How many numbers are remembered of an episode, S."""
        ...

    @property
    def steps(self) -> int:
        """Over how many steps errors go back, at most."""
        ...

    def build(self, features: int) -> Any:
        """A MemoryModule that reads so many features; None where nothing is remembered."""
        ...


@dataclass(frozen=True)
class Experience:
    """What N environments did in T steps, as columns; row t, n is one env step.

    A step's `rewards` are the environment's own, unclipped. `terminated` is what the learner
    should believe: it includes lost lives where the environment says so.
    """

    observations: NDArray  # (T, N, *observation), the observation space's dtype
    actions: NDArray  # (T, N) int64, or (T, N, action): float32 in the network's units; the environment's in a log
    rewards: NDArray[np.float32]  # (T, N)
    terminated: NDArray[np.bool_]  # (T, N)
    truncated: NDArray[np.bool_]  # (T, N)
    first: NDArray[np.bool_]  # (T, N), observations that do not follow from the row before: an episode's first

    @property
    def num_envs(self) -> int:
        return self.rewards.shape[1]

    def env_steps(self) -> int:
        return self.rewards.size

    def repeated(self) -> NDArray[np.bool_]:
        """Whether the same observation came before in the same episode, as far as these rows reach back (T, N)."""
        episodes = np.cumsum(self.first, 0)
        keys = [np.ascontiguousarray(self.observations).reshape(*episodes.shape, -1).view(np.uint8)]
        for number in (episodes, np.broadcast_to(np.arange(self.num_envs), episodes.shape)):
            keys.append(np.ascontiguousarray(number[..., None].astype(np.int64)).view(np.uint8))
        rows = np.concatenate(keys, -1).reshape(episodes.size, -1)
        _, earliest = np.unique(rows.view(f"V{rows.shape[1]}")[:, 0], return_index=True)
        repeated = np.ones(episodes.size, np.bool_)
        repeated[earliest] = False
        return repeated.reshape(episodes.shape)

    def set_apart(self) -> Self:
        """The same, with nothing that its first row follows from."""
        first = self.first.copy()
        first[0] = True
        return replace(self, first=first)

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Several runners' experience as one, side by side along N; one alone is not copied."""
        if len(parts) == 1:
            return parts[0]
        columns = (tuple(getattr(part, f.name) for part in parts) for f in fields(cls))
        return cls(*(np.concatenate(column, axis=1) for column in columns))

    def split(self, shards: int) -> list[Self]:
        """Equal shards along N, one a learner; environments that do not divide are left out."""
        width = self.num_envs // shards
        return [
            type(self)(*(getattr(self, f.name)[:, i * width : (i + 1) * width] for f in fields(self)))
            for i in range(shards)
        ]


@dataclass(frozen=True)
class Rollout(Experience):
    """Experience with what the policy that acted thought of it, to learn from once.

    Truncated steps are bootstrapped from the observation that the episode really ended in, through
    `next_values`.
    """

    log_probs: NDArray[np.float32]  # (T, N), of the actions under the policy that took them
    values: NDArray[np.float32]  # (T, N), of the observations
    next_values: NDArray[np.float32]  # (T, N), of the observations that followed
    memories: NDArray[np.float32]  # (T, N, S), what was remembered before each step; S is 0 without a memory


@dataclass(frozen=True)
class Demonstrated(Experience):
    """What somebody else did, as windows of T steps side by side, to learn from as often as one likes."""

    returns: NDArray[np.float32]  # (T, N), discounted, from each step to its episode's end


@dataclass(frozen=True)
class Logged(Experience):
    """What somebody else did, as steps in an order of chance with what followed each, to learn from as often as one
    likes."""

    next_observations: NDArray  # (T, N, *observation), also where the episode was over


@dataclass(frozen=True)
class Steps:
    """B env steps on the learner's device, for a reward model."""

    observations: Any  # a tensor (B, *observation) of the observation space's dtype, or such parts by name
    actions: torch.Tensor  # (B,) int64, or (B, action) in the environment's units and dtype
    repeated: torch.Tensor  # (B,) bool, that the episode had this observation before, where that is known

    def rows(self, chosen: torch.Tensor) -> Steps:
        parts = self.observations
        own = {k: v[chosen] for k, v in parts.items()} if isinstance(parts, dict) else parts[chosen]
        return Steps(own, self.actions[chosen], self.repeated[chosen])


class RewardModule(Protocol):
    """A `torch.nn.Module` beside the policy, trained from the same steps, saved and distributed with it."""

    @property
    def learning_rate(self) -> float:
        """Adam's step size for its parameters that learn; without any, `loss` is never asked for."""
        ...

    def reward(self, steps: Steps) -> torch.Tensor:
        """What is added to the environment's rewards, (B,) float32, weighed already. Asked once a step, before the
        module learns from it."""
        ...

    def loss(self, steps: Steps) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """What it learns from the agent's steps; and detached scalars by metric name."""
        ...


@runtime_checkable
class RewardModel(Protocol):
    """A frozen dataclass that describes what the learner is rewarded for; the true return is always logged apart."""

    @classmethod
    def __subclasshook__(cls, candidate: type, /) -> bool:
        return has_members(candidate, "of_environment", "build")

    def of_environment(self, rewards: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the environment's own rewards, of any shape, are worth to the learner."""
        ...

    def build(self, observation_space: gymnasium.Space, action_space: gymnasium.Space) -> Any:
        """A RewardModule, whose rewards are added; None where the environment has the only say.

        Raises ValueError where it cannot judge such steps."""
        ...


@dataclass(frozen=True)
class Parts:
    """The classes of an algorithm that RLlib runs."""

    algorithm: type
    """The training step, an RLlib `Algorithm`."""
    runner: type
    """Samples, an RLlib `EnvRunner`."""
    learner: type
    """Learns, an RLlib `TorchLearner`."""
    module: type
    """The network, an RLlib `TorchRLModule`."""


@runtime_checkable
class Algorithm(Protocol):
    """A frozen dataclass of an algorithm's settings; its file imports neither torch nor Ray.

    Here is what the engine asks of every algorithm. What an algorithm's own learner asks besides, it knows from the
    settings' class."""

    @classmethod
    def __subclasshook__(cls, candidate: type, /) -> bool:
        return has_members(candidate, "name", "search_space", "parts", "check")

    @property
    def name(self) -> str: ...

    @property
    def search_space(self) -> SearchSpace:
        """Of the settings worth varying, what to draw them from."""
        ...

    @property
    def parts(self) -> Parts:
        """Imported when asked for, because torch and Ray take seconds."""
        ...

    @property
    def rollout_length(self) -> int:
        """Steps that each environment takes between two updates."""
        ...

    @property
    def learning_rate(self) -> float:
        """Adam's step size at the start."""
        ...

    def learning_rate_at(self, progress: float) -> float:
        """Adam's step size when a share of the run is done, from 0 to 1."""
        ...

    @property
    def adam_epsilon(self) -> float: ...

    @property
    def judges_single_steps(self) -> bool:
        """Whether it learns from single env steps, each of which a reward model can judge."""
        ...

    @property
    def learning_starts_env_steps(self) -> int:
        """Env steps that are only collected, before the first update."""
        ...

    def check(self, environment: gymnasium.Env, frame_stack: int, num_envs: int, num_learners: int) -> None:
        """Raises ValueError, in one line, for settings that cannot train on this environment."""
        ...

    def check_memory(self, steps: int) -> None:
        """Raises ValueError, in one line, where no memory can be trained over so many steps."""
        ...

    def checkpoint_bytes(self, observation_space: gymnasium.Space, frame_stack: int, total_env_steps: int) -> int:
        """What checkpoints may hold on the disk at a time, besides networks."""
        ...

    def module_config(self) -> dict[str, Any]:
        """What the module needs to know besides the encoder."""
        ...


class Lesson(Protocol):
    """A module with what it learns from; `module` is a `torch.nn.Module`."""

    module: Any

    @property
    def score(self) -> str:
        """The held-out metric that decides which weights are kept; more is better."""
        ...

    @property
    def baseline(self) -> dict[str, float]:
        """The same metrics of something that needs no network, to compare with."""
        ...

    def batch(self, random: np.random.Generator, size: int) -> dict[str, torch.Tensor]:
        """Examples to learn from, drawn by chance."""
        ...

    def loss(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Of a batch on the module's device, and detached scalars by metric name."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Metrics on held-out examples, always the same ones."""
        ...

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        """What the module makes of held-out examples, as images (H, W, 3) by name; none where nothing can be seen."""
        ...


@runtime_checkable
class Task(Protocol):
    """A frozen dataclass that describes a module and what it is trained for."""

    @classmethod
    def __subclasshook__(cls, candidate: type, /) -> bool:
        return has_members(candidate, "name", "lesson")

    @property
    def name(self) -> str: ...

    def lesson(self) -> Lesson:
        """Reads the data, builds the module. Raises ValueError, in one line, where the data are not what it needs."""
        ...
