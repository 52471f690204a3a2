"""A whole run as one frozen dataclass: what users override, what is saved, what is checked
first."""

import shlex
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_origin, get_type_hints

from agents.environments import opened
from agents.interfaces import Algorithm, Encoder, Environment, Memory, RewardModel
from agents.settings.environment_reward import EnvironmentReward
from agents.settings.no_memory import NoMemory
from common.ranges import NonNegative, Seed, Size, SizeOrZero, Steps, StepsOrZero, check_ranges
from common.renamed import renamed
from common.spaces import without_mask


class InvalidExperiment(ValueError):
    """A mistake in what the user asked for, told in one line; nothing has been started."""


@dataclass(frozen=True)
class Resources:
    """What each process of a run holds of its machine. A share of a GPU is for processes that can
    do with one."""

    env_runner_cpus: NonNegative | None = None
    """Cores of each env runner; 1 if not said."""
    env_runner_gpus: NonNegative = 0.0
    """GPUs of each env runner, to act by; 0.25 lets four share one."""
    learner_cpus: NonNegative | None = None
    """Cores of each learner; 1 if not said, 0 beside a GPU."""
    learner_gpus: NonNegative | None = None
    """GPUs of each learner; 1 if not said, where there are any."""
    evaluator_cpus: NonNegative | None = None
    """Cores of the evaluator (--evaluate-beside); 1 if not said."""
    evaluator_gpus: NonNegative = 0.0
    """GPUs of the evaluator."""
    patience_seconds: NonNegative = 60.0
    """How long a run waits for machines that a cluster lost, before it goes on with fewer env
    runners."""


@dataclass(frozen=True)
class Experiment:
    """Trains an agent."""

    env: Environment
    """The environment."""
    algo: Algorithm
    """The algorithm's settings."""
    encoder: Encoder
    """The network from observations to features."""
    memory: Memory = NoMemory()
    """What the agent keeps of earlier observations, between encoder and heads."""
    reward: RewardModel = EnvironmentReward()
    """What the agent is rewarded for."""
    begin_from: str = ""
    """A run, such as one of behavior cloning, whose newest network this one begins with; empty
    draws a new one."""
    total_env_steps: Steps = 1_000_000
    """Env steps in all environments together (on Atari, one step is four frames)."""
    seed: Seed = 1
    """Seeds networks, environments and sampling."""
    num_envs: Size = 8
    """Environments in all runners together."""
    num_env_runners: SizeOrZero = 0
    """Processes that sample; 0 samples in this one."""
    num_learners: SizeOrZero = 0
    """Processes that learn, joined by DDP; 0 learns in this one."""
    evaluate_beside: bool = False
    """Evaluate in a process of its own while training goes on."""
    resources: Resources = Resources()
    """Cores and GPUs of each of these processes."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic of large layers: auto takes bf16 where it pays and the processor or GPU is made
    for it."""
    evaluate_every_env_steps: StepsOrZero = 100_000
    """Env steps between evaluations, each with a video; the first comes after a tenth of this. 0
    never."""
    evaluation_episodes: Size = 10
    """Whole episodes an evaluation."""
    checkpoint_every_env_steps: Steps = 50_000
    """Env steps between checkpoints: what a kill can cost."""
    keep_checkpoints: Size = 3
    """Latest checkpoints to keep; the best one by evaluation is kept besides."""
    max_environment_faults: SizeOrZero = 10
    """Environments that may fail within 10,000 env steps (by an error, a step of over a minute, or
    numbers that are not finite) and are built again; more stop the run."""
    run_dir: str = ""
    """The run's folder; empty makes runs/<env>-<algo>-<time>."""
    address: str = ""
    """A Ray cluster: ray://head:10001, or auto on one of its machines; empty starts Ray on this
    machine."""

    def validate(self) -> Any:
        """Returns the encoder, an EncoderModule, built for the environment's observations.

        Raises InvalidExperiment, in one line, for anything that could not train."""
        try:
            check_ranges(self, "--")
            check_ranges(self.resources, "--resources.")
        except ValueError as mistake:
            raise InvalidExperiment(str(mistake)) from mistake
        waits = self.algo.learning_starts_env_steps
        require(
            waits < self.total_env_steps,
            f"Nothing would be learnt in {self.total_env_steps:,} env steps: learning starts after "
            f"{waits:,}; raise "
            "--total-env-steps or lower --algo.learning-starts-env-steps.",
        )
        needed = self.num_envs * self.algo.fewest_steps(self.memory.steps)
        require(
            needed < self.total_env_steps,
            f"Nothing would be learnt in {self.total_env_steps:,} env steps: the replay needs "
            f"{needed:,} before anything can be drawn; raise --total-env-steps, or lower "
            "--algo.n-step, --memory.steps or --num-envs.",
        )
        gpus_each = self.resources.learner_gpus
        require(
            self.num_learners < 2 or gpus_each is None or float(gpus_each).is_integer(),
            f"Learners that are joined cannot share a GPU, and are given {gpus_each} each; give 0 "
            "or 1, or take "
            "--num-learners 1.",
        )
        runners = max(1, self.num_env_runners)
        learners = max(1, self.num_learners)
        require(
            self.num_envs % runners == 0 and self.num_envs % learners == 0,
            f"{self.num_envs} environments do not divide among {runners} runner(s) and {learners} "
            "learner(s); "
            f"choose --num-envs as a multiple of both.",
        )
        from agents.engine.memory_needed import memory_checked, require_rollout_memory

        try:
            with opened(self.env) as environment:
                space = environment.observation_space
                require_rollout_memory(self, space)
                self.algo.check(environment, self.env.frame_stack, self.num_envs, self.num_learners)
                if self.memory.size:
                    self.algo.check_memory(self.memory.steps, self.num_envs, self.env.frame_stack)
                with memory_checked("the encoder"):
                    encoder = self.encoder.build(without_mask(space))
                with memory_checked("the reward model"):
                    reward = self.reward.build(space, environment.action_space)
        except ValueError as mistake:
            raise InvalidExperiment(str(mistake)) from mistake
        require(
            reward is None or self.algo.judges_single_steps,
            "A reward model judges single steps, and this algorithm learns from several at once; "
            "use --algo.n-step 1 where it learns from more, or leave out --reward.",
        )
        return encoder

    def checkpoint_bytes(self) -> int:
        """What checkpoints may hold on the disk at a time, besides networks."""
        with opened(self.env) as environment:
            space = environment.observation_space
        return self.algo.checkpoint_bytes(space, self.env.frame_stack, self.total_env_steps)

    def to_json(self) -> dict[str, Any]:
        return to_json(self)

    @classmethod
    def from_json(cls, data: Any, plugs: Mapping[str, type]) -> "Experiment":
        """The experiment that `to_json` wrote; `plugs` maps class names to the classes allowed.

        Raises InvalidExperiment for anything else."""
        from typeguard import TypeCheckError

        try:
            experiment = from_json(data, ChainMap({cls.__name__: cls}, plugs))  # pyright: ignore[reportArgumentType]
        except UnknownClass as unknown:
            raise InvalidExperiment(
                f"experiment.json has a {unknown}, which is no class of SAVED_CLASSES in "
                "scripts/recipes/__init__.py: a plug of your own must be added there, else the file "
                "is damaged."
            ) from unknown
        except (KeyError, TypeError, ValueError, RecursionError, TypeCheckError) as damage:
            raise InvalidExperiment(
                f"experiment.json is not one of ours or is damaged: {damage}"
            ) from damage
        require(isinstance(experiment, cls), "experiment.json does not describe an experiment.")
        return experiment


class UnknownClass(ValueError):
    """A class, by its name, that no experiment.json may have."""


def require(condition: bool, otherwise: str) -> None:
    """Raises InvalidExperiment with the message `otherwise` unless the condition holds."""
    if not condition:
        raise InvalidExperiment(otherwise)


def first_line(failure: BaseException) -> str:
    """What somebody wants to read of an error that is not ours."""
    return (str(failure).strip() or type(failure).__name__).splitlines()[0]


def next_command(script: str, *arguments: str | Path) -> str:
    """The command line that a user can copy to go on with."""
    return shlex.join(["python", f"scripts/{script}", *map(str, arguments)])


def dashed(name: str) -> str:
    """A field's name as the command line has it: max_steps is max-steps."""
    return name.replace("_", "-")


def to_json(value: Any) -> Any:
    """Dataclasses as objects that carry their class's name under `type`."""
    if is_dataclass(value):
        return {"type": type(value).__name__} | {
            f.name: to_json(getattr(value, f.name)) for f in fields(value)
        }
    return list(value) if isinstance(value, tuple) else value


def from_json(data: Any, plugs: Mapping[str, type]) -> Any:
    """What `to_json` wrote, with classes from `plugs` alone and every value of its field's type."""
    from typeguard import (
        CollectionCheckStrategy,
        check_type,
    )  # takes half a second; few commands read settings

    if not isinstance(data, dict):
        return data
    settings = {renamed(name): value for name, value in data.items()}
    kind = settings.pop("type")
    if isinstance(kind, str) and kind not in plugs:
        raise UnknownClass(kind)
    cls = plugs[kind]
    known = {f.name for f in fields(cls)}
    if unknown := settings.keys() - known:
        raise ValueError(f"{cls.__name__} has no field {', '.join(sorted(unknown))}")
    hints = get_type_hints(cls)
    values = {name: from_json(value, plugs) for name, value in settings.items()}
    for name, value in values.items():
        if get_origin(hints[name]) is tuple and isinstance(value, list):
            values[name] = tuple(value)
        check_type(
            values[name], hints[name], collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS
        )
    built = cls(**values)
    check_ranges(built)  # an experiment does so only where it is validated
    return built
