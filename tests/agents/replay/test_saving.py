"""A replay in a checkpoint: what is saved goes on, what is damaged is told and never drawn."""

import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.checkpoint import load_state, save_state
from agents.replay import buffer as replay_module
from agents.replay.saving import load_replay, save_replay, segment_range
from tests.agents.replay.histories import (
    DISCOUNT,
    FRAME,
    Step,
    check_all_that_can_be_drawn,
    episodes,
    experience_of,
    filled,
    make,
    transition_of,
)


@pytest.mark.parametrize("prioritized", [0.0, 0.6])
def test_what_is_saved_goes_on_as_if_it_had_not_stopped(
    prioritized: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "SEGMENT_BYTES", 7 * 2 * 6)  # seven steps a file
    replay, columns = filled(priority_exponent=prioritized)
    replay.prioritize(replay.draw(20, np.random.default_rng(0)).rows, np.linspace(1, 2, 20))
    save_replay(replay, tmp_path / "one", previous=None)
    twin = make(30, 2, n_step=2, priority_exponent=prioritized)
    load_replay(twin, tmp_path / "one")
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
    save_replay(replay, tmp_path / "one", previous=None)
    replay.add(experience_of(columns, 50, 60))
    save_replay(replay, tmp_path / "two", previous=tmp_path / "one")
    files = {p.name: p for p in (tmp_path / "two").glob("frames-*")}
    shared = {name for name, path in files.items() if os.stat(path).st_nlink == 2}
    # Steps 20-49 were there before in files that end at 28, 35, 42, 49 and 50; 30 is the oldest
    # now.
    assert shared == {
        f"frames-{a:012d}-{b:012d}.safetensors" for a, b in ((28, 35), (35, 42), (42, 49))
    }
    assert len(files) == 5
    twin = make(30, 2, n_step=2)
    load_replay(twin, tmp_path / "two")
    check_all_that_can_be_drawn(twin, columns, 60)


def test_a_limit_keeps_the_newest_steps(tmp_path: Path) -> None:
    replay, columns = filled()
    save_replay(replay, tmp_path / "one", previous=None, limit_bytes=10 * 2 * 6)
    twin = make(30, 2, n_step=2)
    load_replay(twin, tmp_path / "one")
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
    save_replay(replay, tmp_path / "one", previous=None, limit_bytes=2 * 6)
    twin = make(30, 2, n_step=2)
    load_replay(twin, tmp_path / "one")
    assert not twin.ready
    twin.add(experience_of(columns, 50, 57))
    assert twin.ready
    for row in np.flatnonzero(twin.drawable):
        t = 30 + row // 2  # all steps from 50 to 59
        np.testing.assert_array_equal(
            twin.observations(np.array([row]))[0], columns[row % 2][t].observation
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
        save_replay(replay, one, previous=None)
        file = data.draw(st.sampled_from(sorted(one.glob("frames-*"))))
        flip_last_bit(file)
        twin = make(30, 2, stack, n_step)
        [told] = load_replay(twin, one)
        twin.segment_steps = 7
        save_replay(twin, Path(place) / "two", previous=one)
        third = make(30, 2, stack, n_step)
        assert load_replay(third, Path(place) / "two") == [], "the damaged file is not linked to"
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
            np.testing.assert_array_equal(twin.observations(rows)[0], observation)
            ends, rewards, discounts = twin.n_step_transitions(rows, twin.n_step, twin.discount)
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
    replay.forget(8, 12)
    rows = {t: t * 2 for t in range(20)}
    assert [replay.last[rows[t]] for t in (0, 6)] == [6, 6], "what followed step 7 is lost"
    assert [replay.begun[rows[t]] for t in (0, 7, 12, 19)] == [0, 0, 12, 12]
    assert [t for t in rows if not replay.whole[rows[t]]] == [7, 8, 9, 10, 11]


def test_a_file_that_was_taken_away_under_way_is_written_anew(tmp_path: Path) -> None:
    replay, columns = filled()
    replay.segment_steps = 7
    save_replay(replay, tmp_path / "one", previous=None)
    next((tmp_path / "one").glob("frames-*042-*")).unlink()
    save_replay(replay, tmp_path / "two", previous=tmp_path / "one")
    (tmp_path / "two" / "state.json").unlink()
    save_replay(replay, tmp_path / "three", previous=tmp_path / "two")
    twin = make(30, 2, n_step=2)
    assert load_replay(twin, tmp_path / "three") == []
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
    save_replay(filled()[0], saved, previous=None)
    save_state(saved, load_state(saved) | changes)
    twin = make(30, 2, n_step=2)
    with pytest.raises(ValueError, match=told) as refusal:
        load_replay(twin, saved)
    assert "\n" not in str(refusal.value)
    assert len(twin) == 0


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"length": 31}, r"steps of each environment \(--algo\.replay-capacity\) 30, not 31"),
        ({"length": 15, "num_envs": 4}, "--num-envs 2, not 4"),
        ({"n_step": 3}, r"--algo\.n-step 2, not 3"),
        ({"priority_exponent": 0.5}, r"--algo\.priority-exponent above 0: False, not True"),
        ({"memory_size": 6}, "a --memory that keeps so many numbers: 0, not 6"),
    ],
    ids=str,
)
def test_a_replay_of_another_kind_is_refused_untouched(
    other: dict[str, Any], told: str, tmp_path: Path
) -> None:
    save_replay(filled()[0], tmp_path / "one", previous=None)
    replay = make(**{"length": 30, "num_envs": 2, "n_step": 2} | other)
    with pytest.raises(ValueError, match=told) as refusal:
        load_replay(replay, tmp_path / "one")
    assert "\n" not in str(refusal.value)
    assert len(replay) == 0


def test_of_a_replay_too_large_for_its_limit_the_newest_step_is_kept(tmp_path: Path) -> None:
    replay, columns = filled()
    save_replay(replay, tmp_path / "one", previous=None, limit_bytes=0)
    twin = make(30, 2, n_step=2)
    load_replay(twin, tmp_path / "one")
    assert len(twin) == 2
    twin.add(experience_of(columns, 50, 70))
    for row in np.flatnonzero(twin.drawable):
        t = row // 2 + (30 if row // 2 + 30 < 70 else 0) + (30 if row // 2 + 60 < 70 else 0)
        np.testing.assert_array_equal(
            twin.observations(np.array([row]))[0], columns[row % 2][t].observation
        )
