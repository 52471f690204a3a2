"""Policies are compared patient by patient, and single patients are shown where it goes wrong."""

from dataclasses import fields

import numpy as np
from gymnasium.spaces import Box, Discrete

from agents.evaluation.clinical import compared, divergence, doses, interval, summary, trajectories
from agents.logged.episodes import Episodes
from envs.health.care.env import CareEpisodeConfig
from envs.health.core.policies import always

NAN = float("nan")


def episodes(rewards: list[list[float]], actions: list[list[int]], metric: list[float]) -> Episodes:
    """Of two steps (2, E), with a cost of 1 where action 1 was taken."""
    taken = np.array(actions)
    size = taken.shape
    columns = {
        "observations": np.zeros((*size, 1)),
        "actions": taken,
        "rewards": np.array(rewards),
        "costs": (taken == 1).astype(float),
        "probabilities": np.zeros((*size, 2)),
        "alive": np.ones(size, np.bool_),
        "terminated": np.zeros(size[1], np.bool_),
        "last_observations": np.zeros((size[1], 1)),
        "metrics": {"survival": np.array(metric), "cost": np.zeros(size[1])},
    }
    return Episodes(*(columns[field.name] for field in fields(Episodes)))


def test_the_same_patients_are_compared_with_each_other() -> None:
    agent = [
        episodes([[1, 5], [2, 5]], [[0, 1], [0, 1]], [1, NAN]),
        episodes([[1, 5], [4, 5]], [[0, 0], [0, 0]], [0, 0]),
    ]
    usual = [episodes([[0, 4], [1, 4]], [[1, 1], [1, 0]], [1, 1])]
    told = compared({"ppo": agent, "usual": usual}, "ppo")
    assert told["ppo"]["return"]["by_training"] == [6.5, 7.5]
    assert told["ppo"]["return"]["mean"] == 7.0
    assert told["usual"]["return"]["mean"] == 4.5
    # Patient 0: (3 + 5) / 2 - 1 = 3; patient 1: 10 - 8 = 2.
    assert told["usual"]["agent_is_above_by"]["mean"] == 2.5
    assert (
        2
        <= told["usual"]["agent_is_above_by"]["ci95"][0]
        <= told["usual"]["agent_is_above_by"]["ci95"][1]
        <= 3
    )
    assert told["ppo"]["agent_is_above_by"]["mean"] == 0
    assert told["ppo"]["metrics"]["survival"]["by_training"] == [1.0, 0.0], (
        "what is not known does not count"
    )
    assert told["ppo"]["cost"]["by_training"] == [1.0, 0.0]
    assert told["usual"]["episodes_with_cost"]["mean"] == 1.0
    assert told["usual"]["cost"]["mean"] == 1.5
    assert list(told["ppo"]["metrics"]) == ["survival"]


def test_nothing_known_is_told_as_nothing() -> None:
    assert summary([np.array([NAN, NAN])]) == {"mean": None, "ci95": None, "by_training": []}


def test_an_interval_covers_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    covered = [
        low <= 1.0 <= high
        for low, high in (interval([random.normal(1, 2, 80)]) for _ in range(150))
    ]
    assert 0.88 <= np.mean(covered) <= 0.99


def test_trainings_that_differ_make_an_interval_wider() -> None:
    random = np.random.default_rng(0)
    alike = interval([random.normal(0, 1, 200) for _ in range(3)])
    apart = interval([random.normal(mean, 1, 200) for mean in (-2, 0, 2)])
    assert apart[1] - apart[0] > 5 * (alike[1] - alike[0])


def test_doses_are_counted_by_action_or_by_size() -> None:
    played = {
        "ppo": [episodes([[0, 0]], [[0, 1]], [1, 1])],
        "usual": [episodes([[0, 0]], [[1, 1]], [1, 1])],
    }
    given = {"tablets": np.array([0, 2, 2]), "ml": np.array([0.0, 0.0, 1.5])}
    tablets, ml = doses(played, ["ppo", "usual"], Discrete(3), given)
    assert (tablets["title"], tablets["labels"]) == ("tablets", ["0", "2"])
    assert tablets["shares"] == {"ppo": [0.5, 0.5], "usual": [0.0, 1.0]}
    assert ml["labels"] == ["0", "1.5"]
    assert ml["shares"] == {"ppo": [1.0, 0.0], "usual": [1.0, 0.0]}
    boxed = episodes([[0, 0]], [[0, 1]], [1, 1])
    boxed = Episodes(
        *(
            np.array([[[1.0], [11.5]]]) if f.name == "actions" else getattr(boxed, f.name)
            for f in fields(boxed)
        )
    )
    # 1 gives 4 / 6 and 11.5 gives 4 + 44 * 5.5 / 6 = 44.3, in bins of 4.
    [one] = doses({"ddpg": [boxed]}, ["ddpg"], Box(0, 12, (1,)), {"U": np.array([0.0, 4.0, 48.0])})
    assert one["labels"][:2] == ["0", "4"]
    assert one["shares"]["ddpg"] == [0.5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.5]


def test_divergence_is_a_share() -> None:
    assert divergence(np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]]), Discrete(2)) == 0.5
    assert divergence(np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]]), Discrete(2)) == 1.0
    assert divergence(np.array([[2.0]]), np.array([[4.0]]), Box(0, 8, (1,))) == 0.25


def test_the_worst_patients_and_the_most_divergent_are_shown() -> None:
    config = CareEpisodeConfig()
    found = trajectories(
        config,
        lambda env: always(3)(env.ward.simulation),
        lambda env: always(0)(env.ward.simulation),
        range(4),
        2,
    )
    returns = [one["return"] for one in found["worst"]]
    assert returns == sorted(returns)
    assert len(returns) == 2
    assert found["divergent"][0]["divergence"] == 1.0
    assert found["worst"][0]["chart"].startswith(b"\x89PNG")
    same = trajectories(
        config,
        lambda env: always(3)(env.ward.simulation),
        lambda env: always(3)(env.ward.simulation),
        range(1),
        1,
    )
    assert same["worst"][0]["divergence"] == 0.0
