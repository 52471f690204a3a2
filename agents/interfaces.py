"""What the learners ask of everything that plugs into them, stated by shape alone.

`envs`, `perception` and `language` never import this file: a class that has these methods
*is* an Environment, an Encoder or a RewardModel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from agents.data import Steps
from agents.settings.search_space import SearchSpace

if TYPE_CHECKING:
    import torch


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
        return has_members(
            candidate, "name", "reference_scores", "frame_stack", "build", "build_vector"
        )

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
        """How many frames an observation stacks along its first axis, the newest last; 1 where it
        does not.

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
    `torso` maps its result to features of shape (B, output_dim). A module that has a `capturable`
    that is true launches the same kernels at each call, never waits for a GPU, and keeps nothing
    but tensors that it changes in their place, so that a CUDA graph can hold it.
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
    """A `torch.nn.Module` between encoder and heads that tells what was seen before in the episode;
    `capturable` as an encoder's."""

    @property
    def output_dim(self) -> int: ...

    def __call__(
        self, features: torch.Tensor, memory: torch.Tensor, first: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features of L steps of B environments (L * B, F), one step of all of them after the
        other; what was remembered before the first step (B, S), zeros at an episode's start; and
        whether a step begins an episode (L * B,), which is asked of all but the first B.

        Returns what the heads read (L * B, output_dim), and what is remembered after the last step
        (B, S)."""
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


class RewardModule(Protocol):
    """A `torch.nn.Module` beside the policy, trained from the same steps, saved and distributed
    with it."""

    @property
    def learning_rate(self) -> float:
        """Adam's step size for its parameters that learn; without any, `loss` is never asked
        for."""
        ...

    def reward(self, steps: Steps) -> torch.Tensor:
        """What is added to the environment's rewards, (B,) float32, weighed already. Asked once a
        step, before the module learns from it."""
        ...

    def loss(self, steps: Steps) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """What it learns from the agent's steps; and detached scalars by metric name."""
        ...


@runtime_checkable
class RewardModel(Protocol):
    """A frozen dataclass that describes what the learner is rewarded for; the true return is always
    logged apart."""

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
class AlgorithmParts:
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

    Here is what the engine asks of every algorithm. What an algorithm's own learner asks besides,
    it knows from the settings' class."""

    @classmethod
    def __subclasshook__(cls, candidate: type, /) -> bool:
        return has_members(candidate, "name", "search_space", "parts", "check")

    @property
    def name(self) -> str:
        """What the algorithm is called, in the run folder's name and in evaluations."""
        ...

    @property
    def search_space(self) -> SearchSpace:
        """Of the settings worth varying, what to draw them from."""
        ...

    @property
    def parts(self) -> AlgorithmParts:
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

    def fewest_steps(self, memory_steps: int) -> int:
        """Steps of each environment that must have been remembered before anything can be learnt,
        with a memory that is trained over so many steps; 0 where nothing is remembered."""
        ...

    def check(
        self, environment: gymnasium.Env, frame_stack: int, num_envs: int, num_learners: int
    ) -> None:
        """Raises ValueError, in one line, for settings that cannot train on this environment."""
        ...

    def check_memory(self, steps: int, num_envs: int, frame_stack: int) -> None:
        """Raises ValueError, in one line, where no memory can be trained over so many steps of so
        many environments."""
        ...

    def checkpoint_bytes(
        self, observation_space: gymnasium.Space, frame_stack: int, total_env_steps: int
    ) -> int:
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
        """What the module makes of held-out examples, as images (H, W, 3) by name; none where
        nothing can be seen."""
        ...


@runtime_checkable
class Task(Protocol):
    """A frozen dataclass that describes a module and what it is trained for."""

    @classmethod
    def __subclasshook__(cls, candidate: type, /) -> bool:
        return has_members(candidate, "name", "lesson")

    @property
    def name(self) -> str:
        """What the module is called, in its description and in its default folder's name."""
        ...

    def lesson(self) -> Lesson:
        """Reads the data, builds the module. Raises ValueError, in one line, where the data are not
        what it needs."""
        ...
