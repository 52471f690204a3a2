"""Films: read back as they were made, written as they come, and one clear line where nothing can be
shown."""

import io
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from agents.evaluation.film import FilmWriter, Sample, frame_rate, frames_of, is_whole, picture
from agents.experiment import InvalidExperiment

RED, BLACK = (255, 0, 0), (0, 0, 0)


class Rendering(gymnasium.Env):
    """An environment whose render() gives, or raises, this."""

    def __init__(self, result: Any, **metadata: Any) -> None:
        self.result, self.metadata = result, metadata

    def render(self) -> Any:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def colored(height: int, width: int, color: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.full((height, width, len(color)), color, np.uint8)


def read(path: Path) -> list[NDArray[Any]]:
    reader = cv2.VideoCapture(str(path))
    frames = [image[:, :, ::-1] for got, image in iter(reader.read, (False, None)) if got]
    reader.release()
    return frames


@pytest.mark.parametrize(
    ("height", "width", "shape"),
    # Enlarged by a whole factor to 320 pixels at least, then to even sides.
    [
        (16, 16, (320, 320)),
        (15, 17, (270, 306)),
        (210, 160, (420, 320)),
        (401, 601, (402, 602)),
        (1, 1, (320, 320)),
        (1, 640, (2, 640)),
        (300, 1, (16_200, 54)),
    ],
)
def test_a_film_is_read_back_in_its_shape_and_colors(
    tmp_path: Path, height: int, width: int, shape: tuple[int, int]
) -> None:
    path = tmp_path / "videos" / "film.webm"
    with FilmWriter(path, 15.0) as film:
        for color in (BLACK, BLACK, RED):
            film.add(colored(height, width, color))
    frames = read(path)
    assert [frame.shape[:2] for frame in frames] == [shape] * 3
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == 15.0
    assert frames[0].max() < 30
    middle = frames[2][shape[0] // 2, shape[1] // 2]
    assert middle[0] > 200
    assert middle[1:].max() < 60
    assert [file.name for file in path.parent.iterdir()] == ["film.webm"]


def test_browsers_know_a_film_by_its_first_bytes(tmp_path: Path) -> None:
    write(tmp_path / "film.webm", colored(8, 8, RED))
    head = (tmp_path / "film.webm").read_bytes()[:500]
    assert head.startswith(bytes.fromhex("1A45DFA3"))  # EBML
    assert b"webm" in head
    assert b"V_VP8" in head


def write(path: Path, *frames: NDArray[np.uint8], failure: Exception | None = None) -> None:
    with FilmWriter(path, 30.0) as film:
        for frame in frames:
            film.add(frame)
        if failure:
            raise failure


def test_a_film_that_ends_in_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        write(tmp_path / "videos" / "film.webm", colored(8, 8, RED), failure=KeyError())
    assert list(tmp_path.iterdir()) == []


def test_an_older_film_stays_where_the_new_one_fails(tmp_path: Path) -> None:
    (tmp_path / "film.webm").write_text("older")
    with pytest.raises(KeyError):
        write(tmp_path / "film.webm", colored(8, 8, RED), failure=KeyError())
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [
        ("film.webm", "older")
    ]


def test_frames_of_several_sizes_are_refused_by_both_sizes(tmp_path: Path) -> None:
    with pytest.raises(InvalidExperiment, match="8x6 pixels and then one of 8x7"):
        write(tmp_path / "film.webm", colored(6, 8, RED), colored(7, 8, RED))


def test_frames_too_large_for_the_codec_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidExperiment, match="below 16,383 pixels"):
        write(tmp_path / "film.webm", colored(2, 16_384, RED))
    assert list(tmp_path.iterdir()) == []


def test_opening_a_film_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "film.webm", colored(8, 8, RED))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("offered", "kept"), [(1, [0]), (4, [0, 1, 2, 3]), (5, [0, 2, 4]), (17, [0, 8, 16])]
)
def test_a_sample_is_bounded_and_at_equal_distances(offered: int, kept: list[int]) -> None:
    sample = Sample(4)
    for number in range(offered):
        sample.add(colored(2, 2, (number,) * 3))
    assert [image.convert("RGB").getpixel((0, 0))[0] for image in sample.images] == kept  # type: ignore[index]


def test_the_animation_lasts_as_long_as_the_film_and_is_small(tmp_path: Path) -> None:
    with FilmWriter(tmp_path / "film.webm", 20.0) as film:
        for number in range(500):
            film.add(colored(400, 640, (number % 256,) * 3))
    with Image.open(io.BytesIO(film.gif())) as animation:
        assert animation.size == (320, 200)
        frames = animation.n_frames  # type: ignore[attr-defined]
        assert frames == 125  # every fourth of 500
        assert frames * animation.info["duration"] == 500 / 20.0 * 1000


@pytest.mark.parametrize(
    ("rendered", "pixel"),
    [
        (np.full((2, 3), 7, np.uint8), (7, 7, 7)),
        (np.full((2, 3, 1), 7, np.int64), (7, 7, 7)),
        (np.full((2, 3, 3), 0.5, np.float32), (128, 128, 128)),
        (np.ones((2, 3), np.bool_), (255, 255, 255)),
        (colored(2, 3, (10, 20, 30, 255)), (10, 20, 30)),
        (colored(2, 3, (10, 20, 30, 0)), (255, 255, 255)),
        (
            colored(2, 3, (0, 100, 255, 51)),
            (204, 224, 255),
        ),  # 255 x 0.8, and a fifth of the color
    ],
)
def test_every_kind_of_image_is_shown_as_it_looks(
    rendered: NDArray[Any], pixel: tuple[int, ...]
) -> None:
    shown = picture(rendered)
    assert (shown.shape, shown.dtype) == ((2, 3, 3), np.uint8)
    assert (shown == pixel).all()


@pytest.mark.parametrize(
    ("rendered", "told"),
    [
        (np.full((2, 3, 3), 255.0), r"float64 from 255.0 to 255.0; they must lie in \[0, 1\]"),
        (np.full((2, 3, 3), np.nan), "from nan to nan"),
        (np.full((2, 3, 3), -1), r"\[0, 255\]"),
        (np.zeros((3, 210, 160), np.uint8), r"shape \(3, 210, 160\)"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\)"),
        ("a picture in letters", "shape"),
        ([[1, 2], [3]], "no array"),
    ],
)
def test_what_is_no_image_is_told_of_in_one_line(rendered: Any, told: str) -> None:
    with pytest.raises(InvalidExperiment, match=told) as refusal:
        picture(rendered)
    assert "\n" not in str(refusal.value)


def test_a_list_of_frames_is_shown_frame_by_frame() -> None:
    frames = frames_of(Rendering([colored(2, 2, RED), colored(2, 2, BLACK)]))
    assert [tuple(frame[0, 0]) for frame in frames] == [RED, BLACK]
    assert frames_of(Rendering([])) == []


@pytest.mark.parametrize(
    ("rendered", "told"),
    [
        (None, "render_mode='rgb_array'"),
        (NotImplementedError(), "NotImplementedError"),
        (KeyError("a\nb"), "KeyError"),
    ],
)
def test_an_environment_that_renders_nothing_is_told_of_in_one_line(
    rendered: Any, told: str
) -> None:
    with pytest.raises(InvalidExperiment, match=told) as refusal:
        frames_of(Rendering(rendered))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("metadata", "rate"),
    [({}, 30), ({"render_fps": 4}, 4), ({"render_fps": 60}, 30), ({"render_fps": 0.1}, 1)]
    + [({"render_fps": junk}, 30) for junk in (None, 0, -3, "fast", float("nan"))],
)
def test_a_film_has_a_frame_rate_that_can_be_played(metadata: dict[str, Any], rate: float) -> None:
    assert frame_rate(Rendering(None, **metadata)) == rate


@pytest.fixture
def full_disk() -> Iterator[Callable[[], None]]:
    """A function after whose call files get no larger than 100 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_film_that_the_disk_does_not_take_whole_is_an_error_and_leaves_nothing(
    tmp_path: Path, full_disk: Callable[[], None]
) -> None:
    film = FilmWriter(tmp_path / "videos" / "film.webm", 15.0)
    film.add(colored(64, 64, RED))
    full_disk()
    for seed in range(100):
        film.add(np.random.default_rng(seed).integers(255, size=(64, 64, 3), dtype=np.uint8))
    with pytest.raises(OSError, match=r"film\.webm could not be written to its end"):
        film.__exit__(None, None, None)
    assert list(tmp_path.iterdir()) == []


def test_a_film_without_its_end_is_not_whole(tmp_path: Path) -> None:
    with FilmWriter(tmp_path / "film.webm", 15.0) as film:
        film.add(colored(16, 16, RED))
    whole = (tmp_path / "film.webm").read_bytes()
    assert is_whole(tmp_path / "film.webm")
    for size in (0, 20, 50, len(whole) // 2, len(whole) - 1):
        (tmp_path / "film.webm").write_bytes(whole[:size])
        assert not is_whole(tmp_path / "film.webm")
