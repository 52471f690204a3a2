"""Frames: their greys, their labels when some are taken, and their file."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from perception.frames import Frames, load_frames, save_frames


def some_frames(size: int = 3) -> Frames:
    palette = np.zeros((1, 256, 3), np.uint8)
    palette[0, 1], palette[0, 2] = (255, 0, 0), (100, 100, 100)
    screens = np.zeros((size, 4, 5), np.uint8)
    screens[:, 0, 0], screens[:, 1, 1] = 1, 2
    boxes = np.array([[0, 1, 0, 0, 1, 1], [0, 2, 1, 1, 2, 2], [2, 1, 3, 3, 4, 4]], np.int64)
    return Frames(
        screens,
        np.zeros(size, np.int64),
        np.arange(size),
        screens.copy(),
        boxes,
        ("Game",),
        ("none", "a", "b"),
        palette,
    )


def test_plain_greys_are_the_colours_luminance() -> None:
    image = some_frames().greys(None)[0, 0]
    assert image.shape == (4, 5)
    assert image[0, 0] == 76  # 0.299 x 255
    assert image[1, 1] == 100
    assert image[2, 2] == 0


def test_jittered_greys_differ_from_frame_to_frame_but_not_within_one_colour() -> None:
    images = some_frames().greys(np.random.default_rng(0))
    again = some_frames().greys(np.random.default_rng(0))
    assert (images == again).all()
    assert len({int(image[0, 0, 0]) for image in images}) == 3
    assert all(len(np.unique(image[0, 2:])) == 1 for image in images)


def test_rows_take_their_labels_along() -> None:
    taken = some_frames().rows(np.array([2, 0, 1, 2]))
    assert taken.episodes.tolist() == [2, 0, 1, 2]
    assert taken.boxes[:, :2].tolist() == [[0, 1], [1, 1], [1, 2], [3, 1]]


def test_a_file_gives_back_what_was_saved_and_is_never_written_over(tmp_path: Path) -> None:
    path, train, test = tmp_path / "frames.npz", some_frames(), some_frames().rows(np.array([1]))
    save_frames(path, train, test)
    for one, other in zip(load_frames(path), (train, test), strict=True):
        for field in fields(Frames):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
        assert one.names == ("Game",)
    with pytest.raises(FileExistsError):
        save_frames(path, train, test)


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no frames")
    np.savez(tmp_path / "other.npz", numbers=np.zeros(3))
    for name in ("text.npz", "other.npz", "nowhere.npz"):
        with pytest.raises(ValueError, match=r"holds no frames of scripts/make_frames\.py") as refusal:
            load_frames(tmp_path / name)
        assert "\n" not in str(refusal.value)
