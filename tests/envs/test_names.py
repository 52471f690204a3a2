"""Names in any spelling, and the near matches of those that are not known."""

from hypothesis import given
from hypothesis import strategies as st

from envs.names import near_matches, plain


def test_spellings_of_one_name_are_one() -> None:
    spellings = (
        "Space-Invaders",
        "space_invaders",
        "SpaceInvaders",
        "SPACE INVADERS",
        " spaceinvaders ",
    )
    assert {plain(s) for s in spellings} == {"spaceinvaders"}


def test_digits_tell_names_apart() -> None:
    assert plain("CartPole-v0") != plain("CartPole-v1")


@given(st.text())
def test_a_plain_name_is_already_plain(name: str) -> None:
    assert plain(plain(name)) == plain(name)


def test_near_matches_come_as_they_are_written_the_nearest_first() -> None:
    known = ["SpaceInvaders", "Solaris", "Pong", "CartPole-v1"]
    assert near_matches("space_invader", known) == " Did you mean SpaceInvaders?"
    assert near_matches("cartpole", known) == " Did you mean CartPole-v1?"
    assert near_matches("Breakot", ["Breakout", "Breakin"]) == " Did you mean Breakout or Breakin?"


def test_nothing_is_said_where_nothing_is_near() -> None:
    assert near_matches("xyzzy", ["SpaceInvaders", "Pong"]) == ""
    assert near_matches("pong", []) == ""
    assert near_matches("", ["Pong"]) == ""


def test_at_most_three_are_named() -> None:
    assert near_matches("Env", [f"Env{i}" for i in range(9)]).count("Env") == 3


@given(st.lists(st.text("abc", min_size=1, max_size=5), min_size=1, max_size=5, unique=True))
def test_a_known_name_is_its_own_nearest(known: list[str]) -> None:
    assert near_matches(known[-1].upper(), known).startswith(f" Did you mean {known[-1]}")
