"""The Q network: streams, noise, exploration."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from agents.networks.q_network import NoisyLinear, QNetwork
from agents.networks.value_distributions import CategoricalValues, Expectation
from agents.settings.no_memory import NoMemory
from perception.settings.encoders import MLPConfig

VECTOR = Box(-1, 1, (3,), np.float32)


def network(**changes: Any) -> QNetwork:
    torch.manual_seed(0)
    config: dict[str, Any] = {
        "encoder": MLPConfig((16,)),
        "memory": NoMemory(),
        "values": Expectation(),
        "stream_width": 0,
        "noisy": False,
        "normalize_observations": False,
        "precision": "auto",
        "evaluation_epsilon": 0.0,
    }
    return QNetwork(
        observation_space=VECTOR, action_space=Discrete(4), model_config=config | changes
    )


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("stream_width", [0, 8])
@pytest.mark.parametrize(
    "values", [Expectation(), CategoricalValues(5, -1, 1)], ids=["mean", "c51"]
)
def test_there_are_k_outputs_an_action(stream_width: int, values: Any) -> None:
    net = network(stream_width=stream_width, values=values)
    assert net(torch.randn(6, 3))[0].shape == (6, 4, values.num_outputs)
    assert net.q_values(torch.randn(6, 3)).shape == (6, 4)


def test_advantages_have_no_mean_so_that_the_mean_of_all_actions_is_the_states_value() -> None:
    net, x = network(stream_width=8), torch.randn(6, 3)
    assert net.state_value is not None
    assert net.streams is not None
    value = net.state_value(net.streams[1](net.encoder.torso(x)))
    torch.testing.assert_close(net.q_values(x).mean(1, keepdim=True), value)
    assert net.q_values(x).std(1).min() > 1e-4


def test_epsilon_decides_how_often_anything_is_done() -> None:
    net, x = network(), torch.randn(1, 3).expand(4_000, 3)
    best = int(net.q_values(x[:1]).argmax())
    for epsilon in (0.0, 0.2, 1.0):
        actions = net.explore(x, torch.full((4_000,), epsilon), generator())
        # A random action is the best one, too, one time in four.
        share = (actions != best).float().mean().item()
        assert share == pytest.approx(epsilon * 0.75, abs=0.02)


def test_each_environment_has_its_own_epsilon() -> None:
    net, x = network(), torch.randn(1, 3).expand(400, 3)
    epsilon = torch.tensor([0.0, 1.0]).repeat(200)
    actions, best = net.explore(x, epsilon, generator()), int(net.q_values(x[:1]).argmax())
    assert (actions[::2] == best).all()
    assert (actions[1::2] != best).any()


def test_evaluation_is_greedy_but_for_its_own_epsilon() -> None:
    x = torch.randn(1, 3).expand(2_000, 3)
    for epsilon, deterministic, expected in (
        (0.4, False, 0.3),
        (0.4, True, 0.0),
        (0.0, False, 0.0),
    ):
        net = network(evaluation_epsilon=epsilon).eval()
        actions, _ = net.act(x, net.no_memory(len(x)), generator(), deterministic)
        share = (actions != net.q_values(x[:1]).argmax()).float().mean().item()
        assert share == pytest.approx(expected, abs=0.03)


def test_noise_is_drawn_by_the_generator_and_left_out_of_evaluation() -> None:
    net, x = network(noisy=True, stream_width=8), torch.randn(6, 3)
    net.draw_noise(generator())
    once = net.q_values(x)
    net.draw_noise(generator())
    torch.testing.assert_close(net.q_values(x), once)
    net.draw_noise(torch.Generator().manual_seed(2))
    assert (net.q_values(x) - once).abs().max() > 1e-3
    net.eval()
    quiet = net.q_values(x)
    net.draw_noise(generator())
    assert torch.equal(net.q_values(x), quiet)


def test_noisy_weights_are_mean_plus_deviation_times_the_outer_product_of_the_noises() -> None:
    layer = NoisyLinear(2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        layer.weight_deviation.fill_(0.5)
        layer.bias.zero_()
        layer.bias_deviation.fill_(2.0)
        layer.input_noise.copy_(torch.tensor([1.0, -1.0]))
        layer.output_noise.copy_(torch.tensor([2.0, 0.0]))
    # The first row's weights are 1 + 0.5 x 2 x 1 = 2 and 2 - 1 = 1, its bias 4; the second has no
    # noise.
    assert layer(torch.tensor([[1.0, 10.0]])).tolist() == [[2 + 10 + 4, 43.0]]


def test_the_noises_size_is_learnt() -> None:
    net = network(noisy=True)
    net.draw_noise(generator())
    net.q_values(torch.randn(6, 3)).square().sum().backward()
    deviations = [p for name, p in net.named_parameters() if "deviation" in name]
    assert deviations
    assert all(p.grad is not None and p.grad.any() for p in deviations)


def test_noise_is_no_part_of_what_is_saved() -> None:
    assert not [name for name in network(noisy=True).state_dict() if "noise" in name]
