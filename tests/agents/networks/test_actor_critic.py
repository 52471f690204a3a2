"""The actor-critic network: shapes, what is shared, and what bfloat16 costs."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, Space

from agents.networks.actor_critic import ActorCritic, use_bf16
from agents.settings.no_memory import NoMemory
from perception.settings.encoders import MLPConfig, NatureCNNConfig
from perception.settings.memory import RecurrentConfig

VECTOR = Box(-1.0, 1.0, (3,), np.float32)
IMAGE = Box(0, 255, (2, 36, 36), np.uint8)
CONTINUOUS = Box(-1.0, 1.0, (2,), np.float32)


def network(observations: Space, actions: Space, **changes: Any) -> ActorCritic:
    torch.manual_seed(0)
    encoder = (
        NatureCNNConfig(features=32) if observations is IMAGE else MLPConfig(hidden_sizes=(16,))
    )
    config = {
        "encoder": encoder,
        "memory": NoMemory(),
        "share_encoder": True,
        "normalize_observations": False,
        "precision": "fp32",
    }
    return ActorCritic(
        observation_space=observations,
        action_space=actions,
        inference_only=False,
        model_config=config | changes,
    )


def some(space: Space, size: int) -> torch.Tensor:
    space.seed(0)
    return torch.from_numpy(np.stack([space.sample() for _ in range(size)]))


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize(
    ("actions", "parameters"), [(Discrete(5), 5), (CONTINUOUS, 4)], ids=["discrete", "box"]
)
@pytest.mark.parametrize("observations", [VECTOR, IMAGE], ids=["vector", "image"])
def test_outputs_are_a_row_of_parameters_and_a_value_each(
    observations: Space, actions: Space, parameters: int, share: bool
) -> None:
    module = network(observations, actions, share_encoder=share)
    for size in (1, 7):
        outputs, values, _ = module(module.prepare(some(observations, size)))
        assert outputs.shape == (size, parameters)
        assert values.shape == (size,)
        assert outputs.dtype == values.dtype == torch.float32


def test_a_gaussian_policys_deviations_do_not_depend_on_the_observation() -> None:
    module = network(VECTOR, CONTINUOUS)
    assert module.log_std is not None
    with torch.no_grad():
        module.log_std.copy_(torch.tensor([-1.0, 0.5]))
    outputs, _, _ = module(module.prepare(some(VECTOR, 6)))
    assert outputs[:, 2:].tolist() == [[-1.0, 0.5]] * 6
    assert len(set(outputs[:, 0].tolist())) == 6
    outputs[:, 2:].sum().backward()
    assert module.log_std.grad is not None
    assert module.log_std.grad.tolist() == [6.0, 6.0]


def test_a_fresh_policy_is_nearly_uniform_and_its_deviation_is_one() -> None:
    outputs, _, _ = (module := network(VECTOR, Discrete(4)))(module.prepare(some(VECTOR, 32)))
    assert (outputs.softmax(-1) - 0.25).abs().max() < 0.02
    outputs, _, _ = (module := network(VECTOR, CONTINUOUS))(module.prepare(some(VECTOR, 32)))
    assert not outputs[:, 2:].any()
    assert network(VECTOR, Discrete(4)).log_std is None


@pytest.mark.parametrize("share", [True, False])
def test_the_value_trains_the_policys_encoder_only_if_it_is_shared(share: bool) -> None:
    module = network(VECTOR, Discrete(3), share_encoder=share)
    _, values, _ = module(module.prepare(some(VECTOR, 4)))
    values.sum().backward()
    touched = any(p.grad is not None and p.grad.any() for p in module.encoder.parameters())
    assert touched == share
    assert (module.value_encoder is None) == share


def test_encoders_of_their_own_start_differently() -> None:
    module = network(VECTOR, Discrete(3), share_encoder=False)
    assert module.value_encoder is not None
    policys, values = next(module.encoder.parameters()), next(module.value_encoder.parameters())
    assert policys.shape == values.shape
    assert not torch.equal(policys, values)


def test_bfloat16_stays_close_to_float32() -> None:
    exact, fast = network(IMAGE, Discrete(6)), network(IMAGE, Discrete(6), precision="bf16")
    with torch.no_grad():  # A fresh policy is nearly uniform whatever it sees; this one is not.
        exact.policy_head.weight.mul_(100)
    fast.load_state_dict(exact.state_dict())
    images = some(IMAGE, 16)
    with torch.no_grad():
        (outputs, values, _), (fast_outputs, fast_values, _) = (
            m(m.prepare(images)) for m in (exact, fast)
        )
    assert fast_outputs.dtype == fast_values.dtype == torch.float32
    assert not torch.equal(values, fast_values), "the second network is to compute in bfloat16"
    # bfloat16 rounds to 8 bits, 0.4 %; four layers of it stay within 2 % of the outputs' size.
    assert (outputs - fast_outputs).abs().max() < 0.02 * outputs.abs().max()
    assert (values - fast_values).abs().max() < 0.02 * values.abs().max()


def test_bfloat16_gradients_are_float32_and_close() -> None:
    exact, fast = network(IMAGE, Discrete(6)), network(IMAGE, Discrete(6), precision="bf16")
    fast.load_state_dict(exact.state_dict())
    for module in (exact, fast):
        module(module.prepare(some(IMAGE, 16)))[1].sum().backward()
    pairs = zip(exact.encoder.parameters(), fast.encoder.parameters(), strict=True)
    for wanted, got in ((a.grad, b.grad) for a, b in pairs):
        assert wanted is not None
        assert got is not None
        assert got.dtype == torch.float32
        assert torch.nn.functional.cosine_similarity(wanted.flatten(), got.flatten(), dim=0) > 0.99


def test_only_images_get_bfloat16_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    for fast in (True, False):
        monkeypatch.setattr(
            "agents.networks.actor_critic.has_fast_bf16", lambda device_type, fast=fast: fast
        )
        assert use_bf16("auto", pays=True, device_type="cpu") == fast
        assert not use_bf16("auto", pays=False, device_type="cpu")
        assert not use_bf16("fp32", pays=True, device_type="cpu")
        assert use_bf16("bf16", pays=False, device_type="cpu")


def test_normalized_observations_reach_the_encoder_standardized() -> None:
    module = network(VECTOR, Discrete(3), normalize_observations=True)
    assert module.normalizer is not None
    data = torch.tensor([[0.0, 10.0, -1.0], [2.0, 30.0, -3.0]])
    module.normalizer.update(data)
    torch.testing.assert_close(
        module.prepare(data), torch.tensor([[-1.0, -1.0, 1.0], [1.0, 1.0, -1.0]])
    )


def test_the_normalizers_moments_are_part_of_the_networks_state() -> None:
    learnt = network(VECTOR, Discrete(3), normalize_observations=True)
    assert learnt.normalizer is not None
    learnt.normalizer.update(some(VECTOR, 50) * 9)
    fresh = network(VECTOR, Discrete(3), normalize_observations=True)
    fresh.set_state(learnt.get_state())
    x = some(VECTOR, 3)
    assert torch.equal(fresh.prepare(x), learnt.prepare(x))
    assert torch.equal(fresh(fresh.prepare(x))[1], learnt(learnt.prepare(x))[1])


@pytest.mark.parametrize("share", [True, False])
def test_a_memory_stands_between_encoders_and_heads(share: bool) -> None:
    module = network(VECTOR, Discrete(4), memory=RecurrentConfig(units=8), share_encoder=share)
    seen = module.prepare(some(VECTOR, 6))
    outputs, values, memory = module(seen, module.no_memory(6))
    assert (outputs.shape, values.shape, memory.shape) == ((6, 4), (6,), (6, 16))
    later, _, _ = module(seen, memory)
    assert not torch.allclose(outputs, later)
    alone, _, _ = module(seen)  # where nothing is said of what was before, nothing was
    torch.testing.assert_close(alone, outputs)
    values.sum().backward()
    encoders = [module.encoder] if share else [module.encoder, module.value_encoder]
    assert all(p.grad.abs().sum() > 0 for encoder in encoders for p in encoder.parameters())


def test_a_state_is_loaded_to_the_last_digit() -> None:
    """RLlib would round the mean to 1,700,000,000 and the count to 100,000,000."""
    saved, loaded = (network(VECTOR, Discrete(2), normalize_observations=True) for _ in range(2))
    assert saved.normalizer is not None
    assert loaded.normalizer is not None
    saved.normalizer.mean.fill_(1_700_000_008.4)
    saved.normalizer.count.fill_(100_000_001.0)
    loaded.set_state(saved.get_state())
    assert loaded.normalizer.mean.tolist() == [1_700_000_008.4] * 3
    assert loaded.normalizer.count.item() == 100_000_001.0
