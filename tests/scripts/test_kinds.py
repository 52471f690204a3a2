"""A recipe is found by the kind that an environment says, else by its spaces."""

from dataclasses import dataclass
from typing import Any

import pytest

from envs.probe import ChoiceConfig, TargetConfig
from scripts.recipes import environment_named
from scripts.recipes.kinds import is_kind, row_for

TABLE = {
    "treatment": "any treatment",
    "treatment:tumor-imaging:scans": "scans",
    "grid": "a grid",
    "discrete-vectors": "discrete",
    "continuous-vectors": "continuous",
    "discrete-images": "images",
}


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("hiv-sti", "any treatment"),
        ("tumor-imaging", "scans"),
        ("MemoryS11", "a grid"),
        ("CartPole-v1", "discrete"),
        ("Pendulum-v1", "continuous"),
        ("HalfCheetah", "continuous"),
        ("SpaceInvaders", "images"),
    ],
)
def test_the_most_special_row_is_taken(name: str, row: str) -> None:
    assert row_for(environment_named(name), TABLE) == row


def test_an_environment_of_ones_own_says_its_kind_in_an_attribute() -> None:
    @dataclass(frozen=True)
    class Own(TargetConfig):
        kind = "grid:own"

    assert row_for(Own(), TABLE) == "a grid"
    assert row_for(TargetConfig(), TABLE) == "continuous"


@pytest.mark.parametrize(
    ("kind", "is_grid"), [("grid", True), ("grid:memory", True), ("grids", False)]
)
def test_a_kind_is_told_from_one_that_begins_alike(kind: str, is_grid: bool) -> None:
    own: Any = ChoiceConfig()
    object.__setattr__(own, "kind", kind)
    assert is_kind(own, "grid") is is_grid
