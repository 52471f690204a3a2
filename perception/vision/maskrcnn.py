"""Detection with a mask of each object (Mask R-CNN; He et al. 2017): torchvision's, with anchors
and heads as small as a game's objects."""

from collections import OrderedDict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from perception.settings.tasks import MaskRCNNTask
from perception.vision.backbones import first_maps
from perception.vision.detection import (
    IMAGES_AT_A_TIME,
    Found,
    HeldOut,
    average_precisions,
    drawn_screens,
)
from perception.vision.frames import Frames, prepared
from perception.vision.unet import resized_classes

ANCHOR_SIZES, ANCHOR_RATIOS = ((3,), (11,)), ((4.0, 8.0), (0.7, 1.3))
"""On the fine and on the coarse map: pixels, and how much higher than wide."""
BOX_CELLS, MASK_CELLS = 6, 10
"""Along each side of what the heads see of an object; a mask has twice as many."""
WIDTH = 24  # channels of maps and masks
MIN_SCORE = 0.02
MAX_OVERLAP = 0.5
MAX_OBJECTS = 60
SURE, MATCHES = 0.5, 0.5
"""Score of what counts as found, and overlap of its box with the true one."""


class MaskRCNN(nn.Module):
    """Images (B, 1, H, W) uint8 -> objects with masks, on maps as fine as the image."""

    def __init__(self, backbone: str, classes: int, height: int, width: int) -> None:
        from torchvision.models.detection import (
            # here, because it takes seconds and few commands need it
            MaskRCNN as TorchvisionMaskRCNN,
        )
        from torchvision.models.detection.anchor_utils import AnchorGenerator
        from torchvision.models.detection.faster_rcnn import TwoMLPHead
        from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
        from torchvision.ops import MultiScaleRoIAlign

        super().__init__()
        self.classes = classes
        maps: Any = MaskRCNNFeatureMaps(backbone)
        boxes = MultiScaleRoIAlign(["fine"], BOX_CELLS, 2)
        masks = MultiScaleRoIAlign(["fine"], MASK_CELLS, 2)
        self.detector = TorchvisionMaskRCNN(
            maps,
            min_size=min(height, width),
            max_size=max(height, width),
            image_mean=[0.0],
            image_std=[1.0],
            # by more, heads mistake the scale of small images, which are filled up with zeros
            size_divisible=2,
            rpn_anchor_generator=AnchorGenerator(ANCHOR_SIZES, ANCHOR_RATIOS),
            rpn_pre_nms_top_n_train=400,
            rpn_pre_nms_top_n_test=400,
            rpn_post_nms_top_n_train=150,
            rpn_post_nms_top_n_test=150,
            rpn_fg_iou_thresh=0.5,
            rpn_batch_size_per_image=128,
            box_roi_pool=boxes,
            box_head=TwoMLPHead(WIDTH * BOX_CELLS**2, 128),
            box_predictor=Predictor(128, classes + 1),
            box_score_thresh=MIN_SCORE,
            box_nms_thresh=MAX_OVERLAP,
            box_detections_per_img=MAX_OBJECTS,
            box_batch_size_per_image=64,
            box_positive_fraction=0.5,
            mask_roi_pool=masks,
            mask_head=MaskRCNNHeads(WIDTH, (WIDTH, WIDTH), dilation=1),
            mask_predictor=MaskRCNNPredictor(WIDTH, WIDTH, classes + 1),
        )
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """torchvision's losses by name, in training mode.

        A target has an image's `boxes` (M, 4) in pixels, `labels` (M,) int64 from 1 and `masks`
        (M, H, W) uint8."""
        return self.detector(list(prepared(images)), targets)

    @torch.no_grad()
    def found_with_masks(self, images: Tensor) -> list[tuple[Found, Tensor]]:
        """Objects in each image, and how likely each of its pixels is of each object (D, H, W)."""
        # Not by the detector's own way, which paints masks a pixel too wide and too high: much of a
        # small object.
        batch, _ = self.detector.transform(list(prepared(images)))
        maps = self.detector.backbone(batch.tensors)
        proposals, _ = self.detector.rpn(batch, maps)
        told, _ = self.detector.roi_heads(maps, proposals, batch.image_sizes)
        return [
            (
                Found(one["boxes"].cpu(), one["labels"].cpu(), one["scores"].cpu()),
                painted(one["masks"], one["boxes"], *images.shape[2:]).cpu(),
            )
            for one in told
        ]

    def found(self, images: Tensor) -> list[Found]:
        """Objects in each image, uint8 (B, 1, H, W), without their masks."""
        return [found for found, _ in self.found_with_masks(images)]


class MaskRCNNFeatureMaps(nn.Module):
    """Two maps, as fine as the image and half as fine, to each of which a network adds what its
    coarser maps see (feature pyramids; Lin et al. 2017)."""

    out_channels = WIDTH

    def __init__(self, backbone: str) -> None:
        super().__init__()
        self.network = first_maps(backbone, (0, 1))
        half, quarter = self.network.feature_info.channels()
        self.pixels = nn.Sequential(normalized(1, WIDTH), nn.ReLU(), normalized(WIDTH, WIDTH))
        self.lateral = nn.Conv2d(half, WIDTH, kernel_size=1)
        self.upward = nn.Conv2d(quarter, WIDTH, kernel_size=1)
        self.blend = nn.ModuleList(
            nn.Sequential(nn.ReLU(), normalized(WIDTH, WIDTH), nn.ReLU()) for _ in range(2)
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        half, quarter = self.network(images)
        coarse = self.lateral(half) + F.interpolate(self.upward(quarter), size=half.shape[2:])
        fine = self.pixels(images) + F.interpolate(coarse, size=images.shape[2:])
        return OrderedDict({"fine": self.blend[0](fine), "coarse": self.blend[1](coarse)})


def normalized(inputs: int, outputs: int) -> nn.Sequential:
    """A 3x3 convolution that keeps the size of maps, and batch normalization."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(outputs)
    )


class Predictor(nn.Module):
    """Of what the box head makes of an object: its class, and how its box differs for each
    class."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.scores = nn.Linear(features, classes)
        self.boxes = nn.Linear(features, 4 * classes)

    def forward(self, read: Tensor) -> tuple[Tensor, Tensor]:
        return self.scores(read), self.boxes(read)


class MaskRCNNLesson:
    score = "map"

    def __init__(self, task: MaskRCNNTask, train: Frames, test: Frames) -> None:
        self.train = train
        self.size = task.size
        self.held_out = HeldOut(test, task.size)
        self.test_classes = torch.from_numpy(resized_classes(test.classes, task.size))
        height, width = self.held_out.images.shape[2:]
        self.module = MaskRCNN(task.backbone, int(train.boxes[:, 1].max()), height, width)

    @property
    def baseline(self) -> dict[str, float]:
        return self.held_out.baseline(self.train)

    def batch(self, random: np.random.Generator, size: int) -> dict[str, Tensor]:
        rows, columns = drawn_screens(self.train, random, size, self.size)
        return columns | {"pixels": torch.from_numpy(resized_classes(rows.classes, self.size))}

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        counts = batch["counts"].tolist()
        by_image = zip(
            batch["boxes"].split(counts),
            batch["classes"].split(counts),
            batch["pixels"],
            strict=True,
        )
        targets = [
            {"boxes": own, "labels": kinds, "masks": instances(own, kinds, pixels)}
            for own, kinds, pixels in by_image
        ]
        losses = self.module.losses(batch["images"], targets)
        return torch.stack(list(losses.values())).sum(), {
            name: loss.detach() for name, loss in losses.items()
        }

    def evaluate(self) -> dict[str, float]:
        held_out = self.held_out
        device = next(self.module.parameters()).device
        found = []
        overlaps = {number: [] for number in held_out.names}
        for start in range(0, len(held_out.images), IMAGES_AT_A_TIME):
            images = held_out.images[start : start + IMAGES_AT_A_TIME].to(device)
            told = self.module.found_with_masks(images)
            for row, (own, masks) in enumerate(told, start):
                found.append(own)
                true_boxes, classes = held_out.boxes[row]
                true_masks = instances(true_boxes, classes, self.test_classes[row])
                for number, overlap in mask_overlaps(own, masks, true_boxes, classes, true_masks):
                    overlaps[number].append(overlap)
        means = {
            held_out.names[number]: float(np.mean(own)) if own else 0.0
            for number, own in overlaps.items()
        }
        told = {"mask_iou": float(np.mean(list(means.values())))} | {
            f"mask_iou_{k}": v for k, v in means.items()
        }
        return average_precisions(found, held_out.boxes, held_out.names) | told

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        return {"found": self.held_out.picture(self.module)}


def instances(boxes: Tensor, classes: Tensor, pixels: Tensor) -> Tensor:
    """Masks uint8 (M, H, W) of objects by their boxes (M, 4), their classes (M,) and each pixel's
    class (H, W)."""
    rows = torch.arange(pixels.shape[0], device=pixels.device)[:, None] + 0.5
    columns = torch.arange(pixels.shape[1], device=pixels.device) + 0.5
    left, top, right, bottom = boxes.T[..., None, None]
    inside = (columns > left) & (columns < right) & (rows > top) & (rows < bottom)
    return (inside & (pixels == classes[:, None, None])).byte()


def painted(masks: Tensor, boxes: Tensor, height: int, width: int) -> Tensor:
    """Masks (D, 1, m, m) of what lies in boxes (D, 4), as large as the image (D, H, W); 0 outside
    of a box."""
    if not len(masks):
        return masks.new_zeros(0, height, width)
    left, top, right, bottom = boxes.T[..., None]
    columns = torch.arange(width, device=boxes.device)
    rows = torch.arange(height, device=boxes.device)
    # torchvision's roi_align, which cut out the masks to learn from, takes a pixel's number for its
    # place.
    x = 2 * (columns - left) / (right - left) - 1
    y = 2 * (rows - top) / (bottom - top) - 1
    places = torch.stack(torch.broadcast_tensors(x[:, None], y[:, :, None]), -1)
    found = F.grid_sample(masks, places, padding_mode="border", align_corners=False)[:, 0]
    across = (columns + 0.5 - left) * (right - columns - 0.5)
    upright = (rows + 0.5 - top) * (bottom - rows - 0.5)
    return found * (across > 0)[:, None] * (upright > 0)[:, :, None]


def mask_overlaps(
    found: Found, masks: Tensor, true_boxes: Tensor, classes: Tensor, true_masks: Tensor
) -> list[tuple[int, float]]:
    """Of each true object that was found, its class and its mask's intersection over union with the
    best one's."""
    from torchvision.ops import box_iou

    sure = found.scores > SURE
    overlaps = box_iou(true_boxes, found.boxes[sure]) * (classes[:, None] == found.classes[sure])
    told = []
    for row, own in enumerate(overlaps):
        if len(own) and own.max() >= MATCHES:
            mask = masks[sure][own.argmax()] > 0.5
            true = true_masks[row] > 0
            union = (mask | true).sum().item()
            told.append((int(classes[row]), (mask & true).sum().item() / union if union else 1.0))
    return told


class ClassMasks(nn.Module):
    """Frames (M, 1, H, W) uint8 -> for each class the likeliest object's mask at each pixel (M,
    classes, H, W), uint8: 255 is certainty."""

    def __init__(self, detector: MaskRCNN) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, frames: Tensor) -> Tensor:
        painted = torch.zeros(
            len(frames), self.detector.classes, *frames.shape[2:], dtype=torch.uint8
        )
        with torch.autocast(frames.device.type, enabled=False):
            told = self.detector.found_with_masks(frames)
        for image, (found, masks) in zip(painted, told, strict=True):
            likely = (255 * masks * found.scores[:, None, None]).byte()
            for number, mask in zip(found.classes.tolist(), likely, strict=True):
                torch.maximum(image[number - 1], mask, out=image[number - 1])
        return painted.to(frames.device)
