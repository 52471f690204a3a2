"""Running moments against numpy over everything at once."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.networks.running_moments import RunningMoments


@given(
    st.integers(0, 10**6),
    st.lists(st.integers(1, 50), min_size=1, max_size=6),
    st.floats(-1e3, 1e3),
)
def test_moments_merged_over_batches_are_numpys_over_everything(
    seed: int, sizes: list[int], center: float
) -> None:
    rng = np.random.default_rng(seed)
    batches = [
        rng.normal(center, rng.uniform(0.1, 10), size=(size, 3)).astype(np.float32)
        for size in sizes
    ]
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


def test_standardized_numbers_have_mean_zero_and_deviation_one() -> None:
    data = (
        torch.randn(1000, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([2.0, 50.0])
        + 7
    )
    moments = RunningMoments((2,))
    moments.update(data)
    standardized = moments(data)
    torch.testing.assert_close(standardized.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(standardized.std(0, correction=0), torch.ones(2), atol=1e-4, rtol=0)
    assert standardized.dtype == torch.float32


def test_an_outlier_is_cut_off_at_ten_deviations() -> None:
    moments = RunningMoments((1,))
    moments.update(torch.tensor([[-1.0], [1.0]]))
    assert moments(torch.tensor([[1e6], [-1e6], [5.0]])).flatten().tolist() == pytest.approx(
        [10.0, -10.0, 5.0]
    )


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
    assert moments.deviation.tolist() == pytest.approx(
        [1.0, 1.0]
    )  # of 1 and 3, and of nothing but 4


def test_moments_are_saved_and_restored_with_the_weights() -> None:
    saved, restored = RunningMoments((2,)), RunningMoments((2,))
    first, second = torch.randn(2, 30, 2, generator=torch.Generator().manual_seed(1))
    saved.update(first)
    restored.load_state_dict(saved.state_dict())
    for moments in (saved, restored):
        moments.update(second)
    assert torch.equal(saved.variance, restored.variance)


DTYPES = st.sampled_from(
    [np.float64, np.float32, np.float16, np.int64, np.int32, np.int16, np.uint8]
)


@given(
    st.integers(0, 10**6),
    st.lists(st.tuples(st.integers(1, 40), DTYPES), min_size=1, max_size=5),
    st.floats(-1e15, 1e15),
    st.floats(0.5, 1e3),
)
def test_moments_far_from_zero_are_numpys_of_two_passes_whatever_the_dtypes(
    seed: int, sizes: list[tuple[int, type]], center: float, deviation: float
) -> None:
    rng = np.random.default_rng(seed)
    batches = []
    for size, dtype in sizes:
        largest = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else np.finfo(dtype).max
        smallest = np.iinfo(dtype).min if np.issubdtype(dtype, np.integer) else -np.finfo(dtype).max
        batches.append(
            rng.normal(center, deviation, (size, 2)).clip(smallest, largest).astype(dtype)
        )
    moments = RunningMoments((2,))
    for batch in batches:
        moments.update(torch.from_numpy(batch))
    everything = np.concatenate([batch.astype(np.float64) for batch in batches])
    step = np.spacing(np.abs(everything).max())  # what float64 can tell apart there
    np.testing.assert_allclose(
        moments.mean.numpy(), everything.mean(0), rtol=1e-15, atol=4 * len(batches) * step
    )
    np.testing.assert_allclose(
        moments.deviation.numpy(), deviations(everything), rtol=1e-6, atol=8 * step
    )


def deviations(everything: np.ndarray) -> np.ndarray:
    found = everything.std(0)
    return np.where(found > 1e-6, found, 1.0)


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
@pytest.mark.parametrize("offset", [0, 1_700_000_000, 10**15])
@pytest.mark.parametrize("rows", [40, 10_000])
def test_a_number_keeps_its_distance_from_a_large_mean(dtype: type, offset: int, rows: int) -> None:
    seen = offset + (np.arange(rows) % 41 - 20).astype(np.int64)
    moments = RunningMoments((1,))
    moments.update(torch.from_numpy(seen.astype(dtype)[:, None]))
    standardized = moments(torch.from_numpy(seen.astype(dtype)[:, None]))[:, 0].numpy()
    away = (seen - offset).astype(np.float64)
    rounding = 0.25 if offset == 10**15 else 1e-6  # of the mean, in float64
    np.testing.assert_allclose(standardized, (away - away.mean()) / away.std(), atol=rounding / 10)
    assert standardized.dtype == np.float32


@pytest.mark.parametrize("rows", [40, 10_000])
def test_float32_numbers_lose_nothing_to_a_mean_between_two_of_them(rows: int) -> None:
    """Near 2^24 float32 numbers are 2 apart, so that a mean of one quarter more would be rounded
    away."""
    seen = np.tile(
        np.array([2.0**24, 2.0**24 + 2, 2.0**24 + 2, 2.0**24 + 6], np.float32), rows // 4
    )
    moments = RunningMoments((1,))
    moments.update(torch.from_numpy(seen[:, None]))
    standardized = moments(torch.from_numpy(seen[:, None]))[:4, 0].numpy()
    # 0, 2, 2 and 6 have the mean 2.5 and the deviation sqrt((6.25 + 0.25 + 0.25 + 12.25) / 4) =
    # 2.1794.
    np.testing.assert_allclose(
        standardized, np.array([-2.5, -0.5, -0.5, 3.5]) / 2.1794495, rtol=1e-6
    )


def test_what_does_not_vary_far_from_zero_has_no_deviation() -> None:
    moments = RunningMoments((1,))
    for size in (3, 7, 11):
        moments.update(torch.full((size, 1), 1e15 + 0.125, dtype=torch.float64))
    assert moments.mean.item() == 1e15 + 0.125
    assert moments.variance.item() == 0.0


def test_several_learners_merge_each_others_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.tensor([[0.0], [2.0], [4.0], [10.0]], dtype=torch.float64) + 1.7e9
    one, other = rows[:2], rows[2:]
    alone = RunningMoments((1,))
    alone.update(other)
    others = torch.stack([alone.mean, alone.variance, alone.count.expand(1)])
    monkeypatch.setattr(
        "agents.networks.running_moments.everybodys", lambda moments: [moments, others]
    )
    together = RunningMoments((1,))
    together.update(one)
    # 0, 2, 4 and 10 have the mean 4 and the variance (16 + 4 + 0 + 36) / 4 = 14.
    assert together.mean.item() == 1.7e9 + 4
    assert together.variance.item() == 14.0
    assert together.count.item() == 4
