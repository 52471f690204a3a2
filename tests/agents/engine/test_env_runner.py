"""The columnar runner against a plain loop over single environments."""

from dataclasses import dataclass, fields, replace
from itertools import count

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents.algorithms.ppo import sequences
from agents.engine.config import rllib_config
from agents.engine.off_policy_runners import ActionNoiseEnvRunner, OffPolicyEnvRunner
from agents.engine.on_policy_runners import OnPolicyEnvRunner
from envs.atari.games import AtariConfig
from envs.probe import CountingConfig, CountingEnv, FlawedConfig
from envs.vector import vectorized
from perception.settings.memory import RecurrentConfig
from scripts.recipes import recipe_named
from tests.envs.odd_environments import Habits, OddConfig


def runner_for(environment, num_envs, rollout_length, **changes):
    experiment = replace(recipe_named("ppo")(environment), **changes)
    algorithm = replace(
        experiment.algo, rollout_length=rollout_length, minibatch_size=num_envs * rollout_length
    )
    config = rllib_config(replace(experiment, algo=algorithm, num_envs=num_envs))
    return OnPolicyEnvRunner(config=config, worker_index=0)


def values_of(runner, observations):
    with torch.no_grad():
        _, values, _ = runner.module(
            runner.module.prepare(torch.from_numpy(np.stack(observations)))
        )
    return values.numpy()


def plain_steps(environment, steps):
    """What one environment does, step by step: (before, reward, terminated, truncated, after)."""
    env = environment.build()
    before, _ = env.reset()
    for _ in range(steps):
        after, reward, terminated, truncated, _ = env.step(0)
        yield before, reward, terminated, truncated, after
        before = env.reset()[0] if terminated or truncated else after


@pytest.mark.parametrize("length", [1, 2, 5, 7])
def test_three_rollouts_hold_what_a_plain_loop_sees(length):
    environment = CountingConfig(length=length)
    runner = runner_for(environment, num_envs=2, rollout_length=7)
    expected = list(plain_steps(environment, 21))
    for k in range(3):
        rollout = runner.sample().experience
        before, rewards, terminated, truncated, after = zip(
            *expected[7 * k : 7 * k + 7], strict=True
        )
        for n in range(2):
            np.testing.assert_array_equal(rollout.observations[:, n], np.stack(before))
            np.testing.assert_array_equal(rollout.rewards[:, n], rewards)
            np.testing.assert_array_equal(rollout.terminated[:, n], terminated)
            np.testing.assert_array_equal(rollout.truncated[:, n], truncated)
            np.testing.assert_allclose(
                rollout.values[:, n], values_of(runner, before), rtol=1e-5, atol=1e-6
            )
            # A terminated step's next value is never used; all others value what really followed.
            used = ~np.array(terminated)
            np.testing.assert_allclose(
                rollout.next_values[used, n], values_of(runner, after)[used], rtol=1e-5, atol=1e-6
            )


def test_returns_and_lengths_are_of_whole_episodes_across_rollouts():
    runner = runner_for(CountingConfig(length=5), num_envs=2, rollout_length=7)
    samples = [runner.sample() for _ in range(5)]
    # 35 steps are 7 episodes of 5, each with the return 1 + 2 + 3 + 4 + 5.
    assert [r for s in samples for r in s.episode_returns] == [15.0] * 14
    assert [n for s in samples for n in s.episode_lengths] == [5] * 14


def test_log_probabilities_are_those_of_the_policy_that_acted():
    runner = runner_for(CountingConfig(), num_envs=2, rollout_length=6)
    rollout = runner.sample().experience
    flat = torch.from_numpy(rollout.observations).flatten(0, 1)
    with torch.no_grad():
        logits, _, _ = runner.module(runner.module.prepare(flat))
    reference = torch.distributions.Categorical(logits=logits)
    expected = reference.log_prob(torch.from_numpy(rollout.actions).flatten())
    np.testing.assert_allclose(rollout.log_probs.flatten(), expected.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_what_is_remembered_is_what_a_plain_loop_over_one_episode_remembers(cell):
    environment = CountingConfig(length=5)
    runner = runner_for(
        environment, num_envs=2, rollout_length=7, memory=RecurrentConfig(cell=cell, units=4)
    )
    module, expected = runner.module, list(plain_steps(environment, 21))
    memory = module.no_memory(1)
    for k in range(3):
        rollout = runner.sample().experience
        for t, (before, _, terminated, truncated, after) in enumerate(expected[7 * k : 7 * k + 7]):
            np.testing.assert_allclose(
                rollout.memories[t], memory.expand(2, -1), rtol=1e-5, atol=1e-6
            )
            with torch.no_grad():
                _, value, memory = module(module.prepare(torch.from_numpy(before[None])), memory)
                _, next_value, _ = module(module.prepare(torch.from_numpy(after[None])), memory)
            np.testing.assert_allclose(rollout.values[t], value.expand(2), rtol=1e-5, atol=1e-6)
            if not terminated:
                np.testing.assert_allclose(
                    rollout.next_values[t], next_value.expand(2), rtol=1e-5, atol=1e-6
                )
            if terminated or truncated:
                memory = module.no_memory(1)
        assert rollout.first.any()
        assert not rollout.memories[rollout.first].any()
        assert rollout.memories[~rollout.first].any()


@pytest.mark.parametrize("steps", [1, 2, 8])
def test_sequences_begin_with_what_was_remembered_and_see_what_the_runner_saw(steps):
    """Whatever their length: as long as weights are the same, values and log-probabilities are."""
    runner = runner_for(CountingConfig(length=5), 3, 8, memory=RecurrentConfig(units=4))
    module = runner.module
    for _ in range(2):
        rollout = runner.sample().experience
        flat = {
            f.name: torch.from_numpy(getattr(rollout, f.name)).flatten(0, 1)
            for f in fields(rollout)
        }
        in_order = sequences(rollout.rewards.shape, steps)
        assert sorted(in_order.flatten().tolist()) == list(range(24))
        rows = in_order.T.flatten()
        with torch.no_grad():
            prepared = module.prepare(flat["observations"][rows])
            parameters, values, _ = module(
                prepared, flat["memories"][rows[: len(in_order)]], flat["first"][rows]
            )
            log_probs = module.distribution.log_prob(parameters, flat["actions"][rows])
        torch.testing.assert_close(values, flat["values"][rows], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(log_probs, flat["log_probs"][rows], rtol=1e-5, atol=1e-6)


def test_atari_columns_are_copies_of_what_the_native_environment_shows():
    environment = AtariConfig(max_frames_per_episode=120)
    runner = runner_for(environment, num_envs=3, rollout_length=40)
    rollout = runner.sample().experience
    env = environment.build_vector(3)
    observations, _ = env.reset(seed=runner._seed_at(0))
    for t in range(40):
        np.testing.assert_array_equal(rollout.observations[t], observations)
        observations, rewards, _, truncated, _ = env.step(rollout.actions[t])
        np.testing.assert_array_equal(rollout.rewards[t], rewards)
        np.testing.assert_array_equal(rollout.truncated[t], truncated)
    assert rollout.truncated.any()


def test_an_environment_that_resets_in_the_next_step_is_refused():
    class NextStep(CountingConfig):
        def build_vector(self, num_envs):
            env = super().build_vector(num_envs)
            env.metadata = {**env.metadata, "autoreset_mode": None}
            return env

    with pytest.raises(ValueError, match="reset in the same step"):
        runner_for(NextStep(), num_envs=2, rollout_length=4)


def test_of_stacked_frames_the_newest_comes_home_and_each_games_start_is_told():
    environment = AtariConfig("Breakout", max_frames_per_episode=200)
    experiment = recipe_named("dqn")(environment)
    algorithm = replace(experiment.algo, rollout_length=60)
    runner = OffPolicyEnvRunner(
        config=rllib_config(replace(experiment, algo=algorithm, num_envs=2)), worker_index=0
    )
    frames = runner.sample(env_steps=0).experience
    env = environment.build_vector(2)
    observations, _ = env.reset(seed=runner._seed_at(0))
    for t in range(60):
        np.testing.assert_array_equal(frames.observations[t], observations[:, -1])
        np.testing.assert_array_equal(frames.starts[t], ~observations[:, :-1].any(axis=(1, 2, 3)))
        observations, rewards, _, truncated, _ = env.step(frames.actions[t])
        np.testing.assert_array_equal(frames.rewards[t], rewards)
        np.testing.assert_array_equal(frames.truncated[t], truncated)
    env.close()
    assert frames.starts.sum() > 2
    # A border between runners is no start, nor does it make one.
    apart = frames.set_apart()
    assert apart.first[0].all()
    np.testing.assert_array_equal(apart.starts, frames.starts)


def test_an_episode_that_a_failing_environment_cut_is_learnt_from_and_not_counted():
    """Failing in its 8th step, the second episode of 5 is cut after 2 good steps and one that
    counts for nothing."""
    runner = runner_for(
        FlawedConfig(length=5, flaw="raises", fails_at=8), num_envs=2, rollout_length=10
    )
    sample = runner.sample()
    assert sample.faults == ["RuntimeError: the flaw"] * 2
    assert sample.episode_returns == [15.0, 15.0]
    rollout = sample.experience
    np.testing.assert_array_equal(rollout.rewards[:, 0], [1, 2, 3, 4, 5, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(np.flatnonzero(rollout.truncated[:, 0]), [7])
    np.testing.assert_array_equal(np.flatnonzero(rollout.first[:, 0]), [0, 5, 8])
    last_good = rollout.observations[7, 0]
    np.testing.assert_allclose(
        rollout.next_values[7, 0], values_of(runner, [last_good])[0], rtol=1e-4
    )
    assert runner.sample().faults == ["RuntimeError: the flaw"] * 2, (
        "the new ones have the same flaw, 8 steps on"
    )


@dataclass(frozen=True)
class BroughtConfig(OddConfig):
    """A vector that a user brings: gymnasium's, of environments as they are."""

    def build_vector(self, num_envs):
        return SyncVectorEnv([self.build] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


def test_of_environments_that_write_to_their_arrays_the_columns_hold_what_happened():
    """Observations and actions are each written into the array of the ones before, in a vector that
    a user brings."""
    environment = BroughtConfig(Habits(one_array=True, changes_action=True, lengths=(2, 3)))
    experiment = recipe_named("td3")(environment)
    algorithm = replace(experiment.algo, rollout_length=12, update_every_env_steps=24)
    config = rllib_config(replace(experiment, algo=algorithm, num_envs=2))
    environment.built.clear()
    runner = ActionNoiseEnvRunner(config=config, worker_index=0)
    frames = runner.sample(env_steps=0).experience
    for n, env in enumerate(environment.built[-2:]):
        happened = iter(env.happened)
        before = next(happened)
        for t in range(12):
            np.testing.assert_array_equal(frames.observations[t, n], before.observation)
            before = next(happened)
            np.testing.assert_allclose(frames.actions[t, n], before.action, rtol=1e-6)
            assert frames.rewards[t, n] == before.reward
            if before.terminated or before.truncated:
                np.testing.assert_array_equal(frames.finals[t, n], before.observation)
                before = next(happened)
    assert (
        sum(final is not None for final in frames.finals.flat) == 2 * 5
    )  # 2 + 3 + 2 + 3 + 2 steps


def test_steps_that_end_are_ends_where_an_environment_says_nothing_of_the_learners_end():
    """Only some environments say it, and after an episode's end the info is the next one's."""

    class Lives(CountingEnv):
        def step(self, action):
            *rest, info = super().step(action)
            return *rest, {"learning_terminated": True} if self.clock == 2 else info

    @dataclass(frozen=True)
    class LivesConfig(CountingConfig):
        def build_vector(self, num_envs):
            return vectorized(lambda: Lives(5), 1)

    rollout = runner_for(LivesConfig(), num_envs=1, rollout_length=10).sample().experience
    assert np.flatnonzero(rollout.terminated[:, 0]).tolist() == [1, 4, 6]
    assert np.flatnonzero(rollout.truncated[:, 0]).tolist() == [9]


@dataclass(frozen=True)
class FallingConfig(CountingConfig):
    """A vector that falls as a whole in its tenth step, or in its first, as often as FALLS_LEFT
    says."""

    falls_at: int = 10

    def build_vector(self, num_envs):
        vector, left = super().build_vector(num_envs), FALLS_LEFT
        step, clock = vector.step, count(1)

        def falling(actions):
            if next(clock) == self.falls_at and left[0]:
                left[0] -= 1
                raise BrokenPipeError("gone")
            return step(actions)

        vector.step = falling
        return vector


FALLS_LEFT = [0]


def test_a_vector_that_falls_is_built_again_and_its_rows_begin_anew():
    FALLS_LEFT[0] = 1
    runner = runner_for(FallingConfig(length=5), num_envs=2, rollout_length=6)
    assert runner.sample().faults == []
    sample = runner.sample()
    assert sample.faults == ["BrokenPipeError: gone"]
    np.testing.assert_array_equal(sample.experience.rewards[:, 1], [1, 2, 3, 4, 5, 1])
    np.testing.assert_array_equal(sample.experience.first[:, 1], [1, 0, 0, 0, 0, 1])
    assert runner.sample().faults == []


def test_a_vector_that_falls_again_and_again_brings_home_why():
    FALLS_LEFT[0] = 9
    runner = runner_for(FallingConfig(length=5, falls_at=1), num_envs=2, rollout_length=6)
    failure = "All environments failed 3 times in a row; the last time: BrokenPipeError: gone."
    assert runner.sample().failure == failure
    assert FALLS_LEFT[0] == 6


def test_a_further_attempt_is_another_one():
    """With the same seed and the same actions the same would happen."""
    runner = runner_for(CountingConfig(length=5), num_envs=2, rollout_length=6)
    seeds = set()
    for runner._attempt in range(3):
        seeds.add(runner._seed_at(64))
    assert len(seeds) == 3
