"""The adapter to segmentation-models-pytorch; most of it needs the package."""

import sys

import pytest
import torch

from flawsmith.errors import FlawsmithError
from flawsmith.models import NETWORKS

BUILD = NETWORKS.get("smp")


def test_missing_package_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(FlawsmithError, match=r"flawsmith\[smp\]"):
        BUILD()


@torch.no_grad()
def test_any_size_gives_logits_of_that_size_and_multiples_are_untouched():
    pytest.importorskip("segmentation_models_pytorch")
    network = BUILD(in_channels=1, num_classes=3).eval()
    x = torch.rand(1, 1, 64, 96)
    assert torch.equal(network(x), network.network(x))
    assert network(x[..., :50, :70]).shape == (1, 3, 50, 70)


def test_architecture_and_backbone_are_settings():
    pytest.importorskip("segmentation_models_pytorch")
    assert BUILD(architecture="fpn").network.name == "fpn-resnet18"
    with pytest.raises(FlawsmithError, match="'no_such_net'"):
        BUILD(architecture="no_such_net")
    with pytest.raises(FlawsmithError, match="'no_such_backbone'"):
        BUILD(backbone="no_such_backbone")
