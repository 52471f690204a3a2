"""Building a run's algorithm, at first and after one of its processes has died."""

from contextlib import suppress
from pathlib import Path
from typing import cast

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from agents.engine.algorithm import ColumnarAlgorithm
from agents.engine.config import rllib_config
from agents.environments import close
from agents.evaluation.evaluate import load_chosen
from agents.experiment import Experiment, InvalidExperiment, first_line
from agents.processes.cluster import env_runner_bundle, with_room
from agents.training.recorder import RunFolder

MAX_RECOVERIES = 3
RUNNER_ANSWERS_SECONDS = 60.0


def built(experiment: Experiment, checkpoint: Path | None) -> ColumnarAlgorithm:
    """RLlib's Algorithm, at the beginning or where the checkpoint was.

    Raises InvalidExperiment for a checkpoint that does not fit, ConnectionError where no env runner
    starts."""
    try:
        algorithm = cast(ColumnarAlgorithm, rllib_config(experiment).build_algo())
    except IndexError as nobody:  # RLlib takes the first runner's answer
        raise ConnectionError(
            f"No env runner could be started: {why_no_runner(experiment).rstrip('.')}."
        ) from nobody
    if checkpoint is None and experiment.begin_from:
        network, _ = load_chosen(experiment, Path(experiment.begin_from), "latest")
        algorithm.begin_with(network.get_state())
    if checkpoint is not None:
        try:
            algorithm.load_checkpoint(str(checkpoint))
        except ValueError as misfit:
            algorithm.stop()
            raise InvalidExperiment(str(getattr(misfit, "cause", misfit))) from misfit
    return algorithm


def why_no_runner(experiment: Experiment) -> str:
    """Why an env runner's process cannot build its environments, found by building them in such a
    process."""
    runner = env_runner_bundle(experiment)
    there = ray.remote(build_environments).options(
        num_cpus=runner.cpus, num_gpus=runner.gpus, max_retries=0
    )
    try:
        ray.get(there.remote(experiment), timeout=RUNNER_ANSWERS_SECONDS)
    except GetTimeoutError:
        return f"building its environments took longer than {RUNNER_ANSWERS_SECONDS:.0f} s"
    except Exception as failure:  # whatever the environment or its package raises
        return last_line(getattr(failure, "cause", None) or failure)
    return "its environments can be built, so its process may have been killed"


def build_environments(experiment: Experiment) -> None:
    """Builds the environments of one env runner and closes them; raises what building them
    raises."""
    close(experiment.env.build_vector(experiment.num_envs // max(1, experiment.num_env_runners)))


def last_line(failure: BaseException) -> str:
    """What went wrong, of an error that may carry a traceback in its text."""
    return (str(failure).strip() or type(failure).__name__).splitlines()[-1].strip()


def recovered(
    folder: RunFolder, experiment: Experiment, algorithm: ColumnarAlgorithm, death: RayError
) -> ColumnarAlgorithm:
    """The run as it was at its newest checkpoint, or at its beginning, after a process of it has
    died.

    Raises errors again that are no deaths of processes. Raises ConnectionError where processes die
    again and again, or where the machines that are left have no room for them."""
    with suppress(Exception):  # parts of it are dead
        algorithm.stop()
    while True:
        cause = getattr(death, "cause", None) or death
        # A learner that outlives another one has a RuntimeError of its own: nobody answers it.
        if isinstance(death, RayTaskError) and not isinstance(cause, RuntimeError | RayError):
            raise death
        reason = first_line(cause)
        if folder.recoveries == MAX_RECOVERIES:
            raise ConnectionError(
                f"Processes died {MAX_RECOVERIES + 1} times since the last checkpoint; the last "
                f"time: {reason}"
            ) from death
        folder.recoveries += 1
        newest = folder.newest_checkpoint()
        folder.screen.say(
            f"a process died ({reason}); going on from {newest.name if newest else 'the beginning'}"
        )
        smaller = with_room(experiment)
        if smaller != experiment:
            folder.screen.say(
                f"machines are missing; going on with {smaller.num_env_runners} env runner(s)"
            )
        try:
            algorithm = built(smaller, newest)
        except RayError as another:
            death = another
            continue
        folder.say_replay_losses(algorithm)
        folder.saved_at = algorithm.env_steps if newest else -1
        folder.go_back(algorithm.env_steps)
        return algorithm
