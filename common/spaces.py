"""What is asked of spaces in several places."""

from gymnasium.spaces import Dict, Space

from common.info import ACTION_MASK

LONGEST = 100


def in_words(space: Space) -> str:
    """The space as gymnasium writes it; where that is long, its kind, shape and dtype, or its
    parts."""
    text = " ".join(str(space).split())
    if len(text) <= LONGEST:
        return text
    if isinstance(space, Dict):
        return f"Dict of {', '.join(space.spaces)}"
    return f"{type(space).__name__}(..., {space.shape}, {space.dtype})"


def has_mask(space: Space) -> bool:
    """Whether observations of this space say which actions are possible."""
    return isinstance(space, Dict) and ACTION_MASK in space.spaces


def without_mask(space: Space) -> Space:
    """What encoders read of observations: all parts but the mask of actions; where that leaves one
    part, that part itself."""
    if not (isinstance(space, Dict) and has_mask(space)):
        return space
    parts = {name: part for name, part in space.spaces.items() if name != ACTION_MASK}
    return Dict(parts) if len(parts) > 1 else next(iter(parts.values()))
