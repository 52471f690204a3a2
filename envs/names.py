"""Names that users type, and what to say when one is not known."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import TypeVar

Entry = TypeVar("Entry")


def near_matches(name: str, known: Iterable[str]) -> str:
    """A sentence that names the known names nearest to `name`, or nothing if none is near."""
    by_plain_spelling = {plain(candidate): candidate for candidate in known}
    nearest = difflib.get_close_matches(plain(name), by_plain_spelling, n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(by_plain_spelling[n] for n in nearest)}?" if nearest else ""


def plain(name: str) -> str:
    """`Space-Invaders`, `space_invaders` and `SpaceInvaders` are one name."""
    return "".join(c for c in name.lower() if c.isalnum())


class Imported(Mapping[str, Entry]):
    """A table whose entries, stated as "module:name", are imported when they are looked up, so that
    a table of everything costs no more than what is taken from it."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self.places = dict(places)

    def __getitem__(self, name: str) -> Entry:
        module, _, attribute = self.places[name].partition(":")
        return getattr(import_module(module), attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def __contains__(self, name: object) -> bool:
        return name in self.places
