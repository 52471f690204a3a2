"""Mask R-CNN: masks by hand, what it learns from drawings, and what an agent gets of it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from perception.settings.module_encoders import MaskRCNNEncoderConfig
from perception.settings.tasks import MaskRCNNTask
from perception.vision.detection import Found
from perception.vision.frames import save_frames
from perception.vision.maskrcnn import ClassMasks, MaskRCNN, instances, mask_overlaps, painted
from tests.perception.vision.drawings import squares, write_module

AGENT_SEES = Box(0, 255, (4, 84, 84), np.uint8)


def test_an_objects_mask_is_what_of_its_class_lies_in_its_box() -> None:
    pixels = torch.tensor([[1, 1, 0, 1], [2, 1, 0, 1]])
    masks = instances(
        torch.tensor([[0.0, 0, 2, 2], [3, 0, 4, 2], [0, 0, 2, 2]]), torch.tensor([1, 1, 2]), pixels
    )
    assert masks.tolist() == [
        [[1, 1, 0, 0], [0, 1, 0, 0]],
        [[0, 0, 0, 1], [0, 0, 0, 1]],
        [[0, 0, 0, 0], [1, 0, 0, 0]],
    ]


def test_a_mask_is_painted_into_its_box_and_nowhere_else() -> None:
    masks = torch.ones(2, 1, 4, 4)
    masks[1, 0, :, 2:] = 0.0  # the left half of its object
    whole = painted(masks, torch.tensor([[2.0, 1, 6, 4], [0, 0, 4, 4]]), 6, 8)
    assert whole.shape == (2, 6, 8)
    wanted = torch.zeros(6, 8)
    wanted[1:4, 2:6] = 1.0
    torch.testing.assert_close(whole[0], wanted)
    assert (whole[1] > 0.4).nonzero().unique(dim=0)[:, 1].unique().tolist() == [0, 1, 2]
    assert painted(torch.zeros(0, 1, 4, 4), torch.zeros(0, 4), 6, 8).shape == (0, 6, 8)


def test_masks_are_compared_with_the_best_box_of_their_class_alone() -> None:
    true_boxes, classes = torch.tensor([[0.0, 0, 4, 4], [6, 6, 8, 8]]), torch.tensor([1, 2])
    true_masks = torch.zeros(2, 8, 8, dtype=torch.uint8)
    true_masks[0, :4, :4] = true_masks[1, 6:, 6:] = 1
    boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 3], [6, 6, 8, 8], [6, 6, 8, 8]])
    found = Found(boxes, torch.tensor([1, 1, 1, 2]), torch.tensor([0.9, 0.8, 0.9, 0.4]))
    masks = torch.zeros(4, 8, 8)
    masks[0, :4, :2] = 0.9  # half of it
    masks[1, :4, :4] = masks[2:, 6:, 6:] = 1.0
    # The second object was found as another class, and as its own without being sure.
    assert mask_overlaps(found, masks, true_boxes, classes, true_masks) == [(1, 0.5)]


def test_it_learns_boxes_and_masks_of_drawings(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "frames.npz"
    save_frames(path, squares(64, 0), squares(12, 1))
    lesson = MaskRCNNTask(data=str(path)).lesson()
    optimizer = torch.optim.AdamW(lesson.module.parameters(), 1e-3)
    random = np.random.default_rng(0)
    lesson.module.train()
    for _ in range(80):
        loss, terms = lesson.loss(lesson.batch(random, 4))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(lesson.module.parameters(), 5.0)
        optimizer.step()
    assert {"loss_mask", "loss_box_reg", "loss_classifier"} <= terms.keys()
    lesson.module.eval()
    metrics = lesson.evaluate()
    assert metrics["map"] > 0.8
    assert metrics["mask_iou_square"] > 0.85
    assert lesson.baseline["map"] < 0.3
    assert lesson.pictures()["found"].shape[2] == 3


def test_an_agent_gets_masks_of_classes_beside_its_frames(tmp_path: Path) -> None:
    torch.manual_seed(0)
    detector = MaskRCNN("resnet10t", 4, 84, 84)
    weights = write_module(tmp_path, detector, "maskrcnn", {"backbone": "resnet10t", "size": 84})
    encoder = MaskRCNNEncoderConfig(weights=weights, features=16).build(AGENT_SEES)
    frames = torch.randint(256, (2, 4, 84, 84), dtype=torch.uint8)
    seen = encoder.train().input_layer(frames)
    assert seen.shape == (2, 4 + 4, 84, 84)
    torch.testing.assert_close(seen[:, :4], frames.float())
    assert encoder(frames).shape == (2, 16)
    own = encoder.input_layer.masks.module(frames[:, -1:])
    torch.testing.assert_close(seen[:, 4:], own.float())
    assert not any(parameter.requires_grad for parameter in encoder.input_layer.parameters())


def test_the_likeliest_objects_mask_counts_where_two_lie_over_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    detector = MaskRCNN("resnet10t", 2, 84, 84)
    found = Found(torch.zeros(3, 4), torch.tensor([1, 1, 2]), torch.tensor([1.0, 0.5, 1.0]))
    masks = torch.tensor([0.2, 1.0, 0.6]).view(3, 1, 1).expand(3, 84, 84)
    monkeypatch.setattr(detector, "found_with_masks", lambda frames: [(found, masks)])
    painted = ClassMasks(detector)(torch.zeros(1, 1, 84, 84, dtype=torch.uint8))
    assert painted[0, :, 0, 0].tolist() == [127, 153]
