"""Many runs whose settings are drawn from a search space, the poor ones ended early: Ray Tune, with
a run folder each.

A trial's folder is a run's like any other, and sweep.json is the state of the whole. Tune pickles a
state of its own: that goes into a new private folder, which is deleted in the end and never read
back.
"""

import logging
import os
import shlex
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
from ray import tune
from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining, TrialScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.tune.search.optuna import OptunaSearch
from ray.tune.search.sample import Domain as RayDomain

from agents.engine.network_memory import require_network_memory
from agents.experiment import Experiment, next_command, require
from agents.monitoring.metrics import EVALUATION_RETURN_MEAN
from agents.monitoring.progress import progress
from agents.processes.cluster import Bundle, ray_running, remote_bundles, require_room
from agents.processes.ray_output import without_ray_lines
from agents.processes.signals import stop_requests
from agents.settings.search_space import (
    Choice,
    Domain,
    LogUniform,
    SearchSpace,
    Uniform,
    UniformInteger,
)
from agents.training.folders import check_new_folder, new_folder, owned
from agents.training.origin import check_origins
from agents.training.recorder import default_run_dir
from agents.training.sweep import Sweep, Trial, clipped, search_space, with_settings, write_sweep
from agents.training.trial import ENV_STEPS, run_trial
from agents.training.trials import Trials
from common.files import write_json

MAX_RETRIES = 3
PRIVATE = ".tune-"
"""Begins the name of Tune's own folder."""


@without_ray_lines()
def sweep(
    experiment: Experiment, settings: Sweep, earlier: list[Trial] | None = None
) -> list[Trial]:
    """Runs the trials in the experiment's run folder; with `earlier`, the trials of a sweep that
    was stopped there, those that are left of it.

    Returns the trials, the best one first; none where it was stopped. Raises InvalidExperiment
    before anything is started."""
    folder = Path(experiment.run_dir or f"{default_run_dir(experiment)}-sweep")
    settings.validate()
    space = search_space(experiment, settings)
    require(
        0 < experiment.evaluate_every_env_steps <= experiment.total_env_steps,
        "Trials are compared by their evaluations: --evaluate-every-env-steps must lie between 1 "
        "and "
        f"--total-env-steps, and is {experiment.evaluate_every_env_steps:,}.",
    )
    for candidate in extremes(experiment, space):
        require_network_memory(candidate, candidate.validate())
    for line in check_origins(experiment):
        print(line)
    if earlier is None:
        check_new_folder(folder)
    elif all(trial.complete for trial in earlier) and len(earlier) == settings.trials:
        print(f"{folder} has all its {settings.trials} trials.")
        return ranked(earlier)
    quiet_tune()
    with (
        stop_requests(tell_of_the_end) as stop_requested,
        sweep_folder(experiment, earlier) as folder,
        ray_running(experiment),
    ):
        if stop_requested():  # while Ray was started
            raise KeyboardInterrupt
        require_room(held(experiment, settings))
        trials = Trials(experiment, settings, folder, earlier or [], stop_requested)
        write_json(folder / "experiment.json", {"experiment": experiment.to_json()})
        trials.write()
        print(
            f"{settings.trials} trials in {folder}; tensorboard --logdir "
            f"{shlex.quote(str(folder))}",
            flush=True,
        )
        for leftover in folder.glob(f"{PRIVATE}*"):
            shutil.rmtree(leftover)
        # In the sweep's folder, where machines of a cluster can write to it and checkpoints find
        # room.
        with (
            tempfile.TemporaryDirectory(prefix=PRIVATE, dir=folder) as private,
            progress(f"env steps of {trials.left} trials", trials.env_steps_left) as trials.advance,
        ):
            tuner(experiment, settings, space, trials, Path(private)).fit()
        if stop_requested():
            print("Stopped and saved. Go on with:")
            print(f"  {next_command('tune_agent.py', '--resume', folder)}")
            return []
        best_first = ranked(trials.by_name.values())
        write_sweep(folder, settings, best_first)
    return best_first


@contextmanager
def sweep_folder(experiment: Experiment, earlier: list[Trial] | None) -> Iterator[Path]:
    """The folder of a new sweep, or of one that goes on; this process alone writes into it.

    Raises InvalidExperiment where another process does."""
    if earlier is None:
        with new_folder(experiment.run_dir, f"{default_run_dir(experiment)}-sweep") as folder:
            yield folder
    else:
        folder = Path(experiment.run_dir)
        with owned(folder):
            yield folder


def ranked(trials: Iterable[Trial]) -> list[Trial]:
    """The best trial first."""
    return sorted(
        trials,
        key=lambda trial: -float("inf") if trial.best is None else trial.best,
        reverse=True,
    )


def extremes(experiment: Experiment, space: Mapping[str, Domain]) -> list[Experiment]:
    """The experiment itself, and with each choice of the space in turn, so that what cannot be is
    told of before."""
    choices = [
        (name, value)
        for name, domain in space.items()
        if isinstance(domain, Choice)
        for value in domain.values
    ]
    return [experiment, *(with_settings(experiment, {name: value}) for name, value in choices)]


def tuner(
    experiment: Experiment, settings: Sweep, space: SearchSpace, trials: Trials, private: Path
) -> tune.Tuner:
    """Tune, with the trials that are left, the earlier ones made known to its scheduler and its
    sampler."""
    chosen = scheduler(experiment, settings, space)

    def name(trial: Any) -> str:
        known = trials.name(trial)
        if isinstance(chosen, ASHAScheduler):
            make_known(chosen, trial.trial_id, trials.by_name[known])
        return known

    for trial in trials.by_name.values():
        if trial.complete and isinstance(chosen, ASHAScheduler):
            make_known(chosen, trial.run.name, trial)
    return tune.Tuner(
        trainable(experiment, settings, trials.folder),
        param_space=ray_space(space)
        if settings.scheduler == "pbt"
        else {},  # Optuna has a space of its own
        tune_config=tune.TuneConfig(
            num_samples=trials.left,
            max_concurrent_trials=settings.at_a_time or None,
            search_alg=sampler(experiment, settings, space, trials),
            scheduler=chosen,
            trial_name_creator=name,
            trial_dirname_creator=trials.name,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(private.absolute()),
            failure_config=tune.FailureConfig(max_failures=MAX_RETRIES),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=4),
            callbacks=[trials],
            verbose=0,
        ),
    )


def sampler(
    experiment: Experiment, settings: Sweep, space: SearchSpace, trials: Trials
) -> OptunaSearch | BasicVariantGenerator:
    """Proposes the settings of the unfinished trials, in their order, and then new ones: by Optuna
    for asha, by chance for pbt, which Tune allows no other sampler."""
    seed = experiment.seed + len(
        trials.by_name
    )  # or the first new ones would be those of the beginning
    unfinished = [trial.settings for trial in trials.unfinished]
    if settings.scheduler == "pbt":
        return BasicVariantGenerator(points_to_evaluate=unfinished, random_state=seed)
    search = OptunaSearch(
        OptunaSearch.convert_search_space(ray_space(space)),
        metric=EVALUATION_RETURN_MEAN,
        mode="max",
        points_to_evaluate=unfinished,
        sampler=optuna.samplers.TPESampler(seed=seed),
    )
    for trial in trials.by_name.values():
        if trial.complete and trial.evaluations:
            _, last = trial.evaluations[-1]
            search.add_evaluated_point(trial.settings, last)
    return search


def ray_space(space: SearchSpace) -> dict[str, RayDomain]:
    """A search space as Ray Tune has it."""
    return {name: ray_domain(domain) for name, domain in space.items()}


def ray_domain(domain: Domain) -> RayDomain:
    """A domain as Ray Tune has it, whose integers do not include the upper bound."""
    match domain:
        case LogUniform(low, high):
            return tune.loguniform(low, high)
        case Uniform(low, high):
            return tune.uniform(low, high)
        case UniformInteger(low, high):
            return tune.randint(low, high + 1)
        case Choice(values):
            return tune.choice(list(values))


def scheduler(experiment: Experiment, settings: Sweep, space: SearchSpace) -> TrialScheduler:
    """Ray Tune's scheduler for the sweep: population-based training for pbt, else ASHA; both
    compare mean returns of evaluations by env steps."""
    every = experiment.evaluate_every_env_steps
    if settings.scheduler == "pbt":
        return PopulationBasedTraining(
            time_attr=ENV_STEPS,
            metric=EVALUATION_RETURN_MEAN,
            mode="max",
            perturbation_interval=every,
            # Of a list it takes a neighbor; what it multiplies may leave the space.
            hyperparam_mutations={
                n: list(d.values) if isinstance(d, Choice) else ray_domain(d)
                for n, d in space.items()
            },
            custom_explore_fn=partial(clipped, space=space),
            log_config=False,
        )
    return ASHAScheduler(
        time_attr=ENV_STEPS,
        metric=EVALUATION_RETURN_MEAN,
        mode="max",
        grace_period=every,
        max_t=experiment.total_env_steps,
        reduction_factor=settings.reduction,
    )


def make_known(asha: ASHAScheduler, trial_id: str, trial: Trial) -> None:
    """Has ASHA compare later trials with the evaluations of an earlier one."""
    stand_in: Any = SimpleNamespace(trial_id=trial_id)
    nobody: Any = None
    asha.on_trial_add(nobody, stand_in)
    for env_steps, mean in trial.evaluations:
        asha.on_trial_result(nobody, stand_in, {ENV_STEPS: env_steps, EVALUATION_RETURN_MEAN: mean})


def trainable(experiment: Experiment, settings: Sweep, folder: Path) -> Any:
    """What Tune runs as a trial, with the cores and GPUs that it holds."""
    shares = settings.scheduler == "pbt"
    function = tune.with_parameters(
        run_trial, experiment=experiment, shares=shares, folder=str(folder.absolute())
    )
    holds = [bundle.to_ray() for bundle in held(experiment, settings)]
    return tune.with_resources(function, tune.PlacementGroupFactory(holds))


def held(experiment: Experiment, settings: Sweep) -> list[Bundle]:
    """By one trial's processes."""
    return [
        Bundle("trial", settings.cpus_per_trial, settings.gpus_per_trial),
        *remote_bundles(experiment),
    ]


def tell_of_the_end() -> None:
    """Says, at the first request to stop, what is still done."""
    print("\nStopping; saving. Press Ctrl-C again to end at once.", flush=True)


def quiet_tune() -> None:
    """The runs write TensorBoard's events themselves."""
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C is ours
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # a table of its own otherwise
    warnings.filterwarnings("ignore", message="Consider boosting PBT")
    for name in ("ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(
            logging.CRITICAL
        )  # of trials that fail, `Trials` tells in a line
    logging.getLogger("optuna").setLevel(logging.ERROR)
