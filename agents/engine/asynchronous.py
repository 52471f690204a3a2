"""Sampling that does not wait for learning: env runners act with the newest weights they were given
while the learner learns from what they brought before."""

import os
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import ray
import torch

from agents.data import Experience
from agents.engine.algorithm import ColumnarAlgorithm
from agents.engine.env_runner import ColumnarEnvRunner, Sample

POLL_SECONDS = 0.005
SAMPLING = "sample"


class AsynchronousAlgorithm(ColumnarAlgorithm):
    """An update learns from as much as a synchronous one, of whichever runners brought it.

    A sample's policy lag is how many updates the learner has made since the weights that acted in
    it. What lags by more than the algorithm's `max_policy_lag` is thrown away, but for the episodes
    that ended in it. Without runners of its own it is synchronous."""

    def setup(self, config: Any) -> None:
        self.updates = 0
        self.thrown_away = 0
        self.lags: list[int] = []
        """Of the samples in the next update."""
        self._weights: Any = None
        self._arrived: deque[Sample] = deque()
        self._missed: set[int] = set()
        """Runners whose last sample was thrown away."""
        self._threads = torch.get_num_threads()
        super().setup(config)
        runners = self.env_runner_group.num_remote_workers()
        if runners and self.learner_group.is_local and not torch.cuda.is_available():
            self.each_learner(lambda learner: leave_cores_to(runners, learner))

    def cleanup(self) -> None:
        torch.set_num_threads(self._threads)
        super().cleanup()

    def sample(self) -> Any:
        self.lags.clear()
        experience = super().sample()
        if self.env_runner_group.num_remote_workers():
            self._ask_idle_runners(
                self.env_steps
            )  # now, so that they sample while the learner learns
        return experience

    def learn(self, experience: Experience) -> None:
        super().learn(experience)
        self.updates += 1
        self.learner_metrics |= {
            "policy_lag_mean": float(np.mean(self.lags)),
            "policy_lag_max": float(max(self.lags)),
            "samples_thrown_away": float(self.thrown_away),
        }

    def synchronize(self) -> None:
        """Runners get the weights with their next request."""
        if self.env_runner_group.num_remote_workers():
            self._weights = ray.put(self.network_state())
        else:
            super().synchronize()

    def _sample_all_runners(self, env_steps: int) -> list[Sample]:
        """The one sample that arrived first."""
        if not self.env_runner_group.num_remote_workers():
            self.lags.append(0)
            return super()._sample_all_runners(env_steps)
        self._ask_idle_runners(env_steps)
        while self.env_runner_group.num_healthy_remote_workers() and not self._arrived:
            arrived = self.env_runner_group.fetch_ready_async_reqs(
                tags=SAMPLING, timeout_seconds=POLL_SECONDS
            )
            self._arrived.extend(sample for _, sample in arrived)
        while self._arrived:
            sample = self._arrived.popleft()
            lag = self.updates - sample.policy_version
            if sample.failure or lag <= self.settings.max_policy_lag:
                self.lags.append(lag)
                return [self._after_what_was_kept(sample)]
            self.thrown_away += 1
            self._missed.add(sample.runner)
            self._count_episodes(sample)
        return []

    def _after_what_was_kept(self, sample: Sample) -> Sample:
        """The sample; if its runner's previous sample was thrown away, its first row is marked as a
        new start."""
        if sample.runner not in self._missed:
            return sample
        self._missed.remove(sample.runner)
        return replace(sample, experience=sample.experience.set_apart())

    def _wait_for_runners(self) -> list[Sample]:
        """Nothing has arrived: all of it was too old, or nobody lives."""
        return (
            []
            if self.env_runner_group.num_healthy_remote_workers()
            else super()._wait_for_runners()
        )

    def _ask_idle_runners(self, env_steps: int) -> None:
        if self._weights is None:
            self.synchronize()
        request = sample_with(self._weights, self.updates, env_steps)
        self.env_runner_group.foreach_env_runner_async(
            request, tag=SAMPLING
        )  # who has one is passed over


def leave_cores_to(runners: int, learner: Any) -> None:
    """A learner's threads wait for each other at every operation, longest for one whose core is
    busy. That pays for images, where operations are long; vectors are learnt from at twice the
    speed by the cores that are left."""
    if not learner.bare_network.low_precision_pays:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) - runners))


def sample_with(
    weights: Any, version: int, env_steps: int
) -> Callable[[ColumnarEnvRunner], Sample]:
    """What a runner does at a request: takes the weights, if it does not have them, and samples."""

    def act(runner: ColumnarEnvRunner) -> Sample:
        if runner.policy_version != version:
            runner.module.set_state(ray.get(weights))
            runner.policy_version = version
        return runner.sample(env_steps)

    return act
