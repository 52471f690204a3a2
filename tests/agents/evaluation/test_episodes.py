"""Episodes that a policy plays are whole, and come back from a file as they were."""

from pathlib import Path

import numpy as np
import pytest

from agents.evaluation.episodes import Episodes, drawn, play
from agents.evaluation.log_file import read_log, write_log
from envs.health.hiv_sti import HivConfig
from envs.health.treatment import always, by_chance
from envs.probe import TargetConfig


def test_a_constant_policy_plays_what_the_environment_says_it_is_worth() -> None:
    """Two patients of one kind under one policy: the same episodes, and a return that is the sum of the rewards."""
    played = play(HivConfig(step_hours=720.0), lambda env: always(3)(env.ward.simulation), episodes=2, seed=1)
    assert played.rewards.shape == (33, 2)
    assert played.alive.all()
    assert not played.terminated.any()
    assert (played.actions == 3).all()
    assert (played.probabilities == [0, 0, 0, 1]).all()
    np.testing.assert_allclose(played.rewards[:, 0], played.rewards[:, 1])
    np.testing.assert_allclose(played.returns(), played.rewards.sum(0))
    np.testing.assert_allclose(played.returns(0.5)[0], sum(0.5**t * r for t, r in enumerate(played.rewards[:, 0])))
    assert played.metrics["drug_days"] == pytest.approx([2 * 33 * 30] * 2)
    assert (played.last_observations != played.observations[-1]).any(1).all()
    kept = played.outcomes()
    assert kept.observations.nbytes + kept.probabilities.nbytes == 0
    np.testing.assert_array_equal(kept.returns(), played.returns())
    np.testing.assert_array_equal(kept.chosen(np.array([1])).actions, played.actions[:, [1]])


def test_doses_of_a_box_are_the_policy_s(tmp_path: Path) -> None:
    played = play(TargetConfig(), lambda env: lambda seen, first: np.full((len(seen), 1), 0.25, np.float32), 3, 0)
    assert played.probabilities.shape[2] == 0
    assert (played.actions[played.alive] == 0.25).all()


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    played = play(HivConfig(step_hours=720.0), lambda env: by_chance(env.ward.simulation), episodes=5, seed=1)
    short = played.alive.copy()
    short[20:, 1] = False
    columns = (played.observations, played.actions, played.rewards, played.costs, played.probabilities)
    cut = [np.where(short.reshape(*short.shape, *[1] * (c.ndim - 2)), c, 0).astype(c.dtype) for c in columns]
    one = Episodes(*cut, short, np.array([0, 1, 0, 0, 0], np.bool_), played.last_observations, played.metrics)
    write_log(one, tmp_path / "log.parquet", {"env": "hiv-sti"})
    found, about = read_log(tmp_path / "log.parquet")
    assert about["env"] == "hiv-sti"
    for name in ("observations", "actions", "rewards", "costs", "probabilities", "alive", "terminated"):
        np.testing.assert_array_equal(getattr(found, name), getattr(one, name), err_msg=name)
        assert getattr(found, name).dtype == getattr(one, name).dtype
    np.testing.assert_array_equal(found.last_observations, one.last_observations)
    np.testing.assert_array_equal(found.metrics["drug_days"], one.metrics["drug_days"])


def test_actions_are_drawn_with_their_probabilities() -> None:
    random = np.random.default_rng(0)
    rows = np.repeat([[0.2, 0.0, 0.8], [0.0, 1.0, 0.0]], 4_000, 0)
    found = drawn(rows, random)
    assert (found[4_000:] == 1).all()
    assert (found[:4_000] == 2).mean() == pytest.approx(0.8, abs=0.03)
    assert not (found[:4_000] == 1).any()
