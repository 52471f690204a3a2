"""Space Invaders as a list of objects: against the screen's labels, and the vector against the
single environment."""

import numpy as np

from envs.atari.objects import NUMBERS, OBJECTS, SpaceInvadersObjectsConfig, listed
from envs.atari.space_invaders import CLASSES

ALIEN, PLAYER = 122, 98  # greys


def test_a_row_has_the_place_the_size_and_the_class_of_an_object() -> None:
    screen = np.zeros((210, 160), np.uint8)
    screen[185:195, 40:48] = PLAYER
    screen[42:52, 80:88] = ALIEN
    screen[42:52, 16:24] = ALIEN
    rows = listed(screen)
    assert rows.shape == (OBJECTS, NUMBERS)
    np.testing.assert_allclose(
        rows[0], [1, 20 / 160, 47 / 210, 8 / 160, 10 / 210, 1, 0, 0, 0], rtol=1e-6
    )
    np.testing.assert_allclose(
        rows[1], [1, 84 / 160, 47 / 210, 8 / 160, 10 / 210, 1, 0, 0, 0], rtol=1e-6
    )
    np.testing.assert_allclose(
        rows[2], [1, 44 / 160, 190 / 210, 8 / 160, 10 / 210, 0, 1, 0, 0], rtol=1e-6
    )
    assert not rows[3:].any()


def test_a_game_begins_with_its_aliens_and_three_shields_and_nothing_before() -> None:
    env = SpaceInvadersObjectsConfig().build()
    seen, _ = env.reset(seed=0)
    before, newest = seen[:OBJECTS], seen[OBJECTS:]
    assert not before.any()
    counts = dict(zip(CLASSES[1:-1], newest[:, 5:].sum(0).astype(int), strict=True))
    assert (counts["alien"], counts["shield"]) == (36, 3)
    after, *_ = env.step(0)
    np.testing.assert_array_equal(after[:OBJECTS], newest)
    assert env.observation_space.contains(after)


def test_the_vector_plays_the_same_game_as_the_single_environment() -> None:
    vector, actions = SpaceInvadersObjectsConfig().build_vector(1), (1, 3, 3, 2, 1, 0) * 10
    seen = [
        vector.reset(seed=1)[0][0],
        *(vector.step(np.array([action]))[0][0] for action in actions),
    ]
    vector.close()

    def same_game(seed: int) -> bool:
        env = SpaceInvadersObjectsConfig().build()
        if not np.array_equal(env.reset(seed=seed)[0], seen[0]):
            return False
        return all(
            np.array_equal(env.step(action)[0], own)
            for action, own in zip(actions, seen[1:], strict=True)
        )

    # The vector starts its games after a number of idle frames of its own, as many as some seed's.
    assert any(same_game(seed) for seed in range(100))


def test_the_vector_gives_a_games_last_list_and_the_next_ones_first() -> None:
    env = SpaceInvadersObjectsConfig(lost_life_terminates=False).build_vector(2)
    seen, _ = env.reset(seed=1)
    random = np.random.default_rng(0)
    for _ in range(3_000):
        last = seen[:, OBJECTS:]
        seen, _, terminated, truncated, info = env.step(random.integers(6, size=2))
        if (over := terminated | truncated).any():
            break
    assert over.any()
    final = info["final_obs"]
    np.testing.assert_array_equal(final[over][:, :OBJECTS], last[over])
    assert not seen[over][:, :OBJECTS].any()
    assert (seen[over][:, OBJECTS:, 5].sum(1) == 36).all()
    np.testing.assert_array_equal(seen[~over][:, :OBJECTS], last[~over])
    env.close()
