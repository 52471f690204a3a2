"""What algorithms that learn from replayed experience share: settings, the learner's visits to the replay, reports."""

import copy
import math
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Discrete
from numpy.typing import NDArray
from torch import Tensor

from agents.checkpoint import STATE, Damaged
from agents.engine.algorithm import ColumnarAlgorithm
from agents.engine.env_runner import action_dtype
from agents.engine.hindsight import hindsight
from agents.engine.learner import ColumnarLearner
from agents.engine.packing import Packing
from agents.engine.replay import Frames, Replay, Transitions
from agents.interfaces import Columns

REPORT_EVERY_ENV_STEPS = 1_000


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
        settings = self.settings
        environment = self.config.env_config["environment"]
        self.replay = self.empty_replay()
        self.hindsight = (
            hindsight(environment.build(), settings.hindsight, settings.hindsight_share)
            if settings.hindsight != "none"
            else None
        )
        self.thread = ThreadPoolExecutor(1)
        self.ahead: Future[Transitions | None] | None = None

    def empty_replay(self) -> Replay:
        settings = self.settings
        network = self.bare_network
        learners, runners = max(1, self.config.num_learners), max(1, self.config.num_env_runners)
        packing = Packing(network.observation_space)
        return Replay(
            settings.replay_capacity // learners,
            self.config.num_envs_per_env_runner * runners // learners,
            packing.shape,
            packing.dtype,
            network.action_space.shape,
            action_dtype(network.action_space),
            stack=self.config.env_config["environment"].frame_stack,
            n_step=settings.n_step,
            discount=settings.discount,
            priority_exponent=settings.priority_exponent,
            memory_map=Path(tempfile.gettempdir()) if settings.memory_map_replay else None,
        )

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

    def load_replay(self, folder: Path) -> list[str]:
        """Takes over this learner's replay from a checkpoint; says, a line each, what of it is lost.

        Raises ValueError where it is of another kind."""
        self.ahead = None
        path = self._own(folder)
        try:
            lost = self.replay.load(path)
        except Damaged as damage:
            return [f"the replay in {path} is lost: {damage.__cause__}"]
        if not in_space(self.replay.actions, self.bare_network.action_space):
            raise ValueError(f"The replay in {path} has actions that {self.bare_network.action_space} does not have.")
        return lost

    def forget(self) -> None:
        """Empties the replay."""
        self.ahead = None
        self.replay = self.empty_replay()

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
        if not self.config.learner_config_dict["algorithm"].checkpoint_replay:
            return
        folder = Path(checkpoint_dir).absolute()
        saved, learners = len(list(folder.glob("replay-*"))), max(1, self.config.num_learners)
        if not saved:
            self.losses = [f"{folder} has no replay: env steps are collected anew before it learns"]
            return
        if saved > learners:
            raise ValueError(f"{folder} has the replays of {saved} learners, not of {learners}.")
        losses = self.each_learner(lambda learner: learner.load_replay(folder))
        steps = self.each_learner(lambda learner: learner.replay.added * learner.replay.num_envs)
        if sum(steps) > self.env_steps:
            raise ValueError(f"The replay in {folder} has {sum(steps):,} env steps, and its run {self.env_steps:,}.")
        self.losses = [line for lines in losses for line in lines]
        # Learners that are joined must begin to learn at the same time.
        if self.losses and not all(self.each_learner(lambda learner: learner.replay.ready)):
            self.each_learner(lambda learner: learner.forget())
            self.losses.append("nothing of the replay can be used: env steps are collected anew before it learns")


def saved_replays(folder: Path) -> list[Path]:
    """Those of a checkpoint that are complete."""
    return [state.parent for state in folder.glob(f"replay-*/{STATE}")]


def in_space(actions: NDArray, space: gymnasium.Space) -> bool:
    """Whether all actions (R, ...) are the space's, or the zeros of rows that were never written to."""
    if isinstance(space, Discrete):
        return bool(((actions >= 0) & (actions < space.n)).all())
    return bool(np.isfinite(actions).all())


def means(rows: list[dict[str, float]]) -> dict[str, float]:
    """Each name's mean over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
