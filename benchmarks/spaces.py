"""Spaces and habits of environments against algorithms: trains, or refused in one line.

    python benchmarks/spaces.py

One process, without Ray's workers, some hundred env steps each; writes
results/hard_inputs/spaces.md. Exit code 1 where anything else happens."""

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import gymnasium
import numpy as np
from gymnasium.spaces import (
    Box,
    Dict,
    Discrete,
    MultiBinary,
    MultiDiscrete,
    Sequence,
    Space,
    Text,
    Tuple,
)

from agents.engine.config import rllib_config
from agents.engine.env_runner import check_environment
from agents.experiment import Experiment
from agents.interfaces import EnvironmentFailure
from common.info import ACTION_MASK
from envs.classic import ClassicConfig
from perception.settings.memory import RecurrentConfig
from scripts.recipes import recipe_named

ALGORITHMS = ("ppo", "pqn", "dqn", "r2d2", "ddpg", "td3", "sac", "crossq")
CONTINUOUS = ("ddpg", "td3", "sac", "crossq")
NAME = "benchmarks/Odd-v0"
ENV_STEPS = 384
EPISODE = 7

VECTOR = Box(-1, 1, (3,), np.float32)
IMAGE = Box(0, 255, (40, 44, 3), np.uint8)
CHOICE = Discrete(3)
REAL = Box(-1, 1, (2,), np.float32)
GOAL = Box(-1, 1, (2,), np.float64)

OBSERVATIONS: dict[str, Space] = {
    "vector": VECTOR,
    "vector, float64, unbounded": Box(-np.inf, np.inf, (3,), np.float64),
    "vector, float16": Box(-1, 1, (3,), np.float16),
    "vector, bytes": Box(0, 255, (16,), np.uint8),
    "vector, bool": Box(0, 1, (4,), np.bool_),
    "vector, integers to 100": Box(0, 100, (3,), np.int64),
    "vector, integers to 2^40": Box(0, 2**40, (3,), np.int64),
    "single number": Box(-1, 1, (), np.float32),
    "matrix": Box(-1, 1, (2, 3), np.float32),
    "nothing": Box(-1, 1, (0,), np.float32),
    "image, channels last": IMAGE,
    "image, channels first": Box(0, 255, (3, 40, 44), np.uint8),
    "image, 16x16": Box(0, 255, (16, 16, 3), np.uint8),
    "image, grey": Box(0, 255, (40, 44), np.uint8),
    "image, real from 0 to 1": Box(0, 1, (40, 44, 3), np.float32),
    "four images": Box(0, 255, (4, 40, 44, 3), np.uint8),
    "symbols, 7x7x3": Box(0, 20, (7, 7, 3), np.uint8),
    "state": Discrete(12),
    "state from -5": Discrete(12, start=-5),
    "state of 10^7": Discrete(10**7),
    "states": MultiDiscrete([3, 4], start=[1, 2]),
    "bits": MultiBinary((2, 3)),
    "tuple": Tuple((VECTOR, Discrete(4))),
    "dict": Dict(a=VECTOR, b=Box(-9, 9, (2, 2), np.float64)),
    "dict with image": Dict(camera=IMAGE, values=VECTOR),
    "dict in dict": Dict(
        {"a.b": Dict(camera=IMAGE, state=Discrete(3)), "c": Tuple((VECTOR, MultiBinary(3)))}
    ),
    "goals": Dict(observation=VECTOR, achieved_goal=GOAL, desired_goal=GOAL),
    "goals of bits": Dict(
        observation=IMAGE, achieved_goal=MultiBinary(3), desired_goal=MultiBinary(3)
    ),
    "text": Text(5),
    "sequence": Sequence(VECTOR),
}
ACTIONS: dict[str, Space] = {
    "choice": CHOICE,
    "choice from 5": Discrete(3, start=5),
    "choices": MultiDiscrete([3, 2]),
    "bits": MultiBinary(3),
    "50x50x50 choices": MultiDiscrete([50, 50, 50]),
    "integers": Box(0, 3, (2,), np.int64),
    "dict of choices": Dict(a=Discrete(2), b=Discrete(3, start=1)),
    "vector": REAL,
    "vector, float64": Box(-0.9, 0.3, (2,), np.float64),
    "vector, from 50 to 150": Box(50, 150, (1,), np.float32),
    "vector, unbounded": Box(-np.inf, np.inf, (2,), np.float32),
    "matrix": Box(-1, 1, (2, 3), np.float32),
    "dict of vectors": Dict(a=REAL, b=Box(0, 1, (2, 2), np.float32)),
    "nothing": Box(-1, 1, (0,), np.float32),
    "choice and vector": Tuple((CHOICE, REAL)),
}


class Odd(gymnasium.Env):
    """Random observations and rewards; refuses actions that its space does not have."""

    def __init__(self, seen: Space, taken: Space) -> None:
        self.observation_space = seen
        self.action_space = taken

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.clock = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        if not self.action_space.contains(action):
            raise RuntimeError(f"{action!r} is no action of {self.action_space}")
        self.clock += 1
        return (
            self.observation_space.sample(),
            self.np_random.random(),
            self.clock == EPISODE,
            False,
            {},
        )

    def compute_reward(self, achieved: Any, desired: Any, info: Any) -> Any:
        return -np.abs(np.asarray(achieved, float) - desired).sum(-1)


def habit(**methods: Any) -> Callable[[Space], gymnasium.Env]:
    """Builds environments with some methods or attributes of their own."""
    return lambda taken: type("Habit", (Odd,), methods)(methods.get("seen", VECTOR), taken)


def after_step(change: Callable[..., Any]) -> dict[str, Any]:
    """A `step` whose result is changed."""
    return {"step": lambda self, action: change(self, *Odd.step(self, action))}


def refuses_masked() -> dict[str, Any]:
    """A step for environments whose action 1 is never possible."""

    def step(self: Any, action: Any) -> Any:
        if isinstance(self.action_space, Discrete) and action == 1:
            raise RuntimeError("action 1 is masked")
        return Odd.step(self, action)

    return {"step": step}


def masked(mask: Callable[[Any], Any]) -> Callable[[Space], gymnasium.Env]:
    """Builds environments whose info has what `mask` makes of them."""

    def reset(self: Any, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        observation, _ = Odd.reset(self, seed=seed)
        return observation, {ACTION_MASK: mask(self)}

    def step(self: Any, action: Any) -> Any:
        *result, _ = refuses_masked()["step"](self, action)
        return *result, {ACTION_MASK: mask(self)}

    return habit(reset=reset, step=step)


def one_array(self: Any, observation: Any, *rest: Any) -> Any:
    self.array = getattr(self, "array", np.zeros(3, np.float32))
    self.array[:] = observation
    return self.array, *rest


def changes_action(self: Any, action: Any) -> Any:
    result = Odd.step(self, action)
    if isinstance(action, np.ndarray):
        action[...] = 99
    return result


def varying(self: Any, *rest: Any) -> Any:
    *rest, _ = rest
    kinds: list[Any] = [1, "one", None, np.zeros(self.clock), [self.clock], {"a": self.clock}]
    return *rest, {"seen": kinds[self.clock % len(kinds)], "is_success": self.clock % 2}


HABITS: dict[str, Callable[[Space], gymnasium.Env]] = {
    "writes observations into one array": habit(**after_step(one_array)),
    "changes its action": habit(step=changes_action),
    "infos that vary": habit(**after_step(varying)),
    "success is said on success alone": habit(
        **after_step(
            lambda self, *rest: (*rest[:-1], {"is_success": True} if self.clock == 3 else {})
        )
    ),
    "reward is an array": habit(**after_step(lambda self, o, r, *rest: (o, np.array([r]), *rest))),
    "reward is an integer": habit(**after_step(lambda self, o, r, *rest: (o, 1, *rest))),
    "reward is None": habit(**after_step(lambda self, o, r, *rest: (o, None, *rest))),
    "flags are numpy's": habit(
        **after_step(lambda self, o, r, a, b, i: (o, r, np.bool_(a), np.int8(b), i))
    ),
    "observations are lists": habit(**after_step(lambda self, o, *rest: (o.tolist(), *rest))),
    "observations are float64": habit(
        **after_step(lambda self, o, *rest: (o.astype(float), *rest))
    ),
    "observations of another shape": habit(**after_step(lambda self, o, *rest: (o[:2], *rest))),
    "bytes that are 300": habit(
        seen=Box(0, 255, (3,), np.uint8),
        **after_step(lambda self, o, *rest: (o.astype(int) + 300, *rest)),
    ),
    "not finite": habit(**after_step(lambda self, o, *rest: (o * np.nan, *rest))),
    "four results of a step": habit(**after_step(lambda self, o, r, a, b, i: (o, r, a, i))),
    "reset without an info": habit(
        reset=lambda self, *, seed=None, options=None: Odd.reset(self)[0]
    ),
    "reset without a seed": habit(reset=lambda self: Odd.reset(self)),
    "ignores the seed": habit(reset=lambda self, *, seed=None, options=None: Odd.reset(self)),
    "no render, no render_mode": habit(metadata={}),
    "mask in info": masked(lambda self: np.array([1, 0, 1], np.int8)),
    "mask of floats": masked(lambda self: np.array([1.0, 0.0, 1.0])),
    "mask of another length": masked(lambda self: np.ones(5, np.int8)),
    "mask that leaves nothing": masked(lambda self: np.zeros(3, np.int8)),
    "mask that comes and goes": masked(
        lambda self: None if self.clock == 2 else np.array([1, 0, 1], np.int8)
    ),
    "mask by a method": habit(
        action_masks=lambda self: np.array([True, False, True]), **refuses_masked()
    ),
    "fails in its constructor": habit(__init__=lambda self, seen, taken: 1 / 0),
}


def small(experiment: Experiment) -> Experiment:
    """The experiment with little to do."""
    algo: Any = experiment.algo
    if hasattr(algo, "minibatch_size"):
        algo = replace(algo, rollout_length=16, minibatch_size=16, epochs=1)
    else:
        changes: dict[str, Any] = (
            {"compile_losses": False} if hasattr(algo, "compile_losses") else {}
        )
        algo = replace(
            algo,
            rollout_length=8,
            update_every_env_steps=32,
            batch_size=16,
            learning_starts_env_steps=64,
            replay_capacity=1_000,
            **changes,
        )
    if algo.name == "r2d2":
        algo = replace(algo, burn_in=2)
        experiment = replace(experiment, memory=RecurrentConfig(units=8, steps=4))
    return replace(
        experiment, algo=algo, num_envs=4, total_env_steps=ENV_STEPS, max_environment_faults=0
    )


def outcome(build: Callable[[], gymnasium.Env], algorithm: str) -> str:
    """`trains`, the refusal before anything starts, or the fault that ends the run; anything else
    is raised."""
    gymnasium.register(NAME, entry_point=build)
    try:
        return trained(algorithm)
    except ValueError as refusal:
        if "\n" in str(refusal):
            raise RuntimeError(f"a refusal of several lines: {refusal}") from refusal
        return f"refused: {refusal}".replace(f" '{NAME}'", "")
    finally:
        del gymnasium.registry[NAME]


def trained(algorithm: str) -> str:
    experiment = small(recipe_named(algorithm)(ClassicConfig(NAME)))
    experiment.validate()
    check_environment(experiment.env)
    learner: Any = rllib_config(experiment).build_algo()
    try:
        while learner.env_steps < ENV_STEPS:
            learner.train()
            if learner.faults:
                return f"fault: {learner.faults[-1]}"
    except EnvironmentFailure as failure:
        return f"fault: {failure}"
    finally:
        learner.stop()
    assert all(np.isfinite(value).all() for value in learner.network_state().values())
    return "trains"


def rows() -> list[tuple[str, str, dict[str, Callable[[], gymnasium.Env]]]]:
    """Each row's kind and name, and the environment with actions for each algorithm."""

    def suited(algorithm: str) -> Space:
        return REAL if algorithm in CONTINUOUS else CHOICE

    def seen(space: Space) -> dict[str, Callable[[], gymnasium.Env]]:
        return {a: lambda a=a: Odd(space, suited(a)) for a in ALGORITHMS}

    observed = [("observations", name, seen(space)) for name, space in OBSERVATIONS.items()]
    taken = [
        ("actions", name, {a: lambda space=space: Odd(VECTOR, space) for a in ALGORITHMS})
        for name, space in ACTIONS.items()
    ]
    habits = [
        ("habits", name, {a: lambda make=make, a=a: make(suited(a)) for a in ALGORITHMS})
        for name, make in HABITS.items()
    ]
    return [*observed, *taken, *habits]


def table(results: list[tuple[str, str, dict[str, str]]], seconds: float) -> str:
    """The results as Markdown, with each refusal once below."""
    notes: dict[str, int] = {}
    lines = [
        "# Spaces and habits of environments against algorithms",
        "",
        "`python benchmarks/spaces.py`: some hundred env steps of each by its recipe, in one "
        "process. A number is a "
        "refusal or a fault, below.",
        "",
    ]
    kind = ""
    for group, name, cells in results:
        if group != kind:
            kind = group
            lines += [
                "",
                f"| {group} | {' | '.join(ALGORITHMS)} |",
                "|---|" + "---|" * len(ALGORITHMS),
            ]
        marks = [
            "trains" if text == "trains" else f"({notes.setdefault(text, len(notes) + 1)})"
            for text in cells.values()
        ]
        lines.append(f"| {name} | {' | '.join(marks)} |")
    told = [f"{number}. {text}" for text, number in notes.items()]
    trains = sum(text == "trains" for _, _, cells in results for text in cells.values())
    of = sum(len(cells) for _, _, cells in results)
    return "\n".join(
        [*lines, "", *told, "", f"{trains} of {of} train; {seconds:.0f} s of processor time.", ""]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", default="", help="rows whose name has this in it; nothing is written"
    )
    only = parser.parse_args().only
    results = []
    broken = 0
    for group, name, builders in rows():
        if only not in name:
            continue
        cells = {}
        for algorithm, build in builders.items():
            try:
                cells[algorithm] = outcome(build, algorithm)
            except Exception as crash:
                broken += 1
                cells[algorithm] = (
                    f"CRASH: {type(crash).__name__}: {str(crash).strip().splitlines()[:1]}"
                )
        results.append((group, name, cells))
        print(f"{group} {name}: {cells}", flush=True)
    if not only:
        path = Path(__file__).parent / "results" / "hard_inputs" / "spaces.md"
        path.write_text(table(results, time.process_time()))
    raise SystemExit(1 if broken else 0)


if __name__ == "__main__":
    main()
