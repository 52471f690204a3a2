"""Which samples an asynchronous update learns from, and what runners are asked for meanwhile."""

from collections import deque
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agents.data import Experience
from agents.engine.asynchronous import AsynchronousAlgorithm, leave_cores_to, sample_with
from agents.engine.env_runner import Sample
from agents.interfaces import EnvironmentFailure


def sample(runner: int, version: int) -> Sample:
    flags, numbers = np.zeros((3, 2), np.bool_), np.full((3, 2), runner, np.float32)
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
        version,
    )


class Runners:
    """Answers polls with these samples, in turn."""

    def __init__(self, polls: list[list[Sample]]) -> None:
        self.polls, self.asked = deque(polls), 0

    def num_remote_workers(self) -> int:
        return 2

    num_healthy_remote_workers = num_remote_workers

    def fetch_ready_async_reqs(self, **_: Any) -> list[tuple[int, Sample]]:
        return [(sample.runner, sample) for sample in self.polls.popleft()]

    def foreach_env_runner_async(self, request: Any, tag: str) -> None:
        self.asked += 1


def algorithm(polls: list[list[Sample]], updates: int, max_policy_lag: int = 2) -> Any:
    made = AsynchronousAlgorithm.__new__(AsynchronousAlgorithm)
    made.settings = SimpleNamespace(max_policy_lag=max_policy_lag)
    made.config = SimpleNamespace(experiment=SimpleNamespace(num_envs=4))
    made.env_steps, made.updates, made.thrown_away, made.lags = 0, updates, 0, []
    made._order, made._arrived, made._weights, made._missed = [], deque(), object(), set()
    made.counted = []
    made._count_episodes = made.counted.append
    made.seconds = {"sampling": 0.0, "environment": 0.0, "inference": 0.0}
    made._count = lambda samples, experience: None
    made.env_runner_group = Runners(polls)
    return made


def test_an_update_takes_as_much_as_a_synchronous_one_and_keeps_the_rest_for_the_next() -> None:
    made = algorithm([[], [sample(2, 5), sample(1, 5), sample(2, 5)], [sample(1, 5)]], updates=5)
    assert made.sample().rewards[0].tolist() == [1, 1, 2, 2]
    assert made.sample().rewards[0].tolist() == [1, 1, 2, 2]


def test_what_lags_too_far_behind_is_thrown_away_and_counted() -> None:
    made = algorithm([[sample(1, 2), sample(2, 4)], [sample(1, 3)]], updates=5)
    assert made.sample().num_envs == 4
    assert made.lags == [1, 2]
    assert made.thrown_away == 1
    assert [(sample.runner, sample.policy_version) for sample in made.counted] == [(1, 2)]


def test_what_follows_a_thrown_away_sample_is_set_apart() -> None:
    made = algorithm(
        [[sample(1, 5), sample(2, 5)], [sample(1, 2), sample(1, 5), sample(2, 5)]], updates=5
    )
    made.sample()
    assert made.sample().first[0].tolist() == [True, True, False, False]


def test_a_failure_is_told_of_however_old_it_is() -> None:
    made = algorithm([[replace(sample(1, 0), failure="the flaw")]], updates=9)
    with pytest.raises(EnvironmentFailure, match="the flaw"):
        made.sample()


def test_runners_are_asked_again_before_the_learner_begins() -> None:
    made = algorithm([[sample(1, 0), sample(2, 0)]], updates=0)
    made.sample()
    assert made.env_runner_group.asked == 3  # for each of the two samples, and once they were there


def test_a_runner_takes_weights_only_where_they_are_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.engine.asynchronous.ray.get", lambda reference: reference)
    taken: list[str] = []
    runner: Any = SimpleNamespace(
        policy_version=-1,
        module=SimpleNamespace(set_state=taken.append),
        sample=lambda env_steps: env_steps,
    )
    for weights, version, env_steps in (("first", 0, 8), ("second", 1, 16), ("second", 1, 24)):
        assert sample_with(weights, version, env_steps)(runner) == env_steps
    assert taken == ["first", "second"]


@pytest.mark.parametrize(
    ("sees_images", "runners", "threads"), [(True, 3, None), (False, 3, 5), (False, 8, 1)]
)
def test_a_learner_of_vectors_leaves_runners_their_cores(
    sees_images, runners, threads, monkeypatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.setattr("torch.set_num_threads", told.append)
    leave_cores_to(
        runners, SimpleNamespace(bare_network=SimpleNamespace(low_precision_pays=sees_images))
    )
    assert told == ([] if threads is None else [threads])
