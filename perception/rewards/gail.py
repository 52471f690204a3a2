"""Likeness to demonstrations as a reward: generative adversarial imitation (GAIL; Ho and Ermon
2016)."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
import torch.nn.functional as F
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import Tensor, nn

from common.spaces import in_words
from perception.encoders.by_space import reader_of
from perception.encoders.mlp import orthogonal
from perception.settings.rewards import DiscriminatorRewardConfig

LARGEST = torch.finfo(torch.float32).max  # a bound as large as this is none
MAX_CERTAIN = 5.0
"""Log-odds beyond which the discriminator's certainty brings no more."""


class DiscriminatorReward(nn.Module):
    """Rewards steps by the log-odds that they were demonstrated, log D - log(1 - D).

    The paper's -log(1 - D) is never negative, and so pays an agent for not reaching the end of its
    task (Kostrikov et al. 2019)."""

    observations: Tensor
    actions: Tensor
    center: Tensor
    half_range: Tensor
    next_row: Tensor

    def __init__(
        self,
        config: DiscriminatorRewardConfig,
        observation_space: gymnasium.Space,
        action_space: gymnasium.Space,
        demonstrated: dict[str, Tensor],
    ) -> None:
        super().__init__()
        self.weight = config.weight
        self.learning_rate = config.learning_rate
        self.penalty = config.gradient_penalty
        self.read = reader_of(observation_space)
        self.num_actions = int(action_space.n) if isinstance(action_space, Discrete) else 0
        width = self.read.output_dim + (self.num_actions or demonstrated["actions"].shape[1])
        self.judge = nn.Sequential(
            orthogonal(nn.Linear(width, 128)),
            nn.Tanh(),
            orthogonal(nn.Linear(128, 1), gain=1.0),
        )
        center, half_range = box_of(action_space)
        self.register_buffer("center", center, persistent=False)
        self.register_buffer("half_range", half_range, persistent=False)
        self.register_buffer("observations", demonstrated["observations"], persistent=False)
        self.register_buffer("actions", demonstrated["actions"], persistent=False)
        self.register_buffer("next_row", torch.zeros((), dtype=torch.int64))

    def reward(self, steps: Any) -> Tensor:
        """(B,)"""
        odds = self.judge(self.features(steps.observations, steps.actions))[:, 0]
        return self.weight * odds.clamp(-MAX_CERTAIN, MAX_CERTAIN)

    def loss(self, steps: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """How badly it tells the steps from as many demonstrated ones."""
        size = len(steps.actions)
        # In turn: `demonstrations` has shuffled them.
        rows = (self.next_row + torch.arange(size, device=self.next_row.device)) % len(self.actions)
        self.next_row.copy_((self.next_row + size) % len(self.actions))
        shown = self.features(self.observations[rows], self.actions[rows])
        done = self.features(steps.observations, steps.actions)
        odds_shown = self.judge(shown)[:, 0]
        odds_done = self.judge(done)[:, 0]
        loss = F.softplus(-odds_shown).mean() + F.softplus(odds_done).mean()
        with torch.no_grad():
            right = {
                "demonstrated_right": (odds_shown > 0).float(),
                "own_right": (odds_done < 0).float(),
            }
        return loss + self.penalty * self.slope(shown, done), {
            name: share.mean() for name, share in right.items()
        }

    def features(self, observations: Tensor, actions: Tensor) -> Tensor:
        """What the judge reads (B, F) of observations (B, ...) and actions (B, ...) in the
        environment's units."""
        taken = (
            F.one_hot(actions, self.num_actions)
            if self.num_actions
            else (actions - self.center) / self.half_range
        )
        return torch.cat([self.read(observations), taken.float()], 1)

    def slope(self, shown: Tensor, done: Tensor) -> Tensor:
        """Mean square of the judge's gradient at mixtures of both kinds of steps."""
        share = torch.rand(len(shown), 1, device=shown.device)
        between = (share * shown + (1 - share) * done).detach().requires_grad_()
        # The penalty is itself differentiated with respect to the judge's weights.
        [gradient] = torch.autograd.grad(self.judge(between).sum(), between, create_graph=True)
        return (gradient**2).sum(1).mean()


def box_of(action_space: gymnasium.Space) -> tuple[Tensor, Tensor]:
    """Center and half range of each action (A,) float64; 0 and 1 where it has no two bounds, or is
    not of a Box."""
    if not isinstance(action_space, Box):
        return torch.zeros(0, dtype=torch.float64), torch.ones(0, dtype=torch.float64)
    low = torch.as_tensor(action_space.low).double()
    high = torch.as_tensor(action_space.high).double()
    bounded = (low > -LARGEST) & (high < LARGEST) & (low < high)
    return torch.where(bounded, low / 2 + high / 2, 0.0), torch.where(
        bounded, high / 2 - low / 2, 1.0
    )


def demonstrations(
    path: str, observation_space: gymnasium.Space, action_space: gymnasium.Space
) -> dict[str, Tensor]:
    """Observations (D, ...) and actions (D, ...) in an order of chance, the same each time.

    Raises ValueError, in one line, where they are missing, are of other spaces, or have values that
    these lack."""
    if not path:
        raise ValueError(
            "Imitation needs demonstrations: --reward.demonstrations FILE, of "
            "scripts/make_demonstrations.py."
        )
    try:
        columns = load_file(Path(path))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as damage:
        raise ValueError(
            f"{path} holds no demonstrations: {' '.join(str(damage).split())}."
        ) from damage
    if missing := {"observations", "actions"} - columns.keys():
        raise ValueError(f"{path} holds no demonstrations: it lacks {', '.join(sorted(missing))}.")
    observations = columns["observations"]
    actions = columns["actions"]
    if not observations.ndim or not actions.ndim or not 0 < len(observations) == len(actions):
        raise ValueError(
            f"{path}: observations and actions must have as many rows, at least one, but their "
            "shapes are "
            f"{observations.shape} and {actions.shape}."
        )
    if not isinstance(observation_space, Box) or observations.dtype != observation_space.dtype:
        raise ValueError(
            f"{path} holds no demonstrations for observations of {in_words(observation_space)}."
        )
    require_within(path, "observations", observations, observation_space)
    if isinstance(action_space, Discrete) and actions.dtype.kind in "iu" and actions.ndim == 1:
        require_below(path, actions, int(action_space.n))
        actions = actions.astype(np.int64)
    elif isinstance(action_space, Box) and actions.dtype.kind == "f":
        actions = actions.astype(action_space.dtype)
        require_within(path, "actions", actions, action_space)
    else:
        raise ValueError(f"{path} holds no demonstrations for actions of {in_words(action_space)}.")
    order = torch.randperm(len(actions), generator=torch.Generator().manual_seed(0))
    return {
        "observations": torch.from_numpy(observations)[order],
        "actions": torch.from_numpy(actions)[order],
    }


def require_within(path: str, column: str, values: NDArray, space: Box) -> None:
    """Raises ValueError unless values (D, ...) are of this space's shape, finite and within its
    bounds."""
    if values.shape[1:] != space.shape:
        raise ValueError(f"{path} holds no demonstrations for {column} of {in_words(space)}.")
    inside = np.isfinite(values) & (space.low <= values) & (values <= space.high)
    if not inside.all():
        row, *place = np.unravel_index(int(inside.argmin()), inside.shape)
        low = space.low[tuple(place)]
        high = space.high[tuple(place)]
        raise ValueError(
            f"{path}: {column}{[int(part) for part in place]} is {values[(row, *place)]} in row "
            f"{row}; it must be "
            f"from {low} to {high}, and finite."
        )


def require_below(path: str, actions: NDArray, number: int) -> None:
    """Raises ValueError unless the actions (D,) are from 0 to `number` - 1."""
    known = (actions >= 0) & (actions < number)
    if not known.all():
        row = int(known.argmin())
        raise ValueError(
            f"{path}: actions is {actions[row]} in row {row}; it must be from 0 to {number - 1}."
        )
