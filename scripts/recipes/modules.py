"""Modules that are trained apart from agents: what is trained, on what, for how long."""

from collections.abc import Callable

from agents.pretrain import Pretraining
from perception.unet import UNetTask


def unet() -> Pretraining:
    """Ours."""
    return Pretraining(UNetTask(), total_steps=1_500, batch_size=16, learning_rate=3e-3, evaluate_every_steps=150)


PLUGS: dict[str, type] = {cls.__name__: cls for cls in (Pretraining, UNetTask)}
"""Every class that a module.json may name."""
MODULES: dict[str, Callable[[], Pretraining]] = {"unet": unet}
