"""Settings that algorithms with stretches of steps check alike; the stretches:
agents/engine/stretches.py."""

from typing import Any

from agents.settings.off_policy import MAX_TRANSITIONS_A_VISIT


def refuse(settings: Any, *names: str) -> None:
    """Raises ValueError for a setting of these that has a value, which stretches cannot have."""
    for name in names:
        if getattr(settings, name) not in (0, False, "none"):
            raise ValueError(f"{name} is not for stretches of steps; leave it out.")


def check_stretch(settings: Any, steps: int, num_envs: int) -> None:
    """Raises ValueError where stretches of so many steps to learn from, with those that are burnt in
    and those whose rewards are still counted, are not in the replay or too much at once."""
    stretch = settings.burn_in + steps + settings.n_step
    held = settings.replay_capacity // num_envs
    if stretch > held:
        raise ValueError(
            f"A stretch has {stretch:,} steps (--algo.burn-in {settings.burn_in:,}, --memory.steps "
            f"{steps:,}, --algo.n-step {settings.n_step:,}), and the replay holds {held:,} of each "
            "environment."
        )
    updates = settings.updates_after(num_envs * settings.rollout_length)
    drawn = updates * settings.batch_size * stretch
    if drawn > MAX_TRANSITIONS_A_VISIT:
        raise ValueError(
            f"A visit to the replay would draw {drawn:,} steps at once; "
            f"{MAX_TRANSITIONS_A_VISIT:,} are the most; lower --memory.steps, --algo.burn-in, "
            "--algo.batch-size, --num-envs, --algo.rollout-length or --algo.gradient-steps."
        )
