"""The trials of a sweep that is under way, as Ray Tune reports them."""

import signal
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import tune

from agents.checkpoint import finished_checkpoints, read_best
from agents.evaluation.evaluate import never
from agents.experiment import Experiment
from agents.monitoring.metrics import EVALUATION_RETURN_MEAN
from agents.monitoring.progress import Advance, unseen
from agents.training.sweep import Sweep, Trial, write_sweep
from agents.training.trial import ENV_STEPS


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
        reason = last_line_of_report(trial.error_file)
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


def last_line_of_report(path: str | None) -> str:
    """The last line of an error's report, which says what the error was."""
    lines = Path(path).read_text(errors="replace").split("\n") if path else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it did not say why")
