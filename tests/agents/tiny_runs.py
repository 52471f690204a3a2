"""Runs of milliseconds on tiny environments, decided to the bit, by each algorithm, and how two of
them compare."""

import signal
import threading
import time
from dataclasses import dataclass, replace

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents.checkpoint import chosen_checkpoint, load_state
from agents.monitoring.metrics import read_progress
from agents.settings.recurrent_sac import RecurrentSAC
from perception.settings.memory import RecurrentConfig
from scripts.recipes import recipe_named

GOAL_PARTS = ("observation", "achieved_goal", "desired_goal")


class ClockEnv(gymnasium.Env):
    """Observes the step number, the same after every reset, so that a resumed run can be equal to
    the bit."""

    observation_space = Box(0, 1e6, (2,), np.float32)
    action_space = Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.clock = 0
        return np.array([0, 1], np.float32), {}

    def step(self, action):
        self.clock += 1
        observation = np.array([self.clock, 1], np.float32)
        return observation, float(action == self.clock % 3), False, self.clock == 4, {}

    def render(self):
        return np.zeros((16, 16, 3), np.uint8)


@dataclass(frozen=True)
class ClockConfig:
    name: str = "clock"

    @property
    def reference_scores(self):
        return {}

    @property
    def frame_stack(self) -> int:
        return 1

    def build(self):
        return ClockEnv()

    def build_vector(self, num_envs):
        return SyncVectorEnv([ClockEnv] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


def tiny(run_dir, **changes):
    """Four environments of episodes that end with each rollout; 32 env steps an update."""
    base = recipe_named("ppo")(ClockConfig())
    algo = replace(
        base.algo,
        rollout_length=8,
        minibatch_size=16,
        epochs=2,
        normalize_observations=True,
        normalize_rewards=True,
    )
    experiment = replace(
        base,
        algo=algo,
        num_envs=4,
        total_env_steps=320,
        evaluate_every_env_steps=0,
        checkpoint_every_env_steps=32,
        run_dir=str(run_dir),
    )
    return replace(experiment, **changes)


def tiny_dqn(run_dir, **changes):
    """As `tiny`, by DQN with everything on; learning starts after four updates' worth of steps."""
    base = recipe_named("rainbow")(ClockConfig())
    algo = replace(
        base.algo,
        rollout_length=8,
        update_every_env_steps=8,
        learning_starts_env_steps=128,
        target_update_every_env_steps=64,
        replay_capacity=200,
        batch_size=16,
    )
    rarely = tiny(run_dir, checkpoint_every_env_steps=160)
    return replace(rarely, algo=algo, encoder=base.encoder, **changes)


class AimEnv(gymnasium.Env):
    """Wants the action to be 0.5, four times; decided wholly by the actions."""

    observation_space = Dict({name: Box(-10, 10, (1,), np.float32) for name in GOAL_PARTS})
    action_space = Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.clock = 0
        return self.seen(np.zeros(1, np.float32)), {}

    def seen(self, action):
        values = (np.full(1, self.clock, np.float32), action, np.full(1, 0.5, np.float32))
        return dict(zip(GOAL_PARTS, values, strict=True))

    def compute_reward(self, achieved_goal, desired_goal, info):
        return -(np.abs(achieved_goal - desired_goal)[..., 0] > 0.1).astype(np.float32)

    def step(self, action):
        self.clock += 1
        seen = self.seen(np.asarray(action, np.float32))
        reward = float(self.compute_reward(seen["achieved_goal"], seen["desired_goal"], {}))
        return seen, reward, False, self.clock == 4, {}


@dataclass(frozen=True)
class AimConfig(ClockConfig):
    name: str = "aim"

    def build(self):
        return AimEnv()

    def build_vector(self, num_envs):
        return SyncVectorEnv([AimEnv] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


def tiny_td3(run_dir, **changes):
    """As `tiny`, by TD3 that learns in hindsight, with noise that drifts."""
    base = recipe_named("td3")(AimConfig())
    algo = replace(
        base.algo,
        rollout_length=8,
        update_every_env_steps=4,
        learning_starts_env_steps=64,
        replay_capacity=200,
        batch_size=16,
        hidden_sizes=(16,),
        noise_correlation=0.5,
        compile_losses=False,
    )
    assert algo.hindsight == "future"
    return replace(tiny(run_dir), env=AimConfig(), algo=algo, encoder=base.encoder, **changes)


def tiny_sac(run_dir, **changes):
    """As `tiny_td3`, by SAC with critics of quantiles, a delayed actor and noise that depends on
    the state."""
    base = tiny_td3(run_dir)
    settings = recipe_named("tqc")(AimConfig()).algo
    algo = replace(
        settings,
        rollout_length=8,
        update_every_env_steps=4,
        learning_starts_env_steps=64,
        replay_capacity=200,
        batch_size=16,
        hidden_sizes=(16,),
        policy_delay=3,
        state_dependent_noise=True,
    )
    return replace(base, algo=algo, **changes)


def tiny_r2d2(run_dir, **changes):
    """As `tiny_dqn`, by R2D2."""
    base = recipe_named("r2d2")(ClockConfig())
    algo = replace(
        base.algo,
        rollout_length=8,
        update_every_env_steps=16,
        learning_starts_env_steps=128,
        target_update_every_env_steps=64,
        replay_capacity=200,
        batch_size=4,
        burn_in=2,
    )
    memory = RecurrentConfig(units=8, steps=4)
    rarely = tiny(run_dir, checkpoint_every_env_steps=160)
    return replace(rarely, algo=algo, encoder=base.encoder, memory=memory, **changes)


def tiny_recurrent_sac(run_dir, **changes):
    """As `tiny_sac`, with a memory."""
    base = tiny_sac(run_dir, **changes)
    algo = RecurrentSAC(
        rollout_length=8,
        update_every_env_steps=16,
        learning_starts_env_steps=128,
        replay_capacity=200,
        batch_size=4,
        hidden_sizes=(16,),
        burn_in=2,
    )
    return replace(base, algo=algo, memory=RecurrentConfig(units=8, steps=4))


def tiny_offline(run_dir, name, path, **changes):
    """As `tiny`, by CQL or IQL, from a log of ClockConfig."""
    base = recipe_named(name)(ClockConfig())
    algo = replace(
        base.algo, demonstrations=str(path), rollout_length=8, minibatch_size=16, target_rate=0.1
    )
    encoder = replace(base.encoder, hidden_sizes=(16,))
    return replace(tiny(run_dir), algo=algo, encoder=encoder, **changes)


def final_state(run_dir):
    return load_state(chosen_checkpoint(run_dir, "latest"))


def assert_same(one, other, path=""):
    if isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one:
            assert_same(one[key], other[key], f"{path}/{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), path
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_same(a, b, f"{path}/{i}")
    else:
        np.testing.assert_array_equal(one, other, err_msg=path)


def losses(
    run_dir, names=("loss", "kl", "entropy", "gradient_norm", "learning_rate", "explained_variance")
):
    lines = read_progress(run_dir / "progress.jsonl")
    return [(line["env_steps"], *(line.get(f"learner/{name}") for name in names)) for line in lines]


def stop_after_lines(run_dir, count):
    """Ctrl-C once progress.jsonl has so many lines."""

    def wait_and_interrupt():
        progress = run_dir / "progress.jsonl"
        while not progress.exists() or len(progress.read_text().splitlines()) < count:
            time.sleep(0.001)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=wait_and_interrupt, daemon=True).start()
