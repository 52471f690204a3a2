"""Settings that algorithms with a replay share; the replay and its learner:
agents/engine/off_policy.py."""

from dataclasses import dataclass
from typing import Literal

import gymnasium

from common.ranges import (
    Count,
    Fraction,
    Positive,
    PositiveFraction,
    Size,
    Steps,
    StepsOrZero,
    check_ranges,
)

MAX_TRANSITIONS_A_VISIT = (
    16_384  # drawn at once: half a gigabyte of Atari images, and as much again that follow
)


@dataclass(frozen=True)
class OffPolicy:
    """Settings of the replay and of learning from it."""

    rollout_length: Steps = 1
    """Steps that each environment takes between two visits to the replay (T)."""
    update_every_env_steps: Steps = 1
    """Env steps, in all environments together, between two updates."""
    gradient_steps: Size = 1
    """Gradient steps an update."""
    batch_size: Size = 256
    """Transitions a gradient step, on each learner."""
    learning_starts_env_steps: StepsOrZero = 10_000
    """Env steps to collect before the first gradient step."""
    replay_capacity: Steps = 1_000_000
    """Env steps to remember; on Atari 7 KB each."""
    memory_map_replay: bool = False
    """Keep frames in a file of the system's temporary folder instead of memory."""
    checkpoint_replay: bool = True
    """Save the replay with every checkpoint; without it a resumed run collects anew before it
    learns."""
    checkpoint_replay_limit_gb: Positive = 16.0
    """Most gigabytes of frames that a checkpoint holds; of what is beyond it, the newest are
    saved."""
    learning_rate: PositiveFraction = 1e-3
    """Adam's step size at the start."""
    anneal_learning_rate: bool = False
    """Lower the learning rate linearly to zero at the end of the run."""
    adam_epsilon: PositiveFraction = 1e-8
    """Adam's epsilon."""
    discount: Fraction = 0.99
    """Gamma: what a reward one step later is worth."""
    n_step: Count = 1
    """Steps of real rewards before the target network is asked."""
    priority_exponent: Fraction = 0.0
    """How much the size of its last error decides how often a transition is drawn; 0 draws all
    alike."""
    importance_exponent: Fraction = 0.4
    """How far weights undo that bias at first; they undo it wholly at the end of the run."""
    hindsight: Literal["none", "future", "final", "episode"] = "none"
    """Learn from goals that were reached, too, as if they had been meant: those after a transition,
    at the end of its episode, or anywhere in it."""
    hindsight_share: Fraction = 0.8
    """Fraction of transitions that get such a goal (Andrychowicz et al. 2017, four for each that
    keeps its own)."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.hindsight != "none" and self.n_step > 1:
            raise ValueError(
                f"Hindsight gives one step another goal; n_step must be 1 with it, not "
                f"{self.n_step}."
            )

    @property
    def judges_single_steps(self) -> bool:
        return self.n_step == 1

    @property
    def longest_n_step(self) -> int:
        """The most steps of real rewards that a transition may have."""
        return self.n_step

    def fewest_steps(self, memory_steps: int) -> int:
        return self.longest_n_step + 1

    def updates_after(self, env_steps: int) -> int:
        """Gradient steps that are due for so many env steps."""
        return env_steps // self.update_every_env_steps * self.gradient_steps

    def learning_rate_at(self, progress: float) -> float:
        return self.learning_rate * (1.0 - progress if self.anneal_learning_rate else 1.0)

    def check_replay(
        self, environment: gymnasium.Env, frame_stack: int, num_envs: int, num_learners: int
    ) -> None:
        """Raises ValueError, in one line, where experience of this environment could not be
        remembered or drawn."""
        import psutil

        from agents.engine.off_policy import frame_bytes
        from agents.networks.packing import require_exact
        from agents.replay.her import goal_packing

        if num_envs * self.rollout_length % self.update_every_env_steps:
            raise ValueError(
                f"{num_envs} environments x {self.rollout_length} steps are no multiple of "
                "update_every_env_steps, "
                f"{self.update_every_env_steps}; change --algo.rollout-length or --num-envs."
            )
        transitions = self.updates_after(num_envs * self.rollout_length) * self.batch_size
        if transitions > MAX_TRANSITIONS_A_VISIT:
            raise ValueError(
                f"{num_envs * self.rollout_length:,} env steps between two visits to the replay "
                "would draw "
                f"{transitions:,} transitions at once; {MAX_TRANSITIONS_A_VISIT:,} are the most; "
                "lower "
                "--algo.rollout-length, --num-envs, --algo.gradient-steps or --algo.batch-size."
            )
        require_exact(environment.observation_space, "use --algo ppo, which can normalize them")
        if self.hindsight != "none":
            goal_packing(environment)
        ring = (
            self.replay_capacity // max(1, num_learners) // (num_envs // max(1, num_learners))
        )  # steps of each
        smallest = self.longest_n_step + frame_stack + 1
        if ring < smallest:
            raise ValueError(
                f"replay_capacity must be at least {smallest * num_envs:,} with {num_envs} "
                "environments."
            )
        if ring * num_envs < self.learning_starts_env_steps:
            raise ValueError(
                f"Learning would never start: the replay holds {ring * num_envs:,} env steps, and "
                f"learning_starts_env_steps is {self.learning_starts_env_steps:,}."
            )
        frames = self.replay_capacity * frame_bytes(environment.observation_space, frame_stack)
        free = psutil.virtual_memory().available
        if frames > free and not self.memory_map_replay:
            raise ValueError(
                f"replay_capacity {self.replay_capacity:,} needs {frames / 2**30:.1f} GiB of "
                "memory, and "
                f"{free / 2**30:.1f} are free; lower it, or use --algo.memory-map-replay."
            )

    def check_memory(self, steps: int, num_envs: int, frame_stack: int) -> None:
        raise ValueError(
            "This algorithm learns from single steps, which cannot train a memory; --memory is "
            "for ppo, appo, bc, r2d2 and recurrent-sac."
        )

    def checkpoint_bytes(
        self, observation_space: gymnasium.Space, frame_stack: int, total_env_steps: int
    ) -> int:
        """The frames of the newest checkpoint and those of the best, which may be others."""
        from agents.engine.off_policy import frame_bytes

        held = min(self.replay_capacity, total_env_steps) * frame_bytes(
            observation_space, frame_stack
        )
        return (
            2 * int(min(held, self.checkpoint_replay_limit_gb * 1e9))
            if self.checkpoint_replay
            else 0
        )
