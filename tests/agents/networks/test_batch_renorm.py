"""Batch renormalization against torch's batch normalization, and by hand."""

import pytest
import torch

from agents.networks.batch_renorm import EPSILON, PLAIN_BATCHES, RATE, BatchRenorm


def test_at_first_it_is_batch_normalization() -> None:
    norm = BatchRenorm(3)
    reference = torch.nn.BatchNorm1d(3, eps=EPSILON, momentum=RATE)
    for seed in range(3):
        x = 5 * torch.randn(64, 3, generator=torch.Generator().manual_seed(seed)) + 2
        torch.testing.assert_close(norm(x, True), reference(x))
    torch.testing.assert_close(norm.mean, reference.running_mean)
    # torch's running variance is the unbiased one.
    torch.testing.assert_close(norm.variance, reference.running_var, rtol=0.02, atol=0.0)


def test_later_a_batch_is_seen_as_it_will_be_afterwards() -> None:
    norm = BatchRenorm(2)
    norm.batches.fill_(PLAIN_BATCHES)
    norm.mean.copy_(torch.tensor([1.0, 0.0]))
    norm.variance.copy_(torch.tensor([4.0, 1.0]))
    x = torch.randn(256, 2, generator=torch.Generator().manual_seed(0)) * 1.5 + 0.5
    afterwards = norm(x, False)
    torch.testing.assert_close(norm(x, True), afterwards, atol=1e-5, rtol=1e-5)


def test_a_batch_that_is_far_off_is_corrected_within_limits() -> None:
    norm = BatchRenorm(1)
    norm.batches.fill_(PLAIN_BATCHES)
    x = 100 + 10 * torch.randn(512, 1, generator=torch.Generator().manual_seed(0))
    out = norm(x, True)
    # Its deviation is ten times the running one, of which three are let through; its mean is a
    # hundred deviations off, of which five are.
    assert out.std(correction=0).item() == pytest.approx(3.0, rel=1e-3)
    assert out.mean().item() == pytest.approx(5.0, rel=1e-3)


def test_gradients_do_not_flow_through_the_correction() -> None:
    norm = BatchRenorm(1)
    norm.batches.fill_(PLAIN_BATCHES)
    x = torch.randn(16, 1, generator=torch.Generator().manual_seed(0), requires_grad=True)
    norm(x, True).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.zeros_like(x), atol=1e-5, rtol=0.0)
