"""Value losses against numbers worked out by hand and against the papers' own loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from agents.networks.value_distributions import (
    CategoricalValues,
    Expectation,
    ImplicitQuantiles,
    Quantiles,
    middles,
)

numbers = st.floats(-20, 20, width=32)


def rows(*values: list[float]) -> Tensor:
    return torch.tensor(values)


def test_the_expectation_learns_the_temporal_difference_by_its_huber_loss() -> None:
    outputs = torch.tensor([[1.0], [1.0]], requires_grad=True)
    # Targets 0.5 + 0.9 x 2 = 2.3, beyond 1 from what was said, and 1.2 + 0 x 9 = 1.2, near it.
    losses, errors = Expectation().loss(
        outputs, torch.tensor([0.5, 1.2]), torch.tensor([0.9, 0.0]), rows([2.0], [9.0])
    )
    assert losses.tolist() == pytest.approx([1.3 - 0.5, 0.2**2 / 2])
    assert errors.tolist() == pytest.approx([1.3, 0.2], rel=1e-5)
    losses.sum().backward()
    assert outputs.grad is not None
    assert outputs.grad.flatten().tolist() == pytest.approx([-1.0, -0.2], rel=1e-5), (
        "the gradient is clipped to 1"
    )


def test_a_moved_distribution_is_shared_between_its_neighbors() -> None:
    values = CategoricalValues(3, -1.0, 1.0)
    probabilities = rows([0.2, 0.5, 0.3], [0.2, 0.5, 0.3], [0.2, 0.5, 0.3])
    # 0.5 + 0.5 z is 0, 0.5, 1: the middle mass is halved. After termination all is at 0.25. 7 is beyond the end.
    moved = values.project(
        probabilities, torch.tensor([0.5, 0.25, 7.0]), torch.tensor([0.5, 0.0, 0.5])
    )
    torch.testing.assert_close(moved, rows([0.0, 0.45, 0.55], [0.0, 0.75, 0.25], [0.0, 0.0, 1.0]))


def projected(
    probabilities: list[float], reward: float, discount: float, low: float, high: float
) -> list[float]:
    """Bellemare et al. 2017, algorithm 1, as it stands there."""
    size = len(probabilities)
    step = (high - low) / (size - 1)
    mass = [0.0] * size
    for j, probability in enumerate(probabilities):
        moved = min(high, max(low, reward + discount * (low + j * step)))
        place = min((moved - low) / step, size - 1)  # the division may round beyond the last value
        lower, upper = math.floor(place), math.ceil(place)
        if lower == upper:
            mass[lower] += probability
        else:
            mass[lower] += probability * (upper - place)
            mass[upper] += probability * (place - lower)
    return mass


@example(logits=[0.0] * 8, reward=0.0, discount=1.0, limit=4.9792890548706055)
@given(
    logits=st.lists(st.floats(-4, 4, width=32), min_size=2, max_size=21),
    reward=numbers,
    discount=st.floats(0, 1, width=32),
    limit=st.floats(0.5, 12, width=32),
)
def test_the_projection_is_the_papers(
    logits: list[float], reward: float, discount: float, limit: float
) -> None:
    values = CategoricalValues(len(logits), -limit, limit)
    probabilities = torch.tensor([logits]).softmax(-1)
    mass = values.project(probabilities, torch.tensor([reward]), torch.tensor([discount]))
    expected = projected(probabilities[0].tolist(), reward, discount, -limit, limit)
    np.testing.assert_allclose(mass[0].numpy(), expected, atol=2e-4)
    assert mass.sum().item() == pytest.approx(1.0, abs=1e-4)


def test_the_categorical_loss_is_the_cross_entropy_and_its_error_the_divergence() -> None:
    values = CategoricalValues(3, -1.0, 1.0)
    target = rows([0.2, 0.5, 0.3]).log()
    stay, undiscounted = torch.zeros(1), torch.ones(1)
    same, none = values.loss(target, stay, undiscounted, target)
    entropy = -(0.2 * math.log(0.2) + 0.5 * math.log(0.5) + 0.3 * math.log(0.3))
    assert same.item() == pytest.approx(entropy)
    # What is predicted exactly has no error, however uncertain it is.
    assert none.item() == pytest.approx(0.0, abs=1e-6)
    other, error = values.loss(torch.zeros(1, 3), stay, undiscounted, target)
    assert other.item() == pytest.approx(math.log(3))
    assert error.item() == pytest.approx(math.log(3) - entropy)


def test_expected_returns() -> None:
    assert Expectation().mean(rows([3.0], [4.0])).tolist() == [3.0, 4.0]
    # 0.25 x -2 + 0.5 x 0 + 0.25 x 2 = 0 and 0.5 x 0 + 0.5 x 2 = 1.
    probabilities = rows([0.25, 0.5, 0.25], [1e-12, 0.5, 0.5])
    assert CategoricalValues(3, -2.0, 2.0).mean(probabilities.log()).tolist() == pytest.approx(
        [0.0, 1.0], abs=1e-6
    )
    assert Quantiles(4).mean(rows([1.0, 2.0, 3.0, 6.0])).tolist() == [3.0]


@given(
    outputs=st.lists(numbers, min_size=2, max_size=6),
    shift=st.lists(numbers, min_size=6, max_size=6),
    reward=numbers,
    discount=st.floats(0, 1, width=32),
)
def test_the_quantile_loss_is_the_papers(
    outputs: list[float], shift: list[float], reward: float, discount: float
) -> None:
    size = len(outputs)
    following = shift[:size]
    losses, errors = Quantiles(size).loss(
        torch.tensor([outputs]),
        torch.tensor([reward]),
        torch.tensor([discount]),
        torch.tensor([following]),
    )
    # Dabney et al. 2018, algorithm 1 with kappa = 1.
    expected = 0.0
    for i, said in enumerate(outputs):
        for after in following:
            error = reward + discount * after - said
            huber = error**2 / 2 if abs(error) <= 1 else abs(error) - 0.5
            expected += abs((i + 0.5) / size - (error < 0)) * huber / size
    assert losses.item() == pytest.approx(expected, rel=1e-3, abs=1e-3)
    difference = reward + discount * sum(following) / size - sum(outputs) / size
    assert errors.item() == pytest.approx(difference, rel=1e-3, abs=1e-3)


def test_quantiles_settle_on_the_quantiles_of_what_they_see() -> None:
    # A return that is 0 or 10 with even chance: half of the quantiles belong to each.
    values, said = Quantiles(4), torch.zeros(1, 4, requires_grad=True)
    optimizer = torch.optim.Adam([said], lr=0.05)
    for _ in range(1500):
        losses, _ = values.loss(
            said.expand(2, 4), torch.tensor([0.0, 10.0]), torch.zeros(2), torch.zeros(2, 4)
        )
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
    low, high = said.detach()[0, :2], said.detach()[0, 2:]
    assert low.max() < 1.0
    assert high.min() > 9.0


def test_implicit_quantiles_at_even_levels_have_the_quantiles_loss() -> None:
    draw = torch.Generator().manual_seed(0)
    outputs, following = (torch.randn(5, 4, generator=draw) for _ in range(2))
    rewards, discounts = torch.rand(5, generator=draw), torch.rand(5, generator=draw)
    levels = middles(4, outputs.device).expand(5, -1)
    implicit = ImplicitQuantiles(4).loss(outputs, rewards, discounts, following, levels)
    even = Quantiles(4).loss(outputs, rewards, discounts, following)
    torch.testing.assert_close(implicit, even)


def test_the_loss_of_a_drawn_level_by_hand() -> None:
    # One quantile of probability 0.9 at 1 against samples 0 and 3: errors -1 and 2, Huber 0.5 and
    # 1.5, weighed by 0.1 and 0.9.
    losses, errors = ImplicitQuantiles(1).loss(
        rows([1.0]), torch.zeros(1), torch.ones(1), rows([0.0, 3.0]), rows([0.9])
    )
    assert losses.item() == pytest.approx((0.1 * 0.5 + 0.9 * 1.5) / 2)
    assert errors.item() == pytest.approx(0.5)


def test_drawn_levels_fill_the_unit_interval() -> None:
    levels = ImplicitQuantiles(8).levels(500, torch.Generator().manual_seed(0))
    assert levels.shape == (500, 8)
    assert 0 <= levels.min() < 0.01
    assert 0.99 < levels.max() < 1
