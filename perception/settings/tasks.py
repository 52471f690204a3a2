"""Settings of the modules that see, trained apart from any agent; each task's `lesson()` imports
its network."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from common.ranges import Range, check_ranges
from perception.settings.encoders import MLPConfig

if TYPE_CHECKING:
    from perception.vision.classifier import ClassifierLesson
    from perception.vision.digits import DigitsLesson
    from perception.vision.maskrcnn import MaskRCNNLesson
    from perception.vision.ssd import SSDLesson
    from perception.vision.transfer import TransferLesson
    from perception.vision.unet import UNetLesson
    from perception.vision.yolo import YOLOLesson


@dataclass(frozen=True)
class DigitsTask:
    """Learns which digit an image of 8x8 greys is; a quarter of the 1,797 images is held out."""

    layers: MLPConfig = field(default_factory=MLPConfig)
    """The layers, as an agent's encoder has them."""

    @property
    def name(self) -> str:
        return "digits"

    def lesson(self) -> "DigitsLesson":
        from perception.vision.digits import DigitsLesson

        return DigitsLesson(self.layers)


@dataclass(frozen=True)
class ClassifierTask:
    """Learns which game a grey screen is of, in greys that vary."""

    data: str = "runs/frames/10-games.npz"
    """Screens of scripts/make_frames.py, of several games."""
    backbone: str = "resnet10t"
    """The network, of timm."""
    size: Annotated[int, Range(32, 4_096)] = 84
    """Height and width in pixels, as an agent sees them."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return "classifier"

    def lesson(self) -> "ClassifierLesson":
        from perception.vision.classifier import ClassifierLesson
        from perception.vision.frames import screens_of_games

        train, test = screens_of_games(self.data)
        return ClassifierLesson(self, train, test)


@dataclass(frozen=True)
class UNetTask:
    """Learns which class each pixel of a grey screen has, in greys that vary."""

    data: str = "runs/frames/SpaceInvaders.npz"
    """Screens of scripts/make_frames.py, with classes."""
    widths: tuple[Annotated[int, Range(1, 1_024)], ...] = (8, 16, 32, 64)
    """Channels at each resolution; each halves the image."""
    skips: bool = True
    """Whether the way up sees what the way down saw at its resolution."""
    size: Annotated[int, Range(0, 4_096)] = 0
    """Height and width in pixels, as the agent sees them, such as 84; 0 is the screen's own
    size."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return "unet"

    def lesson(self) -> "UNetLesson":
        from perception.vision.frames import load_frames
        from perception.vision.unet import UNetLesson

        if len(self.widths) < 2:
            raise ValueError(f"widths must be at least two, not {self.widths}.")
        train, test = load_frames(Path(self.data))
        if not train.class_names:
            raise ValueError(
                f"The screens in {self.data} have no classes; only those of Space Invaders alone "
                "have."
            )
        return UNetLesson(self, train, test)


@dataclass(frozen=True)
class YOLOTask:
    """Learns where objects are on grey screens, in greys that vary."""

    data: str = "runs/frames/SpaceInvaders.npz"
    """Screens of scripts/make_frames.py, with boxes."""
    backbone: str = "resnet10t"
    """The network of timm whose first layers see."""
    size: Annotated[int, Range(0, 4_096)] = 0
    """Height and width in pixels, as the agent sees them, such as 84; 0 is the screen's own
    size."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return "yolo"

    def lesson(self) -> "YOLOLesson":
        from perception.vision.detection import screens_with_boxes
        from perception.vision.yolo import YOLOLesson

        return YOLOLesson(self, *screens_with_boxes(self.data))


@dataclass(frozen=True)
class SSDTask:
    """Learns where objects are on grey screens, in greys that vary."""

    data: str = "runs/frames/SpaceInvaders.npz"
    """Screens of scripts/make_frames.py, with boxes."""
    backbone: str = "resnet10t"
    """The network of timm whose first maps see."""
    maps: Annotated[int, Range(1, 3)] = 3
    """How many maps of different scales, 1 to 3."""
    size: Annotated[int, Range(0, 4_096)] = 0
    """Height and width in pixels, as the agent sees them, such as 84; 0 is the screen's own
    size."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return "ssd"

    def lesson(self) -> "SSDLesson":
        from perception.vision.detection import screens_with_boxes
        from perception.vision.ssd import SSDLesson

        return SSDLesson(self, *screens_with_boxes(self.data))


@dataclass(frozen=True)
class MaskRCNNTask:
    """Learns where objects are on grey screens and which pixels are theirs, in greys that vary."""

    data: str = "runs/frames/SpaceInvaders.npz"
    """Screens of scripts/make_frames.py, with boxes and classes."""
    backbone: str = "resnet10t"
    """The network of timm whose first two maps see."""
    size: Annotated[int, Range(0, 4_096)] = 0
    """Height and width in pixels, as the agent sees them, such as 84; 0 is the screen's own
    size."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return "maskrcnn"

    def lesson(self) -> "MaskRCNNLesson":
        from perception.vision.detection import screens_with_boxes
        from perception.vision.maskrcnn import MaskRCNNLesson

        return MaskRCNNLesson(self, *screens_with_boxes(self.data))


@dataclass(frozen=True)
class TransferTask:
    """Learns which game a piece of a screen is of, by one layer on what a frozen trunk sees of
    it."""

    data: str = "runs/frames/10-games.npz"
    """Screens of scripts/make_frames.py, of several games."""
    blocks: Annotated[int, Range(1, 5)] = 3
    """How many of VGG16's five blocks see."""
    piece: Annotated[int, Range(32, 160)] = 48
    """Height and width of a piece in pixels, at a place of chance: whole screens are too easy."""
    pieces: Annotated[int, Range(2, 2**20)] = 3_000
    """How many are cut out to learn from, and half as many to test with."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return "transfer"

    def lesson(self) -> "TransferLesson":
        from perception.vision.frames import screens_of_games
        from perception.vision.transfer import TransferLesson

        train, test = screens_of_games(self.data)
        return TransferLesson(self, train, test)
