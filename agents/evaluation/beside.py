"""Evaluates in a process of its own, while training goes on."""

import time
from collections.abc import Callable
from typing import Any

import ray
import torch
from numpy.typing import NDArray
from ray.exceptions import RayError

from agents.engine.config import build_network
from agents.evaluation.judge import Judgment, judge
from agents.experiment import Experiment
from agents.processes.cluster import evaluator_bundle

POLL_SECONDS = 0.1


class Player:
    """In that process: a network that gets the weights of one checkpoint after another."""

    def __init__(self, experiment: Experiment) -> None:
        torch.set_num_threads(max(1, round(evaluator_bundle(experiment).cpus)))
        self.experiment = experiment
        self.network = build_network(experiment)

    def judge(self, weights: dict[str, NDArray], env_steps: int, checkpoint: str) -> Judgment:
        """Evaluates and films the policy that has a checkpoint's weights, by parameter name."""
        self.network.set_state(weights)
        return judge(self.experiment, self.network, env_steps, checkpoint)


class Evaluator:
    """From the training's side: starts that process when it is first needed, and again when it has
    died."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.player: Any = None
        self.ready: Any = None
        self.under_way: ray.ObjectRef | None = None
        self.checkpoint = ""
        """Whose evaluation is under way."""

    def start(self, weights: dict[str, NDArray], env_steps: int, checkpoint: str) -> None:
        """Begins an evaluation; the one before it must have been taken."""
        if self.player is None:
            bundle = evaluator_bundle(self.experiment)
            there = ray.remote(Player).options(num_cpus=bundle.cpus, num_gpus=bundle.gpus)
            self.player = there.remote(self.experiment)
            # Answered as soon as the process runs: until then it may be waiting for room.
            self.ready = self.player.__ray_ready__.remote()
        self.checkpoint = checkpoint
        self.under_way = self.player.judge.remote(weights, env_steps, checkpoint)

    def take(self, give_up: Callable[[], bool]) -> Judgment | None:
        """The evaluation that is under way, once it is made; None where there is none, or
        `give_up()` says so before.

        Raises ConnectionError where its process died, or found no room on any machine."""
        if self.under_way is None:
            return None
        started = time.monotonic()
        while not is_there(self.under_way):
            if give_up():
                return None
            if (
                not is_there(self.ready)
                and time.monotonic() - started > self.experiment.resources.patience_seconds
            ):
                raise self._lost("no machine had room for it")
            time.sleep(POLL_SECONDS)
        try:
            judgment = ray.get(self.under_way)
        except RayError as death:
            raise self._lost(f"its process died: {type(death).__name__}") from death
        self.under_way = None
        self.checkpoint = ""
        return judgment

    def _lost(self, reason: str) -> ConnectionError:
        ray.kill(self.player)
        self.player = None
        self.under_way = None
        self.checkpoint = ""
        return ConnectionError(reason)


def is_there(result: Any) -> bool:
    """Whether a Ray task has ended, well or by an error; does not wait for it."""
    return bool(ray.wait([result], timeout=0)[0])
