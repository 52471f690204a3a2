"""The multilayer perceptron against plain matrix products."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, Space
from torch import nn

from perception.encoders.mlp import orthogonal
from perception.settings.encoders import MLPConfig

VECTOR = Box(-1.0, 1.0, (5,), np.float32)


@pytest.mark.parametrize("hidden_sizes", [(64, 64), (7,), (3, 4, 5), ()])
def test_observations_become_features_of_the_last_width(hidden_sizes: tuple[int, ...]) -> None:
    encoder = MLPConfig(hidden_sizes=hidden_sizes).build(VECTOR)
    features = encoder(torch.randn(6, 5))
    assert features.shape == (6, encoder.output_dim)
    assert encoder.output_dim == (hidden_sizes[-1] if hidden_sizes else 5)


def test_its_parameters_are_those_of_its_layers() -> None:
    encoder = MLPConfig(hidden_sizes=(64, 32)).build(VECTOR)
    # 5 x 64 + 64 = 384 and 64 x 32 + 32 = 2,080
    assert sum(p.numel() for p in encoder.parameters()) == 384 + 2_080
    assert not list(encoder.input_layer.parameters())


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("tanh", np.tanh),
        ("relu", lambda x: np.maximum(x, 0)),
        ("silu", lambda x: x / (1 + np.exp(-x))),
    ],
)
def test_each_layer_is_a_matrix_product_and_an_activation(activation, function) -> None:
    encoder = MLPConfig(hidden_sizes=(8, 3), activation=activation).build(VECTOR)
    x = torch.randn(4, 5)
    expected = x.numpy().astype(np.float64)
    for layer in (module for module in encoder.modules() if isinstance(module, nn.Linear)):
        expected = function(
            expected @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        )
    np.testing.assert_allclose(encoder(x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.uint8])
def test_observations_of_any_dtype_and_shape_are_read_as_flat_floats(dtype: type) -> None:
    encoder = MLPConfig(hidden_sizes=(4,)).build(Box(0, 100, (2, 3), dtype))
    x = torch.arange(12).reshape(2, 2, 3)
    typed = torch.from_numpy(x.numpy().astype(dtype))
    torch.testing.assert_close(encoder(typed), encoder.torso(x.reshape(2, 6).float()))


def test_an_observations_features_do_not_depend_on_the_others_in_its_batch() -> None:
    encoder, x = MLPConfig().build(VECTOR), torch.randn(9, 5)
    torch.testing.assert_close(
        encoder(x), torch.cat([encoder(row[None]) for row in x]), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    "space",
    [Dict({"a": VECTOR, "b": Discrete(5)}), Box(0, 1, (0,), np.float32)],
    ids=["dict", "empty"],
)
def test_what_is_no_vector_is_refused_in_one_line(space: Space) -> None:
    with pytest.raises(ValueError, match="reads vectors") as refusal:
        MLPConfig().build(space)
    assert "\n" not in str(refusal.value)


def test_several_vectors_are_read_as_one() -> None:
    encoder = MLPConfig(hidden_sizes=()).build(
        Dict({"a": VECTOR, "b": Box(0, 1, (2, 2), np.float32)})
    )
    a, b = torch.rand(3, *VECTOR.shape), torch.rand(3, 2, 2)
    torch.testing.assert_close(encoder({"a": a, "b": b}), torch.cat([a, b.flatten(1)], 1))


def test_images_among_the_parts_are_refused_with_who_can_read_them() -> None:
    parts = {"camera": Box(0, 255, (3, 36, 36), np.uint8), "sensors": Box(-1, 1, (4,), np.float32)}
    with pytest.raises(ValueError, match="use --encoder parts"):
        MLPConfig(hidden_sizes=()).build(Dict(parts))


def test_a_bare_number_of_a_state_is_refused() -> None:
    # As one feature, state 7 would be seven times state 1; environments make it a vector of zeros
    # and a one.
    with pytest.raises(ValueError, match="reads vectors"):
        MLPConfig().build(Discrete(5))


@pytest.mark.parametrize(
    "layer", [nn.Linear(6, 4), nn.Conv2d(3, 5, kernel_size=2)], ids=["linear", "convolution"]
)
def test_orthogonal_rows_have_the_gain_as_length(layer: nn.Linear | nn.Conv2d) -> None:
    weight = orthogonal(layer, gain=3.0).weight.detach().flatten(1)
    torch.testing.assert_close(
        weight @ weight.T, 9.0 * torch.eye(len(weight)), rtol=1e-4, atol=1e-4
    )
    assert layer.bias is not None
    assert not layer.bias.any()


def test_images_are_refused_and_small_grids_are_not() -> None:
    with pytest.raises(ValueError, match="these observations are images; use --encoder nature"):
        MLPConfig().build(Box(0, 255, (4, 84, 84), np.uint8))
    assert MLPConfig().build(Box(0, 255, (3, 7, 7), np.uint8)).output_dim == 64
