"""Running moments against numpy over everything at once."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.engine.normaliser import RunningMoments


@given(st.integers(0, 10**6), st.lists(st.integers(1, 50), min_size=1, max_size=6), st.floats(-1e3, 1e3))
def test_moments_merged_over_batches_are_numpys_over_everything(seed: int, sizes: list[int], centre: float) -> None:
    rng = np.random.default_rng(seed)
    batches = [rng.normal(centre, rng.uniform(0.1, 10), size=(size, 3)).astype(np.float32) for size in sizes]
    moments = RunningMoments((3,))
    for batch in batches:
        moments.update(torch.from_numpy(batch))
    everything = np.concatenate(batches).astype(np.float64)
    np.testing.assert_allclose(moments.mean.numpy(), everything.mean(0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(moments.variance.numpy(), everything.var(0), rtol=1e-6, atol=1e-7)
    assert moments.count.item() == sum(sizes)


def test_two_batches_of_known_numbers() -> None:
    moments = RunningMoments(())
    moments.update(torch.tensor([1.0, 3.0]))
    moments.update(torch.tensor([5.0, 11.0]))
    # Of 1, 3, 5, 11: the mean is 5, the variance (16 + 4 + 0 + 36) / 4 = 14.
    assert moments.mean.item() == 5.0
    assert moments.variance.item() == pytest.approx(14.0)
    assert moments.deviation.item() == pytest.approx(14.0**0.5)


def test_standardised_numbers_have_mean_zero_and_deviation_one() -> None:
    data = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([2.0, 50.0]) + 7
    moments = RunningMoments((2,))
    moments.update(data)
    standardised = moments(data)
    torch.testing.assert_close(standardised.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(standardised.std(0, correction=0), torch.ones(2), atol=1e-4, rtol=0)
    assert standardised.dtype == torch.float32


def test_an_outlier_is_cut_off_at_ten_deviations() -> None:
    moments = RunningMoments((1,))
    moments.update(torch.tensor([[-1.0], [1.0]]))
    assert moments(torch.tensor([[1e6], [-1e6], [5.0]])).flatten().tolist() == pytest.approx([10.0, -10.0, 5.0])


def test_nothing_changes_before_the_first_batch() -> None:
    x = torch.tensor([[0.5, -2.0]])
    torch.testing.assert_close(RunningMoments((2,))(x), x)


def test_bytes_do_not_overflow() -> None:
    moments = RunningMoments((1,))
    moments.update(torch.full((300, 1), 255, dtype=torch.uint8))
    assert moments.mean.item() == 255.0
    assert moments.variance.item() == 0.0


def test_the_deviation_of_what_does_not_vary_yet_is_one_as_documented() -> None:
    moments = RunningMoments((2,))
    moments.update(torch.tensor([[1.0, 4.0], [3.0, 4.0]]))
    assert moments.deviation.tolist() == pytest.approx([1.0, 1.0])  # of 1 and 3, and of nothing but 4


def test_moments_are_saved_and_restored_with_the_weights() -> None:
    saved, restored = RunningMoments((2,)), RunningMoments((2,))
    first, second = torch.randn(2, 30, 2, generator=torch.Generator().manual_seed(1))
    saved.update(first)
    restored.load_state_dict(saved.state_dict())
    for moments in (saved, restored):
        moments.update(second)
    assert torch.equal(saved.variance, restored.variance)
