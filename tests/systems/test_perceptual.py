"""The perceptual distance: against a computation by hand, and what a gradient reaches."""

import pytest
import torch
from torch.nn import functional as F

from flawsmith.models.efficientnet_lite0 import load_pretrained
from flawsmith.systems.perceptual import MAPS, PerceptualDistance


@pytest.fixture(scope="module")
def distance():
    return PerceptualDistance()


def pictures(channels=1, size=48):
    generator = torch.Generator().manual_seed(3)
    return [torch.rand(2, channels, size, size, generator=generator) * 2 - 1 for _ in range(2)]


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_the_mean_squared_distance_of_unit_vectors(distance, channels):
    image, target = pictures(channels)
    network = load_pretrained()
    repeat = 3 // channels
    expected = []
    with torch.no_grad():
        found, known = (network(x.repeat(1, repeat, 1, 1))[:MAPS] for x in (image, target))
        for one, other in zip(found, known, strict=True):
            expected.append((2 - 2 * F.cosine_similarity(one, other, dim=1)).mean())
    value = distance(image, target, torch.ones(2, 48, 48))
    assert value.item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-4)
    assert 0.1 < value.item() <= 4


def test_equal_images_and_images_without_any_weight_are_no_distance_apart(distance):
    image, target = pictures()
    assert distance(image, image, torch.ones(2, 48, 48)).item() == 0.0
    assert distance(image, target, torch.zeros(2, 48, 48)).item() == 0.0


def test_places_without_weight_do_not_count(distance):
    image, target = pictures(size=128)
    weight = torch.zeros(2, 128, 128)
    weight[:, :16, :16] = 1.0
    far = image.clone()
    far[..., 96:, 96:] = 0.0  # no cell of the three maps sees both corners
    near = image.clone()
    near[..., :16, :16] = 0.0
    value = distance(image, target, weight)
    assert torch.allclose(distance(far, target, weight), value, atol=1e-6)
    assert not torch.allclose(distance(near, target, weight), value, atol=1e-3)


def test_the_gradient_reaches_the_image_alone(distance):
    image, target = (x.requires_grad_() for x in pictures())
    distance(image, target, torch.ones(2, 48, 48)).backward()
    assert image.grad.abs().sum() > 0
    assert target.grad is None
    assert not any(p.requires_grad for p in distance._network.parameters())
