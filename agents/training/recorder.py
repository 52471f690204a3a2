"""What a run leaves behind: experiment.json, logs, checkpoints, evaluations, films."""

import os
import shlex
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.checkpoint import (
    checkpoint_name,
    finished_checkpoints,
    read_best,
    remove_leftovers,
    remove_old_checkpoints,
    write_checkpoint,
)
from agents.engine.algorithm import ColumnarAlgorithm
from agents.engine.config import build_network
from agents.evaluation.beside import Evaluator
from agents.evaluation.evaluate import Evaluation, Stopped
from agents.evaluation.judge import Judgment, judge
from agents.experiment import Experiment, require
from agents.monitoring.contention import Contention
from agents.monitoring.metrics import EVALUATION_RETURN_MEAN, RunLog, display, read_progress
from common.files import write_durably, write_json
from common.provenance import made_by

Report = Callable[[int, dict[str, float], Path], None]
"""Told of each evaluation: its env step, its metrics, its checkpoint."""


def to_nobody(env_steps: int, metrics: dict[str, float], checkpoint: Path) -> None:
    """The report that nobody reads."""


class RunFolder:
    """The folder of a run that is under way."""

    def __init__(self, experiment: Experiment, path: Path, saved_at: int, report: Report) -> None:
        self.experiment = replace(experiment, run_dir=str(path))
        self.named = path
        """As it was named to the user."""
        self.path = path.absolute()
        """An environment may change to another working directory."""
        self.saved_at = saved_at
        self.report = report
        self.checkpoints = self.path / "checkpoints"
        self.recoveries = 0
        """Since the last checkpoint."""
        self.best = read_best(path)
        self.evaluator = Evaluator(experiment)

    def open(self, env_steps: int) -> None:
        """Begins to write, after so many env steps."""
        write_json(self.path / "experiment.json", described(self.experiment))
        self.network = build_network(self.experiment)
        self.log = RunLog(self.path, env_steps)
        self.log.experiment(self.experiment.to_json())
        title = f"{self.experiment.env.name} with {self.experiment.algo.name} -> {self.named}"
        total = last_env_step(self.experiment, env_steps)
        asked = self.experiment.total_env_steps
        self.screen = display(title, total)
        self.contention = Contention()
        if total != asked:
            update = env_steps_an_update(self.experiment)
            self.screen.say(
                f"{total:,} env steps: {asked:,} rounded up to whole updates of {update:,}"
            )
        self.screen.say(f"tensorboard --logdir {shlex.quote(str(self.named.parent))}")

    def say_replay_losses(self, algorithm: ColumnarAlgorithm) -> None:
        """Says what of the checkpoint that the algorithm goes on from could not be read."""
        for line in algorithm.replay_losses:
            self.screen.say(line)

    def close(self) -> None:
        self.screen.close()
        self.log.close()

    def go_back(self, env_steps: int) -> None:
        """What was logged after so many env steps did not happen."""
        self.log.close()
        self.log = RunLog(self.path, env_steps)

    def iteration(self, env_steps: int, metrics: dict[str, float]) -> None:
        """Logs and shows an iteration's metrics; warns once where other programs hold the cores."""
        self.log.scalars(env_steps, metrics)
        self.screen.show(env_steps, metrics)
        if warning := self.contention.warning():
            self.screen.say(warning)

    def newest_checkpoint(self) -> Path | None:
        """The newest complete one; what a death left half done is cleared away."""
        remove_leftovers(self.checkpoints)
        return next(iter(finished_checkpoints(self.checkpoints)), None)

    def save(self, algorithm: ColumnarAlgorithm) -> Path:
        """Saves a checkpoint and returns its folder. Older ones go, but for those that are to be
        kept: the latest, the best, and the one whose evaluation is under way."""
        path = write_checkpoint(
            self.checkpoints, checkpoint_name(algorithm.env_steps), algorithm.save_checkpoint
        )
        self.saved_at = algorithm.env_steps
        algorithm.last_checkpoint = path.absolute()
        self.recoveries = 0
        # By the name on the disk: until it says otherwise, the best is the one that it was.
        spared = (read_best(self.path)["checkpoint"], self.evaluator.checkpoint)
        remove_old_checkpoints(self.checkpoints, self.experiment.keep_checkpoints, spared)
        return path

    def save_if_new(self, algorithm: ColumnarAlgorithm) -> None:
        """Saves a checkpoint unless the latest one is of the same env steps."""
        if self.saved_at != algorithm.env_steps:
            self.save(algorithm)

    def lacks_evaluation(self, env_steps: int) -> bool:
        """Whether one was due with the newest checkpoint, after so many env steps, but a kill or a
        stop came first."""
        experiment = self.experiment
        lines = read_progress(self.path / "progress.jsonl")
        steps = sorted({line["env_steps"] for line in lines if line["env_steps"] < env_steps})
        due = evaluation_is_due(experiment, steps[-1] if steps else 0, env_steps)
        return due and not any(
            EVALUATION_RETURN_MEAN in line for line in lines if line["env_steps"] == env_steps
        )

    def evaluate(self, algorithm: ColumnarAlgorithm, stop: Callable[[], bool]) -> None:
        """A checkpoint with its evaluation and film; none of it touches the training's
        randomness."""
        self.save_if_new(algorithm)
        env_steps = algorithm.env_steps
        checkpoint = checkpoint_name(algorithm.env_steps)
        if self.experiment.evaluate_beside:
            self.await_evaluation(stop)  # one at a time
            if stop():
                return
            self.evaluator.start(algorithm.network_state(), env_steps, checkpoint)
            return
        self.network.set_state(algorithm.network_state())
        with suppress(Stopped):
            # The display ends before anything else is said.
            parts = self.experiment.evaluation_episodes + 1  # the last one is the film
            with self.screen.progress(
                f"evaluating {parts - 1} episodes and filming one", parts
            ) as advance:
                judgment = judge(
                    self.experiment, self.network, env_steps, checkpoint, stop, advance
                )
            self.tell(judgment)

    def await_evaluation(self, stop: Callable[[], bool]) -> None:
        """Waits for the evaluation that is made beside the training, if there is one, and tells of
        it."""
        with self.screen.progress("waiting for the evaluation beside"):
            self.tell_evaluation(give_up=stop)

    def tell_evaluation(self, give_up: Callable[[], bool]) -> None:
        """Of the one that is made beside the training, once it is ready, or not if `give_up()` says
        so before."""
        try:
            judgment = self.evaluator.take(give_up)
        except ConnectionError as death:
            self.screen.say(f"an evaluation is lost: {death}")
            return
        if judgment is not None:
            self.tell(judgment)

    def tell(self, judgment: Judgment) -> None:
        """To the log, to the screen, and to who asked for reports."""
        env_steps = judgment.env_steps
        result = judgment.evaluation
        if result is None:
            self.screen.say(f"no evaluation at {env_steps:,} env steps: {judgment.no_evaluation}")
            return
        if result.mean > self.best["mean"]:
            self.best = {"checkpoint": judgment.checkpoint, "mean": result.mean}
            write_json(self.path / "best.json", self.best, indent=None)
        metrics = evaluation_metrics(result)
        self.log.scalars(env_steps, metrics)
        low, high = result.ci95
        success = "" if result.success_rate is None else f", success {result.success_rate:.0%}"
        self.screen.say(
            f"evaluation at {env_steps:,} env steps: mean return {result.mean:.1f} "
            f"[{low:.1f}, {high:.1f}] in {result.episodes} episodes{success}; "
            f"{self.film(judgment)}"
        )
        self.report(env_steps, metrics, self.checkpoints / judgment.checkpoint)

    def film(self, judgment: Judgment) -> str:
        """Writes the film, if there is one; where it is, or why there is none."""
        if judgment.film is None:
            return f"no video: {judgment.no_film}"
        video = Path("videos") / f"{judgment.checkpoint}.webm"
        path = self.path / video
        try:
            path.parent.mkdir(exist_ok=True)
            write_durably(path, judgment.film.video)
        except OSError as failure:  # the training goes on without it
            return f"no video: {failure}"
        self.log.gif(judgment.env_steps, judgment.film.gif)
        return f"video {self.named / video}"


def evaluation_is_due(experiment: Experiment, before: int, done: int) -> bool:
    """Whether between these env steps one is: at a tenth of the interval, so that a newcomer sees
    something happen, at its multiples, resumed or not, and at the end."""
    every = experiment.evaluate_every_env_steps
    if not every:
        return False
    first = max(1, every // 10)
    due = first if before < first else multiple_after(before, every)
    return done >= due or done >= experiment.total_env_steps


def env_steps_an_update(experiment: Experiment) -> int:
    """Env steps that all environments take together between two updates."""
    return experiment.num_envs * experiment.algo.rollout_length


def last_env_step(experiment: Experiment, env_steps: int) -> int:
    """Where a run that stands at `env_steps` ends: after the update that reaches
    `total_env_steps`."""
    update = env_steps_an_update(experiment)
    missing = max(0, experiment.total_env_steps - env_steps)
    return env_steps + update * -(-missing // update)


def multiple_after(env_steps: int, every: int) -> int:
    """The next multiple of an interval: the same for a run that was resumed in between."""
    return every * (env_steps // every + 1)


def evaluation_metrics(result: Evaluation) -> dict[str, float]:
    """An evaluation's metrics by their names in the log."""
    success = {} if result.success_rate is None else {"success_rate": result.success_rate}
    returns = {
        EVALUATION_RETURN_MEAN: result.mean,
        "evaluation/return_median": result.median,
        "evaluation/return_iqm": result.iqm,
        "evaluation/return_min": min(result.returns),
        "evaluation/return_max": max(result.returns),
        "evaluation/length_mean": sum(result.lengths) / len(result.lengths),
    }
    own = {f"evaluation/{name}": value for name, value in success.items()} | returns
    for name, value in result.metrics.items():
        key = f"evaluation/{name.replace('/', '_')}"
        # A measure of the environment's does not take the place of one that is ours.
        own[f"{key}_of_environment" if key in own else key] = value
    return own


def check_run_folder(path: Path) -> None:
    """Raises InvalidExperiment where a run's folder holds a file in a folder's place, or a folder
    in a file's."""
    for name in ("checkpoints", "videos"):
        place = path / name
        require(
            place.is_dir() or not os.path.lexists(place),
            f"{place} is in the way: it is not a folder.",
        )
    for name in ("progress.jsonl", "best.json"):
        place = path / name
        require(
            place.is_file() or not os.path.lexists(place),
            f"{place} is in the way: it is not a file.",
        )


def default_run_dir(experiment: Experiment) -> str:
    """The folder of a run whose user chose none: runs/<env>-<algo>-<local time>."""
    return f"runs/{experiment.env.name}-{experiment.algo.name}-{time.strftime('%Y%m%d-%H%M%S')}"


def described(experiment: Experiment) -> dict[str, Any]:
    """The experiment with what is needed to run it again."""
    return {"experiment": experiment.to_json(), **made_by()}
