"""The ring of frames against a buffer that keeps everything whole."""

import os
import resource
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agents.checkpoint import load_state, save_state
from agents.replay import buffer as replay_module
from agents.replay.buffer import Frames, Replay, segment_range
from envs.atari.games import AtariConfig

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
    ends, rewards, discounts = replay._n_step_transitions(rows, replay.n_step, replay.discount)
    returns = (rewards * DISCOUNT ** np.arange(n_step)[:, None]).sum(0)
    now, then = replay._observations(rows).numpy(), replay.following(ends).numpy()
    for i, row in enumerate(rows):
        n, t = expected[int(row)]
        observation, action, total, discount, after = transition_of(columns[n], t, n_step)
        np.testing.assert_array_equal(now[i], observation)
        assert replay.actions[row] == action
        assert returns[i] == pytest.approx(total)
        assert discounts[i] == discount
        if discount > 0:
            np.testing.assert_array_equal(then[i], after)


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_envs=st.integers(1, 3),
    stack=st.integers(1, 4),
    n_step=st.integers(1, 4),
    spare=st.integers(0, 20),
    pieces=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    prioritised=st.booleans(),
)
def test_transitions_are_those_of_a_buffer_that_keeps_everything(
    seed: int,
    num_envs: int,
    stack: int,
    n_step: int,
    spare: int,
    pieces: list[int],
    prioritised: bool,
) -> None:
    rng = np.random.default_rng(seed)
    columns = [episodes(rng, sum(pieces) + n_step, stack) for _ in range(num_envs)]
    replay = make(
        stack + n_step + 1 + spare, num_envs, stack, n_step, priority_exponent=float(prioritised)
    )
    added = 0
    for piece in pieces:
        replay.add(experience_of(columns, added, added + piece))
        added += piece
        check_all_that_can_be_drawn(replay, columns, added)
    if replay.priorities is not None:
        np.testing.assert_array_equal(replay.priorities.leaves > 0, replay.drawable)


def test_stacks_of_real_games_are_rebuilt_to_the_bit() -> None:
    """Through lost lives, ends of games, truncation, and the ring's end."""
    config = AtariConfig("Breakout", max_frames_per_episode=400)
    env = config.build_vector(2)
    replay = Replay(
        240, 2, (4, 84, 84), np.uint8, (), np.int64, stack=4, n_step=1, discount=1.0, **UNIFORM
    )
    rng, seen = np.random.default_rng(0), []
    observations, _ = env.reset(seed=1)
    first = np.ones(2, np.bool_)
    for _ in range(300):
        actions = rng.integers(env.single_action_space.n, size=2)
        before = observations.copy()
        observations, rewards, over, truncated, info = env.step(actions)
        terminated = info["learning_terminated"]
        finals = np.array([None, None], object)
        for n in np.flatnonzero(over | truncated):
            finals[n] = info["final_obs"][n][-1].copy()
        step = (
            before[:, -1],
            actions,
            rewards,
            terminated,
            truncated & ~terminated,
            first,
            first,
            finals,
        )
        replay.add(Frames(*(np.asarray(column)[None] for column in step)))
        seen.append(before)
        first = over | truncated
    assert replay.drawable.sum() > 200
    ages = set()
    for row in np.flatnonzero(replay.drawable):
        t = 299 - (299 - row // 2) % 120
        np.testing.assert_array_equal(
            replay._observations(np.array([row]))[0].numpy(), seen[t][row % 2]
        )
        ages.add(int(replay.age[row]))
    assert ages == {0, 1, 2, 3}


def test_another_environments_stacks_are_left_out_until_they_are_whole() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(1, 256, (20, *FRAME), np.uint8)

    def running(t: int) -> Step:
        """A step in the middle of an episode: its stack is full."""
        return Step(frames[t : t + 4], 0, 1.0, False, False, False, frames[t + 1 : t + 5])

    steps = [running(t) for t in range(5)] + [running(t) for t in range(9, 16)]
    replay = make(20, 1)
    replay.add(experience_of([steps], 0, 5).set_apart())
    replay.add(experience_of([steps], 5, 12).set_apart())
    # Rows 0-2 and 5-7 lack frames, row 4's successor is another environment's, row 11's is not
    # there yet.
    assert np.flatnonzero(replay.drawable).tolist() == [3, 8, 9, 10]
    for row in (3, 8, 9, 10):
        np.testing.assert_array_equal(
            replay._observations(np.array([row]))[0].numpy(), steps[row].observation
        )


def filled(seed: int = 0, **changes: Any) -> tuple[Replay, list[list[Step]]]:
    columns = [episodes(np.random.default_rng(seed + n), 70, 4) for n in range(2)]
    replay = make(30, 2, n_step=2, **changes)
    replay.add(experience_of(columns, 0, 50))
    return replay, columns


def test_uniform_draws_take_every_row_that_can_be_drawn_equally_often() -> None:
    replay, _ = filled()
    random = np.random.default_rng(0)
    counts = np.bincount(
        np.concatenate([replay.draw(50, random).rows for _ in range(400)]), minlength=60
    )
    assert counts[~replay.drawable].sum() == 0
    expected = 20_000 / replay.drawable.sum()
    chi_square = ((counts[replay.drawable] - expected) ** 2 / expected).sum()
    freedom = replay.drawable.sum() - 1
    assert chi_square < freedom + 3.3 * np.sqrt(2 * freedom)


def test_priorities_decide_how_often_and_weights_undo_it() -> None:
    replay, _ = filled(priority_exponent=0.5)
    random = np.random.default_rng(0)
    rows = np.flatnonzero(replay.drawable)
    errors = np.linspace(0.1, 4.0, len(rows))
    replay.prioritize(rows, errors)
    counts = np.bincount(
        np.concatenate([replay.draw(1, random).rows for _ in range(20_000)]), minlength=60
    )[rows]
    expected = 20_000 * np.sqrt(errors) / np.sqrt(errors).sum()
    freedom = len(rows) - 1
    assert ((counts - expected) ** 2 / expected).sum() < freedom + 3.3 * np.sqrt(2 * freedom)
    drawn = replay.draw(64, random, importance_exponent=1.0)
    # By hand: probability ~ sqrt(error), so weight ~ 1 / sqrt(error), the largest of the batch 1.
    error = dict(zip(rows.tolist(), errors, strict=True))
    inverse = np.array([1 / np.sqrt(error[row]) for row in drawn.rows.tolist()])
    np.testing.assert_allclose(drawn.weights, inverse / inverse.max(), rtol=1e-4)


def test_new_rows_come_with_the_largest_priority_yet() -> None:
    replay, columns = filled(priority_exponent=1.0)
    assert replay.priorities is not None
    replay.prioritize(np.flatnonzero(replay.drawable)[:3], np.array([0.5, 7.0, 2.0]))
    before = replay.drawable.copy()
    replay.add(experience_of(columns, 50, 55))
    new = replay.drawable & ~before
    assert new.any()
    np.testing.assert_allclose(replay.priorities.leaves[new], 7.0, rtol=1e-5)


def test_what_was_overwritten_since_it_was_drawn_gets_no_priority() -> None:
    replay, columns = filled(priority_exponent=1.0)
    drawn = replay.draw(40, np.random.default_rng(0))
    replay.add(experience_of(columns, 50, 70))
    replay.prioritize(drawn.rows, np.full(40, 9.0))
    assert replay.priorities is not None
    assert not replay.priorities.leaves[~replay.drawable].any()


@pytest.mark.parametrize("prioritised", [0.0, 0.6])
def test_what_is_saved_goes_on_as_if_it_had_not_stopped(
    prioritised: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "SEGMENT_BYTES", 7 * 2 * 6)  # seven steps a file
    replay, columns = filled(priority_exponent=prioritised)
    replay.prioritize(replay.draw(20, np.random.default_rng(0)).rows, np.linspace(1, 2, 20))
    replay.save(tmp_path / "one", previous=None)
    twin = make(30, 2, n_step=2, priority_exponent=prioritised)
    twin.load(tmp_path / "one")
    for buffer in (replay, twin):
        buffer.add(experience_of(columns, 50, 63))
    check_all_that_can_be_drawn(twin, columns, 63)
    for seed in range(5):
        one, other = (
            buffer.draw(16, np.random.default_rng(seed), 0.4, 2) for buffer in (replay, twin)
        )
        for name in (
            "rows",
            "observations",
            "actions",
            "rewards",
            "discounts",
            "next_observations",
            "weights",
        ):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
        replay.prioritize(one.rows, one.rewards.sum(0))
        twin.prioritize(other.rows, other.rewards.sum(0))


def test_a_second_save_writes_only_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "SEGMENT_BYTES", 7 * 2 * 6)
    replay, columns = filled()
    replay.save(tmp_path / "one", previous=None)
    replay.add(experience_of(columns, 50, 60))
    replay.save(tmp_path / "two", previous=tmp_path / "one")
    files = {p.name: p for p in (tmp_path / "two").glob("frames-*")}
    shared = {name for name, path in files.items() if os.stat(path).st_nlink == 2}
    # Steps 20-49 were there before in files that end at 28, 35, 42, 49 and 50; 30 is the oldest
    # now.
    assert shared == {
        f"frames-{a:012d}-{b:012d}.safetensors" for a, b in ((28, 35), (35, 42), (42, 49))
    }
    assert len(files) == 5
    twin = make(30, 2, n_step=2)
    twin.load(tmp_path / "two")
    check_all_that_can_be_drawn(twin, columns, 60)


def test_a_limit_keeps_the_newest_steps(tmp_path: Path) -> None:
    replay, columns = filled()
    replay.save(tmp_path / "one", previous=None, limit_bytes=10 * 2 * 6)
    twin = make(30, 2, n_step=2)
    twin.load(tmp_path / "one")
    assert len(twin) == 20
    # Of steps 40 to 49 the last two lack their successors, the first three frames of their stacks,
    # unless their episode began since.
    begun = {
        n: [any(columns[n][i].first for i in range(40, t + 1)) for t in range(40, 43)]
        for n in range(2)
    }
    kept = {
        (t % 30) * 2 + n
        for t in range(40, 48)
        for n in range(2)
        if (not columns[n][t].truncated or columns[n][t].final is not None)
        and (t >= 43 or begun[n][t - 40])
    }
    assert set(np.flatnonzero(twin.drawable).tolist()) == kept
    twin.add(experience_of(columns, 50, 70))
    check_all_that_can_be_drawn(twin, columns, 70)


def test_a_limit_of_one_step_waits_until_stacks_are_whole_again(tmp_path: Path) -> None:
    replay, columns = filled()
    replay.save(tmp_path / "one", previous=None, limit_bytes=2 * 6)
    twin = make(30, 2, n_step=2)
    twin.load(tmp_path / "one")
    assert not twin.ready
    twin.add(experience_of(columns, 50, 57))
    assert twin.ready
    for row in np.flatnonzero(twin.drawable):
        t = 30 + row // 2  # all steps from 50 to 59
        np.testing.assert_array_equal(
            twin._observations(np.array([row]))[0], columns[row % 2][t].observation
        )


def flip_last_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def without_steps(columns: list[list[Step]], start: int, stop: int) -> list[list[Step]]:
    """The steps as they are for a replay that lacks the frames from `start` to before `stop`: what
    followed the step before `start` is unknown."""
    changed = [list(steps) for steps in columns]
    for steps in changed:
        if start > 0 and not steps[start].first and not steps[start - 1].terminated:
            steps[start - 1] = replace(steps[start - 1], truncated=True, final=None)
    return changed


def stack_begins(steps: list[Step], t: int, stack: int) -> int:
    """The step of the oldest frame in the stack of step t."""
    oldest = t
    while oldest > t - stack + 1 and not steps[oldest].first:
        oldest -= 1
    return oldest


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    stack=st.integers(1, 4),
    n_step=st.integers(1, 3),
    added=st.sampled_from([20, 30, 50]),
    data=st.data(),
)
def test_only_what_needs_lost_frames_is_never_drawn(
    seed: int, stack: int, n_step: int, added: int, data: st.DataObject
) -> None:
    random = np.random.default_rng(seed)
    columns = [episodes(random, added, stack) for _ in range(2)]
    replay = make(30, 2, stack, n_step)
    replay.add(experience_of(columns, 0, added))
    with TemporaryDirectory() as place, pytest.MonkeyPatch.context() as small:
        small.setattr(replay, "segment_steps", 7)
        one = Path(place) / "one"
        replay.save(one, previous=None)
        file = data.draw(st.sampled_from(sorted(one.glob("frames-*"))))
        flip_last_bit(file)
        twin = make(30, 2, stack, n_step)
        [told] = twin.load(one)
        twin.segment_steps = 7
        twin.save(Path(place) / "two", previous=one)
        third = make(30, 2, stack, n_step)
        assert third.load(Path(place) / "two") == [], "the damaged file is not linked to"
    start, stop = segment_range(file.name)
    start = max(start, replay.oldest)
    assert told.startswith(f"{2 * (stop - start)} env steps of the replay are lost")
    np.testing.assert_array_equal(third.drawable, twin.drawable)

    changed = without_steps(columns, start, stop)
    lost = set(range(start, stop))
    for n, steps in enumerate(columns):
        for t in range(max(0, added - 30), added):
            row = (t % 30) * 2 + n
            needed = set(range(stack_begins(steps, t, stack), t + 1))
            followed_by_loss = t == start - 1 and not steps[start].first
            whole = bool(replay.drawable[row]) and not needed & lost and not followed_by_loss
            assert twin.drawable[row] == whole, (n, t)
            if not whole:
                continue
            rows = np.array([row])
            observation, _, total, discount, after = transition_of(changed[n], t, n_step)
            np.testing.assert_array_equal(twin._observations(rows)[0], observation)
            ends, rewards, discounts = twin._n_step_transitions(rows, twin.n_step, twin.discount)
            assert (rewards[:, 0] * DISCOUNT ** np.arange(n_step)).sum() == pytest.approx(total)
            assert discounts[0] == discount
            if discount > 0:
                np.testing.assert_array_equal(twin.following(ends)[0], after)


def test_no_episode_reaches_over_lost_frames() -> None:
    """Two environments of one long episode each, for hindsight, which takes goals from anywhere in
    an episode."""
    step = Step(np.zeros((1, *FRAME), np.uint8), 0, 0.0, False, False, False, np.zeros(FRAME))
    columns = [[replace(step, first=True), *[step] * 19]] * 2
    replay = make(20, 2, stack=1)
    replay.add(experience_of(columns, 0, 20))
    replay._forget(8, 12)
    rows = {t: t * 2 for t in range(20)}
    assert [replay.last[rows[t]] for t in (0, 6)] == [6, 6], "what followed step 7 is lost"
    assert [replay.begun[rows[t]] for t in (0, 7, 12, 19)] == [0, 0, 12, 12]
    assert [t for t in rows if not replay.whole[rows[t]]] == [7, 8, 9, 10, 11]


def test_a_few_steps_that_can_be_drawn_are_found_among_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replay = make(40_000, 2, stack=1)
    replay.added = 40_000
    replay.drawable[[5, 9, 70_000]] = True
    drawn = replay._uniform(3_000, np.random.default_rng(0))
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [5, 9, 70_000]
    assert counts.min() > 900  # 1,000 each, with a deviation of 26


def test_a_file_that_was_taken_away_under_way_is_written_anew(tmp_path: Path) -> None:
    replay, columns = filled()
    replay.segment_steps = 7
    replay.save(tmp_path / "one", previous=None)
    next((tmp_path / "one").glob("frames-*042-*")).unlink()
    replay.save(tmp_path / "two", previous=tmp_path / "one")
    (tmp_path / "two" / "state.json").unlink()
    replay.save(tmp_path / "three", previous=tmp_path / "two")
    twin = make(30, 2, n_step=2)
    assert twin.load(tmp_path / "three") == []
    check_all_that_can_be_drawn(twin, columns, 50)


IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "counts below zero": ({"added": -3}, "the steps from"),
    "a count that is a text": ({"added": "50"}, "the steps from"),
    "a count that is true": ({"oldest": True}, "the steps from"),
    "a count beyond what it holds": ({"added": 10**12}, "the steps from"),
    "rewards of five rows": ({"rewards": np.zeros(5, np.float32)}, "rewards of"),
    "rewards that are not finite": (
        {"rewards": np.full(60, np.nan, np.float32)},
        "rewards outside",
    ),
    "actions of another dtype": ({"actions": np.zeros(60)}, "actions of"),
    "rows that are no rows": (
        {"finals": {"rows": np.array([10**9]), "frames": np.zeros((1, *FRAME), np.uint8)}},
        "rows",
    ),
    "ages beyond the stack": ({"age": np.full(60, 9, np.uint8)}, "age outside"),
    "a file elsewhere": (
        {"frames": {"../frames-000000000000-000000000050.safetensors": "0"}},
        "no run saved",
    ),
    "files with a gap": (
        {"frames": {"frames-000000000030-000000000050.safetensors": "0"}},
        "do not cover",
    ),
    "no files": ({"frames": {}}, "do not cover"),
    "no priority": ({"max_priority": "high"}, "no run saved"),
    "no columns": ({"begun": None}, "no run saved"),
}


@pytest.mark.parametrize(("changes", "told"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_state_that_no_replay_can_have_is_refused(
    changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    saved = tmp_path / "replay-0"
    filled()[0].save(saved, previous=None)
    save_state(saved, load_state(saved) | changes)
    twin = make(30, 2, n_step=2)
    with pytest.raises(ValueError, match=told) as refusal:
        twin.load(saved)
    assert "\n" not in str(refusal.value)
    assert len(twin) == 0


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"length": 31}, "steps 30, not 31"),
        ({"length": 15, "num_envs": 4}, "num_envs 2, not 4"),
        ({"n_step": 3}, "n_step 2, not 3"),
        ({"priority_exponent": 0.5}, "prioritised False, not True"),
    ],
    ids=str,
)
def test_a_replay_of_another_kind_is_refused_untouched(
    other: dict[str, Any], told: str, tmp_path: Path
) -> None:
    filled()[0].save(tmp_path / "one", previous=None)
    replay = make(**{"length": 30, "num_envs": 2, "n_step": 2} | other)
    with pytest.raises(ValueError, match=told) as refusal:
        replay.load(tmp_path / "one")
    assert "\n" not in str(refusal.value)
    assert len(replay) == 0


def test_too_small_a_replay_is_refused() -> None:
    make(6, 2)
    with pytest.raises(ValueError, match="must hold at least 12"):
        make(5, 2)


def test_of_a_replay_too_large_for_its_limit_the_newest_step_is_kept(tmp_path: Path) -> None:
    replay, columns = filled()
    replay.save(tmp_path / "one", previous=None, limit_bytes=0)
    twin = make(30, 2, n_step=2)
    twin.load(tmp_path / "one")
    assert len(twin) == 2
    twin.add(experience_of(columns, 50, 70))
    for row in np.flatnonzero(twin.drawable):
        t = row // 2 + (30 if row // 2 + 30 < 70 else 0) + (30 if row // 2 + 60 < 70 else 0)
        np.testing.assert_array_equal(
            twin._observations(np.array([row]))[0], columns[row % 2][t].observation
        )


def test_a_disk_without_room_for_the_frames_is_told_at_once(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            make(30, 2, memory_map=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_frames_can_lie_in_a_file(tmp_path: Path) -> None:
    mapped, columns = filled(memory_map=tmp_path / "replay")
    assert isinstance(mapped.frames, np.memmap)
    check_all_that_can_be_drawn(mapped, columns, 50)
