"""Average precision against hand-made numbers, and boxes at another size."""

import numpy as np
import pytest
import torch

from perception.palette import COLORS
from perception.vision.detection import (
    Found,
    average_precision,
    average_precisions,
    boxes_by_image,
    drawn,
    matched,
)
from tests.perception.vision.test_frames import some_frames

BOX, FAR = [0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]
HALF = [0.0, 0.0, 10.0, 5.0]  # overlaps BOX by just half of their union


def found(*objects: tuple[list[float], int, float]) -> Found:
    boxes, classes, scores = zip(*objects, strict=True) if objects else ([], [], [])
    return Found(
        torch.tensor(boxes).reshape(-1, 4),
        torch.tensor(classes, dtype=torch.int64),
        torch.tensor(scores),
    )


def true(*objects: tuple[list[float], int]) -> tuple[torch.Tensor, torch.Tensor]:
    boxes, classes = zip(*objects, strict=True) if objects else ([], [])
    return torch.tensor(boxes).reshape(-1, 4), torch.tensor(classes, dtype=torch.int64)


def test_the_area_is_as_by_hand() -> None:
    # By score: right, wrong, right, of three. Precision 1 up to recall 1/3, 2/3 up to 2/3, nothing
    # beyond.
    scores, right = np.array([0.9, 0.2, 0.5]), np.array([True, True, False])
    assert average_precision(scores, right, 3) == pytest.approx(1 / 3 + (1 / 3) * (2 / 3))
    assert average_precision(np.zeros(0), np.zeros(0, np.bool_), 3) == 0.0
    assert np.isnan(average_precision(np.zeros(0), np.zeros(0, np.bool_), 0))


def test_an_object_is_found_once_and_by_the_surest() -> None:
    twice = found((BOX, 1, 0.9), (BOX, 1, 0.8), (FAR, 1, 0.7))
    scores, right, count = matched([twice], [true((BOX, 1))], 1, 0.5)
    assert right.tolist() == [True, False, False]
    assert scores == pytest.approx([0.9, 0.8, 0.7])
    assert count == 1


def test_overlap_decides() -> None:
    own, wanted = [found((HALF, 1, 0.9))], [true((BOX, 1))]
    assert matched(own, wanted, 1, 0.5)[1].tolist() == [True]
    assert matched(own, wanted, 1, 0.51)[1].tolist() == [False]


def test_classes_and_images_are_kept_apart() -> None:
    own = [found((BOX, 1, 0.9)), found((BOX, 2, 0.8)), found()]
    wanted = [true((BOX, 1)), true((BOX, 1)), true((FAR, 2))]
    told = average_precisions(own, wanted, {1: "alien", 2: "player"})
    assert told == {"map": pytest.approx(0.25), "ap_alien": pytest.approx(0.5), "ap_player": 0.0}


def test_boxes_come_by_image_and_at_its_size() -> None:
    frames = some_frames()  # of 4 x 5 pixels
    plain, scaled = boxes_by_image(frames, 0), boxes_by_image(frames, 20)
    assert [len(boxes) for boxes, _ in plain] == [2, 0, 1]
    assert plain[0][1].tolist() == [1, 2]
    assert plain[0][0].tolist() == [[0, 0, 1, 1], [1, 1, 2, 2]]
    assert scaled[0][0].tolist() == [[0, 0, 4, 5], [4, 5, 8, 10]]
    assert plain[1][0].shape == (0, 4)


def test_what_is_sure_is_framed_and_nothing_else() -> None:
    image = np.full((70, 70), 9, np.uint8)
    picture = drawn(
        image, found((BOX, 1, 0.9), (FAR, 2, 0.1), ([-5.0, -5.0, -1.0, -1.0], 1, 0.9)), COLORS
    )
    assert picture[0, 5].tolist() == picture[9, 0].tolist() == COLORS[1].tolist()
    assert picture[5, 5].tolist() == [9, 9, 9]
    assert (picture[50:60, 50:60] == 9).all()
