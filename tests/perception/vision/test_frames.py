"""Frames: their greys, their labels when some are taken, and their file."""

from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import numpy as np
import psutil
import pytest

from perception.vision.frames import Frames, load_frames, parts, save_frames


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


def test_plain_greys_are_the_colors_luminance() -> None:
    image = some_frames().greys(None)[0, 0]
    assert image.shape == (4, 5)
    assert image[0, 0] == 76  # 0.299 x 255
    assert image[1, 1] == 100
    assert image[2, 2] == 0


def test_jittered_greys_differ_from_frame_to_frame_but_not_within_one_color() -> None:
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
        with pytest.raises(
            ValueError, match=r"holds no frames of scripts/make_frames\.py"
        ) as refusal:
            load_frames(tmp_path / name)
        assert "\n" not in str(refusal.value)


WRONG = {
    "screens": [
        (lambda screens: screens.astype(np.float32), "is float32 of shape"),
        (lambda screens: screens.astype(np.uint16), "is uint16 of shape"),
        (lambda screens: screens[0], r"is uint8 of shape \(4, 5\)"),
        (lambda screens: screens[:0], r"games has the shape \(3,\), not \(0,\)"),
        (lambda screens: screens[..., :0], "is empty|has the shape"),
    ],
    "games": [
        (lambda games: games[:2], r"has the shape \(2,\), not \(3,\)"),
        (lambda games: games - 1, r"is -1 somewhere, and must lie in \[0, 1\)"),
        (lambda games: games + 1, r"is 1 somewhere, and must lie in \[0, 1\)"),
        (lambda games: games.astype(float), "is float64"),
    ],
    "episodes": [
        (lambda episodes: episodes[:, None], "is int64 of shape"),
        (lambda _: np.array("x"), "is <U1"),
    ],
    "classes": [
        (lambda classes: classes[:2], r"has the shape \(2, 4, 5\), not \(3, 4, 5\)"),
        (lambda classes: classes[:, :2], r"has the shape \(3, 2, 5\), not \(3, 4, 5\)"),
        (lambda classes: classes + 1, r"is 3 somewhere, and must lie in \[0, 3\)"),
    ],
    "boxes": [
        (lambda boxes: boxes[:, :5], r"has the shape \(3, 5\), not \(3, 6\)"),
        (lambda boxes: boxes[::-1], "are not in the order of their screens"),
        (
            lambda boxes: np.add(boxes, [3, 0, 0, 0, 0, 0]),
            r"screen is 5 somewhere, and must lie in \[0, 3\)",
        ),
        (
            lambda boxes: boxes - [0, 1, 0, 0, 0, 0],
            r"class is 0 somewhere, and must lie in \[1, 3\)",
        ),
        (
            lambda boxes: np.add(boxes, [0, 0, 0, 0, 2, 0]),
            r"right is 6 somewhere, and must lie in \[1, 6\)",
        ),
        (lambda boxes: np.add(boxes, [0, 0, 1, 0, 0, 0]), r"width is 0 somewhere"),
        (lambda boxes: boxes - [0, 0, 0, 1, 0, 0], r"top is -1 somewhere"),
        (lambda boxes: boxes.astype(np.uint64) + np.uint64(2**63), "must lie in"),
    ],
    "names": [
        (lambda _: np.array("Game"), "is <U4 of shape"),
        (lambda _: np.array([1]), "is int64 of shape"),
    ],
    "class_names": [(lambda names: names[:2], r"is 2 somewhere, and must lie in \[0, 2\)")],
    "palettes": [
        (lambda palettes: palettes[:, :9], r"has the shape \(1, 9, 3\), not \(1, 256, 3\)")
    ],
}


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(
    ("column", "change", "told"),
    [(column, *case) for column, cases in WRONG.items() for case in cases],
)
def test_columns_that_do_not_fit_are_told_in_one_line(
    tmp_path: Path, part, column, change, told
) -> None:
    columns = {
        f"{name}_{key}": value for name in ("train", "test") for key, value in parts(some_frames())
    }
    columns[f"{part}_{column}"] = change(columns[f"{part}_{column}"])
    np.savez(tmp_path / "frames.npz", **columns)
    with pytest.raises(ValueError, match=rf"holds no frames .*{part}_.*({told})") as refusal:
        load_frames(tmp_path / "frames.npz")
    assert "\n" not in str(refusal.value)


def test_parts_of_different_games_are_refused(tmp_path: Path) -> None:
    columns = {
        f"{name}_{key}": value for name in ("train", "test") for key, value in parts(some_frames())
    }
    columns["test_names"] = np.array(["Another"])
    np.savez(tmp_path / "frames.npz", **columns)
    with pytest.raises(ValueError, match="its parts differ in names"):
        load_frames(tmp_path / "frames.npz")


def test_any_flipped_byte_is_read_as_it_was_or_told_of(tmp_path: Path) -> None:
    path = tmp_path / "frames.npz"
    save_frames(path, some_frames(), some_frames())
    whole = path.read_bytes()
    for place in range(0, len(whole), 23):
        damaged = bytearray(whole)
        damaged[place] ^= 0x5A
        path.write_bytes(damaged)
        with suppress(ValueError):
            load_frames(path)
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="holds no frames"):
            load_frames(path)


def test_a_file_that_unpacks_to_more_than_the_memory_is_not_unpacked(
    tmp_path: Path, monkeypatch
) -> None:
    save_frames(tmp_path / "frames.npz", some_frames(), some_frames())
    free = psutil.virtual_memory()._replace(available=1000)
    monkeypatch.setattr("perception.vision.frames.psutil.virtual_memory", lambda: free)
    with pytest.raises(ValueError, match="it unpacks to 0 MiB, and 0 MiB of memory are free"):
        load_frames(tmp_path / "frames.npz")


def test_a_kill_while_frames_are_written_leaves_no_file(tmp_path: Path, monkeypatch) -> None:
    def killed(file, **columns) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("perception.vision.frames.np.savez_compressed", killed)
    with pytest.raises(KeyboardInterrupt):
        save_frames(tmp_path / "frames.npz", some_frames(), some_frames())
    assert not list(tmp_path.iterdir())
