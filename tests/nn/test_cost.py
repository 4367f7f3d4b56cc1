import pytest
import torch
from torch import nn

from flawsmith.models import NETWORKS
from flawsmith.models.dbs_gan import DbsGanGenerator
from flawsmith.nn.cost import macs, parameter_count


def hooked_macs(network: nn.Module, *inputs: torch.Tensor) -> int:
    """The same count from modules and real forward passes."""
    counts = []

    def count(layer, args, output):
        if isinstance(layer, nn.Linear):
            counts.append(output.numel() * layer.in_features)
        elif isinstance(layer, nn.Conv2d):
            counts.append(output.numel() * layer.weight[0].numel())
        else:
            counts.append(args[0].numel() * layer.weight[0].numel())

    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    network(*inputs)
    return sum(counts)


def test_single_layers_have_the_count_of_the_textbook():
    assert macs(nn.Linear(10, 4), torch.zeros(3, 10)) == 3 * 40
    assert macs(nn.Conv2d(2, 6, 3, 2, 1), torch.zeros(1, 2, 8, 8)) == 16 * 6 * 2 * 9
    assert macs(nn.Conv2d(4, 6, 3, groups=2), torch.zeros(1, 4, 5, 5)) == 9 * 6 * 2 * 9
    assert macs(nn.ConvTranspose2d(2, 6, 4, 2, 1), torch.zeros(1, 2, 8, 8)) == 64 * 2 * 6 * 16


def test_count_equals_that_of_hooks_on_a_whole_network():
    network = DbsGanGenerator(
        num_defects=3,
        num_backgrounds=1,
        branch_channels=4,
        combiner_channels=4,
        noise_channels=1,
        skip_connections=True,
    )
    labels = torch.zeros(2, 32, 48, dtype=torch.long)
    noise = torch.zeros(2, 1, 32, 48)
    assert macs(network, labels, labels, noise) == hooked_macs(network, labels, labels, noise)


def test_counting_leaves_the_network_as_it_was():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    macs(network, torch.zeros(2, 1, 8, 8))
    assert network.training
    assert all(torch.equal(before[n], v) for n, v in network.state_dict().items())
    assert not any(p.is_meta for p in network.parameters())


def test_published_networks_cost_what_the_specification_says():
    with torch.device("meta"):
        generator = NETWORKS.get("dbs_gan")()
        hardnet = NETWORKS.get("fc_hardnet70")()
        labels = torch.empty(1, 512, 512, dtype=torch.long)
        tile, street = torch.empty(1, 3, 512, 512), torch.empty(1, 3, 1024, 2048)
    assert macs(generator, labels, labels) / 1e9 == pytest.approx(482.8, abs=0.05)
    assert macs(generator.defect_branch, tile[:, :1]) / 1e9 == pytest.approx(217.6, abs=0.05)
    assert macs(generator.combiner, tile[:, :1], tile[:, :1]) / 1e9 == pytest.approx(47.6, abs=0.1)
    assert macs(hardnet, tile) / 1e9 == pytest.approx(4.40, abs=0.005)
    assert macs(hardnet, street) / 1e9 == pytest.approx(35.217, abs=0.001)


def test_parameter_count_leaves_out_frozen_ones():
    network = nn.Linear(3, 2)
    network.bias.requires_grad_(False)
    assert parameter_count(network) == 6
