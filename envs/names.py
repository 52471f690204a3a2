"""Names that users type, and what to say when one is not known."""

import difflib
from collections.abc import Iterable


def near_matches(name: str, known: Iterable[str]) -> str:
    """A sentence that names the known names nearest to `name`, or nothing if none is near."""
    by_plain_spelling = {plain(candidate): candidate for candidate in known}
    nearest = difflib.get_close_matches(plain(name), by_plain_spelling, n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(by_plain_spelling[n] for n in nearest)}?" if nearest else ""


def plain(name: str) -> str:
    """`Space-Invaders`, `space_invaders` and `SpaceInvaders` are one name."""
    return "".join(c for c in name.lower() if c.isalnum())
