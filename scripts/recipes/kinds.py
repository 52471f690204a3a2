"""Kinds of environments, by which a recipe is looked up.

An environment may say its kind in an attribute `kind`, from the general to the special, such as
`treatment:tumor-imaging:scans`. The kind of any other one follows from its spaces: whether its
actions are discrete or continuous, and whether it is seen in images or in vectors."""

from collections.abc import Mapping
from typing import TypeVar

from gymnasium.spaces import Box

from agents.environments import opened
from agents.interfaces import Environment
from scripts.recipes.observations import sees_images

Row = TypeVar("Row")

KINDS_BY_SPACES = ("discrete-images", "discrete-vectors", "continuous-images", "continuous-vectors")


def row_for(environment: Environment, table: Mapping[str, Row]) -> Row:
    """The row of the environment's kind, else of a more general kind, else of the kind that its
    spaces make it."""
    kind = own_kind(environment)
    while kind:
        if kind in table:
            return table[kind]
        kind = kind.rpartition(":")[0]
    return table[kind_by_spaces(environment)]


def is_kind(environment: Environment, general: str) -> bool:
    """Whether an environment says that it is of this kind, or of a special one of it."""
    return f"{own_kind(environment)}:".startswith(f"{general}:")


def own_kind(environment: Environment) -> str:
    """What an environment says in its attribute `kind`; empty where it has none."""
    return getattr(environment, "kind", "")


def kind_by_spaces(environment: Environment) -> str:
    """One of KINDS_BY_SPACES."""
    with opened(environment) as env:
        actions = "continuous" if isinstance(env.action_space, Box) else "discrete"
        observations = "images" if sees_images(env.observation_space) else "vectors"
    return f"{actions}-{observations}"
