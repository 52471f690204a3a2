"""Kills runs again and again, at random moments, and looks at what is left: python
benchmarks/chaos.py

PPO and DQN on CartPole, DDPG on Pendulum; half of the runs work in one process, half with an env
runner and a learner of their own. A kill is a SIGKILL for the command with all its processes, which
is then resumed, or for the env runner or the learner, which the run has to survive by itself. Of
each kill is asked: does the run go on; can its newest checkpoint be read; does it go on from just
the env steps that the checkpoint holds, with the replay that belongs to them? In the end each run
is left in peace and judged by its return.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import tyro

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from agents.checkpoint import finished_checkpoints, load_state
from agents.monitoring.metrics import read_progress

OFTEN = ("--checkpoint-every-env-steps", "1000", "--evaluate-every-env-steps", "0")
CASES = {
    "ppo": ("--env", "CartPole-v1", "--algo", "ppo", "--total-env-steps", "100000"),
    "dqn": ("--env", "CartPole-v1", "--algo", "dqn", "--total-env-steps", "50000"),
    "ddpg": ("--env", "Pendulum-v1", "--algo", "ddpg", "--total-env-steps", "20000"),
}
SPREAD = ("--num-env-runners", "1", "--num-learners", "1")
PROCESSES = {"env runner": "EnvRunner", "learner": "_WrappedExecutable"}
GOES_ON_WITHIN_SECONDS = 240.0
MAX_SECONDS_BEFORE = 12.0


@dataclass
class Run:
    """One run under fire, with what has been found of it."""

    algo: str
    spread: bool
    path: Path
    kills: Counter = field(default_factory=Counter)
    finished: list[float] = field(default_factory=list)
    """Mean returns of the runs that came to their end."""
    lost: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    miscounted: list[str] = field(default_factory=list)
    resumed: int = 0
    process: subprocess.Popen | None = None

    @property
    def log(self) -> Path:
        return self.path.with_suffix(".log")

    def start(self) -> None:
        """The command as a user would type it: --resume where there is something to go on with."""
        go_on = ("--resume", str(self.path))
        begin = (
            *CASES[self.algo],
            *OFTEN,
            *(SPREAD if self.spread else ()),
            "--run-dir",
            str(self.path),
        )
        arguments = go_on if (self.path / "experiment.json").exists() else begin
        with self.log.open("a") as output:
            command = [sys.executable, str(ROOT / "scripts" / "train_agent.py"), *arguments]
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, start_new_session=True
            )

    def steps(self) -> list[int]:
        return [line["env_steps"] for line in read_progress(self.path / "progress.jsonl")]

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def end_or_go_on(self) -> None:
        """Starts what does not run, and judges what has come to its end."""
        if self.alive():
            return
        if self.process is not None and self.process.returncode == 0:
            self.finished.append(played(self.path))
            self.path.rename(self.path.with_name(f"{self.path.name}-finished-{len(self.finished)}"))
        elif self.process is not None and self.process.returncode > 0:
            self.note_loss(f"exit code {self.process.returncode}: {last_line(self.log)}")
        self.start()

    def kill(self, victim: str) -> bool:
        """False where there was nobody to kill."""
        assert self.process is not None
        if victim == "command":
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        else:
            try:
                children = psutil.Process(self.process.pid).children(recursive=True)
                found = [child for child in children if PROCESSES[victim] in child.name()]
                found[0].kill()
            except (IndexError, psutil.NoSuchProcess):
                return False
        self.kills[victim] += 1
        return True

    def check(self, victim: str, before: list[int], recoveries: int) -> None:
        """What the kill has left, and whether the run goes on from there; `before` are its steps,
        and `recoveries` how often it had gone back to a checkpoint by itself, before the kill."""
        saved = self.saved_env_steps()
        if victim == "command":
            self.start()
        goes_on_from = {
            "command": lambda: saved,
            "env runner": lambda: before[-1] if before else 0,
        }.get(victim, lambda: self.recovered_from(recoveries))
        deadline = time.monotonic() + GOES_ON_WITHIN_SECONDS
        lost = ""
        while self.alive() and not self.is_beyond(goes_on_from()) and not lost:
            if time.monotonic() > deadline:
                lost = "it did not go on"
            time.sleep(0.05)
        if self.process is not None and (self.process.poll() or 0) > 0:
            lost = f"exit code {self.process.returncode}"
        if lost:
            self.note_loss(f"{lost} after the {victim}'s death: {last_line(self.log)}")
            return
        now = self.steps()
        origin = goes_on_from()
        if now != sorted(set(now)):
            self.miscounted.append(f"after the {victim}'s death: {now}")
        if victim != "env runner" and origin:
            self.resumed += 1
            if origin not in now:
                self.miscounted.append(
                    f"the checkpoint has {origin} env steps, the run went on with {now}"
                )

    def note_loss(self, how: str) -> None:
        self.stop()
        self.lost.append(how)
        self.path.rename(self.path.with_name(f"{self.path.name}-lost-{len(self.lost)}"))
        self.process = None

    def is_beyond(self, env_steps: int | None) -> bool:
        now = self.steps()
        return env_steps is not None and bool(now) and now[-1] > env_steps

    def recovered_from(self, recoveries: int) -> int | None:
        """The env steps that the run went back to by itself, after so many other times; None if it
        has not yet."""
        told = self.recoveries()
        return told[recoveries] if len(told) > recoveries else None

    def recoveries(self) -> list[int]:
        told = re.findall(r"going on from (?:step-(\d+)|the beginning)", self.log.read_text())
        return [int(step or 0) for step in told]

    def saved_env_steps(self) -> int:
        """Of the newest checkpoint, which must be readable, and whose replay must be that of its
        env steps."""
        newest = next(iter(finished_checkpoints(self.path / "checkpoints")), None)
        if newest is None:
            return 0
        try:
            done = load_state(newest)["env_steps"]
            if self.algo != "ppo":
                num_envs = json.loads((self.path / "experiment.json").read_text())["experiment"][
                    "num_envs"
                ]
                added = load_state(newest / "replay-0")["added"]
                if added * num_envs != done:
                    self.corrupt.append(
                        f"{newest}: {added} x {num_envs} steps in the replay, {done} env steps"
                    )
        except ValueError as damage:
            if not newest.exists():  # a run that lives has written newer ones and removed this one
                return self.saved_env_steps()
            self.corrupt.append(str(damage))
            return 0
        return done

    def finish(self) -> None:
        """Lets the run come to its end, and judges it."""
        if not self.alive():
            self.start()
        assert self.process is not None
        self.process.wait()
        if self.process.returncode:
            self.note_loss(f"exit code {self.process.returncode}: {last_line(self.log)}")
        else:
            self.finished.append(played(self.path))

    def stop(self) -> None:
        if self.alive():
            assert self.process is not None
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def main(
    kills: int = 200,
    seed: int = 1,
    folder: Path = ROOT / "runs" / "chaos",
    output: Path = ROOT / "benchmarks" / "results" / "clusters_and_kills" / "chaos.json",
    cases: tuple[str, ...] = tuple(
        f"{algo}-{processes}" for processes in ("alone", "spread") for algo in CASES
    ),
) -> None:
    """Kills and looks.

    Args:
        kills: How many in all six cases.
        seed: Of moments and victims.
        folder: Where the runs are; must not exist.
        output: The table's numbers.
        cases: Which of the six cases to measure; what the file has of the others stays.
    """
    folder.mkdir(parents=True)
    chance = random.Random(seed)
    runs = [
        Run(algo, spread, folder / f"{algo}-{'spread' if spread else 'alone'}")
        for spread in (False, True)
        for algo in CASES
    ]
    chosen = [
        (run, (kills + number) // len(runs))
        for number, run in enumerate(runs)
        if run.path.name in cases
    ]
    kept = other_rows(output, [run for run, _ in chosen])
    for run, its_kills in chosen:
        while run.kills.total() < its_kills:
            besiege(run, chance)
            print(f"{run.path.name}: {dict(run.kills)}", flush=True)
            write(output, kept + table([run for run, _ in chosen]))
        run.finish()
        write(output, kept + table([run for run, _ in chosen]))
    print(output.read_text())


def other_rows(output: Path, runs: list[Run]) -> list[dict[str, Any]]:
    """What the file has of other cases than these."""
    before = json.loads(output.read_text())["runs"] if output.exists() else []
    measured = {(row["algo"], row["processes"]) for row in table(runs)}
    return [row for row in before if (row["algo"], row["processes"]) not in measured]


def besiege(run: Run, chance: random.Random) -> None:
    """One kill, some time after the run was last seen to go on."""
    run.end_or_go_on()
    victim = chance.choice(("command", *PROCESSES)) if run.spread else "command"
    moment = time.monotonic() + chance.uniform(0.0, MAX_SECONDS_BEFORE)
    while time.monotonic() < moment and run.alive():
        time.sleep(0.01)
    before = run.steps()
    recoveries = len(run.recoveries())
    if run.alive() and run.kill(victim):
        run.check(victim, before, recoveries)


def table(runs: list[Run]) -> list[dict[str, Any]]:
    return [
        {
            "algo": run.algo,
            "processes": "env runner and learner apart" if run.spread else "one",
            "kills": dict(run.kills),
            "resumed_and_counted": run.resumed,
            "returns_of_finished_runs": [round(mean, 1) for mean in run.finished],
            "lost": run.lost,
            "corrupt": run.corrupt,
            "miscounted": run.miscounted,
        }
        for run in runs
    ]


def write(output: Path, rows: list[dict[str, Any]]) -> None:
    told = {"command": " ".join(["python benchmarks/chaos.py", *sys.argv[1:]]), "runs": rows}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(told, indent=1) + "\n")


def played(run: Path) -> float:
    """Mean return of 20 whole episodes without exploring."""
    command = [
        sys.executable,
        str(ROOT / "scripts" / "evaluate_agent.py"),
        str(run),
        "--episodes",
        "20",
    ]
    subprocess.run([*command, "--deterministic"], check=True, capture_output=True)
    return json.loads((run / "evaluation.json").read_text())["mean"]


def last_line(log: Path) -> str:
    return log.read_text().strip().splitlines()[-1]


if __name__ == "__main__":
    tyro.cli(main)
