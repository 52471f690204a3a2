"""Deep Q-learning (Mnih et al. 2015) with what improved it, each a field: Double (van Hasselt et al. 2016), dueling
(Wang et al. 2016), prioritised replay (Schaul et al. 2016), n-step returns, distributions (Bellemare et al. 2017;
Dabney et al. 2018), noisy nets (Fortunato et al. 2018), all together (Hessel et al. 2018, Rainbow)."""

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
from gymnasium.spaces import Discrete
from numpy.typing import NDArray
from torch import Tensor

from agents.algorithms.ranges import require_above, require_within
from agents.algorithms.value_distributions import Categorical, Expectation, Quantiles, ValueDistribution
from agents.engine.algorithm import ColumnarAlgorithm
from agents.engine.env_runner import OffPolicyEnvRunner
from agents.engine.learner import ColumnarLearner, Columns
from agents.engine.q_network import QNetwork
from agents.engine.replay import Frames, Replay, Transitions

REPORT_EVERY_ENV_STEPS = 1_000
MOST_TRANSITIONS_A_VISIT = 16_384  # drawn at once: half a gigabyte of Atari images, and as much again that follow
APEX_EPSILON, APEX_EXPONENT = 0.4, 7.0  # Horgan et al. 2018, section 4.1


@dataclass(frozen=True)
class DQN:
    """Off-policy: learns what every action is worth from replayed experience."""

    name: str = "dqn"
    """What this choice of fields is called, in the run folder's name and in evaluations."""
    rollout_length: int = 1
    """Steps that each environment takes between two visits to the replay (T)."""
    update_every_env_steps: int = 4
    """Env steps, in all environments together, for each gradient step."""
    batch_size: int = 32
    """Transitions a gradient step, on each learner."""
    learning_starts_env_steps: int = 20_000
    """Env steps to collect before the first gradient step."""
    target_update_every_env_steps: int = 1_000
    """Env steps between copies of the network to the target network."""
    replay_capacity: int = 1_000_000
    """Env steps to remember; on Atari 7 KB each."""
    memory_map_replay: bool = False
    """Keep frames in a file of the system's temporary folder instead of memory."""
    checkpoint_replay: bool = True
    """Save the replay with every checkpoint; without it a resumed run collects anew before it learns."""
    checkpoint_replay_limit_gb: float = 16.0
    """Most gigabytes of frames that a checkpoint holds; of what is beyond it, the newest are saved."""
    learning_rate: float = 1e-4
    """Adam's step size at the start."""
    anneal_learning_rate: bool = False
    """Lower the learning rate linearly to zero at the end of the run."""
    adam_epsilon: float = 1.5e-4
    """Adam's epsilon (Hessel et al. 2018, table 1)."""
    max_gradient_norm: float = 10.0
    """Gradients are scaled down to this global norm (Wang et al. 2016)."""
    discount: float = 0.99
    """Gamma: what a reward one step later is worth."""
    n_step: int = 1
    """Steps of real rewards before the target network is asked."""
    double: bool = False
    """The online network chooses the action that the target network values."""
    dueling: bool = False
    """Value and advantages in streams of their own."""
    stream_width: int = 512
    """Width of each stream's hidden layer."""
    noisy: bool = False
    """Explore by learnt noise in the head's weights; set epsilon to 0 with it."""
    values: Literal["expectation", "categorical", "quantile"] = "expectation"
    """What is learnt of a return: its mean, C51's probabilities of fixed values, or QR-DQN's quantiles."""
    num_atoms: int = 51
    """Values of the categorical distribution."""
    value_limit: float = 10.0
    """The categorical distribution's values lie between minus this and this."""
    num_quantiles: int = 200
    """Quantiles of the quantile distribution."""
    priority_exponent: float = 0.0
    """How much the size of its last error decides how often a transition is drawn; 0 draws all alike."""
    importance_exponent: float = 0.4
    """How far weights undo that bias at first; they undo it wholly at the end of the run."""
    epsilon_start: float = 1.0
    """Chance of a random action at first."""
    epsilon_end: float = 0.01
    """Chance of a random action in the end."""
    epsilon_decay_env_steps: int = 100_000
    """Env steps in which it falls linearly. With several runners it falls in each environment to a chance of its
    own instead, from 0.4 to 0.0007, as in Ape-X."""
    evaluation_epsilon: float = 0.001
    """Chance of a random action in evaluations (Castro et al. 2018)."""

    def __post_init__(self) -> None:
        require_above(self, 0.0, "rollout_length", "update_every_env_steps", "batch_size", "n_step")
        require_above(self, 0.0, "target_update_every_env_steps", "replay_capacity", "epsilon_decay_env_steps")
        require_above(self, 0.0, "learning_rate", "adam_epsilon", "max_gradient_norm", "value_limit")
        require_above(self, 0.0, "stream_width", "checkpoint_replay_limit_gb")
        require_above(self, 1.0, "num_atoms", "num_quantiles")
        require_within(self, 0.0, 1.0, "discount", "priority_exponent", "importance_exponent")
        require_within(self, 0.0, 1.0, "epsilon_start", "epsilon_end", "evaluation_epsilon")
        require_within(self, 0.0, math.inf, "learning_starts_env_steps")

    @property
    def algorithm_class(self) -> type:
        return DQNAlgorithm

    @property
    def runner_class(self) -> type:
        return OffPolicyEnvRunner

    @property
    def learner_class(self) -> type:
        return DQNLearner

    @property
    def module_class(self) -> type:
        return QNetwork

    def check(self, environment: gymnasium.Env, num_envs: int, num_learners: int) -> None:
        space = environment.action_space
        if not (isinstance(space, Discrete) and space.start == 0):
            raise ValueError(f"DQN chooses among actions that are Discrete from 0, not {space}; --algo ppo takes it.")
        if num_envs * self.rollout_length % self.update_every_env_steps:
            raise ValueError(
                f"{num_envs} environments x {self.rollout_length} steps are no multiple of update_every_env_steps, "
                f"{self.update_every_env_steps}; change --algo.rollout-length or --num-envs."
            )
        shape = environment.observation_space.shape or ()
        self.check_visit(num_envs * self.rollout_length)
        ring = self.replay_capacity // max(1, num_learners) // (num_envs // max(1, num_learners))  # steps of each
        smallest = self.n_step + (shape[0] if len(shape) == 3 else 1) + 1
        if ring < smallest:
            raise ValueError(f"replay_capacity must be at least {smallest * num_envs:,} with {num_envs} environments.")
        if ring * num_envs < self.learning_starts_env_steps:
            raise ValueError(
                f"Learning would never start: the replay holds {ring * num_envs:,} env steps, and "
                f"learning_starts_env_steps is {self.learning_starts_env_steps:,}."
            )
        if len(shape) == 3 and not self.memory_map_replay:
            frames = self.replay_capacity * math.prod(shape[1:])
            free = psutil.virtual_memory().available
            if frames > free:
                raise ValueError(
                    f"replay_capacity {self.replay_capacity:,} needs {frames / 2**30:.1f} GiB of memory, and "
                    f"{free / 2**30:.1f} are free; lower it, or use --algo.memory-map-replay."
                )

    def check_visit(self, env_steps: int) -> None:
        """Raises ValueError where this many env steps are too many between two visits to the replay."""
        if env_steps > self.target_update_every_env_steps:
            raise ValueError(
                f"{env_steps:,} env steps between two visits to the replay are more than "
                f"target_update_every_env_steps, {self.target_update_every_env_steps:,}; lower --algo.rollout-length."
            )
        transitions = env_steps // self.update_every_env_steps * self.batch_size
        if transitions > MOST_TRANSITIONS_A_VISIT:
            raise ValueError(
                f"{env_steps:,} env steps between two visits to the replay would draw {transitions:,} transitions at "
                f"once; {MOST_TRANSITIONS_A_VISIT:,} are the most; lower --algo.rollout-length."
            )

    def checkpoint_bytes(self, observation_space: gymnasium.Space, total_env_steps: int) -> int:
        """The frames of the newest checkpoint and those of the best, which may be others."""
        shape: tuple[int, ...] = observation_space.shape or ()
        frame = (
            math.prod(shape[1:] if len(shape) == 3 else shape) * (observation_space.dtype or np.dtype(float)).itemsize
        )
        held = min(self.replay_capacity, total_env_steps) * frame
        return 2 * int(min(held, self.checkpoint_replay_limit_gb * 1e9)) if self.checkpoint_replay else 0

    def module_config(self) -> dict[str, Any]:
        own = {
            "stream_width": self.stream_width if self.dueling else 0,
            "noisy": self.noisy,
            "evaluation_epsilon": self.evaluation_epsilon,
        }
        return own | {"values": self.value_distribution()}

    def value_distribution(self) -> ValueDistribution:
        kinds: dict[str, ValueDistribution] = {
            "expectation": Expectation(),
            "categorical": Categorical(self.num_atoms, -self.value_limit, self.value_limit),
            "quantile": Quantiles(self.num_quantiles),
        }
        return kinds[self.values]

    def learning_rate_at(self, progress: float) -> float:
        return self.learning_rate * (1.0 - progress if self.anneal_learning_rate else 1.0)

    def exploration_at(self, env_steps: int, num_envs: int, num_runners: int) -> NDArray[np.float32]:
        """Epsilon of each environment: (num_envs,)."""
        done = min(1.0, env_steps / self.epsilon_decay_env_steps)
        if num_runners < 2 or self.noisy:
            end = np.full(num_envs, self.epsilon_end)
        else:
            end = APEX_EPSILON ** (1 + APEX_EXPONENT * np.linspace(0, 1, num_envs))
        return (self.epsilon_start + done * (end - self.epsilon_start)).astype(np.float32)


class DQNLearner(ColumnarLearner):
    """Keeps the replay and the target network; with several learners, each the replay of its own environments."""

    def build(self) -> None:
        super().build()
        self.target = copy.deepcopy(self.bare_network).requires_grad_(False)
        self.noise = torch.Generator(self._device)
        settings, spaces = self.settings, self.bare_network
        learners, runners = max(1, self.config.num_learners), max(1, self.config.num_env_runners)
        self.replay = Replay(
            settings.replay_capacity // learners,
            self.config.num_envs_per_env_runner * runners // learners,
            spaces.observation_space.shape,
            spaces.observation_space.dtype,
            spaces.action_space.shape,
            spaces.action_space.dtype,
            stack=self.config.env_config["environment"].frame_stack,
            n_step=settings.n_step,
            discount=settings.discount,
            priority_exponent=settings.priority_exponent,
            memory_map=Path(tempfile.gettempdir()) if settings.memory_map_replay else None,
        )
        self.thread = ThreadPoolExecutor(1)
        self.ahead: Future[Transitions | None] | None = None

    def minibatches(self, experience: Frames, terms: list[dict[str, Tensor]]) -> Iterator[Columns]:
        """What is learnt from was there before `experience`, so that it could be drawn while that was sampled."""
        settings = self.settings
        before = self.env_steps - experience.env_steps() * max(1, self.config.num_learners)
        updates = (self.env_steps - before) // settings.update_every_env_steps
        period = settings.target_update_every_env_steps
        if self.env_steps // period != before // period:
            self.target.load_state_dict(self.bare_network.state_dict())
        transitions = self.ahead.result() if self.ahead else self.draw(before, updates)
        if transitions is not None:
            self.noise.manual_seed(self.generator.initial_seed())
            columns = self.columns(transitions)
            self.errors: list[Tensor] = []
            for start in range(0, len(transitions.rows), settings.batch_size):
                yield {name: column[start : start + settings.batch_size] for name, column in columns.items()}
            self.replay.prioritize(transitions.rows, torch.cat(self.errors).cpu().numpy())
        self.replay.add(experience)
        self.ahead = self.thread.submit(self.draw, self.env_steps, updates)

    def draw(self, env_steps: int, batches: int) -> Transitions | None:
        """All batches of a visit at once: as many reads of memory and passes through the target network as for one.

        None before learning starts. It only reads, and follows from what the replay holds and `env_steps`."""
        settings = self.settings
        held = len(self.replay) * max(1, self.config.num_learners)
        if not self.replay.ready or held < settings.learning_starts_env_steps:
            return None
        random = np.random.default_rng([self.config.seed or 0, self._learner_index, env_steps])
        done = min(1.0, env_steps / self.total_env_steps)
        exponent = settings.importance_exponent + done * (1 - settings.importance_exponent)
        return self.replay.draw(batches * settings.batch_size, random, exponent, batches)

    def columns(self, transitions: Transitions) -> Columns:
        """What the loss asks for, on the device."""
        settings = self.settings
        rewards = self.reward_model.reward(transitions)
        weighed = settings.discount ** np.arange(settings.n_step, dtype=np.float32)[:, None] * rewards
        columns: Columns = {
            name: torch.as_tensor(column).to(self._device, non_blocking=True)
            for name, column in {
                "actions": transitions.actions,
                "rewards": weighed.sum(0, dtype=np.float32),
                "discounts": transitions.discounts,
                "weights": transitions.weights,
            }.items()
        }
        network = self.bare_network
        with torch.no_grad():
            self.target.draw_noise(self.noise)
            columns["observations"] = network.prepare(transitions.observations.to(self._device, non_blocking=True))
            after = network.prepare(transitions.next_observations.to(self._device, non_blocking=True))
            columns["following"] = self.target(after)
            if settings.double:
                columns["next_observations"] = after
        return columns

    def loss(self, minibatch: Columns) -> tuple[Tensor, dict[str, Tensor]]:
        network, values = self.bare_network, self.bare_network.values
        network.draw_noise(self.noise)
        everything = torch.arange(len(minibatch["actions"]), device=self._device)
        outputs = self.network(minibatch["observations"])[everything, minibatch["actions"]]
        with torch.no_grad():
            following = minibatch["following"]
            judged = network(minibatch["next_observations"]) if self.settings.double else following
            following = following[everything, values.mean(judged).argmax(-1)]
        losses, errors = values.loss(outputs, minibatch["rewards"], minibatch["discounts"], following)
        self.errors.append(errors.detach())
        terms = {"q_mean": values.mean(outputs.detach()).mean(), "td_error": errors.detach().abs().mean()}
        return (minibatch["weights"] * losses).mean(), terms

    def after_update(self, experience: Frames) -> dict[str, float]:
        runners = max(1, self.config.num_env_runners)
        num_envs = experience.num_envs * max(1, self.config.num_learners)
        epsilon = self.settings.exploration_at(self.env_steps, num_envs, runners)
        metrics = {"epsilon": float(epsilon.mean()), "replay_fill": len(self.replay) / len(self.replay.rewards)}
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


class DQNAlgorithm(ColumnarAlgorithm):
    def training_step(self) -> None:
        """Many rounds of some steps and some updates, reported as one."""
        reported, before = [], self.env_steps
        stop = min(before + REPORT_EVERY_ENV_STEPS, self.config.learner_config_dict["total_env_steps"])
        while self.env_steps < stop:
            super().training_step()
            reported.append(self.learner_metrics)
        self.learner_metrics = means(reported)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        super().save_checkpoint(checkpoint_dir)
        if self.config.learner_config_dict["algorithm"].checkpoint_replay:
            folder, previous = Path(checkpoint_dir).absolute(), self.last_checkpoint
            self.each_learner(lambda learner: learner.save_replay(folder, previous))
            if len(list(folder.glob("replay-*"))) < max(1, self.config.num_learners):
                raise OSError(f"Not every learner's replay arrived in {folder}: all machines must share that folder.")

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        super().load_checkpoint(checkpoint_dir)
        folder = Path(checkpoint_dir).absolute()
        saved, learners = len(list(folder.glob("replay-*"))), max(1, self.config.num_learners)
        if saved not in (0, learners):
            raise ValueError(f"{folder} has the replays of {saved} learners, not of {learners}.")
        if saved:
            self.each_learner(lambda learner: learner.load_replay(folder))


def means(rows: list[dict[str, float]]) -> dict[str, float]:
    """Each name's mean over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
