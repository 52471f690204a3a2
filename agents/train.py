"""A run from its first step to its last: sample, learn, log, checkpoint, evaluate."""

import json
import logging
import os
import platform
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import ray
import torch
from ray.exceptions import RayError, RayTaskError

from agents.checkpoint import (
    checkpoint_name,
    finished_checkpoints,
    load_state,
    remove_leftovers,
    remove_old_checkpoints,
    write_checkpoint,
    write_durably,
)
from agents.engine.algorithm import FAULTS_COUNT_ENV_STEPS, ColumnarAlgorithm
from agents.engine.config import build_network, rllib_config
from agents.evaluate import Evaluation, chosen_checkpoint, evaluate, load_network, read_best, record, write_mp4
from agents.experiment import Experiment, InvalidExperiment, check_disk, check_new_folder, require
from agents.interfaces import EnvironmentFailure
from agents.metrics import (
    EVALUATION_RETURN_MEAN,
    Display,
    RunLog,
    display,
    episode_metrics,
    memory_metrics,
    speed_metrics,
)

REPOSITORY = Path(__file__).parents[1]
VIDEO_STEPS = 1_500
MOST_RECOVERIES = 3
PACKAGES = ("praxis-rl", "ray", "torch", "gymnasium", "ale-py", "numpy")


def train(experiment: Experiment) -> Path:
    """Trains from the beginning, in a new run folder, which it returns.

    Raises InvalidExperiment before anything is started or written."""
    experiment.validate()
    run_dir = Path(experiment.run_dir or default_run_dir(experiment))
    check_new_folder(run_dir, experiment.checkpoint_bytes())
    start_ray(experiment)
    run_dir.mkdir(parents=True, exist_ok=True)
    run(Keeper(replace(experiment, run_dir=str(run_dir)), run_dir, saved_at=-1), checkpoint=None)
    return run_dir


def resume(experiment: Experiment, run_dir: Path) -> Path:
    """Goes on from the newest checkpoint of a run, as if it had not stopped.

    Raises InvalidExperiment if there is none, or none that can be read."""
    checkpoint = chosen_checkpoint(run_dir, "latest")
    experiment.validate()
    remove_leftovers(run_dir / "checkpoints")
    already = sum(file.stat().st_size for file in checkpoint.rglob("*") if file.is_file())
    check_disk(run_dir, max(0, experiment.checkpoint_bytes() - already))
    load_network(experiment, checkpoint)  # so that a checkpoint that does not fit is told of now
    done = load_state(checkpoint)["env_steps"]
    require(
        done < experiment.total_env_steps,
        f"{run_dir} has all its {done:,} env steps; to go on, raise --total-env-steps.",
    )
    keeper = Keeper(replace(experiment, run_dir=str(run_dir)), run_dir, saved_at=done)
    start_ray(experiment)
    run(keeper, checkpoint)
    return run_dir


def run(keeper: "Keeper", checkpoint: Path | None) -> None:
    experiment, run_dir = keeper.experiment, keeper.run_dir
    algorithm = built(experiment, checkpoint)
    write_durably(run_dir / "experiment.json", json.dumps(described(experiment), indent=2).encode())
    network = build_network(experiment)
    log = RunLog(run_dir, algorithm.env_steps)
    log.experiment(experiment.to_json())
    screen = display(f"{experiment.env.name} with {experiment.algo.name} -> {run_dir}", experiment.total_env_steps)
    screen.say(f"tensorboard --logdir {run_dir.parent}")
    too_many_faults = ""
    with stop_requests() as stop_requested:
        try:
            while True:
                try:
                    while algorithm.env_steps < experiment.total_env_steps and not stop_requested():
                        advance(keeper, algorithm, network, log, screen)
                        too_many_faults = tell_faults(algorithm, experiment.most_environment_faults, screen)
                        if too_many_faults:
                            break
                    if keeper.saved_at != algorithm.env_steps:
                        keeper.save(algorithm)
                    break
                except EnvironmentFailure:
                    if keeper.saved_at != algorithm.env_steps:
                        keeper.save(algorithm)
                    raise
                except RayError as death:
                    algorithm = keeper.recovered(algorithm, death, screen)
                    log.close()
                    log = RunLog(run_dir, algorithm.env_steps)
        finally:
            screen.close()
            log.close()
            algorithm.stop()
            ray.shutdown()
    if too_many_faults:
        raise EnvironmentFailure(f"{too_many_faults} Saved at {algorithm.env_steps:,} env steps.")
    if algorithm.env_steps >= experiment.total_env_steps:
        print(f"Done: {run_dir}. Next: python scripts/evaluate_agent.py {run_dir}")
    else:
        print(f"Stopped and saved at {algorithm.env_steps:,} env steps. Go on with:")
        print(f"  python scripts/train_agent.py --resume {run_dir}")


def built(experiment: Experiment, checkpoint: Path | None) -> ColumnarAlgorithm:
    """RLlib's Algorithm, at the beginning or where the checkpoint was.

    Raises InvalidExperiment for a checkpoint that does not fit; Ray is then stopped."""
    algorithm = cast(ColumnarAlgorithm, rllib_config(experiment).build_algo())
    if checkpoint is not None:
        try:
            algorithm.load_checkpoint(str(checkpoint))
        except ValueError as misfit:
            algorithm.stop()
            ray.shutdown()
            raise InvalidExperiment(str(getattr(misfit, "cause", misfit))) from misfit
    return algorithm


def advance(keeper: "Keeper", algorithm: ColumnarAlgorithm, network: Any, log: RunLog, screen: Display) -> None:
    """One iteration, and the evaluation or checkpoint that is due with it."""
    experiment = keeper.experiment
    before, started = algorithm.env_steps, time.perf_counter()
    algorithm.seconds.clear()
    algorithm.train()
    done = algorithm.env_steps
    metrics = iteration_metrics(algorithm, done - before, time.perf_counter() - started)
    log.scalars(done, metrics)
    screen.show(done, metrics)
    evaluate_every, last = experiment.evaluate_every_env_steps, done >= experiment.total_env_steps
    if evaluate_every and (done >= evaluation_after(before, evaluate_every) or last):
        network.set_state(algorithm.network_state())
        keeper.evaluate(algorithm, network, log, screen)
    elif done >= multiple_after(before, experiment.checkpoint_every_env_steps):
        keeper.save(algorithm)


def tell_faults(algorithm: ColumnarAlgorithm, most: int, screen: Display) -> str:
    """Tells of environments that failed; returns why the run should stop, if it should."""
    if not algorithm.faults:
        return ""
    count, reason = len(algorithm.faults), algorithm.faults[-1]
    algorithm.faults.clear()
    screen.say(f"{count} environment(s) failed and were built again; the last one: {reason}")
    recently = algorithm.recent_faults()
    if recently <= most:
        return ""
    return (
        f"{recently} environments failed within {FAULTS_COUNT_ENV_STEPS:,} env steps, more than the {most} of "
        f"--most-environment-faults; the last one: {reason}."
    )


class Keeper:
    """Writes what a run leaves behind: checkpoints, evaluations, videos."""

    def __init__(self, experiment: Experiment, run_dir: Path, saved_at: int) -> None:
        self.experiment, self.run_dir, self.saved_at = experiment, run_dir, saved_at
        self.recoveries = 0
        """Since the last checkpoint."""
        self.best = read_best(run_dir)

    def save(self, algorithm: ColumnarAlgorithm) -> Path:
        folder = self.run_dir / "checkpoints"
        path = write_checkpoint(folder, checkpoint_name(algorithm.env_steps), algorithm.save_checkpoint)
        self.saved_at, algorithm.last_checkpoint = algorithm.env_steps, path.absolute()
        self.recoveries = 0
        # By the name on the disk: until it says otherwise, the best is the one that it was.
        remove_old_checkpoints(folder, self.experiment.keep_checkpoints, read_best(self.run_dir)["checkpoint"])
        return path

    def recovered(self, algorithm: ColumnarAlgorithm, death: RayError, screen: Display) -> ColumnarAlgorithm:
        """The run as it was at its newest checkpoint, or at its beginning, after a process of it has died.

        Raises what ended it where that was no death, ConnectionError where it dies again and again."""
        with suppress(Exception):  # parts of it are dead
            algorithm.stop()
        while True:
            cause = getattr(death, "cause", None) or death
            # A learner that outlives another one has a RuntimeError of its own: nobody answers it.
            if isinstance(death, RayTaskError) and not isinstance(cause, RuntimeError | RayError):
                raise death
            reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
            if self.recoveries == MOST_RECOVERIES:
                raise ConnectionError(
                    f"Processes died {MOST_RECOVERIES + 1} times since the last checkpoint; the last time: {reason}"
                ) from death
            self.recoveries += 1
            remove_leftovers(self.run_dir / "checkpoints")
            newest = next(iter(finished_checkpoints(self.run_dir / "checkpoints")), None)
            screen.say(f"a process died ({reason}); going on from {newest.name if newest else 'the beginning'}")
            try:
                algorithm = built(self.experiment, newest)
            except RayError as another:
                death = another
                continue
            self.saved_at = algorithm.env_steps if newest else -1
            return algorithm

    def evaluate(self, algorithm: ColumnarAlgorithm, network: Any, log: RunLog, screen: Any) -> None:
        """A checkpoint with its evaluation and video; none of it touches the training's randomness."""
        env_steps, experiment = algorithm.env_steps, self.experiment
        name = checkpoint_name(env_steps)
        self.save(algorithm)
        try:
            result = evaluate(
                experiment,
                network,
                episodes=experiment.evaluation_episodes,
                seed=experiment.seed + 10_000,
                deterministic=False,
                checkpoint=name,
            )
        except EnvironmentFailure as failure:
            screen.say(f"no evaluation at {env_steps:,} env steps: {failure}")
            return
        if result.mean > self.best["mean"]:
            self.best = {"checkpoint": name, "mean": result.mean}
            write_durably(self.run_dir / "best.json", json.dumps(self.best).encode())
        log.scalars(env_steps, evaluation_metrics(result))
        low, high = result.ci95
        success = "" if result.success_rate is None else f", success {result.success_rate:.0%}"
        film = self.film(name, network, env_steps, log)
        screen.say(
            f"evaluation at {env_steps:,} env steps: mean return {result.mean:.1f} "
            f"[{low:.1f}, {high:.1f}] in {result.episodes} episodes{success}; {film}"
        )

    def film(self, name: str, network: Any, env_steps: int, log: RunLog) -> str:
        """A video of one episode; where it is, or why there is none: an environment may fail in any way."""
        experiment, video = self.experiment, self.run_dir / "videos" / f"{name}.mp4"
        try:
            frames, rate, _ = record(
                experiment, network, seed=experiment.seed, deterministic=False, most_steps=VIDEO_STEPS
            )
        except Exception as failure:
            return f"no video, because its environment failed: {type(failure).__name__}: {failure}"
        write_mp4(video, frames, rate)
        log.video(env_steps, frames, rate)
        return f"video {video}"


def evaluation_metrics(result: Evaluation) -> dict[str, float]:
    success = {} if result.success_rate is None else {"success_rate": result.success_rate}
    returns = {
        EVALUATION_RETURN_MEAN: result.mean,
        "evaluation/return_median": result.median,
        "evaluation/return_iqm": result.iqm,
        "evaluation/return_min": min(result.returns),
        "evaluation/return_max": max(result.returns),
        "evaluation/length_mean": sum(result.lengths) / len(result.lengths),
    }
    return returns | {f"evaluation/{name}": value for name, value in (success | result.metrics).items()}


def iteration_metrics(algorithm: ColumnarAlgorithm, env_steps: int, seconds: float) -> dict[str, float]:
    return (
        episode_metrics(algorithm.recent_returns, algorithm.recent_lengths)
        | {"episode/count": float(algorithm.episodes), "episode/environment_faults": float(algorithm.faults_in_all)}
        | speed_metrics(env_steps, seconds, algorithm.seconds)
        | {f"learner/{name}": value for name, value in algorithm.learner_metrics.items()}
        | memory_metrics()
    )


def evaluation_after(env_steps: int, every: int) -> int:
    """At a tenth of the interval, so that a newcomer sees something happen, then at its multiples, resumed or not."""
    first = max(1, every // 10)
    return first if env_steps < first else multiple_after(env_steps, max(1, every))


def multiple_after(env_steps: int, every: int) -> int:
    """The next multiple of an interval: the same for a run that was resumed in between."""
    return every * (env_steps // every + 1)


@contextmanager
def stop_requests() -> Iterator[Any]:
    """Ctrl-C and SIGTERM ask for an orderly end; a second Ctrl-C ends at once."""
    asked = False

    def ask(signum: int, frame: Any) -> None:
        nonlocal asked
        asked = True
        print("\nStopping after this update; saving. Once more ends at once.", flush=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def start_ray(experiment: Experiment) -> None:
    """Joins the cluster, or starts Ray here.

    Raises InvalidExperiment where no cluster answers, ConnectionError where Ray does not start here."""
    if ray.is_initialized():
        return
    if address := experiment.address or os.environ.get("RAY_ADDRESS", ""):
        try:
            with warnings.catch_warnings(action="ignore"):  # the error below says it in one line
                ray.init(
                    address=address,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    runtime_env={"working_dir": str(REPOSITORY), "excludes": [".git", ".venv", "runs"]},
                )
        except (ConnectionError, ValueError) as silence:
            raise InvalidExperiment(f"No Ray cluster answers at {address}.") from silence
        return
    # Ray would have its workers yield to every other program: runners would starve beside a busy learner.
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        ray.init(
            address="local",
            # Actors import what this process can import, wherever it was started from.
            runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}},
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            # Processes may outnumber cores: they wait for each other most of the time.
            num_cpus=max(os.cpu_count() or 1, experiment.num_env_runners + experiment.num_learners + 1),
            num_gpus=torch.cuda.device_count(),
        )
    except Exception as failure:  # a busy machine's timeout is an Exception of no kind
        raise ConnectionError(f"Ray did not start on this machine: {str(failure).splitlines()[0]}") from failure


def default_run_dir(experiment: Experiment) -> str:
    return f"runs/{experiment.env.name}-{experiment.algo.name}-{time.strftime('%Y%m%d-%H%M%S')}"


def described(experiment: Experiment) -> dict[str, Any]:
    """The experiment with what is needed to run it again: commit, versions, machine."""
    return {
        "experiment": experiment.to_json(),
        "git_commit": git_commit(),
        "packages": {name: installed_version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.cuda.device_count()} GPUs",
    }


def git_commit() -> str:
    command = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def installed_version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
