"""A Minari dataset has what was logged."""

from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from agents.logged.minari_dataset import require_new_dataset, write_minari
from tests.agents.evaluation.off_policy.tiny_mdp import TinyMDP

minari = pytest.importorskip("minari")


@pytest.mark.filterwarnings("error::UserWarning")
def test_minari_reads_what_was_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    mdp = TinyMDP.random(1)
    played = mdp.play(mdp.policy(2), 7, 3)
    spaces = Box(0, 5, (1,), np.float32), Discrete(3)
    write_minari(played, "tiny/chance-v0", *spaces, "seven episodes")
    dataset = minari.load_dataset("tiny/chance-v0")
    assert dataset.total_episodes == 7
    assert dataset.total_steps == played.alive.sum()
    for number, episode in enumerate(dataset.iterate_episodes()):
        alive = played.alive[:, number]
        np.testing.assert_array_equal(episode.observations[:-1], played.observations[alive, number])
        np.testing.assert_array_equal(episode.observations[-1], played.last_observations[number])
        np.testing.assert_array_equal(episode.actions, played.actions[alive, number])
        np.testing.assert_allclose(episode.rewards, played.rewards[alive, number])
        assert episode.terminations[-1] == played.terminated[number] != episode.truncations[-1]
        assert not episode.terminations[:-1].any()
        np.testing.assert_allclose(
            episode.infos["probabilities"][:-1], played.probabilities[alive, number]
        )
        np.testing.assert_allclose(episode.infos["cost"], np.zeros(alive.sum() + 1))
    with pytest.raises(ValueError, match="Minari does not take tiny/chance-v0"):
        write_minari(played, "tiny/chance-v0", *spaces, "again")


@pytest.mark.parametrize("name", ["x", "no id", "a/b", "a/b-v", "-v0 "])
def test_a_name_without_a_version_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(ValueError, match="names end in a version"):
        require_new_dataset(name)
