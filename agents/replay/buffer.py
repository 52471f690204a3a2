"""Experience replay (Lin 1992; Mnih et al. 2015): a ring of single frames, drawn from as n-step
transitions.

An Atari observation is a stack of four frames, three of which the step before has too. The ring
keeps the newest one alone, a quarter of the bytes, and rebuilds stacks when they are drawn; what an
n-step return is made of is decided then, too, so that rewards may be relabeled.
"""

import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from agents.data import Experience
from agents.replay.sum_tree import SumTree

SEGMENT_BYTES = 64 * 2**20
SMALLEST_PRIORITY = 1e-6  # an error of 0 is drawn again some day
MAX_TRIES = 50
"""Rounds of uniform drawing, after which what can be drawn is listed."""


@dataclass(frozen=True)
class Frames(Experience):
    """Experience to remember: of each observation's stack, the newest frame alone (T, N,
    *frame)."""

    starts: NDArray[np.bool_]  # (T, N), an episode's first, whose stack is zeros but for this frame
    finals: NDArray[
        np.object_
    ]  # (T, N), of an episode's last step the frame that it ended in, else None


@dataclass(frozen=True)
class FramesAndMemories(Frames):
    """The same of a network that remembers."""

    memories: NDArray[np.float32]  # (T, N, S), what was remembered before each step


@dataclass(frozen=True)
class Transitions:
    """B n-step transitions; `rows` says where in the ring they start."""

    rows: NDArray[np.int64]  # (B,)
    observations: torch.Tensor  # (B, *observation)
    actions: NDArray  # (B, ...)
    rewards: NDArray[np.float32]  # (n, B), each step's own, 0 after the transition's end
    discounts: NDArray[
        np.float32
    ]  # (B,), of the value of the observations that followed; 0 after termination
    next_observations: torch.Tensor  # (B, *observation)
    weights: NDArray[np.float32]  # (B,), importance of each, the largest 1
    discount: float  # of a step, by which the rewards on the way are added up


class Replay:
    """The latest `capacity` env steps of N environments that advance together.

    Env step t of environment n stands at row (t mod length) * N + n of every column. A row can be
    drawn once its n successors are there, if its stack is whole and what followed it is known. An
    episode's final observation has no row; it is stored apart. Where it is missing, n-step
    transitions end before it.
    """

    def __init__(
        self,
        capacity: int,
        num_envs: int,
        observation_shape: tuple[int, ...],
        observation_dtype: Any,
        action_shape: tuple[int, ...],
        action_dtype: Any,
        *,
        stack: int,
        n_step: int,
        discount: float,
        priority_exponent: float,
        memory_size: int = 0,
        memory_map: Path | None = None,
    ) -> None:
        """`stack` frames are stacked along the observation's first axis; 1 where none are. So many
        numbers are remembered by the network before each step.

        With `memory_map`, a folder, frames lie in a file there, which may be larger than the
        memory."""
        self.num_envs = num_envs
        self.stack = stack
        self.n_step = n_step
        self.discount = discount
        self.length = capacity // num_envs
        if self.length < stack + n_step + 1:
            raise ValueError(
                f"A replay of {capacity:,} steps is too small for {num_envs} environments: it must "
                "hold at least "
                f"{(stack + n_step + 1) * num_envs:,}."
            )
        frame = observation_shape if stack == 1 else observation_shape[1:]
        rows = self.length * num_envs
        self.observation_shape = observation_shape
        self.frames = allocate((rows, *frame), observation_dtype, memory_map)
        self.actions = np.zeros((rows, *action_shape), action_dtype)
        self.memories = np.zeros((rows, memory_size), np.float32)
        self.rewards = np.zeros(rows, np.float32)
        self.terminated = np.zeros(rows, np.bool_)
        self.cut = np.zeros(rows, np.bool_)  # the observation that followed is not the next row's
        self.final = np.zeros(rows, np.bool_)  # it is in `finals`
        self.finals: dict[int, NDArray] = {}
        self.begun = np.zeros(rows, np.int64)  # env step at which the episode began
        self.last = np.full(
            rows, -1, np.int64
        )  # last env step of the episode whose successor is known; -1: it goes on
        self.age = np.zeros(
            rows, np.uint8
        )  # frames before this one that are its episode's, up to stack - 1
        self.whole = np.zeros(rows, np.bool_)  # the stack can be rebuilt
        self.drawable = np.zeros(rows, np.bool_)
        self.added = 0  # env steps of each environment, ever
        self.oldest = 0  # the first of them that is still here
        self.priorities = SumTree(rows) if priority_exponent > 0 else None
        self.priority_exponent = priority_exponent
        self.max_priority = 1.0
        self.kind = {
            "num_envs": num_envs,
            "steps": self.length,
            "observation_shape": list(observation_shape),
            "action_shape": list(action_shape),
            "n_step": n_step,
            "memory_size": memory_size,
            "prioritized": self.priorities is not None,
        }
        self.segment_steps = max(1, min(self.length, SEGMENT_BYTES // self.step_bytes()))
        self.damaged: set[Path] = set()
        """Files of frames that could not be loaded, which no save may link to."""

    def __len__(self) -> int:
        """Env steps that it holds."""
        return (self.added - self.oldest) * self.num_envs

    @property
    def ready(self) -> bool:
        """Whether there is anything to draw."""
        return bool(self.drawable.any())

    def add(self, experience: Frames) -> None:
        """Takes in T steps (T, N), in place of the oldest where it is full."""
        for t in range(len(experience.rewards)):
            self._add_step(experience, t)

    def draw(
        self,
        size: int,
        random: np.random.Generator,
        importance_exponent: float = 0.0,
        batches: int = 1,
        n_step: int | None = None,
        discount: float | None = None,
    ) -> Transitions:
        """So many transitions, by priority where there are priorities; there must be some to draw.

        They are `batches` equal ones, one after the other, each from the whole range of
        priorities. `n_step`, at most the replay's, and `discount` are the replay's own if not
        said."""
        if self.priorities is None:
            rows = self._uniform(size, random)
        else:
            # Rows come in the ring's order: dealt out in turn, each batch has some of all of it.
            rows = self.priorities.draw(size, random).reshape(-1, batches).T.ravel()
        ends, rewards, discounts = self.n_step_transitions(
            rows, n_step or self.n_step, self.discount if discount is None else discount
        )
        return Transitions(
            rows=rows,
            observations=self.observations(rows),
            actions=self.actions[rows],
            rewards=rewards,
            discounts=discounts,
            next_observations=self.following(ends),
            weights=self._weights(rows, importance_exponent),
            discount=self.discount if discount is None else discount,
        )

    def prioritize(self, rows: NDArray[np.int64], errors: NDArray) -> None:
        """Gives drawn rows the priority of their absolute errors (Schaul et al. 2016,
        proportional)."""
        if self.priorities is not None:
            errors = np.abs(errors).astype(np.float64) + SMALLEST_PRIORITY
            self.max_priority = max(self.max_priority, float(errors.max()))
            # A row that was overwritten since it was drawn cannot be drawn.
            self.priorities.set(
                rows, np.where(self.drawable[rows], errors**self.priority_exponent, 0.0)
            )

    def _add_step(self, experience: Frames, t: int) -> None:
        now = self._rows(self.added)
        before = self._rows(self.added - 1)
        first = experience.first[t]
        # What follows from nothing here and is no start has a past that is unknown.
        whole = experience.starts[t] if self.stack > 1 else np.ones(self.num_envs, np.bool_)
        older = np.minimum(self.age[before] + 1, self.stack - 1)
        if self.added > self.oldest:
            self.cut[before] = first & ~self.terminated[before]
            self._end_episodes(before[first & (self.last[before] < 0)], self.added - 2)
        self.begun[now] = np.where(first, self.added, self.begun[before])
        self.frames[now] = experience.observations[t]
        self.age[now] = np.where(first, 0, older)
        self.whole[now] = np.where(first, whole, self.whole[before] | (older == self.stack - 1))
        self.actions[now] = experience.actions[t]
        if isinstance(experience, FramesAndMemories):
            self.memories[now] = experience.memories[t]
        self.rewards[now] = experience.rewards[t]
        self.terminated[now] = experience.terminated[t]
        self._keep_finals(now, experience.finals[t])
        self.allow(now, False)
        self.added += 1
        self.oldest = max(self.oldest, self.added - self.length)

        settled = self.added - 1 - self.n_step
        if settled >= 0:
            rows = self._rows(settled)
            self.allow(rows, self.whole[rows] & (~self.cut[rows] | self.final[rows]))
        # The next step is written over the oldest, which stacks of the steps after it may reach
        # into.
        leaving = self.added - self.length + self.stack - 2
        if leaving >= 0:
            self.allow(self._rows(leaving), False)

    def allow(self, rows: NDArray[np.int64], allowed: Any) -> None:
        """Whether rows can be drawn; if so, at first as if their errors were the largest yet."""
        self.drawable[rows] = allowed
        if self.priorities is not None:
            self.priorities.set(
                rows, self.drawable[rows] * self.max_priority**self.priority_exponent
            )

    def _rows(self, step: int) -> NDArray[np.int64]:
        return (step % self.length) * self.num_envs + np.arange(self.num_envs)

    def _uniform(self, size: int, random: np.random.Generator) -> NDArray[np.int64]:
        first = self.oldest * self.num_envs
        count = len(self)
        rows = np.empty(size, np.int64)
        missing = np.arange(size)
        for _ in range(MAX_TRIES):
            rows[missing] = (first + random.integers(count, size=len(missing))) % len(self.rewards)
            missing = missing[~self.drawable[rows[missing]]]
            if not len(missing):
                return rows
        rows[missing] = random.choice(np.flatnonzero(self.drawable), len(missing))
        return rows

    def _weights(self, rows: NDArray[np.int64], importance_exponent: float) -> NDArray[np.float32]:
        """Importance weights against the bias of drawing by priority, over their largest."""
        if self.priorities is None:
            return np.ones(len(rows), np.float32)
        priorities = self.priorities.get(rows)
        return ((priorities / priorities.min()) ** -importance_exponent).astype(np.float32)

    def n_step_transitions(
        self, rows: NDArray[np.int64], n_step: int, discount: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        """The n-step transitions that begin at these rows (B,): their last rows (B,), their rewards
        (n, B), and the discounts of the values that follow (B,)."""
        ends = rows
        discounts = np.ones(len(rows), np.float32)
        rewards = np.zeros((n_step, len(rows)), np.float32)
        goes_on = np.ones(len(rows), np.bool_)
        for i in range(n_step):
            step = self._later(rows, i)
            goes_on &= ~self.cut[step] | self.final[step]
            rewards[i] = np.where(goes_on, self.rewards[step], 0.0)
            ends = np.where(goes_on, step, ends)
            discounts = np.where(goes_on, discounts * np.float32(discount), discounts)
            discounts[goes_on & self.terminated[step]] = 0.0
            goes_on &= ~self.terminated[step] & ~self.cut[step]
        return ends, rewards, discounts

    def following(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """The observations (B, ...) that followed these rows' steps; anything where the step
        terminated."""
        following = self.observations(self._later(rows, 1))
        for i in np.flatnonzero(self.final[rows]):
            newest = torch.from_numpy(self.finals[int(rows[i])])
            if self.stack == 1:
                following[i] = newest
            else:
                following[i, :-1] = self.observations(rows[i : i + 1])[0, 1:]
                following[i, -1] = newest
        return following

    def steps_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The env steps that stand at these rows."""
        newest = self.added - 1
        return newest - (newest - rows // self.num_envs) % self.length

    def _keep_finals(self, now: NDArray[np.int64], finals: NDArray[np.object_]) -> None:
        if self.final[now].any():
            for row in now:
                self.finals.pop(int(row), None)
        self.last[now] = -1
        self.final[now] = ended = [final is not None for final in finals]
        for n in np.flatnonzero(ended):
            self.finals[int(now[n])] = finals[n]
        self._end_episodes(now[ended], self.added)

    def _end_episodes(self, rows: NDArray[np.int64], last: int) -> None:
        """Of the episodes whose newest rows these are, `last` is the last step."""
        for row in rows:
            steps = np.arange(max(int(self.begun[row]), last - self.length + 1), last + 1)
            self.last[(steps % self.length) * self.num_envs + row % self.num_envs] = last

    def _later(self, rows: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
        return (rows + steps * self.num_envs) % len(self.rewards)

    def observations(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Observations (B, ...) at these rows, their stacks rebuilt, oldest frame first.

        In memory, the frames of a stack are interleaved: that is how convolutions like to read
        them, and OpenCV does it ten times faster than torch would later."""
        back = np.arange(self.stack)[::-1, None]
        frames = np.take(
            self.frames, (rows - back * self.num_envs) % len(self.rewards), 0
        )  # (stack, B, *frame)
        frames[back > self.age[rows]] = 0
        if self.stack == 1:
            return torch.from_numpy(frames[0])
        # Pinned memory reaches a GPU while the processor goes on.
        shape = (len(rows), *self.frames.shape[1:], self.stack)
        drawn = torch.empty(
            shape, dtype=torch.from_numpy(frames).dtype, pin_memory=torch.cuda.is_available()
        )
        cv2.merge(
            list(frames.reshape(self.stack, len(rows), -1)),
            drawn.numpy().reshape(len(rows), -1, self.stack),
        )
        return drawn.movedim(-1, 1)

    def forget(self, start: int, stop: int) -> None:
        """Never draws what needs the frames of the steps from `start` to before `stop`, which are
        lost."""
        goes_on = self.begun[self._rows(start)] < start  # episodes that were under way
        if start > self.oldest:
            before = self._rows(start - 1)[goes_on]
            self.whole[before] = False
            self.cut[before[~self.terminated[before]]] = True
            self._end_episodes(before, start - 2)
        lost = self.span(start, stop)
        self.whole[lost] = False
        self.last[lost] = stop - 1
        if stop < self.added:
            self.forget_past(stop)
            self._begin_episodes(stop)

    def forget_past(self, step: int) -> None:
        """Stacks of the steps from this one on do not reach back beyond it."""
        for k in range(min(self.stack - 1, self.added - step)):
            rows = self._rows(step + k)
            lost = rows[self.age[rows] > k]
            self.age[lost] = k
            self.whole[lost] = False

    def _begin_episodes(self, first: int) -> None:
        """Episodes that were under way before this step begin with it."""
        for step in range(first, self.added):
            rows = self._rows(step)
            under_way = rows[self.begun[rows] < first]
            if not len(under_way):
                break
            self.begun[under_way] = first

    def span(self, start: int, stop: int) -> NDArray[np.int64]:
        """The rows of the steps from `start` to before `stop`, in order."""
        return np.arange(start * self.num_envs, stop * self.num_envs) % len(self.rewards)

    def step_bytes(self) -> int:
        """Bytes of the frames of one step of all environments."""
        return self.frames[0].nbytes * self.num_envs


def allocate(shape: tuple[int, ...], dtype: Any, folder: Path | None) -> NDArray:
    """Zeros, in memory that is only taken as it is written to, or in a file that nobody else
    sees."""
    if folder is None:
        return np.zeros(shape, dtype)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        # A disk that fills up later would end the process without a word.
        os.posix_fallocate(file.fileno(), 0, math.prod(shape) * np.dtype(dtype).itemsize)
        return np.memmap(file, dtype, "r+", shape=shape)
