"""What every algorithm's training step is made of: sample, learn, synchronize, and saved state."""

import math
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import gymnasium
import numpy as np
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    EPISODE_LEN_MEAN,
    EPISODE_RETURN_MEAN,
    LEARNER_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
)

from agents.checkpoint import checkpoint_name, is_count, load_state, save_state
from agents.data import Experience
from agents.engine.config import ColumnarConfig
from agents.engine.env_runner import Sample
from agents.engine.recent_episodes import RecentEpisodes
from agents.interfaces import EnvironmentFailure
from agents.networks.rounding import RoundingCheck

RUNNERS_RETURN_SECONDS = 120.0
FAULTS_COUNT_ENV_STEPS = 10_000


class ColumnarAlgorithm(Algorithm):
    """RLlib's Algorithm with columns instead of episodes; an algorithm may add to its training
    step."""

    config: ColumnarConfig
    env_runner_group: Any
    learner_group: Any

    def setup(self, config: Any) -> None:
        self.settings: Any = config.experiment.algo
        self.env_steps = 0
        self.episodes = 0
        self.faults: list[str] = []
        """Why environments failed since somebody last asked."""
        self.faults_in_all = 0
        self._faults_at: deque[int] = deque()
        self._order: list[int] = []
        self.learner_metrics: dict[str, float] = {}
        self.seconds: dict[str, float] = defaultdict(float)
        self.last_checkpoint: Path | None = None
        self.recent_episodes = RecentEpisodes(config.experiment.num_envs)
        self.replay_losses: list[str] = []
        """What of the checkpoint that it went on from could not be read, a line each."""
        self.notes: list[str] = []
        """What the user should know, a line each, since somebody last asked."""
        super().setup(config)
        self._rounding = RoundingCheck(self.each_learner(space_of_raw_observations)[0])
        self._runner_is_here = (
            self.learner_group.is_local and self.env_runner_group.num_remote_workers() == 0
        )
        if self._runner_is_here:
            self.each_learner(self._act_with)

    def training_step(self) -> None:
        """One round: experience of every environment, what the learner makes of it, and its weights
        to the runners."""
        self.learn(self.sample())
        self.synchronize()

    def sample(self) -> Any:
        """Experience of every environment; a dead runner's share is taken by those that live.

        Raises EnvironmentFailure where a runner's environments fail again and again."""
        started = perf_counter()
        samples: list[Sample] = []
        wanted = self.config.experiment.num_envs
        collected = 0
        while collected < wanted:
            arrived = (
                self._sample_all_runners(self.env_steps + collected) or self._wait_for_runners()
            )
            for failure in filter(None, (sample.failure for sample in arrived)):
                raise EnvironmentFailure(failure)
            samples += arrived
            collected = sum(sample.experience.num_envs for sample in samples)
        # In one order each time, so that rows can continue those of the experience before.
        samples.sort(key=lambda sample: sample.runner)
        # Those that live may have done more than their dead colleagues would have.
        parts = self._with_borders(samples)[: wanted // samples[0].experience.num_envs]
        experience = type(parts[0]).concatenate(parts)
        self._count(samples, experience)
        self.seconds["sampling"] += perf_counter() - started
        self.seconds["environment"] += float(np.mean([s.environment_seconds for s in samples]))
        self.seconds["inference"] += float(np.mean([s.inference_seconds for s in samples]))
        return experience

    def learn(self, experience: Experience) -> None:
        """One update of the learner, or of all learners on equal shards."""
        started = perf_counter()
        timesteps = {NUM_ENV_STEPS_SAMPLED_LIFETIME: self.env_steps}
        # RLlib passes on what it is given; it need not be one of its own batches.
        shards: list[Any] = experience.split(self.config.learner_count)
        data = (
            TrainingData(batch=shards[0])
            if self.learner_group.is_local
            else TrainingData(batches=shards)
        )
        results = self.learner_group.update(training_data=data, timesteps=timesteps)
        self.learner_metrics = results[0]
        for name, value in self.learner_metrics.items():
            self.metrics.log_value((LEARNER_RESULTS, DEFAULT_MODULE_ID, name), value, window=1)
        self.seconds["learning"] += perf_counter() - started

    def synchronize(self) -> None:
        """The learner's weights to every runner; the one in the learner's process acts with the
        learner's own."""
        if self._runner_is_here:
            return
        started = perf_counter()
        self.env_runner_group.sync_weights(
            from_worker_or_learner_group=self.learner_group, inference_only=True
        )
        self.seconds["synchronizing"] += perf_counter() - started

    def network_state(self) -> dict[str, np.ndarray]:
        """The policy's weights by parameter name."""
        component = f"{COMPONENT_LEARNER}/{COMPONENT_RL_MODULE}"
        state = self.learner_group.get_state(components=component, inference_only=True)
        return state[COMPONENT_LEARNER][COMPONENT_RL_MODULE][DEFAULT_MODULE_ID]

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Everything that the run needs to go on, as safetensors and JSON."""
        save_state(
            Path(checkpoint_dir),
            {
                "learner": self.learner_group.get_state(
                    not_components=f"{COMPONENT_LEARNER}/metrics_logger"
                ),
                "env_steps": self.env_steps,
                "episodes": self.episodes,
                "faults_in_all": self.faults_in_all,
                "iteration": self.iteration,
                "recent_episodes": self.recent_episodes.get_state(),
            },
        )

    def recent_faults(self) -> int:
        """Environments that failed in the last 10,000 env steps."""
        while self._faults_at and self._faults_at[0] <= self.env_steps - FAULTS_COUNT_ENV_STEPS:
            self._faults_at.popleft()
        return len(self._faults_at)

    def each_learner(self, call: Callable[[Any], Any]) -> list[Any]:
        """Calls it with every learner, where that learner is, and returns what each call returned;
        raises what one of them raised."""
        results = list(self.learner_group.foreach_learner(call))
        for result in results:
            if not result.ok:
                raise result.get()
        return [result.get() for result in results]

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Raises ValueError for a folder that is not one of our checkpoints, or a damaged one."""
        self.last_checkpoint = Path(checkpoint_dir).absolute()
        state = read_run_state(Path(checkpoint_dir))
        try:
            self.each_learner(lambda learner: learner.set_state(state["learner"]["learner"]))
        except (LookupError, TypeError, AttributeError) as misfit:
            raise ValueError(
                f"{checkpoint_dir} does not fit this run's learner: {misfit}"
            ) from misfit
        self.env_steps = state["env_steps"]
        self.episodes = state["episodes"]
        self.faults_in_all = state["faults_in_all"]
        self._iteration = state["iteration"]
        self.recent_episodes.set_state(state["recent_episodes"])
        self.synchronize()

    def begin_with(self, network: dict[str, np.ndarray]) -> None:
        """Weights by parameter name, in place of those that were drawn."""
        self.each_learner(lambda learner: learner.bare_network.set_state(network))
        self.synchronize()

    def _act_with(self, learner: Any) -> None:
        self.env_runner_group.local_env_runner.module = learner.bare_network

    def _sample_all_runners(self, env_steps: int) -> list[Sample]:
        if self.env_runner_group.num_remote_workers() == 0:
            return [self.env_runner_group.local_env_runner.sample(env_steps)]
        return self.env_runner_group.foreach_env_runner(
            lambda runner: runner.sample(env_steps), local_env_runner=False
        )

    def _wait_for_runners(self) -> list[Sample]:
        """While none is alive: RLlib starts them again. Raises ConnectionError where none comes
        back."""
        deadline = perf_counter() + RUNNERS_RETURN_SECONDS
        while perf_counter() < deadline:
            if self.restore_env_runners(self.env_runner_group):
                self.synchronize()
                return []
            sleep(1.0)
        raise ConnectionError(
            f"No environment runner came back within {RUNNERS_RETURN_SECONDS:.0f} seconds."
        )

    def _with_borders(self, samples: list[Sample]) -> list[Any]:
        """Each sample's experience. Its first row continues the last row at the same place of the
        previous experience only if the same runner gave exactly one sample both times; otherwise
        it is marked as a new start."""
        before = self._order
        self._order = [sample.runner for sample in samples]
        parts = []
        for place, sample in enumerate(samples):
            follows = before[place : place + 1] == [sample.runner]
            alone = before.count(sample.runner) == self._order.count(sample.runner) == 1
            parts.append(sample.experience if follows and alone else sample.experience.set_apart())
        return parts

    def _count(self, samples: list[Sample], experience: Experience) -> None:
        self.env_steps += experience.env_steps()
        if note := self._rounding.warning(experience.observations):
            self.notes.append(note)
        for sample in samples:
            self._count_episodes(sample)
        self.metrics.log_value(
            (ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), self.env_steps, window=1
        )
        returns, lengths = self.recent_episodes.returns_and_lengths()
        if returns:
            self.metrics.log_value(
                (ENV_RUNNER_RESULTS, EPISODE_RETURN_MEAN), np.mean(returns), window=1
            )
            self.metrics.log_value(
                (ENV_RUNNER_RESULTS, EPISODE_LEN_MEAN), np.mean(lengths), window=1
            )

    def _count_episodes(self, sample: Sample) -> None:
        self.episodes += len(sample.episode_returns)
        first = max(0, sample.runner - 1) * self.config.envs_per_runner  # runner 0 is the only one
        ended = zip(
            sample.episode_environments, sample.episode_returns, sample.episode_lengths, strict=True
        )
        for environment, episode_return, length in ended:
            self.recent_episodes.add(first + environment, episode_return, length)
        self.faults += sample.faults
        self.faults_in_all += len(sample.faults)
        self._faults_at.extend([self.env_steps] * len(sample.faults))


def space_of_raw_observations(learner: Any) -> gymnasium.Space | None:
    """The observation space of a learner's network; None where the network normalizes
    observations."""
    network = learner.bare_network
    return network.observation_space if getattr(network, "normalizer", None) is None else None


def read_run_state(checkpoint: Path) -> dict[str, Any]:
    """The state of a run in one of its checkpoints.

    Raises ValueError, in one line, where it is damaged, or counts what no run can have counted."""
    state = load_state(checkpoint)
    if not isinstance(state, dict):
        raise ValueError(f"{checkpoint} holds no run.")
    state.setdefault("faults_in_all", 0)  # checkpoints from before it was counted lack it
    for name in ("env_steps", "episodes", "faults_in_all", "iteration"):
        count = state.get(name)
        if not is_count(count):
            raise ValueError(f"{checkpoint} has {name} {count!r}, which is no count.")
    if checkpoint_name(state["env_steps"]) != checkpoint.name:
        raise ValueError(
            f"{checkpoint} is of {state['env_steps']:,} env steps, which its name does not say."
        )
    recent = state.setdefault("recent_episodes", [])  # earlier checkpoints lack them
    if not isinstance(recent, list) or not all(
        is_episode(episode) for ended in recent for episode in ended
    ):
        raise ValueError(f"{checkpoint} has recent episodes that are none.")
    return state


def is_episode(values: Any) -> bool:
    """Whether it is an episode's return and length."""
    return isinstance(values, list) and len(values) == 2 and all(map(is_finite_number, values))


def is_finite_number(value: Any) -> bool:
    """Whether a value is an int or a float, but no boolean, and neither infinite nor NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
