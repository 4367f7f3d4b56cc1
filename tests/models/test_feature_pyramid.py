"""The pyramid's arithmetic, and what freezing freezes."""

import pytest
import torch
import torch.nn.functional as F

from flawsmith.errors import FlawsmithError
from flawsmith.models import NETWORKS, efficientnet_lite0
from flawsmith.models.feature_pyramid import FeaturePyramid

BUILD = NETWORKS.get("efficientnet_lite0")


def image(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@torch.no_grad()
def test_pyramid_joins_the_enlarged_coarse_map_with_the_fine_one():
    pyramid = FeaturePyramid((3, 5), (4, 6)).eval()
    fine, coarse = image(1, 3, 7, 9), image(1, 5, 4, 5)
    enlarged = F.interpolate(pyramid.laterals[1](coarse), (7, 9), mode="bilinear")
    joined = torch.cat([enlarged, pyramid.laterals[0](fine)], dim=1)
    assert torch.equal(pyramid([fine, coarse]), pyramid.fusions[0](joined))


def test_every_map_of_the_encoder_decides():
    network = BUILD(in_channels=1, num_classes=3, load=False).eval()
    maps = [m.detach().requires_grad_() for m in network.encoder(image(1, 3, 64, 64))]
    network.decoder(maps).square().sum().backward()
    assert all(m.grad.abs().max() > 0 for m in maps)


@pytest.mark.parametrize("size", [(64, 64), (33, 97)])
def test_logits_have_the_size_of_the_image(size):
    network = BUILD(in_channels=1, num_classes=3, load=False).eval()
    assert network(image(2, 1, *size)).shape == (2, 3, *size)


def test_grey_and_its_three_equal_channels_give_the_same():
    network = BUILD(in_channels=1, num_classes=3, load=False).eval()
    grey = image(1, 1, 64, 64)
    assert torch.equal(network(grey), network(grey.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize("encoder", ["frozen", "tuned"])
def test_training_changes_the_encoder_only_where_it_is_tuned(encoder):
    network = BUILD(in_channels=1, num_classes=3, encoder=encoder, load=False).train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    trained = [p for p in network.parameters() if p.requires_grad]
    network(image(2, 1, 64, 64)).square().mean().backward()
    torch.optim.SGD(trained, lr=1.0).step()
    after = network.state_dict()
    changed = {k for k, v in after.items() if not torch.equal(v, before[k])}
    in_encoder = {k for k in changed if k.startswith("encoder.")}
    assert bool(in_encoder) == (encoder == "tuned")
    assert not [k for k in in_encoder if "running" in k]
    assert "decoder.laterals.0.1.running_mean" in changed


def test_pretrained_weights_are_read_unless_a_checkpoint_brings_them(monkeypatch):
    pytest.importorskip(efficientnet_lite0.PACKAGE)
    first = "encoder.stem.0.weight"
    expected = efficientnet_lite0.load_pretrained().stem[0].weight
    assert torch.equal(BUILD().state_dict()[first], expected)
    monkeypatch.setattr(efficientnet_lite0, "PACKAGE", "no_such_package_of_weights")
    assert not torch.equal(BUILD(load=False).state_dict()[first], expected)
    assert not BUILD(pretrained=False).encoder.freeze_norm
    with pytest.raises(FlawsmithError, match=r"network\.pretrained=false"):
        BUILD()


def test_random_weights_are_not_frozen():
    with pytest.raises(FlawsmithError, match="would keep random weights"):
        BUILD(pretrained=False, encoder="frozen")
