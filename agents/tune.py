"""Many runs whose settings are drawn from a search space, the poor ones ended early: Ray Tune, with a run folder each.

A trial's folder is a run's like any other. What Tune itself keeps, to go on after a stop, lies beside them in `tune/`.
"""

import json
import logging
import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ray import tune
from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining, TrialScheduler
from ray.tune.search.optuna import OptunaSearch
from ray.tune.search.sample import Categorical, Domain, Float, Integer

from agents.checkpoint import TEMPORARY, finished_checkpoints, link_or_copy, remove_leftovers, write_durably
from agents.cluster import Bundle, ray_running, remote_bundles, require_room
from agents.evaluate import read_best
from agents.experiment import Experiment, InvalidExperiment, check_new_folder, first_line, require
from agents.metrics import EVALUATION_RETURN_MEAN
from agents.run_folder import default_run_dir
from agents.train import is_complete, resume, stop_requests, train

ENV_STEPS = "env_steps"
MOST_RETRIES = 3
SWEEP = "sweep.json"
ORIGIN = "origin.json"
"""Beside a checkpoint that Tune keeps: whose it is, and what it was worth."""
FIXED_IN_A_RUN = ("n_step",)
"""What a replay was collected for, which PBT cannot change under way."""


@dataclass(frozen=True)
class Sweep:
    """Which trials, and how they compete."""

    trials: int = 16
    """Runs, each with settings of its own."""
    at_a_time: int = 0
    """Most trials at a time; 0 as many as the machines hold."""
    cpus_per_trial: float = 1.0
    """Cores that each trial holds, besides those of its env runners and learners."""
    gpus_per_trial: float = 0.0
    """GPUs, or the share of one, that each trial holds, where it has no learners apart."""
    scheduler: Literal["asha", "pbt"] = "asha"
    """asha ends the poorer trials early (Li et al. 2020), and Optuna proposes what the next ones try. pbt lets the
    poorer ones go on from the better ones' weights, with settings near to theirs (Jaderberg et al. 2017)."""
    reduction: int = 3
    """asha: one in so many trials goes on at each halving."""
    vary: tuple[str, ...] = ()
    """Settings to vary, of the algorithm's search space; all of it if not said."""


@dataclass(frozen=True)
class Trial:
    """How one trial ended."""

    run: str
    settings: dict[str, Any]
    best: float | None
    """Mean return of its best evaluation."""
    env_steps: int
    ended: str
    """`whole`, `early`, or why it failed."""


def sweep(experiment: Experiment, settings: Sweep, goes_on: bool = False) -> list[Trial]:
    """Runs the trials in the experiment's run folder, or those that are left of a sweep that was stopped there.

    Gives the best one first; none where it was stopped. Raises InvalidExperiment before anything is started."""
    folder = Path(experiment.run_dir or f"{default_run_dir(experiment)}-sweep")
    space = search_space(experiment, settings)
    for name in ("trials", "cpus_per_trial"):
        require(getattr(settings, name) > 0, f"--{name.replace('_', '-')} must be above 0.")
    require(settings.reduction > 1, f"--reduction must be at least 2, not {settings.reduction}.")
    require(
        0 < experiment.evaluate_every_env_steps <= experiment.total_env_steps,
        "Trials are compared by their evaluations: --evaluate-every-env-steps must lie between 1 and "
        f"--total-env-steps, and is {experiment.evaluate_every_env_steps:,}.",
    )
    for candidate in extremes(experiment, space):
        candidate.validate()
    if not goes_on:
        check_new_folder(folder)
    quiet_tune()
    with ray_running(experiment):
        require_room(held(experiment, settings))
        folder.mkdir(parents=True, exist_ok=True)
        write_durably(folder / "experiment.json", json.dumps({"experiment": experiment.to_json()}, indent=2).encode())
        write_sweep(folder, settings, [])
        print(f"{settings.trials} trials in {folder}; tensorboard --logdir {folder}", flush=True)
        tuner = (
            stopped_tuner(experiment, settings, folder) if goes_on else new_tuner(experiment, settings, space, folder)
        )
        with stop_requests(ask_tune_to_stop) as stop_requested:
            results = tuner.fit()
    if stop_requested():
        print("Stopped and saved. Go on with:")
        print(f"  python scripts/tune_agent.py --resume {folder}")
        return []
    trials = sorted(
        (ended(folder, result.path, result.config or {}, result.error, experiment) for result in results),
        key=lambda trial: -float("inf") if trial.best is None else trial.best,
        reverse=True,
    )
    write_sweep(folder, settings, trials)
    return trials


def write_sweep(folder: Path, settings: Sweep, trials: list[Trial]) -> None:
    content = {"settings": asdict(settings), "trials": [asdict(trial) for trial in trials]}
    write_durably(folder / SWEEP, json.dumps(content, indent=2).encode())


def read_settings(folder: Path) -> Sweep:
    """Of the sweep in a folder; raises InvalidExperiment where there is none."""
    try:
        settings = json.loads((folder / SWEEP).read_text())["settings"]
        return Sweep(**settings | {"vary": tuple(settings["vary"])})
    except (OSError, KeyError, TypeError, ValueError) as damage:
        raise InvalidExperiment(f"{folder} holds no sweep that could go on: {damage}") from damage


def search_space(experiment: Experiment, settings: Sweep) -> dict[str, Domain]:
    """What is varied: by name of the algorithm's settings."""
    space: Mapping[str, Domain] = experiment.algo.search_space
    if settings.scheduler == "pbt":
        space = {name: domain for name, domain in space.items() if name not in FIXED_IN_A_RUN}
    unknown = [name for name in settings.vary if name not in space]
    can = f"of {experiment.algo.name} with {settings.scheduler} can: {', '.join(space)}."
    require(not unknown, f"{', '.join(unknown)} cannot be varied; {can}")
    return {name: space[name] for name in settings.vary or space}


def extremes(experiment: Experiment, space: Mapping[str, Domain]) -> list[Experiment]:
    """The experiment itself, and with each choice of the space in turn, so that what cannot be is told of before."""
    choices = [
        (name, value)
        for name, domain in space.items()
        if isinstance(domain, Categorical)
        for value in domain.categories
    ]
    return [experiment, *(with_settings(experiment, {name: value}) for name, value in choices)]


def with_settings(experiment: Experiment, settings: Mapping[str, Any]) -> Experiment:
    try:
        return replace(experiment, algo=replace(experiment.algo, **settings))  # pyright: ignore[reportArgumentType]
    except ValueError as mistake:
        raise InvalidExperiment(str(mistake)) from mistake


def new_tuner(experiment: Experiment, settings: Sweep, space: dict[str, Domain], folder: Path) -> tune.Tuner:
    asha = settings.scheduler == "asha"
    return tune.Tuner(
        trainable(experiment, settings, folder),
        param_space=space,
        tune_config=tune.TuneConfig(
            metric=EVALUATION_RETURN_MEAN,
            mode="max",
            num_samples=settings.trials,
            max_concurrent_trials=settings.at_a_time or None,
            search_alg=OptunaSearch(seed=experiment.seed) if asha else None,
            scheduler=scheduler(experiment, settings, space),
            trial_dirname_creator=lambda trial: trial_name(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(folder.absolute()),
            failure_config=tune.FailureConfig(max_failures=MOST_RETRIES),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=4),
            callbacks=[Told()],
            verbose=0,
        ),
    )


def scheduler(experiment: Experiment, settings: Sweep, space: dict[str, Domain]) -> TrialScheduler:
    every = experiment.evaluate_every_env_steps
    if settings.scheduler == "pbt":
        return PopulationBasedTraining(
            time_attr=ENV_STEPS,
            perturbation_interval=every,
            # Of a list it takes a neighbour; what it multiplies may leave the space.
            hyperparam_mutations={n: d.categories if isinstance(d, Categorical) else d for n, d in space.items()},
            custom_explore_fn=partial(clipped, space=space),
            log_config=False,
        )
    return ASHAScheduler(
        time_attr=ENV_STEPS,
        grace_period=every,
        max_t=experiment.total_env_steps,
        reduction_factor=settings.reduction,
    )


def clipped(config: dict[str, Any], space: Mapping[str, Domain]) -> dict[str, Any]:
    """Settings moved into the space's bounds."""
    inside = dict(config)
    for name, domain in space.items():
        if isinstance(domain, Integer):
            inside[name] = int(min(max(config[name], domain.lower), domain.upper - 1))
        elif isinstance(domain, Float):
            inside[name] = float(min(max(config[name], domain.lower), domain.upper))
    return inside


def stopped_tuner(experiment: Experiment, settings: Sweep, folder: Path) -> tune.Tuner:
    """Tune's state is pickled: only a folder of one's own should be gone on with.

    Raises InvalidExperiment where no sweep was stopped in the folder."""
    state = folder.absolute() / "tune"
    require(tune.Tuner.can_restore(str(state)), f"{folder} holds no sweep that could go on.")
    return tune.Tuner.restore(str(state), trainable(experiment, settings, folder), resume_errored=True)


def trainable(experiment: Experiment, settings: Sweep, folder: Path) -> Any:
    """What Tune runs as a trial, with the cores and GPUs that it holds."""
    shares = settings.scheduler == "pbt"
    function = tune.with_parameters(trial, experiment=experiment, shares=shares, folder=str(folder.absolute()))
    holds = [bundle.to_ray() for bundle in held(experiment, settings)]
    return tune.with_resources(function, tune.PlacementGroupFactory(holds))


def held(experiment: Experiment, settings: Sweep) -> list[Bundle]:
    """By one trial's processes."""
    return [Bundle("trial", settings.cpus_per_trial, settings.gpus_per_trial), *remote_bundles(experiment)]


def trial(config: dict[str, Any], experiment: Experiment, shares: bool, folder: str) -> None:
    """One trial, in a process of its own: from the beginning, from where its folder stands, or from what Tune has of
    another trial. With `shares`, others may go on from its checkpoints."""
    name = trial_name(tune.get_context().get_trial_id())
    run = Path(folder) / name
    mine = replace(with_settings(experiment, config), run_dir=str(run))
    if (kept := tune.get_checkpoint()) is not None:
        with kept.as_directory() as theirs:
            if json.loads((Path(theirs) / ORIGIN).read_text())["trial"] != name:
                take_over(Path(theirs), run)
    report = to_tune_with_checkpoint if shares else to_tune
    if not (run / "experiment.json").exists():
        shutil.rmtree(run, ignore_errors=True)  # it was killed before it had begun
        train(mine, report)
    elif not is_complete(mine, run):
        resume(mine, run, report)


def to_tune(env_steps: int, metrics: dict[str, float], checkpoint: Path) -> None:
    """Reports an evaluation; here Tune ends trials."""
    tune.report({ENV_STEPS: env_steps, **metrics})


def to_tune_with_checkpoint(env_steps: int, metrics: dict[str, float], checkpoint: Path) -> None:
    """The same, with the checkpoint and what it was worth, for Tune to keep and to give to other trials."""
    run = checkpoint.parents[1]
    with tempfile.TemporaryDirectory(dir=run) as folder:
        linked(checkpoint, Path(folder) / checkpoint.name)
        origin = {"trial": run.name, "checkpoint": checkpoint.name, "mean": metrics[EVALUATION_RETURN_MEAN]}
        (Path(folder) / ORIGIN).write_text(json.dumps(origin))
        tune.report({ENV_STEPS: env_steps, **metrics}, checkpoint=tune.Checkpoint.from_directory(folder))


def take_over(theirs: Path, run: Path) -> None:
    """What Tune has of another trial takes the place of a run's own checkpoints, and of the best of them."""
    origin = json.loads((theirs / ORIGIN).read_text())
    beside = run / "checkpoints" / f"{TEMPORARY}{origin['checkpoint']}"
    remove_leftovers(run / "checkpoints")
    linked(theirs / origin["checkpoint"], beside)
    for own in finished_checkpoints(run / "checkpoints"):
        shutil.rmtree(own)
    beside.replace(run / "checkpoints" / origin["checkpoint"])
    best = {"checkpoint": origin["checkpoint"], "mean": origin["mean"]}
    write_durably(run / "best.json", json.dumps(best).encode())


def linked(folder: Path, copy: Path) -> None:
    """The same files under another name."""
    shutil.copytree(folder, copy, copy_function=lambda source, target: link_or_copy(Path(source), Path(target)))


def trial_name(trial_id: str) -> str:
    """Tune's ids end in the trial's number, or are, with Optuna, eight letters and digits."""
    return f"trial-{trial_id.rpartition('_')[2]}"


def ended(folder: Path, path: str, config: dict[str, Any], error: Exception | None, experiment: Experiment) -> Trial:
    run = folder / Path(path).name
    best = read_best(run)
    newest = next(iter(finished_checkpoints(run / "checkpoints")), None)
    done = int(newest.name.removeprefix("step-")) if newest else 0
    how = first_line(error) if error else "whole" if done >= experiment.total_env_steps else "early"
    return Trial(str(run), config, best["mean"] if best["checkpoint"] else None, done, how)


class Told(tune.Callback):
    """A line for each evaluation."""

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict[str, Any], **info: Any) -> None:
        mean = result[EVALUATION_RETURN_MEAN]
        print(f"{trial_name(trial.trial_id)} at {result[ENV_STEPS]:,} env steps: mean return {mean:.1f}", flush=True)

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        print(f"{trial_name(trial.trial_id)} failed", flush=True)


def ask_tune_to_stop() -> None:
    print("\nStopping; saving. Once more ends at once.", flush=True)
    if signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
        raise KeyboardInterrupt  # Tune has not begun
    signal.raise_signal(signal.SIGUSR1)  # Tune's own request for an orderly end


def quiet_tune() -> None:
    """The runs write TensorBoard's events themselves."""
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C is ours
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # a table of its own otherwise
    warnings.filterwarnings("ignore", message="Consider boosting PBT")
    for name in ("ray.tune", "optuna"):
        logging.getLogger(name).setLevel(logging.ERROR)
