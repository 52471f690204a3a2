"""Many runs whose settings are drawn from a search space, the poor ones ended early: Ray Tune, with
a run folder each.

A trial's folder is a run's like any other, and sweep.json is the state of the whole. Tune pickles a
state of its own: that goes into a new private folder, which is deleted in the end and never read
back.
"""

import json
import logging
import os
import shlex
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
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

from agents.checkpoint import finished_checkpoints, link_or_copy, read_best, remove_leftovers
from agents.engine.network_memory import require_network_memory
from agents.evaluation.evaluate import never
from agents.experiment import Experiment, next_command, require
from agents.monitoring.metrics import EVALUATION_RETURN_MEAN
from agents.monitoring.progress import Advance, progress, unseen
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
from agents.training.train import is_complete, resume, train
from common.files import TEMPORARY, write_json

ENV_STEPS = "env_steps"
MAX_RETRIES = 3
ORIGIN = "origin.json"
"""Beside a checkpoint that Tune keeps: the trial it is of, and the mean return of its
evaluation."""
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


class Trials(tune.Callback):
    """The trials of a sweep that is under way. Tune reports what they do; each change is written to
    sweep.json.

    Tune ends in order soon after `stop_requested()` says so. `advance` is called with the env steps
    that are done, or that are not needed because a trial has ended early; `env_steps_left` is how
    many these are in all."""

    def __init__(
        self,
        experiment: Experiment,
        settings: Sweep,
        folder: Path,
        earlier: Iterable[Trial],
        stop_requested: Callable[[], bool] = never,
    ) -> None:
        self.total_env_steps = experiment.total_env_steps
        self.settings = settings
        self.folder = folder
        self.stop_requested = stop_requested
        self.by_name = {trial.run.name: trial for trial in earlier}
        self.unfinished = [trial for trial in self.by_name.values() if not trial.complete]
        self.left = settings.trials - len(self.by_name) + len(self.unfinished)
        self.env_steps_left = sum(
            self.total_env_steps - trial.env_steps for trial in self.unfinished
        )
        self.env_steps_left += (settings.trials - len(self.by_name)) * self.total_env_steps
        self.advance: Advance = unseen
        self._to_restart = [trial.run.name for trial in self.unfinished]
        self._names: dict[str, str] = {}

    def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:
        if self.stop_requested():
            signal.raise_signal(signal.SIGUSR1)  # Tune's own request for an orderly end

    def name(self, trial: Any) -> str:
        """The name of one of Tune's trials. Unfinished trials are proposed first and in their
        order, so that Tune's first trials have their names."""
        if trial.trial_id not in self._names:
            new = f"trial-{len(self.by_name):05d}"
            self._names[trial.trial_id] = self._to_restart.pop(0) if self._to_restart else new
            self._update(trial, ended="")
        return self._names[trial.trial_id]

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self._update(trial)

    def on_trial_result(
        self, iteration: int, trials: list, trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        env_steps = int(result[ENV_STEPS])
        mean = float(result[EVALUATION_RETURN_MEAN])
        before = self.by_name[self.name(trial)].evaluations
        self._update(trial, evaluations=(*before, (env_steps, mean)))
        print(f"{self.name(trial)} at {env_steps:,} env steps: mean return {mean:.1f}", flush=True)

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        done = newest_env_steps(self.folder / self.name(trial))
        self._update(trial, ended="whole" if done >= self.total_env_steps else "early")

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        reason = last_line(trial.error_file)
        self._update(trial, ended=reason)
        print(f"{self.name(trial)} failed: {reason}", flush=True)

    def _update(self, trial: Any, **changes: Any) -> None:
        """Of these fields and of what its run folder and Tune say now."""
        run = self.folder / self.name(trial)
        known = self.by_name.get(run.name, Trial(run, {}))
        best = read_best(run)
        changed = replace(
            known,
            settings=dict(trial.config),
            best=best["mean"] if best["checkpoint"] else None,
            env_steps=newest_env_steps(run),
            **changes,
        )
        self.by_name[run.name] = changed
        self.advance(max(0, self._env_steps_over(changed) - self._env_steps_over(known)))
        self.write()

    def _env_steps_over(self, trial: Trial) -> int:
        """Env steps of a trial that are not waited for any more: all of them once it has ended,
        however early."""
        return self.total_env_steps if trial.ended else min(trial.env_steps, self.total_env_steps)

    def write(self) -> None:
        """Writes what is known of all trials to sweep.json."""
        write_sweep(self.folder, self.settings, list(self.by_name.values()))


def newest_env_steps(run: Path) -> int:
    """Env steps of a run's newest checkpoint; 0 where it has none."""
    newest = next(iter(finished_checkpoints(run / "checkpoints")), None)
    return int(newest.name.removeprefix("step-")) if newest else 0


def last_line(path: str | None) -> str:
    """The last line of an error's report, which says what the error was."""
    lines = Path(path).read_text(errors="replace").split("\n") if path else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it did not say why")


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
            # Of a list it takes a neighbour; what it multiplies may leave the space.
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
        trial, experiment=experiment, shares=shares, folder=str(folder.absolute())
    )
    holds = [bundle.to_ray() for bundle in held(experiment, settings)]
    return tune.with_resources(function, tune.PlacementGroupFactory(holds))


def held(experiment: Experiment, settings: Sweep) -> list[Bundle]:
    """By one trial's processes."""
    return [
        Bundle("trial", settings.cpus_per_trial, settings.gpus_per_trial),
        *remote_bundles(experiment),
    ]


def trial(config: dict[str, Any], experiment: Experiment, shares: bool, folder: str) -> None:
    """One trial, in a process of its own: from the beginning, from where its folder stands, or from
    what Tune has of another trial. With `shares`, others may go on from its checkpoints."""
    name = tune.get_context().get_trial_name()
    run = Path(folder) / name
    mine = replace(with_settings(experiment, config), run_dir=str(run))
    if (kept := tune.get_checkpoint()) is not None:
        with kept.as_directory() as theirs:
            if json.loads((Path(theirs) / ORIGIN).read_text())["trial"] != name:
                with owned(
                    run
                ):  # the process of this trial's last attempt may still be writing into it
                    take_over(Path(theirs), run)
    report = to_tune_with_checkpoint if shares else to_tune
    if not (run / "experiment.json").exists():
        train(mine, report)
    elif not is_complete(mine, run):
        resume(mine, run, report)


def to_tune(env_steps: int, metrics: dict[str, float], checkpoint: Path) -> None:
    """Reports an evaluation; here Tune ends trials."""
    tune.report({ENV_STEPS: env_steps, **metrics})


def to_tune_with_checkpoint(env_steps: int, metrics: dict[str, float], checkpoint: Path) -> None:
    """The same, with the checkpoint and what it was worth, for Tune to keep and to give to other
    trials."""
    run = checkpoint.parents[1]
    with tempfile.TemporaryDirectory(dir=run) as folder:
        linked(checkpoint, Path(folder) / checkpoint.name)
        origin = {
            "trial": run.name,
            "checkpoint": checkpoint.name,
            "mean": metrics[EVALUATION_RETURN_MEAN],
        }
        (Path(folder) / ORIGIN).write_text(json.dumps(origin))
        tune.report(
            {ENV_STEPS: env_steps, **metrics}, checkpoint=tune.Checkpoint.from_directory(folder)
        )


def take_over(theirs: Path, run: Path) -> None:
    """What Tune has of another trial takes the place of a run's own checkpoints, and of the best of
    them."""
    origin = json.loads((theirs / ORIGIN).read_text())
    beside = run / "checkpoints" / f"{TEMPORARY}{origin['checkpoint']}"
    remove_leftovers(run / "checkpoints")
    linked(theirs / origin["checkpoint"], beside)
    for own in finished_checkpoints(run / "checkpoints"):
        shutil.rmtree(own)
    beside.replace(run / "checkpoints" / origin["checkpoint"])
    best = {"checkpoint": origin["checkpoint"], "mean": origin["mean"]}
    write_json(run / "best.json", best, indent=None)


def linked(folder: Path, copy: Path) -> None:
    """The same files under another name."""
    shutil.copytree(
        folder, copy, copy_function=lambda source, target: link_or_copy(Path(source), Path(target))
    )


def tell_of_the_end() -> None:
    """Says, at the first request to stop, what is still done."""
    print("\nStopping; saving. Once more ends at once.", flush=True)


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
