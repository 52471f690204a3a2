"""What several runners bring home, laid side by side, also while one of them is dead."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agents.data import Experience
from agents.engine.algorithm import ColumnarAlgorithm
from agents.engine.env_runner import Sample


def sample(runner: int, num_envs: int = 2) -> Sample:
    flags, numbers = np.zeros((3, num_envs), np.bool_), np.full((3, num_envs), runner, np.float32)
    return Sample(
        Experience(numbers, numbers, numbers, flags, flags, flags),
        runner,
        [],
        [],
        [],
        [],
        "",
        0.0,
        0.0,
        0,
    )


def algorithm(runners: int, rounds: list[list[int]]) -> Any:
    """One that is asked for nothing but samples; `rounds` are the runners that answer each call."""
    made = ColumnarAlgorithm.__new__(ColumnarAlgorithm)
    made.config = SimpleNamespace(experiment=SimpleNamespace(num_envs=2 * runners))
    made.env_steps, made._order, made.seconds, answers = (
        0,
        [],
        {"sampling": 0, "environment": 0, "inference": 0},
        iter(rounds),
    )
    made._count = lambda samples, experience: None
    made._sample_all_runners = lambda env_steps: [sample(runner) for runner in next(answers)]
    return made


@pytest.mark.parametrize(
    ("rounds", "apart"),
    [
        ([[1, 2], [1, 2]], [[True, True], [False, False]]),
        # Runner 1 dies: what stands at its place is another's. It comes back.
        (
            [[1, 2], [2, 2], [2, 2], [1, 2], [1, 2]],
            [[True] * 2, [True] * 2, [True] * 2, [True] * 2, [False] * 2],
        ),
        ([[1, 2], [2, 1]], [[True, True], [True, True]]),
    ],
)
def test_only_what_a_runner_did_right_before_is_followed(
    rounds: list[list[int]], apart: list[list[bool]]
) -> None:
    made = ColumnarAlgorithm.__new__(ColumnarAlgorithm)
    made._order = []
    told = [
        [bool(part.first[0].all()) for part in made._with_borders([sample(r) for r in order])]
        for order in rounds
    ]
    assert told == apart


def test_those_that_live_bring_home_as_much_as_all_and_no_more() -> None:
    experience = algorithm(3, [[1, 3], [1, 3]]).sample()
    assert experience.num_envs == 6
    assert experience.rewards[0].tolist() == [1, 1, 1, 1, 3, 3]
