"""What messages say of a space."""

from gymnasium.spaces import Dict, Space

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
