"""Settings of a network are the keywords of its function."""

from typing import Literal

import pytest
from torch import nn

from flawsmith.errors import FlawsmithError
from flawsmith.models.settings import build_network, complete_settings


def factory(*, in_channels=1, num_classes=2, width: int = 4, kind: Literal["a", "b"] = "a"):
    network = nn.Conv2d(in_channels, num_classes, 1)
    network.settings = width, kind
    return network


def loading_factory(*, in_channels=1, num_classes=2, load: bool = True):
    network = nn.Conv2d(in_channels, num_classes, 1)
    network.loaded = load
    return network


def test_missing_settings_are_filled_in():
    assert complete_settings("net", factory, {"kind": "b"}) == {"width": 4, "kind": "b"}
    assert complete_settings("net", loading_factory, {}) == {}


def test_wrong_settings_are_named():
    with pytest.raises(FlawsmithError, match=r"net: unknown key 'widht'; did you mean 'width'\?"):
        complete_settings("net", factory, {"widht": 5})
    with pytest.raises(FlawsmithError, match="'kind' = 'c'"):
        complete_settings("net", factory, {"kind": "c"})
    with pytest.raises(FlawsmithError, match="unknown key 'load'"):
        complete_settings("net", loading_factory, {"load": False})


def test_network_is_built_with_its_settings():
    network = build_network(factory, {"width": 9, "kind": "b"}, in_channels=3, num_classes=5)
    assert (network.settings, network.weight.shape) == ((9, "b"), (5, 3, 1, 1))
    for load in (True, False):
        network = build_network(loading_factory, {}, in_channels=1, num_classes=2, load=load)
        assert network.loaded == load
