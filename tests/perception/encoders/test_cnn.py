"""Convolutional encoders: sizes counted by hand, bytes kept exact, images that do not fit
refused."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from gymnasium.spaces import Box, Dict, Discrete, Space

from perception.encoders.cnn import ByteConv2d, Bytes, ResidualBlock
from perception.settings.encoders import ImpalaResNetConfig, NatureCNNConfig

ATARI = Box(0, 255, (4, 84, 84), np.uint8)
BOTH = pytest.mark.parametrize(
    "config", [NatureCNNConfig(), ImpalaResNetConfig()], ids=["nature", "impala"]
)


def images(*shape: int) -> torch.Tensor:
    return torch.randint(
        0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def size_of(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_nature_cnn_has_the_parameters_of_the_paper() -> None:
    # 4 x 8 x 8 x 32 + 32 = 8,224      32 x 4 x 4 x 64 + 64 = 32,832      64 x 3 x 3 x 64 + 64 =
    # 36,928 84 -> 20 -> 9 -> 7 pixels: 64 x 7 x 7 = 3,136 features, 3,136 x 512 + 512 = 1,606,144
    encoder = NatureCNNConfig().build(ATARI)
    assert size_of(encoder.torso) == 8_224 + 32_832 + 36_928 + 1_606_144 == 1_684_128
    assert size_of(encoder) == size_of(encoder.torso), "the input layer has no parameters"


def test_the_impala_resnet_has_the_parameters_of_the_paper() -> None:
    # Stage 1: 4 x 9 x 16 + 16 = 592, and four convolutions of 16 x 9 x 16 + 16 = 2,320. Stage 2: 16
    # x 9 x 32 + 32 = 4,640, and four of 32 x 9 x 32 + 32 = 9,248.   Stage 3: five of 9,248. 84 ->
    # 42 -> 21 -> 11 pixels: 32 x 11 x 11 = 3,872 features, 3,872 x 256 + 256 = 991,488.
    encoder = ImpalaResNetConfig().build(ATARI)
    assert (
        size_of(encoder) == 592 + 4 * 2_320 + 4_640 + 4 * 9_248 + 5 * 9_248 + 991_488 == 1_089_232
    )


@pytest.mark.parametrize("channels", [(16, 32, 32), (8,), (4, 4)])
def test_each_stage_has_two_residual_blocks_and_fifteen_layers_make_three_stages(
    channels: tuple[int, ...],
) -> None:
    encoder = ImpalaResNetConfig(channels=channels, features=10).build(
        Box(0, 255, (3, 16, 16), np.uint8)
    )
    assert sum(isinstance(module, ResidualBlock) for module in encoder.modules()) == 2 * len(
        channels
    )
    assert sum(isinstance(module, torch.nn.Conv2d) for module in encoder.modules()) == 5 * len(
        channels
    )


@pytest.mark.parametrize("shape", [(4, 84, 84), (1, 36, 36), (3, 40, 64)])
@pytest.mark.parametrize(
    "config", [NatureCNNConfig(features=20), ImpalaResNetConfig(features=20)], ids=["nat", "imp"]
)
def test_images_become_features_of_the_stated_width(config: Any, shape: tuple[int, ...]) -> None:
    encoder = config.build(Box(0, 255, shape, np.uint8))
    features = encoder(images(5, *shape))
    assert features.shape == (5, 20)
    assert encoder.output_dim == 20
    assert features.dtype == torch.float32


@BOTH
def test_an_images_features_do_not_depend_on_the_others_in_its_batch(config: Any) -> None:
    encoder, batch = config.build(ATARI), images(6, 4, 84, 84)
    with torch.no_grad():
        together = encoder(batch)
        alone = torch.cat([encoder(batch[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 1e-3, (
        "different images have different features"
    )


@BOTH
def test_every_parameter_learns(config: Any) -> None:
    encoder = config.build(Box(0, 255, (2, 36, 36), np.uint8))
    encoder(images(8, 2, 36, 36)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in encoder.parameters())


@BOTH
def test_encoding_leaves_the_images_alone(config: Any) -> None:
    encoder, batch = config.build(ATARI), images(2, 4, 84, 84)
    before, prepared = batch.clone(), encoder.input_layer(batch)
    prepared_before = prepared.clone()
    first = encoder.torso(prepared)
    assert torch.equal(batch, before)
    assert torch.equal(prepared, prepared_before), "an epoch reads the same prepared images again"
    assert torch.equal(first, encoder.torso(prepared))


def test_a_byte_convolution_is_a_convolution_of_pixels_from_zero_to_one() -> None:
    torch.manual_seed(0)
    layer = ByteConv2d(3, 7, kernel_size=5, stride=2, padding=1)
    torch.nn.init.normal_(layer.bias)  # type: ignore[arg-type]
    pixels = images(4, 3, 21, 17).float()
    wanted = F.conv2d(pixels / 255, layer.weight, layer.bias, stride=2, padding=1)
    torch.testing.assert_close(layer(pixels), wanted, rtol=1e-4, atol=1e-5)
    assert wanted.std() > 0.1


@pytest.mark.parametrize("low_precision", [False, True], ids=["float32", "bfloat16"])
def test_the_input_layer_keeps_every_byte_exactly_and_puts_channels_last(
    low_precision: bool,
) -> None:
    every_byte = torch.arange(256, dtype=torch.uint8).repeat(2).reshape(2, 2, 8, 16)
    with torch.autocast("cpu", torch.bfloat16, enabled=low_precision):
        prepared = Bytes()(every_byte)
    assert prepared.dtype == (torch.bfloat16 if low_precision else torch.float32)
    assert prepared.is_contiguous(memory_format=torch.channels_last)
    assert prepared.shape == every_byte.shape
    assert prepared.to(torch.int64).tolist() == every_byte.tolist()


def test_a_residual_block_adds_to_what_it_is_given_without_changing_it() -> None:
    block, x = ResidualBlock(3), torch.randn(2, 3, 5, 5)
    before = x.clone()
    with torch.no_grad():
        block.second.weight.zero_()
        block.second.bias.fill_(0.5)  # type: ignore[union-attr]
        torch.testing.assert_close(block(x), x + 0.5)
    assert torch.equal(x, before)


REFUSED: list[Space] = [
    Box(-np.inf, np.inf, (4, 84, 84), np.float32),
    Box(0, 255, (4, 84, 84), np.int16),
    Box(0, 255, (84, 84), np.uint8),
    Box(0, 255, (7,), np.uint8),
    Box(0, 255, (210, 160, 3), np.uint8),
    Discrete(5),
    Dict({"image": ATARI}),
]


@BOTH
@pytest.mark.parametrize(
    "space", REFUSED, ids=lambda space: f"{type(space).__name__} {space.shape} {space.dtype}"
)
def test_what_is_no_stack_of_byte_images_is_refused_in_one_line(config: Any, space: Space) -> None:
    with pytest.raises(ValueError, match=r"This encoder reads (uint8 )?images") as refusal:
        config.build(space)
    assert "\n" not in str(refusal.value)


@BOTH
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 255.0), (-1.0, 1.0)])
def test_images_of_real_numbers_are_read_as_the_same_images_of_bytes(
    config: Any, low: float, high: float
) -> None:
    seen = images(2, 3, 40, 40)
    encoder = config.build(Box(0, 255, (3, 40, 40), np.uint8))
    reals = config.build(Box(low, high, (3, 40, 40), np.float32))
    reals.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(
        reals(low + seen / 255 * (high - low)), encoder(seen), rtol=1e-3, atol=1e-4
    )


@BOTH
def test_an_image_with_its_channels_last_is_told_from_one_of_many_channels(config: Any) -> None:
    with pytest.raises(ValueError, match=r"\(84, 84, 3\) seem to have their channels last"):
        config.build(Box(0, 255, (84, 84, 3), np.uint8))


@pytest.mark.parametrize(
    ("height", "width", "fits"), [(36, 36, True), (35, 36, False), (36, 35, False)]
)
def test_the_nature_cnn_needs_36_pixels_each_way(height: int, width: int, fits: bool) -> None:
    # 36 -> (36 - 8) / 4 + 1 = 8 -> (8 - 4) / 2 + 1 = 3 -> 1; 35 leaves 7 -> 2 -> 0.
    space = Box(0, 255, (1, height, width), np.uint8)
    if fits:
        assert NatureCNNConfig().build(space)(images(1, 1, height, width)).shape == (1, 512)
    else:
        with pytest.raises(ValueError, match="at least 36x36"):
            NatureCNNConfig().build(space)


def test_too_small_an_image_for_the_stages_is_refused() -> None:
    ImpalaResNetConfig().build(Box(0, 255, (1, 8, 8), np.uint8))
    with pytest.raises(ValueError, match="at least 8x8"):
        ImpalaResNetConfig().build(Box(0, 255, (1, 7, 8), np.uint8))


def test_spectral_normalization_bounds_what_a_convolution_of_a_block_does() -> None:
    encoder = ImpalaResNetConfig(channels=(4, 8), features=10, spectral_norm=True).build(ATARI)
    blocks = [module for module in encoder.modules() if isinstance(module, ResidualBlock)]
    with torch.no_grad():
        for block in blocks:
            block.first.parametrizations.weight.original.mul_(50)
    for _ in range(100):  # one step of the power iteration each
        encoder(images(1, 4, 84, 84))
    for block in blocks:
        assert torch.linalg.matrix_norm(block.first.weight.flatten(1), 2).item() == pytest.approx(
            1.0, rel=0.01
        )


def test_pooled_maps_make_the_dense_layer_smaller() -> None:
    whole, pooled = (
        ImpalaResNetConfig(channels=(4, 8), features=0, pooled_size=size).build(ATARI)
        for size in (0, 6)
    )
    assert whole.output_dim == 21 * 21 * 8
    assert pooled.output_dim == 6 * 6 * 8
