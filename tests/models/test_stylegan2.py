"""StyleGAN2's networks and layers against closed forms and the counts of the specification."""

import math

import pytest
import torch
from torch.nn import functional as F

from flawsmith.errors import FlawsmithError
from flawsmith.models import NETWORKS
from flawsmith.models.stylegan2 import Mapping, StyleGan2Discriminator, StyleGan2Generator, sizes_to
from flawsmith.models.stylegan2_layers import (
    EqualizedConv2d,
    EqualizedLinear,
    MinibatchDeviation,
    ModulatedConv2d,
    Smooth,
    enlarge,
)
from flawsmith.nn.cost import parameter_count

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8.0
KERNEL = torch.outer(TAPS, TAPS)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def spread(x: torch.Tensor) -> torch.Tensor:
    """Put a zero behind every pixel, along both axes."""
    doubled = torch.zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    doubled[:, :, ::2, ::2] = x
    return doubled


def smoothed(x: torch.Tensor, before: int, after: int) -> torch.Tensor:
    planes = F.pad(x, (before, after, before, after)).flatten(0, 1).unsqueeze(1)
    return F.conv2d(planes, KERNEL[None, None]).unflatten(0, x.shape[:2]).squeeze(2)


@pytest.mark.parametrize(
    ("size", "channels", "classes", "generator", "discriminator"),
    [
        (64, 3, 0, 22_243_608, 23_407_361),
        (128, 3, 0, 22_949_277, 23_882_369),
        (256, 3, 0, 23_191_522, 24_001_089),
        (256, 1, 6, 23_452_244, 26_367_936),
        (512, 3, 0, 28_700_647, 28_982_849),
    ],
)
def test_parameters_are_those_of_the_specification(
    size, channels, classes, generator, discriminator
):
    given = {"image_size": size, "image_channels": channels, "num_classes": classes}
    with torch.device("meta"):
        assert parameter_count(NETWORKS.get("stylegan2")(**given)) == generator
        assert parameter_count(NETWORKS.get("stylegan2_discriminator")(**given)) == discriminator


def test_sizes_start_at_four_to_seven():
    assert sizes_to(256) == [4, 8, 16, 32, 64, 128, 256]
    assert sizes_to(96) == [6, 12, 24, 48, 96]
    assert sizes_to(80)[0] == 5
    for wrong in (100, 176, 144):
        with pytest.raises(FlawsmithError, match="tile_size"):
            sizes_to(wrong)
    with pytest.raises(FlawsmithError, match="96 or 112"):
        sizes_to(100)


@pytest.mark.parametrize("size", [32, 48])
def test_networks_of_other_sizes_fit_each_other(size):
    torch.manual_seed(0)
    sizes = {"image_size": size, "image_channels": 3, "num_classes": 2, "max_channels": 8}
    generator = StyleGan2Generator(**sizes, latent_size=8, style_size=8)
    discriminator = StyleGan2Discriminator(**sizes, class_size=8, class_layers=1)
    classes = torch.tensor([0, 1])
    images = generator(normal(2, 8), classes, normal(2, generator.noise_values))
    assert images.shape == (2, 3, size, size)
    scores = discriminator(images, classes)
    assert scores.shape == (2,)
    assert not torch.allclose(scores, discriminator(images, 1 - classes))
    with pytest.raises(FlawsmithError, match=f"{size} x {size}"):
        discriminator(images[..., :16], classes)


def test_codes_reach_their_layers_and_noise_its_own():
    torch.manual_seed(0)
    generator = StyleGan2Generator(
        image_size=16, image_channels=1, latent_size=8, style_size=8, max_channels=8
    )
    synthesis = generator.synthesis
    assert synthesis.num_codes == 6
    assert synthesis.noise_sizes == [4, 8, 8, 16, 16]
    ws, noise = generator.repeat(normal(1, 8)).clone(), normal(1, generator.noise_values)
    with torch.no_grad():
        image = synthesis(ws, noise)
        assert torch.equal(image, synthesis(ws, normal(1, generator.noise_values, seed=1)))
        for index in range(6):
            other = ws.clone()
            other[:, index] += 1.0
            assert not torch.equal(image, synthesis(other, noise)), index
        for block in synthesis.blocks:
            for conv in block.convs:
                conv.noise_strength.fill_(0.5)
        assert not torch.equal(image, synthesis(ws, noise))


def test_latents_are_normalised_and_the_class_counts():
    torch.manual_seed(0)
    mapping = Mapping(latent_size=8, num_classes=3, style_size=8, layers=2)
    z, classes = normal(2, 8), torch.tensor([0, 2])
    assert torch.allclose(mapping(z, classes), mapping(5.0 * z, classes), atol=1e-5)
    assert not torch.allclose(mapping(z, classes), mapping(z, classes.flip(0)), atol=1e-3)


def test_learning_rate_of_a_layer_does_not_change_its_first_output():
    x = normal(4, 16)
    outputs = []
    for rate in (1.0, 0.01):
        torch.manual_seed(0)
        outputs.append(EqualizedLinear(16, 8, rate=rate, initial_bias=0.5, rectify=True)(x))
    torch.testing.assert_close(*outputs)


def test_smooth_is_the_filter_with_zeros_around():
    x = normal(2, 3, 8, 8)
    for padding in (1, 2):
        expected = smoothed(x, padding, padding)
        torch.testing.assert_close(Smooth(padding=padding)(x), expected)
        torch.testing.assert_close(Smooth(padding=padding, stride=2)(x), expected[:, :, ::2, ::2])


def test_enlarge_is_filtered_upsampling_inside():
    x = normal(2, 3, 8, 8)
    expected = 4.0 * smoothed(spread(x), 2, 1)
    torch.testing.assert_close(enlarge(x)[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_modulated_convolution_is_one_convolution_an_image(up, demodulate):
    torch.manual_seed(0)
    layer = ModulatedConv2d(5, 4, 3, style_size=6, demodulate=demodulate, up=up, gain=1.5)
    x, w, bias = normal(2, 5, 8, 8), normal(2, 6, seed=1), normal(4)
    weights = 1.5 * layer.weights(w)
    for i in range(2):
        if up:  # a transposed convolution turns its kernel
            full = F.conv2d(F.pad(spread(x[i : i + 1]), (2, 1, 2, 1)), weights[i].flip(2, 3))
            expected = 4.0 * smoothed(full, 1, 1)[..., :16, :16]
        else:
            expected = F.conv2d(x[i : i + 1], weights[i], padding=1)
        result = layer(x, w, bias)[i : i + 1]
        expected = expected + bias[None, :, None, None]
        inside = (slice(None), slice(None), slice(2, -2), slice(2, -2))
        torch.testing.assert_close(result[inside], expected[inside], atol=1e-4, rtol=1e-4)


def test_demodulated_weights_have_unit_norm():
    torch.manual_seed(0)
    layer = ModulatedConv2d(5, 4, 3, style_size=6)
    norms = layer.weights(normal(3, 6)).square().sum(dim=(2, 3, 4))
    torch.testing.assert_close(norms, torch.ones(3, 4))


def test_layers_keep_the_variance_of_normal_maps():
    torch.manual_seed(0)
    x = normal(2, 64, 32, 32)
    for layer in (EqualizedConv2d(64, 64, 3, rectify=False), EqualizedConv2d(64, 64, 3)):
        y = layer(x)[..., 2:-2, 2:-2]
        assert y.square().mean().item() == pytest.approx(1.0, abs=0.15)


def test_downsampling_takes_smoothed_pixels():
    torch.manual_seed(0)
    x = normal(1, 3, 8, 8)
    point = EqualizedConv2d(3, 4, 1, down=True, rectify=False)
    expected = F.conv2d(smoothed(x, 1, 1)[..., ::2, ::2], point.weight * point.scale)
    torch.testing.assert_close(point(x), expected)
    assert EqualizedConv2d(3, 4, 3, down=True)(x).shape == (1, 4, 4, 4)


def test_deviation_is_that_of_images_which_follow_each_other():
    x = normal(4, 2, 3, 3)
    y = MinibatchDeviation(2)(x)
    assert torch.equal(y[:, :2], x)
    for start in (0, 2):
        pair = x[start : start + 2]
        spread_of_pair = ((pair[0] - pair[1]).abs() / 2.0).mean()
        torch.testing.assert_close(
            y[start : start + 2, 2], spread_of_pair.expand(2, 3, 3), atol=1e-5, rtol=1e-4
        )
    torch.testing.assert_close(y[:2], MinibatchDeviation(2)(x[:2]))
    # groups must divide the batch: of six images four cannot be compared, two can
    assert len(MinibatchDeviation(4)(normal(6, 2, 3, 3))[:, 2, 0, 0].unique()) == 3
    alone = MinibatchDeviation(4)(x[:1])[:, 2]
    assert alone.max().item() <= math.sqrt(2e-8)
