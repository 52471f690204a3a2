"""Checkpoints: what goes in comes out, what is damaged is told, what is finished is never lost."""

import errno
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from agents.checkpoint import (
    ARRAYS,
    FORMAT,
    STATE,
    checkpoint_name,
    finished_checkpoints,
    load_state,
    remove_old_checkpoints,
    save_state,
    write_checkpoint,
)
from common.files import write_durably

dtypes = st.sampled_from([np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_])
any_array = dtypes.flatmap(
    lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)  # numpy's generators have integers of 128 bits
    | st.floats(allow_nan=False)
    | st.text()
    | any_array
)
letters = st.text("abcdefgh_-.", max_size=6)
trees = st.recursive(
    leaves,
    # Both kinds of keys, but never 1 and "1" side by side; that has its own test.
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(letters, inner, max_size=3)
        | st.dictionaries(st.integers(), inner, max_size=3)
    ),
    max_leaves=10,
)


def assert_same(got: Any, wanted: Any) -> None:
    assert type(got) is type(wanted)
    if isinstance(wanted, dict):
        assert list(got) == list(wanted), (
            "the order of keys counts: an optimizer's groups rely on it"
        )
        for key in wanted:
            assert_same(got[key], wanted[key])
    elif isinstance(wanted, list):
        assert len(got) == len(wanted)
        for one, other in zip(got, wanted, strict=True):
            assert_same(one, other)
    elif isinstance(wanted, np.ndarray):
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
        assert got.tobytes() == wanted.tobytes()
    else:
        assert got == wanted


@settings(max_examples=40)
@given(st.dictionaries(letters, trees, max_size=4))
def test_what_is_saved_comes_back_bit_for_bit(state: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        save_state(Path(folder) / "new" / "checkpoint", state)
        assert_same(load_state(Path(folder) / "new" / "checkpoint"), state)


def test_tensors_views_and_tuples_come_back_as_arrays_and_lists(tmp_path: Path) -> None:
    matrix = torch.arange(6.0).reshape(2, 3).requires_grad_()
    save_state(tmp_path, {"transposed": matrix.T, "steps": (1, 2), "sliced": np.arange(10)[::3]})
    state = load_state(tmp_path)
    np.testing.assert_array_equal(state["transposed"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(state["sliced"], [0, 3, 6, 9])
    assert state["steps"] == [1, 2]


def test_infinities_and_nan_survive(tmp_path: Path) -> None:
    save_state(
        tmp_path, {"best": float("-inf"), "loss": float("nan"), "array": np.array([np.nan, np.inf])}
    )
    state = load_state(tmp_path)
    assert state["best"] == float("-inf")
    assert np.isnan(state["loss"])
    np.testing.assert_array_equal(state["array"], [np.nan, np.inf])


def test_loaded_arrays_can_be_written_to(tmp_path: Path) -> None:
    save_state(tmp_path, {"weights": np.zeros(3)})
    load_state(tmp_path)["weights"][0] = 1.0


@pytest.mark.parametrize(
    "state",
    [
        {"a/b": np.zeros(2), "a": {"b": np.ones(2)}},
        {1: np.zeros(2), "1": np.ones(2)},
    ],
    ids=["a slash in a key", "a number and its spelling"],
)
def test_keys_that_spell_the_same_path_keep_their_own_arrays(
    tmp_path: Path, state: dict[Any, Any]
) -> None:
    save_state(tmp_path, state)
    assert_same(load_state(tmp_path), state)


@pytest.mark.parametrize(
    "state",
    [{"function": print}, {"bytes": b"x"}, {"deep": [{"set": {1}}]}, {True: 1}, {(1, 2): 3}],
    ids=str,
)
def test_what_a_checkpoint_cannot_hold_is_refused(tmp_path: Path, state: dict[Any, Any]) -> None:
    with pytest.raises(TypeError, match="checkpoint"):
        save_state(tmp_path, state)


def rewrite(folder: Path, **changes: Any) -> None:
    content = json.loads((folder / STATE).read_text())
    (folder / STATE).write_text(json.dumps(content | changes))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def swap_arrays_for_foreign_ones(folder: Path) -> None:
    blob = b"not safetensors, but with the right digest"
    (folder / ARRAYS).write_bytes(blob)
    rewrite(folder, sha256=hashlib.sha256(blob).hexdigest())


def change_a_counter(folder: Path) -> None:
    path = folder / STATE
    path.write_text(path.read_text().replace("1000", "9000"))


damages: dict[str, Callable[[Path], object]] = {
    "arrays cut": lambda folder: cut(folder / ARRAYS),
    "one bit of the arrays flipped": lambda folder: flip(folder / ARRAYS),
    "arrays missing": lambda folder: (folder / ARRAYS).unlink(),
    "arrays foreign": swap_arrays_for_foreign_ones,
    "state cut": lambda folder: cut(folder / STATE),
    "state missing": lambda folder: (folder / STATE).unlink(),
    "state empty": lambda folder: (folder / STATE).write_bytes(b""),
    "state a picture": lambda folder: (folder / STATE).write_bytes(b"\x89PNG\r\n\x1a\n\x00"),
    "state a list": lambda folder: (folder / STATE).write_text("[1, 2]"),
    "state of another program": lambda folder: (folder / STATE).write_text('{"episodes": 3}'),
    "another format": lambda folder: rewrite(folder, format="praxis-checkpoint-99"),
    "a counter changed": change_a_counter,
    "tree empty": lambda folder: rewrite(folder, state={}),
    "tree a list": lambda folder: rewrite(folder, state=[]),
    "tree of an array that is not there": lambda folder: rewrite(
        folder, state={"array": "/elsewhere"}
    ),
    "tree with a list for a key": lambda folder: rewrite(
        folder, state={"dict": [[[], {"value": 1}]]}
    ),
}


@pytest.mark.parametrize("damage", damages.values(), ids=damages)
def test_a_damaged_checkpoint_is_told_in_one_line(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    folder = tmp_path / "step-000000001000"
    save_state(folder, {"env_steps": 1000, "weights": np.arange(4.0)})
    damage(folder)
    with pytest.raises(
        ValueError, match="step-000000001000 is not a readable checkpoint"
    ) as refusal:
        load_state(folder)
    assert "\n" not in str(refusal.value)


def test_a_missing_checkpoint_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere is not a readable checkpoint"):
        load_state(tmp_path / "nowhere")


def test_a_checkpoint_names_its_format(tmp_path: Path) -> None:
    save_state(tmp_path, {})
    assert json.loads((tmp_path / STATE).read_text())["format"] == FORMAT == "praxis-checkpoint-1"


def saver(number: int) -> Callable[[str], None]:
    return lambda folder: save_state(Path(folder), {"number": number})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(folder: Path, steps: int, keep: int = 10, best: str | None = None) -> Path:
    path = write_checkpoint(folder, checkpoint_name(steps), saver(steps))
    remove_old_checkpoints(folder, keep, (best, None))
    return path


def test_names_sort_as_their_env_steps_do() -> None:
    steps = [0, 9, 10, 99_999, 1_000_000, 123_456_789_012]
    assert sorted(map(checkpoint_name, reversed(steps))) == [checkpoint_name(s) for s in steps]


def test_the_newest_are_kept_and_the_best_besides(tmp_path: Path) -> None:
    best = checkpoint_name(200)
    for steps in (100, 200, 300, 400, 500):
        write(tmp_path, steps, keep=2, best=best if steps >= 200 else None)
    assert names(tmp_path) == [checkpoint_name(s) for s in (200, 400, 500)]
    assert [load_state(p)["number"] for p in finished_checkpoints(tmp_path)] == [500, 400, 200]


def test_the_best_is_not_counted_twice_while_it_is_among_the_newest(tmp_path: Path) -> None:
    for steps in (100, 200, 300):
        write(tmp_path, steps, keep=2, best=checkpoint_name(300))
    assert names(tmp_path) == [checkpoint_name(200), checkpoint_name(300)]


def test_a_checkpoint_of_the_same_name_is_replaced(tmp_path: Path) -> None:
    name = checkpoint_name(100)
    for number in (1, 2):
        final = write_checkpoint(tmp_path, name, saver(number))
    assert load_state(final)["number"] == 2
    assert names(tmp_path) == [name]


def fails_halfway(folder: str) -> None:
    Path(folder).mkdir()
    (Path(folder) / ARRAYS).write_bytes(b"half of it")
    raise OSError("No space left on device")


def test_a_failing_save_leaves_the_older_checkpoints(tmp_path: Path) -> None:
    write(tmp_path, 100, keep=1)
    with pytest.raises(OSError, match="No space"):
        write_checkpoint(tmp_path, checkpoint_name(200), fails_halfway)
    assert [p.name for p in finished_checkpoints(tmp_path)] == [checkpoint_name(100)]
    assert load_state(tmp_path / checkpoint_name(100))["number"] == 100
    write(tmp_path, 300, keep=1)
    assert names(tmp_path) == [checkpoint_name(300)], (
        "what the failed one left behind is cleared away"
    )


def test_a_failing_save_of_the_same_name_leaves_the_finished_one(tmp_path: Path) -> None:
    write(tmp_path, 100)
    with pytest.raises(OSError, match="No space"):
        write_checkpoint(tmp_path, checkpoint_name(100), fails_halfway)
    assert load_state(tmp_path / checkpoint_name(100))["number"] == 100


def test_only_complete_checkpoints_are_listed(tmp_path: Path) -> None:
    assert finished_checkpoints(tmp_path / "nowhere") == []
    write(tmp_path, 100)
    (tmp_path / checkpoint_name(200)).mkdir()
    (tmp_path / "notes").mkdir()
    assert [p.name for p in finished_checkpoints(tmp_path)] == [checkpoint_name(100)]


def test_a_failing_write_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "best.json"
    write_durably(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("common.files.os.fsync", full)
        with pytest.raises(OSError, match=r"No space left on device: '.*best\.json'"):
            write_durably(path, b"new, and longer")
    assert path.read_bytes() == b"old"
    write_durably(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["best.json"]
