"""A new module, trained apart from any agent: it predicts the next state of a cart with a pole.

Run it: python -m docs.examples.module
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.settings.pretraining import Pretraining
from agents.training.pretrain import pretrain
from common.ranges import Range, Size, check_ranges


@dataclass(frozen=True)
class DynamicsTask:
    """Predicts the change of the state in one step from state and action."""

    transitions: Annotated[int, Range(100, 100_000)] = 4_000
    """Transitions of random play; a quarter of them is held out."""
    width: Size = 64
    """Width of the hidden layer."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return "dynamics"

    def lesson(self) -> "DynamicsLesson":
        return DynamicsLesson(self)


class DynamicsLesson:
    """The network with its data."""

    score = "r2"  # of the held-out metrics, the one by which the best weights are chosen

    def __init__(self, task: DynamicsTask) -> None:
        inputs, changes = random_play(task.transitions)
        changes = changes / changes.std(0)
        held_out = task.transitions // 4
        self.test = inputs[:held_out], changes[:held_out]
        self.train = inputs[held_out:], changes[held_out:]
        self.module = nn.Sequential(nn.Linear(5, task.width), nn.Tanh(), nn.Linear(task.width, 4))

    @property
    def baseline(self) -> dict[str, float]:
        """The same metric when the mean change is predicted each time."""
        return {"r2": self._r2(lambda inputs: self.train[1].mean(0).expand(len(inputs), -1))}

    def batch(self, random: np.random.Generator, size: int) -> dict[str, Tensor]:
        rows = torch.from_numpy(random.integers(len(self.train[0]), size=size))
        return {"inputs": self.train[0][rows], "changes": self.train[1][rows]}

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        errors = (self.module(batch["inputs"]) - batch["changes"]) ** 2
        return errors.mean(), {"largest_error": errors.detach().max()}

    def evaluate(self) -> dict[str, float]:
        device = next(self.module.parameters()).device
        return {"r2": self._r2(lambda inputs: self.module(inputs.to(device)).cpu())}

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        return {}

    def _r2(self, predict: Callable[[Tensor], Tensor]) -> float:
        """Share of the variance of held-out changes that is explained."""
        inputs, changes = self.test
        return 1.0 - float((predict(inputs) - changes).var() / changes.var())


def random_play(transitions: int) -> tuple[Tensor, Tensor]:
    """States with the actions taken in them (N, 5), and the changes of the state that followed (N,
    4)."""
    env = gymnasium.make("CartPole-v1")
    random = np.random.default_rng(0)
    inputs = []
    changes = []
    state, _ = env.reset(seed=0)
    for _ in range(transitions):
        action = int(random.integers(2))
        following, _, over, _, _ = env.step(action)
        inputs.append([*state, action])
        changes.append(following - state)
        state = env.reset()[0] if over else following
    return torch.tensor(np.array(inputs, np.float32)), torch.tensor(np.array(changes, np.float32))


def training(run_dir: str = "") -> Pretraining:
    """600 gradient steps; writes module.json, module.safetensors and TensorBoard's events."""
    return Pretraining(DynamicsTask(), total_steps=600, learning_rate=1e-2, run_dir=run_dir)


if __name__ == "__main__":
    pretrain(training())
