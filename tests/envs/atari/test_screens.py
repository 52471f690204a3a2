"""Screens: whole ones, of the episodes that were asked for, and the same each time."""

import numpy as np
import pytest

from envs.atari.screens import screens_of


def test_a_seed_decides_every_screen() -> None:
    one, same, other = (screens_of("Pong", [seed], every=50) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.screens, same.screens)
    assert one.screens.shape != other.screens.shape or (one.screens != other.screens).any()


def test_screens_are_of_the_episodes_in_the_colors_of_the_game() -> None:
    played = screens_of("SpaceInvaders", [5, 9], every=40)
    assert played.screens.shape[1:] == (210, 160)
    assert set(played.episodes.tolist()) == {5, 9}
    assert len(played.ram) == len(played.episodes) == len(played.screens)
    assert played.palette[20].tolist() == [134, 134, 29]  # aliens
    assert played.palette[played.screens].any(-1).any()


def test_a_game_that_is_not_shipped_is_refused() -> None:
    with pytest.raises(ValueError, match="no Atari game"):
        screens_of("Chess", [1], every=10)
