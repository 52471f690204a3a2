import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.engine.learner import take

CHANNELS_LAST = torch.channels_last


@given(rows=st.lists(st.integers(0, 5), min_size=1, max_size=8), seed=st.integers(0, 100))
def test_rows_of_images_are_taken_whole_and_keep_their_layout(rows, seed):
    images = torch.rand(6, 3, 4, 5, generator=torch.Generator().manual_seed(seed)).contiguous(
        memory_format=CHANNELS_LAST
    )
    taken = take(images, torch.tensor(rows))
    assert torch.equal(taken, torch.stack([images[row] for row in rows]))
    assert taken.is_contiguous(memory_format=CHANNELS_LAST)


@pytest.mark.parametrize(
    "shape", [(6,), (6, 2), (6, 3, 4, 5)], ids=["numbers", "vectors", "channels-first"]
)
def test_rows_of_other_columns_are_taken(shape):
    column = torch.arange(torch.tensor(shape).prod().item()).reshape(shape)
    taken = take(column, torch.tensor([5, 0]))
    assert torch.equal(taken, torch.stack([column[5], column[0]]))
