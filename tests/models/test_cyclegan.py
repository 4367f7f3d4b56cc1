import pytest
import torch

from flawsmith.errors import FlawsmithError
from flawsmith.models.cyclegan import CycleGanGenerator
from flawsmith.nn.blocks import conv_layers
from flawsmith.nn.cost import parameter_count


@pytest.mark.parametrize(
    ("channels", "blocks", "parameters"),
    [(3, 9, 11_378_179), (1, 9, 11_365_633), (3, 6, 7_837_699)],
)
def test_parameters_are_those_of_the_specification(channels, blocks, parameters):
    with torch.device("meta"):
        network = CycleGanGenerator(image_channels=channels, num_blocks=blocks)
    assert parameter_count(network) == parameters
    assert len(conv_layers(network)) == 2 * blocks + 6


def test_a_channel_beside_the_image_costs_one_filter():
    plain = CycleGanGenerator(base_channels=8, num_blocks=1)
    named = CycleGanGenerator(base_channels=8, num_blocks=1, condition_channels=5)
    assert parameter_count(named) - parameter_count(plain) == 5 * 49 * 8


def test_a_class_map_of_one_value_changes_the_image():
    """An instance norm behind a stem padded by reflection would take a constant away."""
    torch.manual_seed(0)
    network = CycleGanGenerator(image_channels=1, condition_channels=1, base_channels=8)
    image = torch.rand(1, 1, 32, 32)
    zeros = torch.zeros(1, 1, 32, 32)
    with torch.no_grad():
        off, on = network(image, zeros), network(image, zeros + 1)
    assert (off - on).abs().max() > 0.01


@pytest.mark.parametrize("size", [(16, 24), (36, 20)])
def test_multiples_of_four_keep_their_size_and_others_are_refused(size):
    network = CycleGanGenerator(image_channels=1, base_channels=4, num_blocks=1)
    image = torch.rand(2, 1, *size)
    with torch.no_grad():
        translated = network(image)
    assert translated.shape == image.shape
    assert translated.abs().max() < 1
    with pytest.raises(FlawsmithError, match="multiples of 4"):
        network(torch.rand(1, 1, size[0] + 2, size[1]))
