"""What all robots share: PyBullet without its chatter."""

import ctypes
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet(*descriptors: int) -> Iterator[None]:
    """While it lasts, nothing reaches these descriptors, by default standard output: PyBullet
    writes there from C."""
    flush()
    before = {to: os.dup(to) for to in descriptors or (1,)}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for to in before:
        os.dup2(nowhere, to)
    try:
        yield
    finally:
        flush()
        for to, saved in before.items():
            os.dup2(saved, to)
            os.close(saved)
        os.close(nowhere)


def flush() -> None:
    """Python's and C's output, each of which keeps some back."""
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)


def import_quietly(module: str) -> Any:
    """A module that needs PyBullet, and first PyBullet, which says hello; raises ValueError where
    one is missing."""
    try:
        with quiet(1, 2):  # when it was built, it tells standard error
            importlib.import_module("pybullet")
            return importlib.import_module(module)
    except ImportError as missing:
        raise ValueError(
            f"Robots need PyBullet ({missing}): pip install 'praxis-rl[robots]'."
        ) from missing


def pybullet_client() -> Any:
    """A simulation of its own, without a window."""
    bullet_client = import_quietly("pybullet_utils.bullet_client")
    pybullet = import_quietly("pybullet")
    with quiet():
        client = bullet_client.BulletClient(connection_mode=pybullet.DIRECT)
    client.setAdditionalSearchPath(import_quietly("pybullet_data").getDataPath())
    return client
