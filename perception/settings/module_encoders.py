"""Settings of the encoders that read lists of objects, and of those that see with a module that was
trained apart. Each `build()` imports its network, so that reading settings needs no torch."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import gymnasium

from common.ranges import (
    Count,
    CountOrZero,
    FractionBelowOne,
    Range,
    Size,
    check_ranges,
)
from common.spaces import in_words
from perception.settings.encoders import NatureCNNConfig
from perception.spaces import image_shape

if TYPE_CHECKING:
    from perception.classical.components import ComponentsDetector
    from perception.encoders.masks import MasksEncoder
    from perception.vision.classifier import ClassifierEncoder
    from perception.vision.objects import ListEncoder
    from perception.vision.ssd import SSD
    from perception.vision.transfer import VGG16Encoder
    from perception.vision.yolo import YOLO


@dataclass(frozen=True)
class ListEncoderConfig:
    """Objects that come as a list: each read by itself, then all together (Zaheer et al. 2017, deep
    sets)."""

    frames: Count = 2
    """How many frames' objects the list has, as many of each."""
    relative_to: CountOrZero = 2
    """The class of which there is one object, to which the others are told how they lie, as the
    player; 0 for none."""
    widths: tuple[Size, ...] = (64, 64)
    """Widths of the layers that read each object."""
    features: Size = 256
    """Width of the two layers that read all of them."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.widths:
            raise ValueError("widths must have at least one width.")

    def build(self, observation_space: gymnasium.Space) -> "ListEncoder":
        from torch import nn

        from perception.vision.objects import ListEncoder

        shape = observation_space.shape or ()
        if len(shape) != 2 or shape[0] % self.frames or shape[1] - 5 < max(1, self.relative_to):
            raise ValueError(
                f"This encoder reads lists of the objects of {self.frames} frames, (objects, 5 + "
                "classes), not "
                f"{in_words(observation_space)}; --encoder yolo finds objects in images."
            )
        return ListEncoder(self, nn.Identity(), shape[1])


@dataclass(frozen=True)
class ObjectsEncoderConfig:
    """The objects of the newest frames, by a detector that was trained before and stays as it is,
    as a list."""

    weights: str = ""
    """The folder of scripts/train_module.py, trained with --task.size as large as the agent's
    frames."""
    objects: Size = 48
    """How many of the surest objects the agent gets to know of."""
    surer_than: FractionBelowOne = 0.3
    """How sure the detector has to be of them, from 0 to 1."""
    reader: ListEncoderConfig = field(default_factory=ListEncoderConfig)
    """What reads the list, and in how many of the newest frames they are looked for: two show where
    things go."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def detector(self, height: int, width: int) -> Any:
        """The trained module, with `classes` and `found(images)`, for frames of this size."""
        raise NotImplementedError

    def build(self, observation_space: gymnasium.Space) -> "ListEncoder":
        from torch import nn

        from perception.encoders.frozen import Frozen
        from perception.vision.objects import ListEncoder, ObjectList

        channels, height, width = image_shape(observation_space, smallest=36)
        if self.reader.frames > channels:
            raise ValueError(f"reader.frames must be 1 to {channels}, not {self.reader.frames}.")
        detector = self.detector(height, width)
        if self.reader.relative_to > detector.classes:
            raise ValueError(
                f"reader.relative_to must be one of the detector's {detector.classes} classes, or "
                "0."
            )
        found = ObjectList(detector, self.objects, self.surer_than, height, width)
        frames = nn.Sequential(Frozen(found, self.reader.frames), nn.Flatten(1, 2))
        return ListEncoder(self.reader, frames, 5 + detector.classes)


@dataclass(frozen=True)
class ComponentsEncoderConfig(ObjectsEncoderConfig):
    """The things in the newest frames, by connected components, as a list; it needs no weights."""

    contrast: Annotated[int, Range(0, 255)] = 12
    """Greys by which a thing differs from the background."""
    gap: CountOrZero = 1
    """Pixels: pieces that are nearer to each other are one thing; an agent's frames are small."""
    reader: ListEncoderConfig = field(default_factory=lambda: ListEncoderConfig(relative_to=0))
    """What reads the list, and in how many of the newest frames they are looked for: two show where
    things go."""

    def detector(self, height: int, width: int) -> "ComponentsDetector":
        from perception.classical.components import Components, ComponentsDetector

        return ComponentsDetector(Components(self.contrast, self.gap))


@dataclass(frozen=True)
class YOLOEncoderConfig(ObjectsEncoderConfig):
    """The objects of the newest frames, by a YOLO that was trained before and stays as it is, as a
    list."""

    def detector(self, height: int, width: int) -> "YOLO":
        from common.module_files import take_weights
        from perception.vision.yolo import YOLO
        from perception.weights import check_size, trained

        settings, weights = trained(self.weights, "yolo")
        check_size(settings, self.weights, height, width)
        yolo = YOLO(settings["backbone"], len(weights["head.3.bias"]) - 5)
        take_weights(yolo, weights, self.weights)
        return yolo


@dataclass(frozen=True)
class SSDEncoderConfig(ObjectsEncoderConfig):
    """The objects of the newest frames, by an SSD that was trained before and stays as it is, as a
    list."""

    def detector(self, height: int, width: int) -> "SSD":
        from common.module_files import take_weights
        from perception.vision.ssd import RATIOS, SSD
        from perception.weights import check_size, trained

        settings, weights = trained(self.weights, "ssd")
        check_size(settings, self.weights, height, width)
        classes = len(weights["detector.head.classification_head.module_list.0.bias"])
        # Default boxes a cell: two squares, then each ratio and its inverse.
        boxes = 2 + 2 * len(RATIOS[settings["maps"]][0])
        ssd = SSD(settings["backbone"], settings["maps"], classes // boxes - 1, height, width)
        take_weights(ssd, weights, self.weights)
        return ssd


@dataclass(frozen=True)
class ClassifierEncoderConfig:
    """Each frame as a network sees it that learnt to tell games apart, and stays as it is."""

    weights: str = ""
    """The folder of scripts/train_module.py classifier."""
    features: Size = 512
    """Width of the dense layer that reads what the network sees."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def build(self, observation_space: gymnasium.Space) -> "ClassifierEncoder":
        from common.module_files import take_weights
        from perception.vision.backbones import classifying
        from perception.vision.classifier import ClassifierEncoder
        from perception.weights import trained

        channels, height, width = image_shape(observation_space, smallest=36)
        settings, weights = trained(self.weights, "classifier")
        seeing = classifying(settings["backbone"], len(weights["fc.bias"]))
        take_weights(seeing, weights, self.weights)
        return ClassifierEncoder(seeing, self.features, channels, height, width)


@dataclass(frozen=True)
class VGG16EncoderConfig:
    """The newest frames as the first blocks of VGG16 see them, which learnt from photographs and
    stay as they are."""

    blocks: Annotated[int, Range(1, 5)] = 2
    """How many of the five blocks see; each halves the image."""
    frames: Count = 2
    """How many of the newest frames: two show where things go."""
    shrink: Count = 2
    """By how much frames are made smaller first; it takes four times as long without."""
    pretrained: bool = True
    """Weights that photographs taught, or as they were drawn, to compare with."""
    channels: Annotated[int, Range(1, 1_024)] = 64
    """Of the convolution that reads what they see."""
    features: Size = 512
    """Width of the dense layer after it."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def build(self, observation_space: gymnasium.Space) -> "VGG16Encoder":
        from perception.vision.transfer import Sight, VGG16Encoder, trunk

        stacked, height, width = image_shape(observation_space, smallest=36)
        if self.frames > stacked:
            raise ValueError(f"frames must be 1 to {stacked}, not {self.frames}.")
        layers = trunk(self.blocks, self.pretrained)
        rows = height // self.shrink >> self.blocks
        columns = width // self.shrink >> self.blocks
        if not rows * columns:
            raise ValueError(
                f"{self.blocks} blocks leave nothing of {height}x{width} pixels; lower blocks or "
                "shrink."
            )
        return VGG16Encoder(self, Sight(layers, self.shrink), rows * columns)


@dataclass(frozen=True)
class UNetEncoderConfig:
    """The newest frame's masks, by a U-Net that was trained before and stays as it is, beside the
    frames themselves."""

    weights: str = ""
    """The folder of scripts/train_module.py unet, trained with --task.size as large as the agent's
    frames."""
    features: Size = 512
    """Width of the dense layer after the convolutions."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def build(self, observation_space: gymnasium.Space) -> "MasksEncoder":
        from common.module_files import take_weights
        from perception.encoders.cnn import NatureCNN
        from perception.encoders.masks import MasksEncoder
        from perception.vision.unet import Masks, UNet
        from perception.weights import check_size, trained

        channels, height, width = image_shape(observation_space, smallest=36)
        settings, weights = trained(self.weights, "unet")
        check_size(settings, self.weights, height, width)
        classes = len(weights["last.bias"])
        unet = UNet(1, classes, tuple(settings["widths"]), settings["skips"])
        take_weights(unet, weights, self.weights)
        return MasksEncoder(
            Masks(unet),
            NatureCNN(NatureCNNConfig(self.features), channels + classes - 1, height, width),
        )


@dataclass(frozen=True)
class MaskRCNNEncoderConfig:
    """The newest frame's objects as masks of their classes, by a Mask R-CNN that was trained before
    and stays as it is, beside the frames themselves."""

    weights: str = ""
    """The folder of scripts/train_module.py maskrcnn, trained with --task.size as large as the
    agent's frames."""
    features: Size = 512
    """Width of the dense layer after the convolutions."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def build(self, observation_space: gymnasium.Space) -> "MasksEncoder":
        from common.module_files import take_weights
        from perception.encoders.cnn import NatureCNN
        from perception.encoders.masks import MasksEncoder
        from perception.vision.maskrcnn import ClassMasks, MaskRCNN
        from perception.weights import check_size, trained

        channels, height, width = image_shape(observation_space, smallest=36)
        settings, weights = trained(self.weights, "maskrcnn")
        check_size(settings, self.weights, height, width)
        classes = len(weights["detector.roi_heads.box_predictor.scores.bias"]) - 1
        detector = MaskRCNN(settings["backbone"], classes, height, width)
        take_weights(detector, weights, self.weights)
        reader = NatureCNN(NatureCNNConfig(self.features), channels + classes, height, width)
        return MasksEncoder(ClassMasks(detector), reader)
