"""PPO's arithmetic against numbers worked out by hand and against second derivations."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, MultiBinary
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agents.algorithms.ppo import PPOLearner, advantages_and_returns, explained_variance, ppo_loss
from agents.data import Rollout
from agents.networks.running_moments import RunningMoments
from agents.settings.ppo import PPO
from envs.probe import CountingConfig

BARE = PPO(normalize_advantages=False, value_coefficient=0.0, entropy_coefficient=0.0)


def rollout_of(
    rewards: Any, values: Any, next_values: Any, terminated: Any, truncated: Any
) -> Rollout:
    rewards = np.asarray(rewards, np.float32)
    return Rollout(
        observations=np.zeros((*rewards.shape, 1), np.float32),
        actions=np.zeros(rewards.shape, np.int64),
        log_probs=np.zeros(rewards.shape, np.float32),
        values=np.asarray(values, np.float32),
        next_values=np.asarray(next_values, np.float32),
        rewards=rewards,
        terminated=np.asarray(terminated, np.bool_),
        truncated=np.asarray(truncated, np.bool_),
        first=np.zeros(rewards.shape, np.bool_),
        memories=np.zeros((*rewards.shape, 0), np.float32),
    )


@st.composite
def rollouts(draw: st.DrawFn, linked: bool = False) -> Rollout:
    """Any small rollout; a linked one's next values are its successors' values but at borders."""
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 3)))
    numbers = arrays(np.float32, shape, elements=st.floats(-10, 10, width=32))
    flags = arrays(np.bool_, shape)
    terminated = draw(flags)
    truncated = draw(flags) & ~terminated
    values, next_values = draw(numbers), draw(numbers)
    if linked:
        inside = ~(terminated | truncated)[:-1]
        next_values[:-1][inside] = values[1:][inside]
    return rollout_of(draw(numbers), values, next_values, terminated, truncated)


def loss_of(
    ratio: Any, advantages: Any, settings: PPO = BARE, **given: Any
) -> tuple[Any, Any, Any]:
    """The loss where the old log-probabilities are 0, its terms, and the new log-probabilities."""
    size = len(ratio)
    log_probs = torch.tensor(ratio, dtype=torch.float64).log().requires_grad_()
    columns = {
        "log_probs": torch.zeros(size, dtype=torch.float64),
        "values": torch.tensor(given.get("old_values", [0.0] * size)),
        "advantages": torch.tensor(advantages, dtype=torch.float64),
        "returns": torch.tensor(given.get("returns", [0.0] * size)),
    }
    values = torch.as_tensor(given.get("values", [0.0] * size))
    entropies = torch.tensor(given.get("entropies", [0.0] * size))
    loss, terms = ppo_loss(log_probs, values, entropies, columns, settings, progress=0.0)
    return loss, terms, log_probs


def test_advantages_at_a_terminated_and_a_truncated_border_are_the_hand_computed_ones() -> None:
    # Environment 0 terminates at t = 1, environment 1 is truncated there; gamma = lambda = 1/2.
    rollout = rollout_of(
        rewards=[[1, 1], [4, 1], [3, 1]],
        values=[[1, 2], [2, 2], [4, 2]],
        next_values=[[2, 2], [99, 6], [8, 4]],
        terminated=[[0, 0], [1, 0], [0, 0]],
        truncated=[[0, 0], [0, 1], [0, 0]],
    )
    advantages, returns = advantages_and_returns(
        rollout, rollout.rewards, PPO(discount=0.5, gae_lambda=0.5)
    )
    # TD errors: 1 + 2/2 - 1 = 1    4 + 0 - 2 = 2 (the 99 is beyond the end)    3 + 8/2 - 4 = 3
    #            1 + 2/2 - 2 = 0    1 + 6/2 - 2 = 2 (it goes on, elsewhere)     1 + 4/2 - 2 = 1
    # A(t) = error + A(t+1)/4, but nothing comes back over a border: 1 + 2/4 = 1.5, and 0 + 2/4 = 0.5.
    assert advantages.tolist() == [[1.5, 0.5], [2, 2], [3, 1]]
    assert returns.tolist() == [[2.5, 2.5], [4, 4], [7, 3]]
    assert advantages.dtype == returns.dtype == np.float32


@given(rollouts(), st.floats(0, 1), st.floats(0, 1))
def test_advantages_are_the_explicit_sum_of_discounted_errors(
    rollout: Rollout, discount: float, lam: float
) -> None:
    advantages, returns = advantages_and_returns(
        rollout, rollout.rewards, PPO(discount=discount, gae_lambda=lam)
    )
    length, num_envs = rollout.rewards.shape
    for n in range(num_envs):
        for t in range(length):
            total = 0.0
            for k in range(t, length):
                future = 0.0 if rollout.terminated[k, n] else float(rollout.next_values[k, n])
                error = (
                    float(rollout.rewards[k, n]) + discount * future - float(rollout.values[k, n])
                )
                total += (discount * lam) ** (k - t) * error
                if rollout.terminated[k, n] or rollout.truncated[k, n]:
                    break
            assert advantages[t, n] == pytest.approx(total, abs=1e-3)
            assert returns[t, n] == pytest.approx(total + float(rollout.values[t, n]), abs=1e-3)


@given(rollouts(linked=True), st.floats(0, 1))
def test_lambda_one_gives_the_discounted_return_whatever_the_critic_says(
    rollout: Rollout, discount: float
) -> None:
    advantages, returns = advantages_and_returns(
        rollout, rollout.rewards, PPO(discount=discount, gae_lambda=1.0)
    )
    length, num_envs = rollout.rewards.shape
    for n in range(num_envs):
        following = float(rollout.next_values[-1, n])
        for t in reversed(range(length)):
            if rollout.terminated[t, n]:
                following = 0.0
            elif rollout.truncated[t, n]:
                following = float(rollout.next_values[t, n])
            following = float(rollout.rewards[t, n]) + discount * following
            assert returns[t, n] == pytest.approx(following, abs=1e-3)
            assert advantages[t, n] == pytest.approx(
                following - float(rollout.values[t, n]), abs=1e-3
            )


@given(rollouts(), st.floats(0, 1))
def test_lambda_zero_gives_the_one_step_error(rollout: Rollout, discount: float) -> None:
    advantages, _ = advantages_and_returns(
        rollout, rollout.rewards, PPO(discount=discount, gae_lambda=0.0)
    )
    future = np.where(rollout.terminated, 0.0, rollout.next_values.astype(np.float64))
    np.testing.assert_allclose(
        advantages, rollout.rewards + discount * future - rollout.values, atol=1e-4
    )


def test_advantages_follow_the_given_rewards_not_the_environments() -> None:
    rollout = rollout_of([[7.0]], [[1.0]], [[0.0]], [[True]], [[False]])
    advantages, _ = advantages_and_returns(rollout, np.array([[3.0]], np.float32), PPO())
    assert advantages.item() == 2.0  # 3 - 1


def test_the_policy_loss_is_clipped_on_both_sides() -> None:
    loss, terms, _ = loss_of(ratio=[1.5, 1.5, 0.5, 0.5], advantages=[1, -1, 1, -1])
    # min(1.5, 1.2) = 1.2    min(-1.5, -1.2) = -1.5    min(0.5, 0.8) = 0.5    min(-0.5, -0.8) = -0.8
    # The mean of 1.2, -1.5, 0.5, -0.8 is -0.15, and the loss its negative.
    assert loss.item() == pytest.approx(0.15)
    assert terms["policy_loss"].item() == pytest.approx(0.15)
    assert terms["clip_fraction"].item() == 1.0
    # ratio - 1 - log(ratio) is 0.5 - log 1.5 twice and -0.5 + log 2 twice: mean (log 2 - log 1.5) /
    # 2.
    assert terms["kl"].item() == pytest.approx((math.log(2) - math.log(1.5)) / 2)


def test_an_unchanged_policy_has_no_divergence_and_nothing_clipped() -> None:
    loss, terms, _ = loss_of(ratio=[1.0, 1.0], advantages=[3, 5])
    assert loss.item() == pytest.approx(-4.0)
    assert terms["kl"].item() == terms["clip_fraction"].item() == 0.0


def test_clip_fraction_counts_the_ratios_outside_the_range() -> None:
    _, terms, _ = loss_of(ratio=[0.75, 0.85, 1.0, 1.25], advantages=[1, 1, 1, 1])
    assert terms["clip_fraction"].item() == 0.5  # 0.75 and 1.25


def test_values_are_clipped_to_the_worse_of_the_two_errors() -> None:
    given = {
        "values": [1.0, -1.0, 0.25, 2.0],
        "returns": [1.0, 0.0, 1.0, 0.0],
        "old_values": [0.0] * 4,
    }
    unclipped = PPO(normalize_advantages=False, clip_value=0.0)
    _, terms, _ = loss_of([1.0] * 4, [0.0] * 4, unclipped, **given)
    assert terms["value_loss"].item() == pytest.approx(0.6953125)  # (0 + 1 + 0.5625 + 4) / 4 / 2
    # Half a step from 0 at most: 0.5, -0.5, 0.25, 0.5, with errors 0.25, 0.25, 0.5625, 0.25.
    # The larger of each pair: 0.25, 1, 0.5625, 4; their sum 5.8125 / 4 / 2.
    clipped = PPO(normalize_advantages=False, clip_value=0.5)
    _, terms, _ = loss_of([1.0] * 4, [0.0] * 4, clipped, **given)
    assert terms["value_loss"].item() == pytest.approx(0.7265625)


def test_a_value_that_moved_past_its_clip_learns_no_more() -> None:
    values = torch.tensor([1.0, 1.0], requires_grad=True)
    settings = PPO(normalize_advantages=False, clip_value=0.5)
    # From 0 to 1, clipped to 0.5. Return 1: the clipped error 0.25 is the worse, and constant.
    # Return 0: the unclipped error 1 is the worse; its derivative 2 x 1 / 2 (half) / 2 (mean) x 0.5
    # (weight).
    loss, _, _ = loss_of([1.0, 1.0], [0.0, 0.0], settings, values=values, returns=[1.0, 0.0])
    loss.backward()
    assert values.grad is not None
    assert values.grad.tolist() == [0.0, 0.25]


def test_the_loss_weighs_its_three_terms() -> None:
    settings = PPO(normalize_advantages=False, value_coefficient=0.25, entropy_coefficient=0.01)
    loss, terms, _ = loss_of(
        [1.0, 1.0], [1.0, 3.0], settings, returns=[2.0, 4.0], entropies=[1.0, 3.0]
    )
    # policy: -(1 + 3) / 2 = -2    value: (4 + 16) / 2 / 2 = 5    entropy: 2
    assert terms["value_loss"].item() == 5.0
    assert terms["entropy"].item() == 2.0
    assert loss.item() == pytest.approx(-2 + 0.25 * 5 - 0.01 * 2)
    assert not any(term.requires_grad for term in terms.values())


def test_advantages_are_standardized_in_the_minibatch() -> None:
    settings = PPO(value_coefficient=0.0)
    # Mean 2 and deviation sqrt(2) (n - 1 in the denominator) make -1/sqrt(2) and 1/sqrt(2) of 1 and
    # 3; with ratios 1 and 1.1 the surrogate's mean is 0.1 / sqrt(2) / 2.
    loss, _, _ = loss_of([1.0, 1.1], [1.0, 3.0], settings)
    assert loss.item() == pytest.approx(-0.05 / math.sqrt(2))


def test_the_policy_gradient_vanishes_exactly_where_clipping_binds() -> None:
    ratio, advantages = [1.5, 1.5, 0.5, 0.5, 1.1, 0.9], [2.0, -2.0, 2.0, -2.0, 2.0, -2.0]
    loss, _, log_probs = loss_of(ratio, advantages)
    loss.backward()
    # Clipped: a gain that went up enough, and a loss that went down enough. Elsewhere the gradient
    # by the log-probability is -advantage x ratio / 6.
    expected = [0.0, 2 * 1.5 / 6, -2 * 0.5 / 6, 0.0, -2 * 1.1 / 6, 2 * 0.9 / 6]
    assert log_probs.grad.tolist() == pytest.approx(expected)


@given(
    st.integers(0, 10**6),
    st.integers(2, 40),
    st.floats(0.01, 0.5),
    st.sampled_from([0.0, 0.3]),
    st.booleans(),
)
def test_the_loss_is_what_its_piecewise_definition_says(
    seed: int, size: int, clip: float, clip_value: float, normalize: bool
) -> None:
    rng = np.random.default_rng(seed)
    old, new, values, old_values, advantages, returns, entropies = rng.normal(size=(7, size))
    settings = PPO(
        clip=clip,
        clip_value=clip_value,
        value_coefficient=0.7,
        entropy_coefficient=0.03,
        normalize_advantages=normalize,
    )
    columns = {"log_probs": old, "values": old_values, "advantages": advantages, "returns": returns}
    tensors = {name: torch.from_numpy(column) for name, column in columns.items()}
    loss, _ = ppo_loss(
        *map(torch.from_numpy, (new, values, entropies)), tensors, settings, progress=0.0
    )

    if normalize:
        advantages = (advantages - advantages.mean()) / (advantages.std(ddof=1) + 1e-8)
    expected = 0.0
    for i in range(size):
        ratio = math.exp(new[i] - old[i])
        # A gain counts up to the ratio 1 + clip, a loss from 1 - clip on.
        expected -= advantages[i] * (
            min(ratio, 1 + clip) if advantages[i] >= 0 else max(ratio, 1 - clip)
        )
        error = abs(values[i] - returns[i])
        if clip_value and abs(values[i] - old_values[i]) > clip_value:
            border = old_values[i] + math.copysign(clip_value, values[i] - old_values[i])
            error = max(error, abs(border - returns[i]))
        expected += 0.7 * error**2 / 2 - 0.03 * entropies[i]
    assert loss.item() == pytest.approx(expected / size, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    "bad",
    [
        {"rollout_length": 0},
        {"epochs": 0},
        {"minibatch_size": -1},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"max_gradient_norm": 0.0},
        {"clip": -0.1},
        {"discount": 1.01},
        {"discount": math.nan},
        {"gae_lambda": -0.01},
        {"adam_epsilon": -1.0},
        {"entropy_coefficient": math.nan},
        {"value_coefficient": math.inf},
        {"clip_value": -1.0},
    ],
    ids=str,
)
def test_a_bad_setting_is_refused_in_one_line_that_names_it(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))) as refusal:
        PPO(**bad)  # type: ignore[arg-type]
    assert "\n" not in str(refusal.value)


def test_settings_at_the_edge_of_their_range_are_accepted() -> None:
    PPO(discount=1.0, gae_lambda=0.0)
    PPO(discount=0.0, gae_lambda=1.0)


@pytest.mark.parametrize(
    ("num_envs", "num_learners", "divides"),
    # 32 steps an environment, minibatches of 64.
    [
        (4, 0, True),
        (4, 1, True),
        (4, 2, True),
        (3, 0, False),
        (6, 2, False),
        (4, 4, False),
        (1, 3, False),
    ],
)
def test_only_batches_that_divide_into_minibatches_on_each_learner_pass(
    num_envs: int, num_learners: int, divides: bool
) -> None:
    # 4 x 32 = 128 = 2 x 64, or 64 on each of two learners, but 32 on each of four; 3 x 32 = 96 and
    # 6 x 32 / 2 = 96 do not divide by 64, and 32 steps do not divide among three.
    settings, environment = PPO(rollout_length=32, minibatch_size=64), CountingConfig().build()
    if divides:
        settings.check(environment, 1, num_envs, num_learners)
    else:
        with pytest.raises(ValueError, match="minibatch") as refusal:
            settings.check(environment, 1, num_envs, num_learners)
        assert "\n" not in str(refusal.value)


def test_actions_without_a_distribution_are_refused() -> None:
    environment = CountingConfig().build()
    environment.action_space = MultiBinary(3)
    with pytest.raises(ValueError, match="MultiBinary"):
        PPO().check(environment, 1, 8, 0)


def test_images_among_the_parts_of_an_observation_are_not_normalized() -> None:
    environment = CountingConfig().build()
    parts = {"camera": Box(0, 255, (3, 36, 36), np.uint8), "sensors": Box(-1, 1, (4,), np.float32)}
    environment.observation_space = Dict(parts)
    with pytest.raises(
        ValueError,
        match=r"Images and text cannot be normalized; use --algo.no-normalize-observations",
    ):
        PPO(normalize_observations=True).check(environment, 1, 8, 0)
    PPO(normalize_observations=False).check(environment, 1, 8, 0)
    environment.observation_space = parts["camera"]
    with pytest.raises(ValueError, match="Images and text cannot be normalized"):
        PPO(normalize_observations=True).check(environment, 1, 8, 0)


def test_standardizing_a_minibatch_of_one_step_is_refused() -> None:
    with pytest.raises(ValueError, match="minibatch of one"):
        PPO(minibatch_size=1, normalize_advantages=True)
    PPO(minibatch_size=1, normalize_advantages=False)


def test_the_learning_rate_falls_linearly_to_zero_if_asked() -> None:
    annealed = PPO(learning_rate=0.4, anneal_learning_rate=True)
    assert [annealed.learning_rate_at(p) for p in (0.0, 0.25, 1.0)] == pytest.approx(
        [0.4, 0.3, 0.0]
    )
    constant = PPO(learning_rate=0.4, anneal_learning_rate=False)
    assert [constant.learning_rate_at(p) for p in (0.0, 0.25, 1.0)] == [0.4, 0.4, 0.4]


def test_clip_and_entropy_bonus_fade_with_the_progress_of_the_run() -> None:
    settings = PPO(
        clip=0.2,
        anneal_clip=True,
        entropy_coefficient=0.1,
        anneal_entropy=True,
        normalize_advantages=False,
    )
    given = {"log_probs": [0.0], "values": [0.0], "advantages": [1.0], "returns": [0.0]}
    columns = {name: torch.tensor(column) for name, column in given.items()}
    # Half way the ratio 1.5 counts up to 1.1, and the entropy 2 is worth 0.05 x 2.
    loss, _ = ppo_loss(
        torch.tensor([1.5]).log(),
        torch.zeros(1),
        torch.tensor([2.0]),
        columns,
        settings,
        progress=0.5,
    )
    assert loss.item() == pytest.approx(-1.1 - 0.1)


def test_the_clipping_range_falls_linearly_to_zero_if_asked() -> None:
    annealed = PPO(clip=0.2, anneal_clip=True)
    assert [annealed.clip_at(p) for p in (0.0, 0.75, 1.0)] == pytest.approx([0.2, 0.05, 0.0])
    constant = PPO(clip=0.2, anneal_clip=False)
    assert [constant.clip_at(p) for p in (0.0, 0.75, 1.0)] == [0.2, 0.2, 0.2]


def test_explained_variance_is_one_for_a_perfect_critic_and_zero_for_a_constant_one() -> None:
    returns = np.array([0.0, 2.0])
    assert explained_variance(returns, returns) == 1.0
    assert explained_variance(np.array([7.0, 7.0]), returns) == 0.0
    assert explained_variance(np.array([2.0, 0.0]), returns) == -3.0  # errors -2 and 2: 1 - 4 / 1
    assert math.isnan(explained_variance(returns, np.array([5.0, 5.0])))


def normalizing_learner() -> Any:
    settings = PPO(discount=0.5, normalize_rewards=True)
    return SimpleNamespace(
        settings=settings,
        return_moments=RunningMoments(()),
        discounted_returns=np.zeros(0),
        _device="cpu",
    )


def ones(first: list[bool]) -> Rollout:
    zeros = np.zeros((3, 1))
    return replace(
        rollout_of(np.ones((3, 1)), zeros, zeros, zeros, zeros), first=np.array(first)[:, None]
    )


def test_rewards_are_divided_by_the_deviation_of_the_discounted_return() -> None:
    # Rewards 1, 1, 1 and gamma 1/2: discounted returns 1, 1.5, 1.75; mean 17/12,
    # variance (25 + 1 + 16) / 144 / 3 = 7/72.
    rollout = ones([True, False, False])
    rewards = PPOLearner._normalized(normalizing_learner(), rollout.rewards, rollout)
    np.testing.assert_allclose(rewards, np.full((3, 1), math.sqrt(72 / 7)), rtol=1e-5)
    # An episode that ends at once: 1, then anew 1, 1.5; mean 7/6, variance (1 + 1 + 4) / 36 / 3 =
    # 1/18.
    rollout = ones([True, True, False])
    rewards = PPOLearner._normalized(normalizing_learner(), rollout.rewards, rollout)
    np.testing.assert_allclose(rewards, np.full((3, 1), math.sqrt(18)), rtol=1e-5)


def test_the_discounted_return_goes_on_from_rollout_to_rollout() -> None:
    learner, rollout = normalizing_learner(), ones([False, False, False])
    for _ in range(2):
        rewards = PPOLearner._normalized(learner, rollout.rewards, rollout)
    running = [1, 1.5, 1.75, 1.875, 1.9375, 1.96875]
    np.testing.assert_allclose(rewards, np.full((3, 1), 1 / np.std(running)), rtol=1e-5)
