"""Labels of Space Invaders' screens: against drawings, and against what the console counts."""

import numpy as np

from envs.atari.screens import screens_of
from envs.atari.space_invaders import ALIENS_IN_RAM, CLASSES, boxes_of, classes_of

ALIEN, PLAYER, SHIELD, BULLET = 20, 196, 52, 6


def drawn(*objects: tuple[int, slice, slice]) -> np.ndarray:
    screen = np.zeros((210, 160), np.uint8)
    for color, rows, columns in objects:
        screen[rows, columns] = color
    return screen


def test_pixels_have_the_class_of_their_color_on_the_field_alone() -> None:
    screen = drawn((ALIEN, slice(40, 50), slice(20, 28)), (PLAYER, slice(10, 20), slice(0, 8)))
    classes = classes_of(screen)
    assert {CLASSES[number] for number in np.unique(classes)} == {
        "background",
        "alien",
    }  # a digit is no player
    assert (classes == CLASSES.index("alien")).sum() == 80


def test_pieces_of_one_alien_are_one_and_neighbors_are_two() -> None:
    pieces = [(ALIEN, slice(40, 44), slice(20, 28)), (ALIEN, slice(46, 50), slice(20, 28))]
    neighbor = (ALIEN, slice(40, 50), slice(36, 44))
    found = boxes_of(classes_of(drawn(*pieces, neighbor)))
    assert sorted(found.tolist()) == [[1, 20, 40, 28, 50], [1, 36, 40, 44, 50]]


def test_a_shield_that_was_shot_through_is_one() -> None:
    pieces = [(SHIELD, slice(157, 160), slice(42, 44)), (SHIELD, slice(170, 174), slice(49, 50))]
    other = (SHIELD, slice(157, 175), slice(74, 82))
    found = boxes_of(classes_of(drawn(*pieces, other)))
    assert sorted(found.tolist()) == [[3, 42, 157, 50, 174], [3, 74, 157, 82, 175]]


def test_bullets_and_the_player_have_boxes_and_the_ground_has_none() -> None:
    bullet = (BULLET, slice(100, 108), slice(60, 61))
    player = (PLAYER, slice(185, 195), slice(35, 42))
    screen = drawn(bullet, player, (226, slice(195, 196), slice(0, 160)))
    assert sorted(boxes_of(classes_of(screen)).tolist()) == [
        [2, 35, 185, 42, 195],
        [4, 60, 100, 61, 108],
    ]
    assert boxes_of(np.zeros((210, 160), np.uint8)).shape == (0, 5)


def test_aliens_are_as_many_as_the_console_counts() -> None:
    played = screens_of("SpaceInvaders", [3, 4], every=10)
    found = [
        (boxes_of(classes_of(screen))[:, 0] == CLASSES.index("alien")).sum()
        for screen in played.screens
    ]
    errors = np.abs(np.array(found) - played.ram[:, ALIENS_IN_RAM].astype(int))
    assert errors.max() <= 1  # one that has just been hit is still to be seen
    assert (errors == 0).mean() > 0.8
    assert len(set(found)) > 5
