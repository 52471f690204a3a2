"""Shifted palettes: what stays, what moves, and when."""

import numpy as np
import pytest

from envs.atari.games import OBSERVATION_SPACE, AtariConfig


def test_without_a_move_it_is_the_game_as_it_is() -> None:
    plain, shifted = AtariConfig().build(), AtariConfig(palette_shift=1e-9).build()
    (seen, _), (moved, _) = plain.reset(seed=3), shifted.reset(seed=3)
    np.testing.assert_array_equal(seen, moved)
    for action in (1, 2, 3, 4, 5, 0):
        np.testing.assert_array_equal(plain.step(action)[0], shifted.step(action)[0])


def test_a_color_keeps_its_grey_for_an_episode_and_gets_another_one_in_the_next() -> None:
    env = AtariConfig(palette_shift=1.0, noop_max=0).build()
    assert env.observation_space == OBSERVATION_SPACE
    first, _ = env.reset(seed=0)
    later, *_ = env.step(0)
    corner = (-1, 10, 10)  # black in Space Invaders, whatever is played
    assert first[corner] == later[corner]
    greys = {int(env.reset()[0][corner]) for _ in range(8)}
    assert len(greys) > 2
    again, _ = env.reset(seed=0)
    np.testing.assert_array_equal(first, again)


def test_a_vector_of_them_marks_lost_lives_and_gives_each_its_own_greys() -> None:
    env = AtariConfig(palette_shift=1.0).build_vector(3)
    seen, _ = env.reset(seed=0)
    assert (seen.shape, seen.dtype) == ((3, 4, 84, 84), np.uint8)
    assert len({int(own[-1, 5, 5]) for own in seen}) > 1
    marks = [env.step(np.zeros(3, int))[4]["learning_terminated"] for _ in range(250)]
    assert np.any(marks)  # who stands still is shot
    assert not np.all(marks)
    env.close()


def test_a_negative_shift_is_refused() -> None:
    with pytest.raises(ValueError, match="palette_shift must be a number from 0 to"):
        AtariConfig(palette_shift=-0.1)
