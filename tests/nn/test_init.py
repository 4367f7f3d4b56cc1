import pytest
import torch
from torch import nn

from flawsmith.nn.init import fan_in, he_normal_, normal_, xavier_normal_


def test_fan_in_counts_the_taps_of_an_output_value():
    assert fan_in(nn.Conv2d(8, 3, 5)) == 8 * 25
    assert fan_in(nn.ConvTranspose2d(8, 3, 4, stride=2)) == 8 * 16 / 4
    assert fan_in(nn.Conv2d(8, 4, 3, groups=2)) == 4 * 9


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(64, 32, 3, padding=1),
        nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
        nn.Conv2d(64, 32, 4, stride=2, padding=1),
    ],
)
def test_he_keeps_the_mean_square_through_relu(layer):
    torch.manual_seed(0)
    he_normal_(layer)
    rectified = torch.randn(8, 64, 24, 24).relu() * 2**0.5  # mean square 1
    inner = layer(rectified)[..., 2:-2, 2:-2]  # the border sees zeros
    assert inner.square().mean().item() == pytest.approx(2.0, rel=0.1)  # 1 after its ReLU
    assert layer.bias.abs().max() == 0


def test_he_halves_the_variance_of_a_linear_layer():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(64, 64, 3), nn.Conv2d(64, 64, 3))
    he_normal_(network, linear=(network[1],))
    ratio = network[0].weight.var() / network[1].weight.var()
    assert ratio.item() == pytest.approx(2.0, rel=0.05)


def test_xavier_and_normal_have_their_deviation_and_no_bias():
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 32, 3)
    xavier_normal_(layer)
    assert layer.weight.std().item() == pytest.approx((2 / (96 * 9)) ** 0.5, rel=0.03)
    normal_(layer, std=0.02)
    assert layer.weight.std().item() == pytest.approx(0.02, rel=0.03)
    assert layer.bias.abs().max() == 0
