"""Evaluates in a process of its own, while training goes on."""

from typing import Any

import ray
import torch
from numpy.typing import NDArray
from ray.exceptions import RayError

from agents.cluster import evaluator_bundle
from agents.engine.config import build_network
from agents.evaluate import Judgement, judge
from agents.experiment import Experiment


class Player:
    """In that process: a network that gets the weights of one checkpoint after another."""

    def __init__(self, experiment: Experiment) -> None:
        torch.set_num_threads(max(1, round(evaluator_bundle(experiment).cpus)))
        self.experiment, self.network = experiment, build_network(experiment)

    def judge(self, weights: dict[str, NDArray], env_steps: int, checkpoint: str) -> Judgement:
        self.network.set_state(weights)
        return judge(self.experiment, self.network, env_steps, checkpoint)


class Evaluator:
    """From the training's side: starts that process when it is first needed, and again when it has died."""

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
            self.ready = self.player.__ray_ready__.remote()
        self.checkpoint = checkpoint
        self.under_way = self.player.judge.remote(weights, env_steps, checkpoint)

    def take(self, wait: bool) -> Judgement | None:
        """The evaluation that is under way, once it is made, or None.

        Raises ConnectionError where its process died, or found no room on any machine."""
        if self.under_way is None or not (wait or ray.wait([self.under_way], timeout=0)[0]):
            return None
        try:
            ray.get(self.ready, timeout=self.experiment.resources.patience_seconds)
            judgement = ray.get(self.under_way)
        except RayError as death:
            ray.kill(self.player)
            self.player = None
            raise ConnectionError(f"{type(death).__name__}") from death
        finally:
            self.under_way, self.checkpoint = None, ""
        return judgement
