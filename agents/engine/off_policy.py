"""What algorithms that learn from replayed experience share: settings, the learner's visits to the replay, reports."""

import copy
import math
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.algorithms.ranges import require_above, require_within
from agents.checkpoint import STATE
from agents.engine.algorithm import ColumnarAlgorithm
from agents.engine.hindsight import goal_packing, hindsight
from agents.engine.learner import ColumnarLearner
from agents.engine.packing import Packing
from agents.engine.replay import Frames, Replay, Transitions
from agents.interfaces import Columns

REPORT_EVERY_ENV_STEPS = 1_000
MOST_TRANSITIONS_A_VISIT = 16_384  # drawn at once: half a gigabyte of Atari images, and as much again that follow


@dataclass(frozen=True)
class OffPolicy:
    """Settings of the replay and of learning from it."""

    rollout_length: int = 1
    """Steps that each environment takes between two visits to the replay (T)."""
    update_every_env_steps: int = 1
    """Env steps, in all environments together, between two updates."""
    gradient_steps: int = 1
    """Gradient steps an update."""
    batch_size: int = 256
    """Transitions a gradient step, on each learner."""
    learning_starts_env_steps: int = 10_000
    """Env steps to collect before the first gradient step."""
    replay_capacity: int = 1_000_000
    """Env steps to remember; on Atari 7 KB each."""
    memory_map_replay: bool = False
    """Keep frames in a file of the system's temporary folder instead of memory."""
    checkpoint_replay: bool = True
    """Save the replay with every checkpoint; without it a resumed run collects anew before it learns."""
    checkpoint_replay_limit_gb: float = 16.0
    """Most gigabytes of frames that a checkpoint holds; of what is beyond it, the newest are saved."""
    learning_rate: float = 1e-3
    """Adam's step size at the start."""
    anneal_learning_rate: bool = False
    """Lower the learning rate linearly to zero at the end of the run."""
    adam_epsilon: float = 1e-8
    """Adam's epsilon."""
    discount: float = 0.99
    """Gamma: what a reward one step later is worth."""
    n_step: int = 1
    """Steps of real rewards before the target network is asked."""
    priority_exponent: float = 0.0
    """How much the size of its last error decides how often a transition is drawn; 0 draws all alike."""
    importance_exponent: float = 0.4
    """How far weights undo that bias at first; they undo it wholly at the end of the run."""
    hindsight: Literal["none", "future", "final", "episode"] = "none"
    """Learn from goals that were reached, too, as if they had been meant: those after a transition, at the end of its
    episode, or anywhere in it."""
    hindsight_share: float = 0.8
    """Share of transitions that get such a goal (Andrychowicz et al. 2017, four for each that keeps its own)."""

    def __post_init__(self) -> None:
        require_above(self, 0.0, "rollout_length", "update_every_env_steps", "gradient_steps", "batch_size", "n_step")
        require_above(self, 0.0, "replay_capacity", "learning_rate", "adam_epsilon", "checkpoint_replay_limit_gb")
        require_within(self, 0.0, 1.0, "discount", "priority_exponent", "importance_exponent", "hindsight_share")
        require_within(self, 0.0, math.inf, "learning_starts_env_steps")
        if self.hindsight != "none" and self.n_step > 1:
            raise ValueError(f"Hindsight gives one step another goal; n_step must be 1 with it, not {self.n_step}.")

    @property
    def judges_single_steps(self) -> bool:
        return self.n_step == 1

    def updates_after(self, env_steps: int) -> int:
        """Gradient steps that are due for so many env steps."""
        return env_steps // self.update_every_env_steps * self.gradient_steps

    def learning_rate_at(self, progress: float) -> float:
        return self.learning_rate * (1.0 - progress if self.anneal_learning_rate else 1.0)

    def check_replay(self, environment: gymnasium.Env, frame_stack: int, num_envs: int, num_learners: int) -> None:
        """Raises ValueError, in one line, where experience of this environment could not be remembered or drawn."""
        if num_envs * self.rollout_length % self.update_every_env_steps:
            raise ValueError(
                f"{num_envs} environments x {self.rollout_length} steps are no multiple of update_every_env_steps, "
                f"{self.update_every_env_steps}; change --algo.rollout-length or --num-envs."
            )
        transitions = self.updates_after(num_envs * self.rollout_length) * self.batch_size
        if transitions > MOST_TRANSITIONS_A_VISIT:
            raise ValueError(
                f"{num_envs * self.rollout_length:,} env steps between two visits to the replay would draw "
                f"{transitions:,} transitions at once; {MOST_TRANSITIONS_A_VISIT:,} are the most; lower "
                "--algo.rollout-length, --num-envs, --algo.gradient-steps or --algo.batch-size."
            )
        if self.hindsight != "none":
            goal_packing(environment)
        ring = self.replay_capacity // max(1, num_learners) // (num_envs // max(1, num_learners))  # steps of each
        smallest = self.n_step + frame_stack + 1
        if ring < smallest:
            raise ValueError(f"replay_capacity must be at least {smallest * num_envs:,} with {num_envs} environments.")
        if ring * num_envs < self.learning_starts_env_steps:
            raise ValueError(
                f"Learning would never start: the replay holds {ring * num_envs:,} env steps, and "
                f"learning_starts_env_steps is {self.learning_starts_env_steps:,}."
            )
        frames = self.replay_capacity * frame_bytes(environment.observation_space, frame_stack)
        free = psutil.virtual_memory().available
        if frames > free and not self.memory_map_replay:
            raise ValueError(
                f"replay_capacity {self.replay_capacity:,} needs {frames / 2**30:.1f} GiB of memory, and "
                f"{free / 2**30:.1f} are free; lower it, or use --algo.memory-map-replay."
            )

    def check_memory(self, steps: int) -> None:
        raise ValueError(
            "No memory can be trained by single steps, from which it learns; --memory is for ppo and appo."
        )

    def checkpoint_bytes(self, observation_space: gymnasium.Space, frame_stack: int, total_env_steps: int) -> int:
        """The frames of the newest checkpoint and those of the best, which may be others."""
        held = min(self.replay_capacity, total_env_steps) * frame_bytes(observation_space, frame_stack)
        return 2 * int(min(held, self.checkpoint_replay_limit_gb * 1e9)) if self.checkpoint_replay else 0


def frame_bytes(observation_space: gymnasium.Space, frame_stack: int) -> int:
    """What one env step takes in the replay, but for some numbers."""
    packing = Packing(observation_space)
    return math.prod(packing.shape) * packing.dtype.itemsize // frame_stack


class OffPolicyLearner(ColumnarLearner):
    """Keeps the replay and the target network; with several learners, each the replay of its own environments.

    An algorithm adds its gradient step, whose term `errors` (B,) says by what priorities are set."""

    def build(self) -> None:
        super().build()
        self.target = copy.deepcopy(self.bare_network).requires_grad_(False)
        self.noise = torch.Generator(self._device)
        self.draws_from = (self.noise,)
        settings, network = self.settings, self.bare_network
        environment = self.config.env_config["environment"]
        learners, runners = max(1, self.config.num_learners), max(1, self.config.num_env_runners)
        packing = Packing(network.observation_space)
        self.replay = Replay(
            settings.replay_capacity // learners,
            self.config.num_envs_per_env_runner * runners // learners,
            packing.shape,
            packing.dtype,
            network.action_space.shape,
            network.action_space.dtype,
            stack=environment.frame_stack,
            n_step=settings.n_step,
            discount=settings.discount,
            priority_exponent=settings.priority_exponent,
            memory_map=Path(tempfile.gettempdir()) if settings.memory_map_replay else None,
        )
        self.hindsight = (
            hindsight(environment.build(), settings.hindsight, settings.hindsight_share)
            if settings.hindsight != "none"
            else None
        )
        self.thread = ThreadPoolExecutor(1)
        self.ahead: Future[Transitions | None] | None = None

    def columns(self, transitions: Transitions) -> Columns:
        """What the loss asks for of a visit's transitions, on the device."""
        prepare, device = self.bare_network.prepare, self._device
        observations = transitions.observations.to(device, non_blocking=True)
        actions = torch.as_tensor(transitions.actions).to(device, non_blocking=True)
        rewards = self.discounted(self.rewards(transitions.rewards, observations, actions))
        with torch.no_grad():
            return {
                "observations": prepare(observations),
                "actions": actions,
                "rewards": torch.as_tensor(rewards).to(device, non_blocking=True),
                "discounts": torch.as_tensor(transitions.discounts).to(device, non_blocking=True),
                "next_observations": prepare(transitions.next_observations.to(device, non_blocking=True)),
                "weights": torch.as_tensor(transitions.weights).to(device, non_blocking=True),
            }

    def minibatches(self, experience: Frames, terms: list[dict[str, Tensor]]) -> Iterator[Columns]:
        """What is learnt from was there before `experience`, so that it could be drawn while that was sampled."""
        size = self.settings.batch_size
        updates = self.settings.updates_after(self.env_steps - self.env_steps_before)
        transitions = self.ahead.result() if self.ahead else self.draw(self.env_steps_before, updates)
        if transitions is not None:
            self.noise.manual_seed(self.generator.initial_seed())
            columns = self.columns(transitions)
            errors = []
            for start in range(0, len(transitions.rows), size):
                yield {name: column[start : start + size] for name, column in columns.items()}
                errors.append(terms[-1].pop("errors"))
            self.replay.prioritize(transitions.rows, torch.cat(errors).cpu().numpy())
        self.replay.add(experience)
        self.ahead = self.thread.submit(self.draw, self.env_steps, updates)

    def draw(self, env_steps: int, batches: int) -> Transitions | None:
        """All batches of a visit at once: as many reads of memory as for one.

        None before learning starts. It only reads, and follows from what the replay holds and `env_steps`."""
        settings = self.settings
        held = len(self.replay) * max(1, self.config.num_learners)
        if not self.replay.ready or held < settings.learning_starts_env_steps:
            return None
        random = np.random.default_rng([self.config.seed or 0, self._learner_index, env_steps])
        done = min(1.0, env_steps / self.total_env_steps)
        exponent = settings.importance_exponent + done * (1 - settings.importance_exponent)
        drawn = self.replay.draw(batches * settings.batch_size, random, exponent, batches)
        return drawn if self.hindsight is None else self.hindsight.relabel(self.replay, drawn, random)

    def discounted(self, rewards: NDArray[np.float32]) -> NDArray[np.float32]:
        """Each transition's rewards on the way (n, B) as one number (B,)."""
        weighed = self.settings.discount ** np.arange(len(rewards), dtype=np.float32)[:, None] * rewards
        return weighed.sum(0, dtype=np.float32)

    def after_update(self, experience: Frames) -> dict[str, float]:
        metrics = {"replay_fill": len(self.replay) / len(self.replay.rewards)}
        priorities = self.replay.priorities
        if priorities is not None and len(self.replay):
            metrics |= {"priority_mean": priorities.total / len(self.replay), "priority_max": self.replay.max_priority}
        return metrics

    def get_state(self, components=None, *, not_components=None, **kwargs: Any) -> dict[str, Any]:
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self._check_component("target", components, not_components):
            state["target"] = self.target.get_state()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        if "target" in state:
            self.target.set_state(state["target"])

    def save_replay(self, folder: Path, previous: Path | None) -> None:
        limit = self.settings.checkpoint_replay_limit_gb * 1e9 / max(1, self.config.num_learners)
        self.replay.save(self._own(folder), self._own(previous) if previous else None, limit)

    def load_replay(self, folder: Path) -> None:
        self.ahead = None
        self.replay.load(self._own(folder))

    def _own(self, folder: Path) -> Path:
        return folder / f"replay-{self._learner_index}"


class OffPolicyAlgorithm(ColumnarAlgorithm):
    def training_step(self) -> None:
        """Many rounds of some steps and some updates, reported as one."""
        reported, before = [], self.env_steps
        stop = min(before + REPORT_EVERY_ENV_STEPS, self.config.learner_config_dict["total_env_steps"])
        while self.env_steps < stop:
            super().training_step()
            reported.append(self.learner_metrics)
            if self.faults:  # somebody has to decide whether to go on
                break
        self.learner_metrics = means(reported)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        super().save_checkpoint(checkpoint_dir)
        if self.config.learner_config_dict["algorithm"].checkpoint_replay:
            folder, previous = Path(checkpoint_dir).absolute(), self.last_checkpoint
            self.each_learner(lambda learner: learner.save_replay(folder, previous))
            if len(saved_replays(folder)) < max(1, self.config.num_learners):
                raise OSError(f"Not every learner's replay arrived in {folder}: all machines must share that folder.")

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        super().load_checkpoint(checkpoint_dir)
        folder = Path(checkpoint_dir).absolute()
        saved, learners = len(saved_replays(folder)), max(1, self.config.num_learners)
        if saved not in (0, learners):
            raise ValueError(f"{folder} has the replays of {saved} learners, not of {learners}.")
        if saved:
            self.each_learner(lambda learner: learner.load_replay(folder))


def saved_replays(folder: Path) -> list[Path]:
    """Those of a checkpoint that are complete."""
    return [state.parent for state in folder.glob(f"replay-*/{STATE}")]


def means(rows: list[dict[str, float]]) -> dict[str, float]:
    """Each name's mean over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
