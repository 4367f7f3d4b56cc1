import pytest
import torch

from flawsmith.errors import FlawsmithError
from flawsmith.models import NETWORKS
from flawsmith.models.fc_hardnet import FcHarDNet, HarmonicBlock, harmonic_links, harmonic_widths
from flawsmith.nn.blocks import conv_layers
from flawsmith.nn.cost import parameter_count

SMALL = {
    "stem_channels": (4, 4, 4, 4),
    "transition_channels": (4, 4, 4),
    "growth": (2, 2, 2),
    "num_layers": (4, 4, 4),
}


@pytest.mark.parametrize(
    ("in_channels", "num_classes", "parameters"),
    [(3, 19, 4_119_257), (3, 7, 4_118_669), (3, 2, 4_118_424), (1, 2, 4_118_424 - 2 * 16 * 9)],
)
def test_parameters_are_those_of_the_specification(in_channels, num_classes, parameters):
    network = NETWORKS.get("fc_hardnet70")
    with torch.device("meta"):
        built = network(in_channels=in_channels, num_classes=num_classes)
    assert parameter_count(built) == parameters


def test_there_are_70_convolutions_and_the_encoder_has_its_count():
    with torch.device("meta"):
        network = NETWORKS.get("fc_hardnet70")()
    assert len(conv_layers(network)) == 70
    encoder = [network.stem, network.down_blocks, network.transitions]
    assert sum(parameter_count(part) for part in encoder) == 2_378_908


def test_links_of_the_eight_layers_are_those_of_the_paper():
    assert [harmonic_links(n) for n in range(1, 9)] == [
        [0],
        [1, 0],
        [2],
        [3, 2, 0],
        [4],
        [5, 4],
        [6],
        [7, 6, 4, 0],
    ]


@pytest.mark.parametrize(
    ("growth", "layers", "widths", "out"),
    [
        (10, 4, [10, 18, 10, 28], 48),
        (16, 4, [16, 28, 16, 46], 78),
        (18, 8, [18, 30, 18, 52, 18, 30, 18, 88], 160),
        (24, 8, None, 214),
        (32, 8, None, 286),
    ],
)
def test_block_widths_are_those_of_the_specification(growth, layers, widths, out):
    if widths is not None:
        assert harmonic_widths(layers, growth, 1.7) == widths
    block = HarmonicBlock(5, growth=growth, num_layers=layers)
    assert block.out_channels == out
    assert block.eval()(torch.rand(1, 5, 4, 4)).shape == (1, out, 4, 4)


def test_block_output_leaves_out_its_input_and_even_layers():
    """Each layer is replaced by one that gives its own number: which numbers come out?"""

    class Tag(torch.nn.Module):
        def __init__(self, number):
            super().__init__()
            self.number = number

        def forward(self, x):
            return torch.full_like(x[:, :1], self.number)

    block = HarmonicBlock(1, growth=2, num_layers=8)
    block.layers = torch.nn.ModuleList(Tag(n) for n in range(1, 9))
    assert block(torch.zeros(1, 1, 1, 1)).flatten().tolist() == [1, 3, 5, 7, 8]


@pytest.mark.parametrize("size", [(64, 64), (65, 97), (70, 128), (127, 66)])
def test_logits_have_the_size_of_any_input(size):
    network = NETWORKS.get("fc_hardnet70")(in_channels=1, num_classes=3).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 1, *size)).shape == (1, 3, *size)


def test_small_images_are_refused():
    network = FcHarDNet(in_channels=1, num_classes=2, **SMALL)
    with pytest.raises(FlawsmithError, match="at least 64 x 64"):
        network(torch.rand(1, 1, 64, 63))


def test_convolutions_start_xavier_normal():
    torch.manual_seed(0)
    network = NETWORKS.get("fc_hardnet70")()
    layer = network.transitions[-1][0]
    expected = (2 / (layer.in_channels + layer.out_channels)) ** 0.5
    assert layer.weight.std().item() == pytest.approx(expected, rel=0.03)
