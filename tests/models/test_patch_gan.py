import pytest
import torch
from torch import nn

from flawsmith.errors import FlawsmithError
from flawsmith.models.patch_gan import PatchGan
from flawsmith.nn.cost import parameter_count


@pytest.mark.parametrize(
    ("channels", "parameters"), [(1, 2_762_689), (3, 2_764_737), (9, 2_770_881)]
)
@pytest.mark.parametrize("norm", ["instance", "none"])
def test_parameters_are_those_of_the_specification(channels, parameters, norm):
    with torch.device("meta"):
        network = PatchGan(in_channels=channels, norm=norm)
    assert parameter_count(network) == parameters


def test_256_pixels_give_30_x_30_scores():
    with torch.device("meta"):
        network = PatchGan(in_channels=1)
        assert network(torch.empty(1, 1, 256, 256)).shape == (1, 1, 30, 30)


def test_a_score_sees_70_x_70_pixels():
    network = PatchGan(in_channels=1, base_channels=4, norm="none")
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 0.1)  # no path cancels another
    image = torch.ones(1, 1, 128, 128, requires_grad=True)
    scores = network(image)
    scores[0, 0, 7, 7].backward()
    seen = image.grad[0, 0].nonzero()
    assert (seen.max(0).values - seen.min(0).values + 1).tolist() == [70, 70]


@pytest.mark.parametrize(("layers", "smallest"), [(1, 6), (2, 12), (3, 24)])
def test_smallest_image_gives_one_score_and_a_smaller_one_is_refused(layers, smallest):
    network = PatchGan(in_channels=1, base_channels=2, num_layers=layers)
    assert network(torch.rand(1, 1, smallest, smallest)).shape == (1, 1, 1, 1)
    with pytest.raises(FlawsmithError, match=f"at least {smallest} x {smallest}"):
        network(torch.rand(1, 1, smallest - 1, smallest))
