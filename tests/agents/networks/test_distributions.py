"""Policies' distributions against torch.distributions, and against the frequencies of their
draws."""

import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete
from hypothesis import given
from hypothesis import strategies as st

from agents.networks.distributions import Categorical, DiagonalGaussian, distribution_for


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def box(*shape: int) -> Box:
    return Box(-1.0, 1.0, shape, np.float32)


@given(st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=8))
def test_categorical_agrees_with_torch(logits: list[float]) -> None:
    actions = torch.arange(len(logits))
    rows = torch.tensor(logits).expand(len(logits), -1)
    ours, theirs = Categorical(Discrete(len(logits))), torch.distributions.Categorical(logits=rows)
    torch.testing.assert_close(
        ours.log_prob(rows, actions), theirs.log_prob(actions), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(ours.entropy(rows), theirs.entropy(), rtol=1e-4, atol=1e-4)


vectors = st.lists(st.tuples(*[st.floats(-3, 3, width=32)] * 3), min_size=1, max_size=5)


@given(vectors)
def test_diagonal_gaussian_agrees_with_torch(rows: list[tuple[float, float, float]]) -> None:
    mean, log_std, actions = (torch.tensor(column)[None] for column in zip(*rows, strict=True))
    ours, parameters = DiagonalGaussian(box(len(rows))), torch.cat([mean, log_std], -1)
    theirs = torch.distributions.Independent(torch.distributions.Normal(mean, log_std.exp()), 1)
    torch.testing.assert_close(
        ours.log_prob(parameters, actions), theirs.log_prob(actions), rtol=1e-4, atol=1e-3
    )
    torch.testing.assert_close(ours.entropy(parameters), theirs.entropy(), rtol=1e-4, atol=1e-4)


def test_two_even_actions_have_one_bit_of_entropy() -> None:
    policy, even = Categorical(Discrete(2)), torch.zeros(1, 2)
    assert policy.entropy(even).item() == pytest.approx(math.log(2))
    assert policy.log_prob(even, torch.tensor([1])).item() == pytest.approx(-math.log(2))


def test_categorical_draws_each_action_as_often_as_its_probability_says() -> None:
    probabilities = torch.tensor([0.05, 0.25, 0.7])
    draws = Categorical(Discrete(3)).sample(probabilities.log().expand(40_000, -1), seeded())
    frequencies = torch.bincount(draws, minlength=3) / 40_000
    # The widest standard error is sqrt(0.7 x 0.3 / 40,000) = 0.0023.
    torch.testing.assert_close(frequencies, probabilities, rtol=0, atol=4 * 0.0023)
    assert draws.dtype == torch.int64


def test_gaussian_draws_have_the_mean_and_deviation_of_the_parameters() -> None:
    mean, deviation = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])
    parameters = torch.cat([mean, deviation.log()]).expand(40_000, -1)
    draws = DiagonalGaussian(box(2)).sample(parameters, seeded())
    # Standard errors: 3 / 200 = 0.015 of the mean, 3 / sqrt(80,000) = 0.011 of the deviation.
    torch.testing.assert_close(draws.mean(0), mean, rtol=0, atol=0.06)
    torch.testing.assert_close(draws.std(0), deviation, rtol=0, atol=0.05)
    assert abs(torch.corrcoef(draws.T)[0, 1].item()) < 0.02


@pytest.mark.parametrize(
    "policy", [Categorical(Discrete(5)), DiagonalGaussian(box(3))], ids=["discrete", "box"]
)
def test_a_seed_decides_the_draws(policy: Categorical | DiagonalGaussian) -> None:
    parameters = torch.zeros(64, policy.num_parameters)
    first, again, other = (policy.sample(parameters, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not parameters.any(), "sampling must not write into the parameters"


def test_an_action_without_probability_is_never_drawn() -> None:
    logits = torch.tensor([0.0, float("-inf"), 0.0]).expand(10_000, -1)
    assert set(Categorical(Discrete(3)).sample(logits, seeded()).tolist()) == {0, 2}


def test_the_mode_is_the_likeliest_action() -> None:
    assert Categorical(Discrete(3)).mode(
        torch.tensor([[1.0, 3.0, 2.0], [5.0, 0.0, 0.0]])
    ).tolist() == [1, 0]
    policy, parameters = DiagonalGaussian(box(2)), torch.tensor([[0.25, -4.0, 1.0, 2.0]])
    mode = policy.mode(parameters)
    assert mode.tolist() == [[0.25, -4.0]]
    assert policy.log_prob(parameters, mode) > policy.log_prob(parameters, mode + 0.1)


def test_the_space_decides_the_distribution_and_its_size() -> None:
    assert isinstance(distribution_for(Discrete(7)), Categorical)
    assert distribution_for(Discrete(7)).num_parameters == 7
    assert isinstance(distribution_for(box(4)), DiagonalGaussian)
    assert distribution_for(box(4)).num_parameters == 8


@pytest.mark.parametrize(
    "space",
    [MultiDiscrete([2, 3]), MultiBinary(2), box(2, 2), box(), Dict({"a": Discrete(2)})],
    ids=lambda space: type(space).__name__ + str(space.shape),
)
def test_a_space_without_a_distribution_is_refused_in_one_line(space: Box) -> None:
    with pytest.raises(ValueError, match="must be") as refusal:
        distribution_for(space)
    assert "\n" not in str(refusal.value)


def test_a_box_of_integers_is_refused() -> None:
    with pytest.raises(ValueError, match="Box"):
        distribution_for(Box(0, 9, (2,), np.int64))


def test_actions_that_count_from_five_are_refused() -> None:
    with pytest.raises(ValueError, match="from 0"):
        distribution_for(Discrete(3, start=5))
