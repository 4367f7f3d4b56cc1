import pytest
import torch
from torch import nn

from flawsmith.errors import FlawsmithError
from flawsmith.models.defect_gan import DefectGanGenerator, Spade, compose
from flawsmith.nn.cost import parameter_count


def small(**settings):
    torch.manual_seed(0)
    return DefectGanGenerator(
        image_channels=1, control_channels=3, base_channels=4, num_blocks=2, control_width=4,
        **settings,
    )  # fmt: skip


def inputs(count=2, height=16, width=24):
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(count, 1, height, width, generator=generator) * 2 - 1
    control = torch.zeros(count, 3, height, width)
    control[:, 0] = 1
    noise = torch.randn(count, 2, height, width, generator=generator)
    return image, control, noise


def test_parameters_are_those_of_the_specification():
    with torch.device("meta"):
        network = DefectGanGenerator(control_channels=6)
    assert parameter_count(network) == 12_611_588  # 12.61 M, 48.1 MiB
    assert round(parameter_count(network) * 4 / 2**20, 1) == 48.1


@pytest.mark.parametrize(("bias", "expected"), [(-200.0, "surface"), (200.0, "foreground")])
def test_where_the_map_is_nought_the_surface_stays_bit_for_bit(bias, expected):
    network = small()
    nn.init.constant_(network.spatial.bias, bias)
    surface, control, noise = inputs()
    with torch.no_grad():
        image, foreground, spatial = network(surface, control, noise)
    assert spatial.shape == (2, 1, 16, 24)
    assert torch.equal(image, {"surface": surface, "foreground": foreground}[expected])


def test_a_layer_covers_by_its_map():
    surface, foreground = torch.full((1, 1, 1, 3), -0.5), torch.full((1, 1, 1, 3), 0.5)
    spatial = torch.tensor([0.0, 0.25, 1.0]).view(1, 1, 1, 3)
    assert compose(surface, foreground, spatial).flatten().tolist() == [-0.5, -0.25, 0.5]


def test_spade_with_flat_scales_is_an_instance_norm():
    spade = Spade(channels=5, control_channels=2, hidden_channels=3)
    for layer in (spade.gamma, spade.beta):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    nn.init.constant_(spade.beta.bias, 0.7)
    x = torch.rand(2, 5, 8, 8)
    shaped = spade(x, torch.rand(2, 2, 16, 16))
    assert torch.allclose(shaped.mean(dim=(2, 3)), torch.full((2, 5), 0.7), atol=1e-5)
    assert torch.allclose(shaped.std(dim=(2, 3), correction=0), torch.ones(2, 5), atol=1e-2)


def test_control_and_noise_change_image_and_rows_do_not_meet():
    network = small().eval()
    surface, control, noise = inputs()
    defect = control.clone()
    defect[:, 0, 4:8, 4:8], defect[:, 1, 4:8, 4:8] = 0, 1
    with torch.no_grad():
        plain = network(surface, control, noise)[0]
        assert not torch.allclose(plain, network(surface, defect, noise)[0], atol=1e-6)
        assert not torch.allclose(plain, network(surface, control, noise.flip(3))[0], atol=1e-6)
        alone = network(surface[1:], control[1:], noise[1:])[0]
    assert torch.allclose(alone[0], plain[1], atol=1e-5)


def test_other_sizes_are_refused():
    with pytest.raises(FlawsmithError, match="multiples of 4"):
        small()(*inputs(height=18))
