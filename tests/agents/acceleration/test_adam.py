"""Our step beside torch's own, on the same numbers."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from agents.acceleration.adam import Adam

LEARNING_RATE, EPSILON = 0.01, 1e-5


def parameters() -> list[nn.Parameter]:
    draw = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=draw)) for shape in ((3, 4), (5,), ())]


def gradients(step: int) -> list[Tensor]:
    draw = torch.Generator().manual_seed(100 + step)
    return [torch.randn(parameter.shape, generator=draw) for parameter in parameters()]


def test_a_few_steps_are_those_of_torch() -> None:
    ours, theirs = parameters(), parameters()
    optimizer, reference = (
        Adam(ours, LEARNING_RATE, EPSILON),
        torch.optim.Adam(theirs, LEARNING_RATE, eps=EPSILON),
    )
    for step in range(4):
        optimizer.descend(ours, gradients(step))
        for parameter, gradient in zip(theirs, gradients(step), strict=True):
            parameter.grad = gradient
        reference.step()
    torch.testing.assert_close(ours, theirs)


def test_the_first_step_by_hand() -> None:
    """The means, corrected for having begun at zero, are then the gradient and its square."""
    number = nn.Parameter(torch.tensor(1.0))
    Adam([number], 0.1, 1.0).descend([number], [torch.tensor(3.0)])
    assert number.item() == torch.tensor(1.0 - 0.1 * 3.0 / (3.0 + 1.0))


def test_parameters_that_are_not_named_stay_and_count_no_step() -> None:
    some = parameters()
    optimizer = Adam(some, LEARNING_RATE, EPSILON)
    optimizer.descend(some[:1], gradients(0)[:1])
    torch.testing.assert_close(some[1:], parameters()[1:])
    optimizer.descend(some, gradients(1))
    assert [int(optimizer.state[parameter]["step"]) for parameter in some] == [2, 1, 1]


def test_the_state_goes_on_in_another_optimizer() -> None:
    one, other = parameters(), parameters()
    before, after = Adam(one, LEARNING_RATE, EPSILON), Adam(other, LEARNING_RATE, EPSILON)
    before.descend(one, gradients(0))
    after.load_state_dict(deepcopy(before.state_dict()))
    with torch.no_grad():
        for parameter, value in zip(other, one, strict=True):
            parameter.copy_(value)
    before.descend(one, gradients(1))
    after.descend(other, gradients(1))
    torch.testing.assert_close(one, other)


def test_a_gradient_in_another_order_of_memory_meets_its_own_numbers() -> None:
    ours, theirs = (
        nn.Parameter(torch.randn((4, 3, 2, 2), generator=torch.Generator().manual_seed(0)))
        for _ in "12"
    )
    gradient = torch.randn((4, 3, 2, 2), generator=torch.Generator().manual_seed(1))
    theirs.grad = gradient
    torch.optim.Adam([theirs], LEARNING_RATE).step()
    shuffled = gradient.contiguous(memory_format=torch.channels_last)
    assert shuffled.stride() != gradient.stride()
    Adam([ours], LEARNING_RATE, 1e-8).descend([ours], [shuffled])
    torch.testing.assert_close(ours, theirs)


def test_weight_decay_is_that_of_torchs_adamw() -> None:
    ours, theirs = parameters(), parameters()
    optimizer = Adam(ours, LEARNING_RATE, EPSILON)
    optimizer.set_weight_decay(0.1)
    reference = torch.optim.AdamW(theirs, LEARNING_RATE, eps=EPSILON, weight_decay=0.1)
    for step in range(4):
        optimizer.descend(ours, gradients(step))
        for parameter, gradient in zip(theirs, gradients(step), strict=True):
            parameter.grad = gradient
        reference.step()
    torch.testing.assert_close(ours, theirs)


def test_another_first_beta_is_torchs_too() -> None:
    ours, theirs = parameters(), parameters()
    optimizer = Adam(ours, LEARNING_RATE, EPSILON)
    optimizer.set_beta1(0.5)
    reference = torch.optim.Adam(theirs, LEARNING_RATE, betas=(0.5, 0.999), eps=EPSILON)
    for step in range(3):
        optimizer.descend(ours, gradients(step))
        for parameter, gradient in zip(theirs, gradients(step), strict=True):
            parameter.grad = gradient
        reference.step()
    torch.testing.assert_close(ours, theirs)
