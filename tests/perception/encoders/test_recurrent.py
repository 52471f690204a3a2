"""Recurrent memory against steps by hand and torch's own layers; what it forgets, and what it must
not."""

import math

import pytest
import torch
from torch import nn

from perception.encoders.recurrent import CELLS
from perception.settings.memory import RecurrentConfig

LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


@pytest.mark.parametrize("cell", CELLS)
def test_many_steps_are_those_of_torchs_layer(cell: str) -> None:
    torch.manual_seed(0)
    config = RecurrentConfig(cell=cell, units=5)  # type: ignore[arg-type]
    memory = config.build(3)
    layer = LAYERS[cell](3, 5)
    layer.load_state_dict({f"{name}_l0": value for name, value in memory.cell.state_dict().items()})
    features = torch.randn(7, 2, 3)
    outputs, after = memory(
        features.flatten(0, 1), torch.zeros(2, config.size), torch.zeros(14, dtype=torch.bool)
    )
    expected, last = layer(features)
    torch.testing.assert_close(outputs[:, 3:].view(7, 2, 5), expected)
    torch.testing.assert_close(outputs[:, :3], features.flatten(0, 1))
    torch.testing.assert_close(
        after, torch.cat([part[0] for part in last], 1) if cell == "lstm" else last[0]
    )


def test_a_plain_recurrent_step_is_the_hand_computed_one() -> None:
    memory = RecurrentConfig(cell="rnn", units=1).build(1)
    with torch.no_grad():
        for name, value in (
            ("weight_ih", 2.0),
            ("weight_hh", 0.5),
            ("bias_ih", 0.1),
            ("bias_hh", 0.0),
        ):
            memory.cell.get_parameter(name).fill_(value)
    outputs, _ = memory(
        torch.tensor([[0.3], [0.0]]), torch.tensor([[0.4]]), torch.zeros(2, dtype=torch.bool)
    )
    first = math.tanh(2 * 0.3 + 0.5 * 0.4 + 0.1)
    assert outputs[:, 1].tolist() == pytest.approx([first, math.tanh(0.5 * first + 0.1)])


@pytest.mark.parametrize("cell", CELLS)
def test_nothing_crosses_an_episodes_border(cell: str) -> None:
    config = RecurrentConfig(cell=cell, units=4)  # type: ignore[arg-type]
    features = torch.randn(6, 2, 3, requires_grad=True)
    first = torch.zeros(6, 2, dtype=torch.bool)
    first[3, 1] = True  # the second environment begins anew
    outputs, _ = config.build(3)(
        features.flatten(0, 1), torch.zeros(2, config.size), first.flatten()
    )
    outputs[:, 3:].view(6, 2, 4)[5].sum().backward()
    reached = (features.grad.abs().sum(2) > 0).T.tolist()  # type: ignore[union-attr]
    assert reached == [[True] * 6, [False] * 3 + [True] * 3]


def test_the_first_step_takes_up_what_was_remembered() -> None:
    """Who acted emptied it already where an episode began, so that a sequence can begin
    anywhere."""
    memory = RecurrentConfig(units=4).build(3)
    seen, before = torch.randn(2, 3), torch.randn(2, 8)
    told, _ = memory(seen, before, torch.ones(2, dtype=torch.bool))
    torch.testing.assert_close(told[:, 3:], memory.advance(seen, before)[0])


def test_a_memory_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="units must be a whole number from 1 to"):
        RecurrentConfig(units=0)
    with pytest.raises(ValueError, match="steps must be a whole number from 2 to"):
        RecurrentConfig(steps=1)
