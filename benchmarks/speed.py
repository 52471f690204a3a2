"""How fast agents train, side by side, if not said otherwise on Space Invaders: python
benchmarks/speed.py

Each contender is a library with its options, a file in contenders/, and runs alone in its own
process once a round. A machine's speed drifts, so read the ratios, each taken within one round,
before the absolute numbers.
"""

import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import tyro

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / "contenders"
RLLIB_TUNED = ("--module", "ours", "--num-envs-per-env-runner", "8")
CONTENDERS = {
    "praxis": ["praxis.py"],
    "praxis-2-runners": ["praxis.py", "--num-env-runners", "2"],
    "praxis-fp32": ["praxis.py", "--precision", "fp32"],
    "praxis-128-games": ["praxis.py", "--num-envs", "128", "--minibatch-size", "1024"],
    "praxis-appo-4-runners": [
        "praxis.py",
        "--algo",
        "appo",
        "--num-envs",
        "128",
        "--num-env-runners",
        "4",
    ],
    "loop": ["loop.py"],
    "loop-8x128": ["loop.py", "--num-envs", "8", "--rollout-length", "128"],
    "loop-128-games": ["loop.py", "--num-envs", "128", "--minibatch-size", "1024"],
    "loop-fp32": ["loop.py", "--no-bf16"],
    "sb3": ["sb3.py"],
    "sb3-subproc": ["sb3.py", "--vector-environment", "subproc"],
    "rllib-stock": ["rllib.py"],
    "rllib-1-env": ["rllib.py", "--module", "ours"],
    "rllib-tuned": ["rllib.py", *RLLIB_TUNED],
    "rllib-tuned-2-runners": ["rllib.py", *RLLIB_TUNED, "--num-env-runners", "2"],
    "dqn-praxis": ["praxis.py", "--algo", "dqn"],
    "dqn-praxis-prioritized": ["praxis.py", "--algo", "dqn-prioritized"],
    "dqn-praxis-rainbow": ["praxis.py", "--algo", "rainbow"],
    "dqn-sb3": ["sb3.py", "--algo", "dqn"],
    "dqn-sb3-32-games": ["sb3.py", "--algo", "dqn", "--num-envs", "32"],
    "dqn-rllib": ["rllib.py", "--algo", "dqn"],
    "td3-praxis": ["praxis.py", "--algo", "td3"],
    "td3-praxis-fp32": ["praxis.py", "--algo", "td3", "--precision", "fp32"],
    "td3-sb3": ["sb3.py", "--algo", "td3"],
    "ddpg-praxis": ["praxis.py", "--algo", "ddpg"],
    "ddpg-praxis-fp32": ["praxis.py", "--algo", "ddpg", "--precision", "fp32"],
    "ddpg-sb3": ["sb3.py", "--algo", "ddpg"],
    "sac-praxis": ["praxis.py", "--algo", "sac"],
    "sac-sb3": ["sb3.py", "--algo", "sac"],
    "tqc-praxis": ["praxis.py", "--algo", "tqc"],
    "tqc-sb3": ["sb3.py", "--algo", "tqc"],
    "crossq-praxis": ["praxis.py", "--algo", "crossq"],
}
START_UP_SECONDS = 600  # what a contender may take besides its measured seconds
PACKAGES = ("torch", "ray", "stable-baselines3", "sb3-contrib", "gymnasium", "ale-py", "numpy")


def main(
    rounds: int = 5,
    seconds: float = 30.0,
    contenders: tuple[str, ...] = (
        "praxis",
        "loop",
        "loop-8x128",
        "sb3",
        "rllib-stock",
        "rllib-tuned",
    ),
    output: Path = ROOT / "benchmarks" / "results" / "speed" / "ppo.json",
) -> None:
    """Measures training speed in env steps a second (one step is four frames).

    Args:
        rounds: How often each contender is measured.
        seconds: Seconds that each measurement takes at least, in whole iterations.
        contenders: Whom to measure, all against the first.
        output: Where the raw numbers go.
    """
    names = list(contenders)
    if unknown := set(names) - set(CONTENDERS):
        raise SystemExit(
            f"There is no contender {', '.join(sorted(unknown))}; there are: "
            f"{', '.join(CONTENDERS)}."
        )
    result = {
        "command": " ".join(["python benchmarks/speed.py", *sys.argv[1:]]),
        **surroundings(),
        "rounds": [],
    }
    for number in range(rounds):
        # There and back: a machine that grows slower or faster favors nobody.
        order = names if number % 2 == 0 else names[::-1]
        measured = {}
        for name in order:
            measured[name] = run(name, seconds)
            speed = measured[name].get("env_steps_per_second", measured[name].get("error"))
            print(f"round {number + 1} of {rounds}, {name}: {speed}", flush=True)
        result["rounds"].append(measured)
        result["summary"] = summary(result["rounds"], names)
        write(output, result)
    print(f"\n{table(result['summary'])}\n\nRaw numbers: {output}")
    if not same_network(result["rounds"]):
        raise SystemExit("The contenders' networks differ in size: this is no comparison.")


def run(name: str, seconds: float) -> dict[str, Any]:
    """One measurement: the contender's JSON line with the load before it, or its error."""
    load = os.getloadavg()[0]
    script, *settings = CONTENDERS[name]
    command = [sys.executable, str(FOLDER / script), "--seconds", str(seconds), *settings]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, errors = process.communicate(timeout=seconds + START_UP_SECONDS)
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {seconds + START_UP_SECONDS:.0f} seconds"}
    finally:
        end_group(process)
    lines = [line for line in out.splitlines() if line.startswith("{")]
    if process.returncode or not lines:
        print(errors[-3000:], file=sys.stderr)
        return {"error": f"exit code {process.returncode}"}
    return {"load_before": round(load, 2), **json.loads(lines[-1])}


def end_group(process: subprocess.Popen) -> None:
    """Ends a contender with all that it started, so that nothing of it runs beside the next."""
    with contextlib.suppress(ProcessLookupError):  # the normal case: it is gone already
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def summary(rounds: list[dict[str, Any]], names: list[str]) -> dict[str, Any]:
    """Median, lowest and highest speed of each contender, and of the first as a multiple of it."""
    speeds = [
        {name: m["env_steps_per_second"] for name, m in r.items() if "error" not in m}
        for r in rounds
    ]
    result = {}
    for name in names:
        own = [s[name] for s in speeds if name in s]
        ratios = [s[names[0]] / s[name] for s in speeds if name in s and names[0] in s]
        result[name] = {
            "env_steps_per_second": spread(own),
            "first_is_times_as_fast": spread(ratios),
        }
    return result


def spread(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def table(summaries: dict[str, Any]) -> str:
    lines = [
        "| contender | env steps/s: median (min to max) | first / contender: median (min to max) |",
        "|---|---|---|",
    ]
    for name, row in summaries.items():
        speed = cell(row["env_steps_per_second"], 0)
        lines.append(f"| {name} | {speed} | {cell(row['first_is_times_as_fast'], 2)} |")
    return "\n".join(lines)


def cell(values: dict[str, float] | None, digits: int) -> str:
    if values is None:
        return "not measured"
    return f"{values['median']:,.{digits}f} ({values['min']:,.{digits}f} to {values['max']:,.{digits}f})"


def same_network(rounds: list[dict[str, Any]]) -> bool:
    return len({m["parameters"] for r in rounds for m in r.values() if "error" not in m}) <= 1


def surroundings() -> dict[str, Any]:
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "started": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "git_commit": git_commit(),
        "machine": {"cpu": cpu_model(), "cores": os.cpu_count(), "gpus": gpus},
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
    }


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def git_commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def write(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".partial")
    beside.write_text(json.dumps(result, indent=1) + "\n")
    beside.replace(path)


if __name__ == "__main__":
    tyro.cli(main)
