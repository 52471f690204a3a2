"""What the settings of algorithms share that learn from stretches of steps; the stretches:
agents/engine/stretches.py."""

from dataclasses import dataclass
from typing import Any

import gymnasium

from agents.settings.off_policy import MAX_TRANSITIONS_A_VISIT, OffPolicy
from common.ranges import StepsOrZero


@dataclass(frozen=True)
class FromStretches(OffPolicy):
    """For networks that remember: learns from stretches of steps, as long as `--memory.steps`."""

    burn_in: StepsOrZero = 20
    """Steps at the beginning of a stretch that only bring the memory up to date, and are not learnt
    from; 0 trusts what was stored when they were lived."""

    @property
    def judges_single_steps(self) -> bool:
        return False

    def fewest_steps(self, memory_steps: int) -> int:
        return self.burn_in + memory_steps + self.n_step

    def check(
        self, environment: gymnasium.Env, frame_stack: int, num_envs: int, num_learners: int
    ) -> None:
        super().check(environment, frame_stack, num_envs, num_learners)  # pyright: ignore
        self.check_stretch(1, num_envs, frame_stack)  # the shortest, without a memory

    def check_memory(self, steps: int, num_envs: int, frame_stack: int) -> None:
        self.check_stretch(steps, num_envs, frame_stack)

    def check_stretch(self, steps: int, num_envs: int, frame_stack: int) -> None:
        """Raises ValueError where stretches of so many steps to learn from, with those that are
        burnt in and those whose rewards are still counted, are not in the replay or too much at
        once."""
        stretch = self.fewest_steps(steps)
        held = self.replay_capacity // num_envs - (frame_stack - 1)  # whose frames are all there
        if stretch > held:
            raise ValueError(
                f"A stretch has {stretch:,} steps (--algo.burn-in {self.burn_in:,}, --memory.steps "
                f"{steps:,}, --algo.n-step {self.n_step:,}), and the replay holds {held:,} of each "
                "environment."
            )
        updates = self.updates_after(num_envs * self.rollout_length)
        drawn = updates * self.batch_size * stretch
        if drawn > MAX_TRANSITIONS_A_VISIT:
            raise ValueError(
                f"A visit to the replay would draw {drawn:,} steps at once; "
                f"{MAX_TRANSITIONS_A_VISIT:,} are the most; lower --memory.steps, --algo.burn-in, "
                "--algo.batch-size, --num-envs, --algo.rollout-length or --algo.gradient-steps."
            )


def refuse(settings: Any, *names: str) -> None:
    """Raises ValueError for a setting of these that has a value, which stretches cannot have."""
    for name in names:
        if getattr(settings, name) not in (0, False, "none"):
            raise ValueError(f"{name} is not for stretches of steps; leave it out.")
