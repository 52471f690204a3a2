"""One look at a grid of cells: what they are told to say, what is read from them, and learning
it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from perception.settings.module_encoders import ListEncoderConfig, YOLOEncoderConfig
from perception.settings.tasks import YOLOTask
from perception.vision.frames import save_frames
from perception.vision.yolo import STRIDE, YOLO, boxes_of, objects_of, wanted_cells
from tests.perception.vision.drawings import squares, write_module

AGENT_SEES = Box(0, 255, (4, 84, 84), np.uint8)


def cells_that_say(
    row: int, column: int, number: int, log_width: float = 0.0, log_height: float = 0.0
) -> torch.Tensor:
    """Of a grid of 5 x 6 cells and 3 classes, one that is sure of an object in its very middle."""
    cells = torch.zeros(1, 8, 5, 6)
    cells[:, 0] = -20.0
    cells[0, 0, row, column] = 20.0
    cells[0, 3, row, column], cells[0, 4, row, column] = log_width, log_height
    cells[0, 5 + number - 1, row, column] = 20.0
    return cells


def test_cells_are_read_as_boxes() -> None:
    # The middle of row 2, column 3 is at (14, 10); 8 pixels wide, twice as high.
    box = boxes_of(cells_that_say(2, 3, 1, log_height=float(np.log(2))))[0, 2, 3]
    assert box.tolist() == pytest.approx([10, 2, 18, 18])


def test_a_sure_cell_is_an_object_and_the_same_one_is_told_once() -> None:
    cells = cells_that_say(2, 3, 2)
    cells[0, :, 2, 4] = cells[0, :, 2, 3]
    cells[0, 0, 2, 4], cells[0, 1, 2, 4] = (
        15.0,
        -1.0986,
    )  # less sure, its center 2 pixels further left
    [found] = objects_of(cells)
    assert found.classes.tolist() == [2]
    assert found.boxes[0].tolist() == pytest.approx([10, 6, 18, 14])
    assert found.scores[0] == pytest.approx(1.0)


def test_an_object_belongs_to_the_cell_of_its_center() -> None:
    boxes, classes = (
        torch.tensor([[8.0, 0.0, 16.0, 6.0], [100.0, 100.0, 120.0, 120.0]]),
        torch.tensor([3, 1]),
    )
    nothing = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    wanted = wanted_cells([nothing, (boxes, classes)], height=5, width=6)
    assert wanted["places"].tolist() == [
        [1, 0, 3],
        [1, 4, 5],
    ]  # what is outside belongs to the border
    assert wanted["classes"].tolist() == [2, 0]
    assert torch.equal(wanted["boxes"], boxes)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("frames") / "squares.npz"
    save_frames(path, squares(64, 0), squares(16, 1))
    return str(path)


def test_it_learns_where_things_are(data: str) -> None:
    torch.manual_seed(0)
    lesson = YOLOTask(data=data).lesson()
    random = np.random.default_rng(0)
    optimizer = torch.optim.AdamW(lesson.module.parameters(), 3e-3)
    for _ in range(60):
        loss, _ = lesson.loss(lesson.batch(random, 16))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    lesson.module.eval()
    with torch.no_grad():
        metrics = lesson.evaluate()
    assert metrics["map"] > 0.8 > 0.3 > lesson.baseline["map"]
    assert lesson.pictures()["found"].shape == (40, 6 * 40, 3)


@pytest.fixture
def weights(tmp_path: Path) -> str:
    torch.manual_seed(0)
    yolo = YOLO("resnet10t", 4)
    with torch.no_grad():
        yolo.head[3].bias[0] = 3.0  # sees objects everywhere
    return write_module(tmp_path, yolo, "yolo", {"backbone": "resnet10t", "size": 84})


def test_an_agent_gets_a_list_of_objects_from_a_detector_that_stays_as_it_is(weights: str) -> None:
    config = YOLOEncoderConfig(
        weights=weights, objects=10, reader=ListEncoderConfig(features=16, relative_to=0)
    )
    encoder = config.build(AGENT_SEES)
    frames = torch.randint(256, (3, 4, 84, 84), dtype=torch.uint8)
    encoder.train()
    told = encoder.input_layer(frames)
    assert told.shape == (3, 2 * 10, 9)
    assert encoder(frames).shape == (3, 16)
    assert not any(parameter.requires_grad for parameter in encoder.input_layer.parameters())
    there = told[..., 0] > 0
    assert there.any()
    assert (told[..., 0][there] > 0.3).all()
    assert (told[..., 5:].sum(-1) == there).all()  # each is of one class
    older = frames.clone()
    older[:, :2] = 0
    assert torch.equal(encoder.input_layer(older), told)


def test_cells_are_as_many_as_is_said(data: str) -> None:
    lesson = YOLOTask(data=data).lesson()
    cells = lesson.module(torch.zeros(1, 1, 210, 160))
    assert cells.shape[2:] == (-(-210 // STRIDE), -(-160 // STRIDE))


def test_screens_without_an_object_have_a_loss(data: str) -> None:
    lesson = YOLOTask(data=data, size=64).lesson()
    batch = lesson.batch(np.random.default_rng(0), 2)
    batch |= {name: batch[name][:0] for name in ("places", "boxes", "classes")}
    loss, terms = lesson.loss(batch)
    assert torch.isfinite(loss)
    assert terms["boxes"] == terms["classes"] == 0
    assert terms["objects"] > 0


def test_more_frames_than_an_observation_has_are_refused(weights: str) -> None:
    with pytest.raises(ValueError, match="frames must be 1 to 4"):
        YOLOEncoderConfig(weights=weights, reader=ListEncoderConfig(frames=5)).build(AGENT_SEES)


def test_a_backbone_that_does_not_exist_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match="timm has no network 'resnet10'"):
        YOLOTask(data=data, backbone="resnet10").lesson()


def test_a_class_that_the_detector_does_not_know_is_no_place_to_lie_relative_to(
    weights: str,
) -> None:
    with pytest.raises(ValueError, match="one of the detector's 4 classes"):
        YOLOEncoderConfig(weights=weights, reader=ListEncoderConfig(relative_to=5)).build(
            AGENT_SEES
        )
