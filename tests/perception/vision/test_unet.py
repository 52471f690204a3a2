"""Segmentation: shapes, scores against hand-made numbers, learning, and the masks that an agent
sees."""

from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from perception.settings.module_encoders import UNetEncoderConfig
from perception.settings.tasks import UNetTask
from perception.vision.frames import Frames, save_frames
from perception.vision.unet import (
    UNet,
    confusion,
    intersection_over_union,
    prepared,
    resized_classes,
)
from perception.weights import trained
from tests.perception.vision.drawings import write_module

AGENT_SEES = Box(0, 255, (4, 84, 84), np.uint8)


@pytest.mark.parametrize("size", [(210, 160), (84, 84), (9, 7)])
@pytest.mark.parametrize("skips", [True, False])
def test_every_pixel_of_any_size_gets_scores(size: tuple[int, int], skips: bool) -> None:
    assert UNet(1, 6, (4, 8, 8), skips)(torch.zeros(2, 1, *size)).shape == (2, 6, *size)


def test_skips_bring_detail_that_is_lost_on_the_way_down() -> None:
    """One pixel moved by one, within what the deepest layer sees as one place."""
    torch.manual_seed(0)
    with_skips, without = UNet(1, 2, (4, 8, 8), True).eval(), UNet(1, 2, (4, 8, 8), False).eval()
    image = torch.rand(1, 1, 16, 16)

    def detail(net: UNet) -> float:
        out = net(image)[0, 0]
        return (out[1:] - out[:-1]).abs().mean().item() / out.std().item()

    assert detail(with_skips) > detail(without)


def test_scores_are_as_by_hand() -> None:
    true, found = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 0])
    matrix = confusion(found, true, 4)
    assert matrix.tolist() == [[2, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    # 2 of 4, 2 of 3, 0 of 1; the fourth is nowhere.
    np.testing.assert_allclose(intersection_over_union(matrix), [2 / 4, 2 / 3, 0.0, 1.0])


def test_an_image_brighter_or_of_more_contrast_is_the_same_to_the_network() -> None:
    image = torch.randint(50, 100, (1, 1, 20, 20), dtype=torch.uint8)
    brighter = image + 100
    torch.testing.assert_close(prepared(image), prepared(brighter))
    torch.testing.assert_close(prepared(image), prepared(image * 2), atol=1e-3, rtol=1e-3)


def test_classes_are_made_smaller_without_mixing_them() -> None:
    classes = np.zeros((1, 8, 8), np.uint8)
    classes[0, :4] = 5
    assert set(np.unique(resized_classes(classes, 4))) == {0, 5}
    assert resized_classes(classes, 0) is classes


def squares(size: int, seed: int) -> Frames:
    """Bright squares (class 1) and crosses (class 2) of one color: only shape tells."""
    random = np.random.default_rng(seed)
    screens, classes = np.zeros((2, size, 32, 32), np.uint8)
    for n in range(size):
        for number in (1, 2):
            top, left = random.integers(2, 22), random.integers(2, 10) + 14 * (number - 1)
            shape = (
                np.ones((7, 7), bool)
                if number == 1
                else np.eye(7, dtype=bool) | np.eye(7, dtype=bool)[::-1]
            )
            screens[n, top : top + 7, left : left + 7][shape] = 1
            classes[n, top : top + 7, left : left + 7][shape] = number
    palette = np.zeros((1, 256, 3), np.uint8)
    palette[0, 1] = 150
    none = np.zeros((0, 6), np.int64)
    zeros = np.zeros(size, np.int64)
    return Frames(
        screens, zeros, zeros, classes, none, ("Game",), ("nothing", "square", "cross"), palette
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("frames") / "squares.npz"
    save_frames(path, squares(64, 0), squares(16, 1))
    return str(path)


def test_it_learns_what_grey_alone_does_not_tell(data: str) -> None:
    torch.manual_seed(0)
    lesson = UNetTask(data=data, widths=(8, 16)).lesson()
    random = np.random.default_rng(0)
    optimizer = torch.optim.AdamW(lesson.module.parameters(), 1e-2)
    for _ in range(60):
        loss, _ = lesson.loss(lesson.batch(random, 16))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    lesson.module.eval()
    with torch.no_grad():
        metrics = lesson.evaluate()
    assert metrics["mean_iou"] > 0.8 > 0.7 > lesson.baseline["mean_iou"]
    assert metrics["mean_iou"] == pytest.approx(
        np.mean([metrics[f"iou_{n}"] for n in ("nothing", "square", "cross")])
    )
    picture = lesson.pictures()["seen-true-found"]
    assert picture.shape == (3 * 32, 6 * 32, 3)


def test_an_evaluation_is_the_same_each_time(data: str) -> None:
    lesson = UNetTask(data=data, widths=(4, 4)).lesson()
    lesson.module.eval()
    with torch.no_grad():
        assert lesson.evaluate() == lesson.evaluate()
    assert lesson.baseline == lesson.baseline


@pytest.fixture
def weights(tmp_path: Path) -> str:
    unet = UNet(1, 3, (4, 8), True)
    return write_module(tmp_path, unet, "unet", {"widths": [4, 8], "skips": True, "size": 84})


def test_an_agent_sees_masks_beside_the_frames_and_leaves_the_network_as_it_is(
    weights: str,
) -> None:
    encoder = UNetEncoderConfig(weights=weights, features=16).build(AGENT_SEES)
    frames = torch.randint(256, (2, 4, 84, 84), dtype=torch.uint8)
    before = {name: value.clone() for name, value in encoder.input_layer.state_dict().items()}
    encoder.train()
    seen = encoder.input_layer(frames)
    assert seen.shape == (2, 4 + 2, 84, 84)
    assert torch.equal(seen[:, :4], frames.float())
    assert 0 <= seen[:, 4:].min() < seen[:, 4:].max() <= 255
    assert encoder(frames).shape == (2, 16)
    assert all(
        torch.equal(value, before[name]) for name, value in encoder.input_layer.state_dict().items()
    )
    assert not any(parameter.requires_grad for parameter in encoder.input_layer.parameters())
    older = frames.clone()
    older[:, :3] = 0
    torch.testing.assert_close(
        encoder.input_layer(older)[:, 4:], seen[:, 4:]
    )  # masks are the newest frame's


def test_weights_of_another_size_or_another_network_are_refused(
    weights: str, tmp_path: Path
) -> None:
    with pytest.raises(
        ValueError, match=r"trained on screens of 84 pixels, not 48x48: --task\.size 48"
    ):
        UNetEncoderConfig(weights=weights).build(Box(0, 255, (4, 48, 48), np.uint8))
    other = UNet(1, 3, (4, 8, 16), True)
    write_module(tmp_path, other, "unet", {"widths": [4, 8], "skips": True, "size": 84})
    with pytest.raises(ValueError, match="weights of another network than this one") as refusal:
        UNetEncoderConfig(weights=str(tmp_path)).build(AGENT_SEES)
    assert "\n" not in str(refusal.value)


def test_what_is_no_trained_module_is_refused(weights: str, tmp_path: Path) -> None:
    cases = [
        ("", "needs a trained module: scripts/train_module.py unet"),
        (str(tmp_path / "no"), "holds no trained unet"),
    ]
    for folder, told in cases:
        with pytest.raises(ValueError, match=told) as refusal:
            UNetEncoderConfig(weights=folder).build(AGENT_SEES)
        assert "\n" not in str(refusal.value)
    with pytest.raises(ValueError, match="holds no trained yolo: it is a unet"):
        trained(weights, "yolo")


@pytest.mark.parametrize("wrong", [{"widths": (4,)}, {"widths": (4, 0)}, {"size": -1}])
def test_settings_without_sense_are_refused(wrong, data: str) -> None:
    with pytest.raises(ValueError, match=r"(widths|size) must"):
        UNetTask(data=data, **wrong).lesson()
