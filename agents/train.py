"""A run from its first step to its last: sample, learn, log, checkpoint, evaluate."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from ray.exceptions import RayError, RayTaskError

from agents.checkpoint import finished_checkpoints, load_state, remove_leftovers
from agents.cluster import ray_running, settled, with_room
from agents.engine.algorithm import FAULTS_COUNT_ENV_STEPS, ColumnarAlgorithm
from agents.engine.config import rllib_config
from agents.evaluate import chosen_checkpoint, load_network
from agents.experiment import Experiment, InvalidExperiment, check_disk, check_new_folder, first_line, require
from agents.interfaces import EnvironmentFailure
from agents.metrics import Display, episode_metrics, memory_metrics, speed_metrics
from agents.run_folder import (
    Report,
    RunFolder,
    default_run_dir,
    evaluation_is_due,
    multiple_after,
    to_nobody,
)

MOST_RECOVERIES = 3


def train(experiment: Experiment, report: Report = to_nobody) -> Path:
    """Trains from the beginning, in a new run folder, which it returns.

    Raises InvalidExperiment before anything is started or written."""
    experiment.validate()
    path = Path(experiment.run_dir or default_run_dir(experiment))
    check_new_folder(path, experiment.checkpoint_bytes())
    if experiment.begin_from:
        load_network(experiment, chosen_checkpoint(Path(experiment.begin_from), "latest"))  # as in `resume`
    with ray_running(experiment):
        run(RunFolder(experiment, path, saved_at=-1, report=report), checkpoint=None)
    return path


def resume(experiment: Experiment, path: Path, report: Report = to_nobody) -> Path:
    """Goes on from the newest checkpoint of a run, as if it had not stopped; from the beginning if it had none yet.

    Raises InvalidExperiment if it cannot be read."""
    require(not (path / "sweep.json").exists(), f"{path} is a sweep: python scripts/tune_agent.py --resume {path}")
    experiment.validate()
    if not finished_checkpoints(path / "checkpoints"):
        check_disk(path, experiment.checkpoint_bytes())
        with ray_running(experiment):
            run(RunFolder(experiment, path, saved_at=-1, report=report), checkpoint=None)
        return path
    checkpoint = chosen_checkpoint(path, "latest")
    remove_leftovers(path / "checkpoints")
    already = sum(file.stat().st_size for file in checkpoint.rglob("*") if file.is_file())
    check_disk(path, max(0, experiment.checkpoint_bytes() - already))
    load_network(experiment, checkpoint)  # so that a checkpoint that does not fit is told of now
    done = load_state(checkpoint)["env_steps"]
    folder = RunFolder(experiment, path, saved_at=done, report=report)
    if done >= experiment.total_env_steps and not folder.lacks_evaluation(done):
        # No mistake: who resumes until a run has ended must see that it has.
        print(f"{path} has all its {done:,} env steps; to go on, raise --total-env-steps.")
        return path
    with ray_running(experiment):
        run(folder, checkpoint)
    return path


def is_complete(experiment: Experiment, path: Path) -> bool:
    """Whether a run has all its env steps and its last evaluation."""
    finished = finished_checkpoints(path / "checkpoints")
    if not finished:
        return False
    done = load_state(finished[0])["env_steps"]
    folder = RunFolder(experiment, path, saved_at=done, report=to_nobody)
    return done >= experiment.total_env_steps and not folder.lacks_evaluation(done)


def run(folder: RunFolder, checkpoint: Path | None) -> None:
    experiment = settled(folder.experiment)
    algorithm = built(experiment, checkpoint)
    missed = checkpoint is not None and folder.lacks_evaluation(algorithm.env_steps)
    folder.open(algorithm.env_steps)
    too_many_faults = ""
    with stop_requests(tell_of_the_end) as stop_requested:
        try:
            while True:
                try:
                    if missed:
                        missed = False
                        folder.evaluate(algorithm, stop_requested)
                    while algorithm.env_steps < experiment.total_env_steps and not stop_requested():
                        advance(folder, algorithm, stop_requested)
                        too_many_faults = tell_faults(algorithm, experiment.most_environment_faults, folder.screen)
                        if too_many_faults:
                            break
                    folder.save_if_new(algorithm)
                    folder.await_evaluation(stop_requested)
                    break
                except (EnvironmentFailure, ConnectionError):
                    folder.save_if_new(algorithm)
                    raise
                except RayError as death:
                    algorithm = recovered(folder, experiment, algorithm, death)
        finally:
            folder.close()
            algorithm.stop()
    if too_many_faults:
        raise EnvironmentFailure(f"{too_many_faults} Saved at {algorithm.env_steps:,} env steps.")
    if algorithm.env_steps >= experiment.total_env_steps:
        print(f"Done: {folder.path}. Next: python scripts/evaluate_agent.py {folder.path}")
    else:
        print(f"Stopped and saved at {algorithm.env_steps:,} env steps. Go on with:")
        print(f"  python scripts/train_agent.py --resume {folder.path}")


def built(experiment: Experiment, checkpoint: Path | None) -> ColumnarAlgorithm:
    """RLlib's Algorithm, at the beginning or where the checkpoint was.

    Raises InvalidExperiment for a checkpoint that does not fit, ConnectionError where no env runner starts."""
    try:
        algorithm = cast(ColumnarAlgorithm, rllib_config(experiment).build_algo())
    except IndexError as nobody:  # RLlib takes the first runner's answer
        raise ConnectionError("No env runner could be started; the logs of Ray's workers say why.") from nobody
    if checkpoint is None and experiment.begin_from:
        network = load_network(experiment, chosen_checkpoint(Path(experiment.begin_from), "latest"))
        algorithm.begin_with(network.get_state())
    if checkpoint is not None:
        try:
            algorithm.load_checkpoint(str(checkpoint))
        except ValueError as misfit:
            algorithm.stop()
            raise InvalidExperiment(str(getattr(misfit, "cause", misfit))) from misfit
    return algorithm


def recovered(
    folder: RunFolder, experiment: Experiment, algorithm: ColumnarAlgorithm, death: RayError
) -> ColumnarAlgorithm:
    """The run as it was at its newest checkpoint, or at its beginning, after a process of it has died.

    Raises what ended it where that was no death, ConnectionError where it dies again and again, or where the machines
    that are left have no room for it."""
    with suppress(Exception):  # parts of it are dead
        algorithm.stop()
    while True:
        cause = getattr(death, "cause", None) or death
        # A learner that outlives another one has a RuntimeError of its own: nobody answers it.
        if isinstance(death, RayTaskError) and not isinstance(cause, RuntimeError | RayError):
            raise death
        reason = first_line(cause)
        if folder.recoveries == MOST_RECOVERIES:
            raise ConnectionError(
                f"Processes died {MOST_RECOVERIES + 1} times since the last checkpoint; the last time: {reason}"
            ) from death
        folder.recoveries += 1
        newest = folder.newest_checkpoint()
        folder.screen.say(f"a process died ({reason}); going on from {newest.name if newest else 'the beginning'}")
        smaller = with_room(experiment)
        if smaller != experiment:
            folder.screen.say(f"machines are missing; going on with {smaller.num_env_runners} env runner(s)")
        try:
            algorithm = built(smaller, newest)
        except RayError as another:
            death = another
            continue
        folder.saved_at = algorithm.env_steps if newest else -1
        folder.go_back(algorithm.env_steps)
        return algorithm


def advance(folder: RunFolder, algorithm: ColumnarAlgorithm, stop: Callable[[], bool]) -> None:
    """One iteration, and the evaluation or checkpoint that is due with it."""
    experiment = folder.experiment
    before, started = algorithm.env_steps, time.perf_counter()
    algorithm.seconds.clear()
    algorithm.train()
    done = algorithm.env_steps
    folder.iteration(done, iteration_metrics(algorithm, done - before, time.perf_counter() - started))
    folder.tell_evaluation(give_up=at_once)
    if evaluation_is_due(experiment, before, done):
        folder.evaluate(algorithm, stop)
    elif done >= multiple_after(before, experiment.checkpoint_every_env_steps):
        folder.save(algorithm)


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


def iteration_metrics(algorithm: ColumnarAlgorithm, env_steps: int, seconds: float) -> dict[str, float]:
    return (
        episode_metrics(*algorithm.recent_episodes.returns_and_lengths())
        | {"episode/count": float(algorithm.episodes), "episode/environment_faults": float(algorithm.faults_in_all)}
        | speed_metrics(env_steps, seconds, algorithm.seconds)
        | {f"learner/{name}": value for name, value in algorithm.learner_metrics.items()}
        | memory_metrics()
    )


def at_once() -> bool:
    return True


def tell_of_the_end() -> None:
    print("\nStopping after this update; saving. Once more ends at once.", flush=True)


@contextmanager
def stop_requests(told: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM ask for an orderly end, which `told` is called with; a second one ends at once.

    Python lets only the main thread hear signals."""
    asked = False
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def ask(signum: int, frame: Any) -> None:
        nonlocal asked
        asked = True
        told()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
