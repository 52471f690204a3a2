"""What algorithms that learn from a replay share: the learner's visits to it, checkpoints,
reports."""

import math
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from agents.checkpoint import STATE, Damaged
from agents.data import Columns
from agents.engine.algorithm import ColumnarAlgorithm
from agents.engine.env_runner import action_dtype
from agents.engine.learner import ColumnarLearner, in_order
from agents.networks.packing import Packing
from agents.networks.target_network import TargetNetwork
from agents.replay.buffer import Frames, Replay, Transitions
from agents.replay.her import Hindsight, hindsight
from agents.replay.saving import load_replay, save_replay
from common.spaces import in_words

REPORT_EVERY_ENV_STEPS = 1_000


def frame_bytes(observation_space: gymnasium.Space, frame_stack: int) -> int:
    """What one env step takes in the replay, but for some numbers."""
    packing = Packing(observation_space)
    return math.prod(packing.shape) * packing.dtype.itemsize // frame_stack


class OffPolicyLearner(ColumnarLearner):
    """Keeps the replay and the target network; with several learners, each the replay of its own
    environments.

    An algorithm adds its loss, whose `td_errors` (B,) set the priorities."""

    def build(self) -> None:
        super().build()
        self.target = TargetNetwork(self.bare_network)
        self.saved["target"] = self.target
        self.noise = torch.Generator(self._device)
        self.draws_from = (self.noise,)
        self.replay = self.empty_replay()
        self.hindsight: Hindsight | None = None
        if self.settings.hindsight != "none":
            environment = (
                self.config.experiment.env.build()
            )  # which gives the rewards of other goals
            self.hindsight = hindsight(
                environment, self.settings.hindsight, self.settings.hindsight_share
            )
        self.thread = ThreadPoolExecutor(1)
        self.ahead: Future[Transitions | None] | None = None

    def empty_replay(self) -> Replay:
        """A replay without steps, for this learner's share of the environments and of the
        capacity."""
        settings = self.settings
        network = self.bare_network
        learners = self.config.learner_count
        packing = Packing(network.observation_space)
        return Replay(
            settings.replay_capacity // learners,
            self.config.experiment.num_envs // learners,
            packing.shape,
            packing.dtype,
            network.action_space.shape,
            action_dtype(network.action_space),
            stack=self.config.experiment.env.frame_stack,
            n_step=settings.longest_n_step,
            discount=settings.discount,
            priority_exponent=settings.priority_exponent,
            memory_size=network.memory_size,
            memory_map=Path(tempfile.gettempdir()) if settings.memory_map_replay else None,
        )

    def columns(self, transitions: Transitions) -> Columns:
        """What the loss asks for of a visit's transitions, on the device."""
        prepare = self.bare_network.prepare
        device = self._device
        observations = transitions.observations.to(device, non_blocking=True)
        actions = torch.as_tensor(transitions.actions).to(device, non_blocking=True)
        rewards = self.rewards(transitions.rewards, observations, actions)
        rewards = discounted(rewards, transitions.discount)
        with torch.no_grad():
            return {
                "observations": prepare(observations),
                "actions": actions,
                "rewards": torch.as_tensor(rewards).to(device, non_blocking=True),
                "discounts": torch.as_tensor(transitions.discounts).to(device, non_blocking=True),
                "next_observations": prepare(
                    transitions.next_observations.to(device, non_blocking=True)
                ),
                "weights": torch.as_tensor(transitions.weights).to(device, non_blocking=True),
            }

    def learn(self, experience: Frames) -> dict[str, float]:
        """Gradient steps on transitions that were in the replay before `experience`, so that they
        could be drawn while that was sampled; then `experience` is added."""
        updates = self.settings.updates_after(self.env_steps - self.env_steps_before)
        transitions = (
            self.ahead.result() if self.ahead else self.draw(self.env_steps_before, updates)
        )
        steps = []
        if transitions is not None:
            # That seed follows from the env steps, so that a resumed run draws the same noise.
            self.noise.manual_seed(self.generator.initial_seed())
            columns = self.columns(transitions)
            steps = [
                self.gradient_step(minibatch)
                for minibatch in in_order(columns, self.settings.batch_size)
            ]
            errors = torch.cat([step.td_errors for step in steps if step.td_errors is not None])
            self.replay.prioritize(transitions.rows, errors.cpu().numpy())
        self.replay.add(experience)
        self.ahead = self.thread.submit(self.draw, self.env_steps, updates)
        return self.means(steps) | self.replay_metrics() | self.exploration_metrics()

    def draw(self, env_steps: int, batches: int) -> Transitions | None:
        """All batches of a visit at once: as many reads of memory as for one.

        None before learning starts. It only reads, and follows from what the replay holds and
        `env_steps`."""
        settings = self.settings
        held = len(self.replay) * self.config.learner_count
        if not self.replay.ready or held < settings.learning_starts_env_steps:
            return None
        random = np.random.default_rng([self.config.seed or 0, self._learner_index, env_steps])
        done = min(1.0, env_steps / self.config.experiment.total_env_steps)
        exponent = settings.importance_exponent + done * (1 - settings.importance_exponent)
        n_step, discount = self.horizon(env_steps)
        drawn = self.replay.draw(
            batches * settings.batch_size, random, exponent, batches, n_step, discount
        )
        return self.changed(drawn, random)

    def horizon(self, env_steps: int) -> tuple[int, float]:
        """Steps of real rewards, and the discount of a step, of transitions that are drawn now."""
        return self.settings.n_step, self.settings.discount

    def changed(self, drawn: Transitions, random: np.random.Generator) -> Transitions:
        """What is learnt from in the place of drawn transitions, which are the caller's alone."""
        if self.hindsight is None:
            return drawn
        return self.hindsight.relabel(self.replay, drawn, random)

    def exploration_metrics(self) -> dict[str, float]:
        """How much the env runners explore now."""
        return {}

    def replay_metrics(self) -> dict[str, float]:
        """How full the replay is, from 0 to 1; with priorities, also their mean, and the largest
        absolute error so far (at least 1)."""
        metrics = {"replay_fill": len(self.replay) / len(self.replay.rewards)}
        priorities = self.replay.priorities
        if priorities is not None and len(self.replay):
            metrics |= {
                "priority_mean": priorities.total / len(self.replay),
                "priority_max": self.replay.max_priority,
            }
        return metrics

    def save_replay(self, folder: Path, previous: Path | None) -> None:
        """Writes this learner's replay into a checkpoint; frames in the `previous` one are linked
        to. Beyond its share of `checkpoint_replay_limit_gb` the oldest frames are left out."""
        limit = self.settings.checkpoint_replay_limit_gb * 1e9 / self.config.learner_count
        save_replay(
            self.replay, self._own(folder), self._own(previous) if previous else None, limit
        )

    def load_replay(self, folder: Path) -> list[str]:
        """Takes over this learner's replay from a checkpoint; says, a line each, what of it is
        lost.

        Raises ValueError where it is of another kind."""
        self.ahead = None
        path = self._own(folder)
        try:
            lost = load_replay(self.replay, path)
        except Damaged as damage:
            return [f"the replay in {path} is lost: {damage.__cause__}"]
        if not in_space(self.replay.actions, self.bare_network.action_space):
            raise ValueError(
                f"The replay in {path} has actions that {in_words(self.bare_network.action_space)} does not "
                "have."
            )
        return lost

    def forget(self) -> None:
        """Empties the replay."""
        self.ahead = None
        self.replay = self.empty_replay()

    def _own(self, folder: Path) -> Path:
        return folder / f"replay-{self._learner_index}"


def discounted(rewards: NDArray[np.float32], discount: float) -> NDArray[np.float32]:
    """Each transition's rewards on the way (n, B) as one number (B,); of stretches (n, L, B) ->
    (L, B)."""
    weights = discount ** np.arange(len(rewards), dtype=np.float32)
    weights = weights.reshape(-1, *(1,) * (rewards.ndim - 1))
    return (weights * rewards).sum(0, dtype=np.float32)


class OffPolicyAlgorithm(ColumnarAlgorithm):
    def training_step(self) -> None:
        """Many rounds of some steps and some updates, reported as one."""
        reported = []
        before = self.env_steps
        stop = min(before + REPORT_EVERY_ENV_STEPS, self.config.experiment.total_env_steps)
        while self.env_steps < stop:
            super().training_step()
            reported.append(self.learner_metrics)
            if self.faults:  # somebody has to decide whether to go on
                break
        self.learner_metrics = means(reported)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        super().save_checkpoint(checkpoint_dir)
        if self.settings.checkpoint_replay:
            folder = Path(checkpoint_dir).absolute()
            previous = self.last_checkpoint
            self.each_learner(lambda learner: learner.save_replay(folder, previous))
            if len(saved_replays(folder)) < self.config.learner_count:
                raise OSError(
                    f"Not every learner's replay arrived in {folder}: all machines must share that "
                    "folder."
                )

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        super().load_checkpoint(checkpoint_dir)
        if not self.settings.checkpoint_replay:
            return
        folder = Path(checkpoint_dir).absolute()
        saved = len(list(folder.glob("replay-*")))
        learners = self.config.learner_count
        if not saved:
            self.replay_losses = [
                f"{folder} has no replay: env steps are collected anew before it learns"
            ]
            return
        if saved > learners:
            raise ValueError(f"{folder} has the replays of {saved} learners, not of {learners}.")
        losses = self.each_learner(lambda learner: learner.load_replay(folder))
        steps = self.each_learner(lambda learner: learner.replay.added * learner.replay.num_envs)
        if sum(steps) > self.env_steps:
            raise ValueError(
                f"The replay in {folder} has {sum(steps):,} env steps, and its run "
                f"{self.env_steps:,}."
            )
        self.replay_losses = [line for lines in losses for line in lines]
        # Learners that are joined must begin to learn at the same time.
        if self.replay_losses and not all(self.each_learner(lambda learner: learner.replay.ready)):
            self.each_learner(lambda learner: learner.forget())
            self.replay_losses.append(
                "nothing of the replay can be used: env steps are collected anew before it learns"
            )


def saved_replays(folder: Path) -> list[Path]:
    """Those of a checkpoint that are complete."""
    return [state.parent for state in folder.glob(f"replay-*/{STATE}")]


def in_space(actions: NDArray, space: gymnasium.Space) -> bool:
    """Whether all actions (R, ...) are the space's, or the zeros of rows that were never written
    to."""
    if isinstance(space, Discrete):
        return bool(((actions >= 0) & (actions < space.n)).all())
    return bool(np.isfinite(actions).all())


def means(rows: list[dict[str, float]]) -> dict[str, float]:
    """Each name's mean over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
