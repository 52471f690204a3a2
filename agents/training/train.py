"""A run from its first step to its last: sample, learn, log, checkpoint, evaluate."""

import time
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

from ray.exceptions import RayError

from agents.checkpoint import (
    env_steps_of,
    finished_checkpoints,
    incomplete_checkpoints,
    remove_leftovers,
)
from agents.engine.algorithm import FAULTS_COUNT_ENV_STEPS, ColumnarAlgorithm, read_run_state
from agents.engine.env_runner import check_environment
from agents.engine.network_memory import require_network_memory
from agents.evaluation.evaluate import load_chosen, load_network
from agents.experiment import Experiment, InvalidExperiment, first_line, next_command, require
from agents.interfaces import EnvironmentFailure
from agents.monitoring.metrics import episode_metrics, memory_metrics, speed_metrics
from agents.monitoring.progress import to_stderr
from agents.processes.cluster import ray_running, settled
from agents.processes.ray_output import without_ray_lines
from agents.processes.signals import stop_requests
from agents.training.folders import check_disk, check_new_folder, new_folder, owned
from agents.training.origin import check_origins
from agents.training.recorder import (
    Report,
    RunFolder,
    check_run_folder,
    default_run_dir,
    evaluation_is_due,
    multiple_after,
    to_nobody,
)
from agents.training.recovery import built, recovered


@without_ray_lines()
def train(experiment: Experiment, report: Report = to_nobody) -> Path:
    """Trains from the beginning, in a new run folder, which it returns.

    Raises InvalidExperiment before anything is started or written."""
    require_network_memory(experiment, experiment.validate())
    check_first_reset(experiment)
    notes = check_origins(experiment)
    default = default_run_dir(experiment)
    if experiment.run_dir:
        check_new_folder(Path(experiment.run_dir), experiment.checkpoint_bytes())
    else:
        check_disk(Path(default).parent, experiment.checkpoint_bytes())
    if experiment.begin_from:
        load_chosen(experiment, Path(experiment.begin_from), "latest")  # as in `resume`
    for note in notes:
        print(note)
    with (
        stop_requests(tell_of_the_end) as stop_requested,
        new_folder(experiment.run_dir, default) as path,
        ray_running(experiment),
    ):
        run(RunFolder(experiment, path, saved_at=-1, report=report), None, stop_requested)
    return path


def check_first_reset(experiment: Experiment) -> None:
    """Raises InvalidExperiment where the environment's first reset shows that it cannot be
    sampled."""
    try:
        with chdir("."):  # where the environment changes to another folder, this is left
            check_environment(experiment.env)
    except ValueError as mistake:
        raise InvalidExperiment(
            f"{experiment.env.name} cannot be trained on: {first_line(mistake)}"
        ) from mistake


@without_ray_lines()
def resume(experiment: Experiment, path: Path, report: Report = to_nobody) -> Path:
    """Goes on from the newest checkpoint of a run, as if it had not stopped; from the beginning if
    it had none yet.

    Raises InvalidExperiment if it cannot be read, or if another process runs it."""
    require(
        not (path / "sweep.json").exists(),
        f"{path} is a sweep: {next_command('tune_agent.py', '--resume', path)}",
    )
    require_network_memory(experiment, experiment.validate())
    check_origins(experiment)
    with stop_requests(tell_of_the_end) as stop_requested, owned(path):
        check_run_folder(path)
        checkpoint = next(iter(finished_checkpoints(path / "checkpoints")), None)
        skipped = passed_over(path, checkpoint)
        remove_leftovers(path)
        remove_leftovers(path / "checkpoints")
        check_disk(path, max(0, experiment.checkpoint_bytes() - bytes_of(checkpoint)))
        done = -1
        if checkpoint is not None:
            load_network(
                experiment, checkpoint
            )  # so that a checkpoint that does not fit is told of now
            done = env_steps_done(checkpoint)
        require(
            done >= 0 or not (path / "best.json").exists(),
            f"{path} has evaluations, but no checkpoint to go on from; copy its checkpoints back, or "
            "begin a new run.",
        )
        folder = RunFolder(experiment, path, saved_at=done, report=report)
        if done >= experiment.total_env_steps and not folder.lacks_evaluation(done):
            # No mistake: who resumes until a run has ended must see that it has.
            print(f"{path} has all its {done:,} env steps; to go on, raise --total-env-steps.")
            return path
        for line in skipped:
            print(line, flush=True)
        with ray_running(experiment):
            run(folder, checkpoint, stop_requested)
    return path


def is_complete(experiment: Experiment, path: Path) -> bool:
    """Whether a run has all its env steps and its last evaluation."""
    finished = finished_checkpoints(path / "checkpoints")
    if not finished:
        return False
    done = env_steps_done(finished[0])
    folder = RunFolder(experiment, path, saved_at=done, report=to_nobody)
    return done >= experiment.total_env_steps and not folder.lacks_evaluation(done)


def env_steps_done(checkpoint: Path) -> int:
    """The env steps after which a checkpoint was saved. Raises InvalidExperiment where it cannot be
    read."""
    try:
        return read_run_state(checkpoint)["env_steps"]
    except ValueError as damage:
        raise InvalidExperiment(str(damage)) from damage


def passed_over(path: Path, checkpoint: Path | None) -> list[str]:
    """A line for each checkpoint that is newer than this one, but not complete.

    Raises InvalidExperiment where the run has checkpoints, but no complete one."""
    incomplete = incomplete_checkpoints(path / "checkpoints")
    names = ", ".join(folder.name for folder in incomplete)
    folders = sorted((path / "checkpoints").glob("step-*"))
    others = ", ".join(folder.name for folder in folders if folder not in incomplete)
    require(
        checkpoint is not None or not others,
        f"{path / 'checkpoints'} holds {others}, which no checkpoint is named; a name is step- and "
        "twelve digits.",
    )
    require(
        checkpoint is not None or not incomplete,
        f"{path} has no complete checkpoint: state.json is missing in {names}. Without "
        f"{path / 'checkpoints'} the run starts from the beginning.",
    )
    newer = [
        folder
        for folder in incomplete
        if checkpoint and env_steps_of(folder.name) > env_steps_of(checkpoint.name)
    ]
    return [f"{folder} is left out: its state.json is missing" for folder in newer]


def bytes_of(checkpoint: Path | None) -> int:
    """What a checkpoint holds on the disk; 0 for None."""
    files = checkpoint.rglob("*") if checkpoint else ()
    return sum(file.stat().st_size for file in files if file.is_file())


def run(folder: RunFolder, checkpoint: Path | None, stop_requested: Callable[[], bool]) -> None:
    """Trains from the checkpoint until the run has all its env steps or is asked to stop. Where a
    process dies, it goes on from the newest checkpoint."""
    if stop_requested():  # while Ray was started
        raise KeyboardInterrupt
    experiment = settled(folder.experiment)
    to_stderr(f"building {experiment.num_envs:,} environments")
    algorithm = built(experiment, checkpoint)
    evaluate_first = checkpoint is not None and folder.lacks_evaluation(algorithm.env_steps)
    folder.open(algorithm.env_steps)
    folder.say_replay_losses(algorithm)
    try:
        while True:
            try:
                train_to_the_end(folder, algorithm, stop_requested, evaluate_first)
                break
            except RayError as death:
                algorithm = recovered(folder, experiment, algorithm, death)
                evaluate_first = False
    finally:
        folder.close()
        algorithm.stop()
    if algorithm.env_steps >= experiment.total_env_steps:
        print(f"Done: {folder.named}. Next: {next_command('evaluate_agent.py', folder.named)}")
    else:
        print(f"Stopped and saved at {algorithm.env_steps:,} env steps. Go on with:")
        print(f"  {next_command('train_agent.py', '--resume', folder.named)}")


def train_to_the_end(
    folder: RunFolder,
    algorithm: ColumnarAlgorithm,
    stop_requested: Callable[[], bool],
    evaluate_first: bool,
) -> None:
    """Iterations, until the run has all its env steps or is asked to stop; then it is saved.

    Raises EnvironmentFailure, after saving, where environments fail too often, and whatever a
    process that died raises."""
    total = folder.experiment.total_env_steps
    try:
        if evaluate_first:
            folder.evaluate(algorithm, stop_requested)
        while algorithm.env_steps < total and not stop_requested():
            advance(folder, algorithm, stop_requested)
            tell_faults(algorithm, folder)
    except (EnvironmentFailure, OSError):  # an OSError also where the terminal is gone
        folder.save_if_new(algorithm)
        raise
    folder.save_if_new(algorithm)
    folder.await_evaluation(stop_requested)


def advance(folder: RunFolder, algorithm: ColumnarAlgorithm, stop: Callable[[], bool]) -> None:
    """One iteration, and the evaluation or checkpoint that is due with it."""
    experiment = folder.experiment
    before = algorithm.env_steps
    started = time.perf_counter()
    algorithm.seconds.clear()
    algorithm.train()
    done = algorithm.env_steps
    for note in algorithm.notes:
        folder.screen.say(note)
    algorithm.notes.clear()
    folder.iteration(
        done, iteration_metrics(algorithm, done - before, time.perf_counter() - started)
    )
    folder.tell_evaluation(give_up=at_once)
    if evaluation_is_due(experiment, before, done):
        folder.evaluate(algorithm, stop)
    elif done >= multiple_after(before, experiment.checkpoint_every_env_steps):
        folder.save(algorithm)


def tell_faults(algorithm: ColumnarAlgorithm, folder: RunFolder) -> None:
    """Tells of environments that failed. Raises EnvironmentFailure where these are more than the
    run bears."""
    if not algorithm.faults:
        return
    count = len(algorithm.faults)
    reason = algorithm.faults[-1]
    algorithm.faults.clear()
    folder.screen.say(f"{count} environment(s) failed and were built again; the last one: {reason}")
    recently = algorithm.recent_faults()
    most = folder.experiment.max_environment_faults
    if recently > most:
        raise EnvironmentFailure(
            f"{recently} environments failed within {FAULTS_COUNT_ENV_STEPS:,} env steps, more "
            f"than the {most} of "
            f"--max-environment-faults; the last one: {reason}. Saved at {algorithm.env_steps:,} "
            "env steps."
        )


def iteration_metrics(
    algorithm: ColumnarAlgorithm, env_steps: int, seconds: float
) -> dict[str, float]:
    """All metrics of an iteration that took so many env steps and seconds, by their names in the
    log."""
    return (
        episode_metrics(*algorithm.recent_episodes.returns_and_lengths())
        | {
            "episode/count": float(algorithm.episodes),
            "episode/environment_faults": float(algorithm.faults_in_all),
        }
        | speed_metrics(env_steps, seconds, algorithm.seconds)
        | {f"learner/{name}": value for name, value in algorithm.learner_metrics.items()}
        | memory_metrics()
    )


def at_once() -> bool:
    """The `give_up` of one who does not wait."""
    return True


def tell_of_the_end() -> None:
    """Says, at the first request to stop, what is still done."""
    print("\nStopping after this update; saving. Press Ctrl-C again to end at once.", flush=True)
