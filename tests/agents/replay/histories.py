"""Episodes whose every frame is told apart, and replays that hold them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.replay.buffer import Frames, Replay

FRAME = (2, 3)
DISCOUNT = 0.5
UNIFORM: dict[str, Any] = {"priority_exponent": 0.0}


@dataclass
class Step:
    """One env step with its whole observation, and the observation that followed in the same
    episode."""

    observation: NDArray
    action: int
    reward: float
    terminated: bool
    truncated: bool
    first: bool
    after: NDArray
    final: NDArray | None = None
    """The newest frame of what followed, where the episode ended and that is known."""


def episodes(rng: np.random.Generator, steps: int, stack: int, known: float = 0.5) -> list[Step]:
    """Random frames in episodes of random lengths; lost lives terminate for the learner, but the
    game goes on.

    What an episode ended in is `known` with this chance."""
    made: list[Step] = []
    frames: list[NDArray] = []
    first = True
    for _ in range(steps):
        if first:
            frames = [np.zeros(FRAME, np.uint8)] * (stack - 1) + [
                rng.integers(1, 256, FRAME, np.uint8)
            ]
        observation = np.stack(frames[-stack:])
        frames.append(rng.integers(1, 256, FRAME, np.uint8))
        end, kind = rng.random() < 0.2, rng.integers(3)
        terminated, truncated = bool(end and kind != 1), bool(end and kind == 1)
        after = np.stack(frames[-stack:])
        reward, action = float(rng.integers(-3, 4)), int(rng.integers(5))
        over = truncated or bool(end and kind == 0)  # kind 2 is a lost life
        final = frames[-1] if over and rng.random() < known else None
        if stack == 1 and final is not None:
            final = final[None]
        made.append(Step(observation, action, reward, terminated, truncated, first, after, final))
        first = over
    return made


def experience_of(columns: list[list[Step]], start: int, stop: int) -> Frames:
    def column(name: str, dtype: Any) -> NDArray:
        return np.stack(
            [[getattr(steps[t], name) for steps in columns] for t in range(start, stop)]
        ).astype(dtype)

    first, observations = column("first", np.bool_), column("observation", np.uint8)
    finals = np.full(first.shape, None, object)
    for t in range(start, stop):
        for n, steps in enumerate(columns):
            finals[t - start, n] = steps[t].final
    return Frames(
        observations=observations[:, :, -1] if observations.shape[2] > 1 else observations,
        actions=column("action", np.int64),
        rewards=column("reward", np.float32),
        terminated=column("terminated", np.bool_),
        truncated=column("truncated", np.bool_),
        first=first,
        starts=first,
        finals=finals,
    )


def make(length: int, num_envs: int, stack: int = 4, n_step: int = 1, **changes: Any) -> Replay:
    given = UNIFORM | changes
    shape = (stack, *FRAME)
    return Replay(
        length * num_envs,
        num_envs,
        shape if stack > 1 else (1, *FRAME),
        np.uint8,
        (),
        np.int64,
        stack=stack,
        n_step=n_step,
        discount=DISCOUNT,
        **given,
    )


def transition_of(
    steps: list[Step], t: int, n_step: int
) -> tuple[NDArray, int, float, float, NDArray]:
    """What an n-step transition is, said as plainly as possible."""
    total, weight = 0.0, 1.0
    for i in range(n_step):
        step = steps[t + i]
        if step.truncated and step.final is None:
            return steps[t].observation, steps[t].action, total, weight, step.observation
        total += weight * step.reward
        weight *= DISCOUNT
        if step.terminated:
            return steps[t].observation, steps[t].action, total, 0.0, step.after
        if step.truncated:
            return steps[t].observation, steps[t].action, total, weight, step.after
    return steps[t].observation, steps[t].action, total, weight, steps[t + n_step - 1].after


def check_all_that_can_be_drawn(replay: Replay, columns: list[list[Step]], added: int) -> None:
    n_step, length, num_envs = replay.n_step, replay.length, replay.num_envs
    lowest = max(0, added - length + replay.stack - 1)
    expected = {
        (t % length) * num_envs + n: (n, t)
        for t in range(lowest, added - n_step)
        for n in range(num_envs)
        if not columns[n][t].truncated or columns[n][t].final is not None
    }
    assert set(np.flatnonzero(replay.drawable).tolist()) == set(expected)
    if not expected:
        assert not replay.ready
        return
    rows = np.array(sorted(expected))
    ends, rewards, discounts = replay.n_step_transitions(rows, replay.n_step, replay.discount)
    returns = (rewards * DISCOUNT ** np.arange(n_step)[:, None]).sum(0)
    now, then = replay.observations(rows).numpy(), replay.following(ends).numpy()
    for i, row in enumerate(rows):
        n, t = expected[int(row)]
        observation, action, total, discount, after = transition_of(columns[n], t, n_step)
        np.testing.assert_array_equal(now[i], observation)
        assert replay.actions[row] == action
        assert returns[i] == pytest.approx(total)
        assert discounts[i] == discount
        if discount > 0:
            np.testing.assert_array_equal(then[i], after)


def filled(seed: int = 0, **changes: Any) -> tuple[Replay, list[list[Step]]]:
    columns = [episodes(np.random.default_rng(seed + n), 70, 4) for n in range(2)]
    replay = make(30, 2, n_step=2, **changes)
    replay.add(experience_of(columns, 0, 50))
    return replay, columns
