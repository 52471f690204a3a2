"""Networks of timm to see grey images by, before they have learnt anything."""

from typing import Any


def first_maps(backbone: str, layers: tuple[int, ...]) -> Any:
    """What these layers of a network make of images (B, 1, H, W), a list of maps; `feature_info`
    tells their sizes.

    Raises ValueError for a network that timm does not have."""
    check_known(backbone)
    import timm  # here, because it takes seconds and few commands need it

    return timm.create_model(
        backbone, features_only=True, out_indices=layers, in_chans=1, pretrained=False
    )


def classifying(backbone: str, classes: int) -> Any:
    """A network from images (B, 1, H, W) to scores (B, classes). Raises ValueError for one that
    timm does not have."""
    check_known(backbone)
    import timm

    return timm.create_model(backbone, pretrained=False, in_chans=1, num_classes=classes)


def check_known(backbone: str) -> None:
    """Raises ValueError, in one line, for a network that timm does not have."""
    import timm

    if not timm.is_model(backbone):
        raise ValueError(
            f"timm has no network '{backbone}'; there are, for example, resnet10t and resnet18."
        )
