"""The encoder against the published network, and its weights against photographs."""

import io

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_sample_images

from flawsmith.errors import FlawsmithError
from flawsmith.models import efficientnet_lite0
from flawsmith.models.efficientnet_lite0 import (
    FEATURE_CHANNELS,
    EfficientNetLite0,
    load_pretrained,
    to_rgb,
)
from flawsmith.nn.cost import parameter_count

PALACE, DAISY = 698, 985  # of the 1,000 ImageNet classes


@pytest.fixture
def published():
    """The weights as published."""
    pytest.importorskip(efficientnet_lite0.PACKAGE)
    return torch.load(io.BytesIO(efficientnet_lite0._weights()), weights_only=True)


def noise(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_maps_have_the_promised_sizes_and_channels():
    maps = EfficientNetLite0()(noise(2, 3, 97, 64))
    expected = [
        (2, channels, -(-97 // stride), -(-64 // stride))
        for channels, stride in zip(FEATURE_CHANNELS, (2, 4, 8, 16, 32), strict=True)
    ]
    assert [tuple(m.shape) for m in maps] == expected


def test_count_is_that_of_the_published_network_without_classifier(published):
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    weights = {k: v for k, v in published.items() if not k.endswith(statistics)}
    classifier = published["_fc.weight"].numel() + published["_fc.bias"].numel()
    count = sum(value.numel() for value in weights.values()) - classifier
    assert parameter_count(EfficientNetLite0()) == count == 3_371_008


def plain_features(weights, x):
    """The published network written out with functions and its own names; even sizes only."""

    def convolve(x, name, stride=1):
        weight = weights[f"{name}.weight"]
        total = weight.shape[-1] - stride  # TensorFlow's "same" for a side that stride divides
        x = F.pad(x, (total // 2, total - total // 2) * 2)
        return F.conv2d(x, weight, stride=stride, groups=x.shape[1] if weight.shape[1] == 1 else 1)

    def normalise(x, name):
        keys = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(weights[f"{name}.{key}"] for key in keys), eps=1e-3)

    x = F.relu6(normalise(convolve(x, "_conv_stem", 2), "_bn0"))
    for block in range(16):
        name, shortcut = f"_blocks.{block}", x
        if f"{name}._expand_conv.weight" in weights:
            x = F.relu6(normalise(convolve(x, f"{name}._expand_conv"), f"{name}._bn0"))
        stride = 2 if block in (1, 3, 5, 11) else 1
        x = F.relu6(normalise(convolve(x, f"{name}._depthwise_conv", stride), f"{name}._bn1"))
        x = normalise(convolve(x, f"{name}._project_conv"), f"{name}._bn2")
        x = x + shortcut if x.shape == shortcut.shape else x
    x = F.relu6(normalise(convolve(x, "_conv_head"), "_bn1"))
    return x.mean(dim=(2, 3))


@torch.no_grad()
def test_features_equal_the_published_network_written_out(published):
    x = noise(2, 3, 64, 96)
    expected = plain_features(published, x)
    torch.testing.assert_close(load_pretrained().pooled(x), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("size", [(224, 224), (97, 151)])
def test_features_equal_the_published_code(published, size):
    reference = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    network = reference.from_name("efficientnet-lite0", image_size=size).eval()
    network.load_state_dict(published)
    x = noise(1, 3, *size)
    expected = network.extract_features(x).mean(dim=(2, 3))
    torch.testing.assert_close(load_pretrained().pooled(x), expected)


@torch.no_grad()
def test_photographs_are_classified(published):
    network = load_pretrained()
    for picture, expected in zip(load_sample_images().images, (PALACE, DAISY), strict=True):
        x = torch.from_numpy(picture[:, 100:527].copy()).permute(2, 0, 1)[None].float()
        x = F.interpolate(x / 127.5 - 1, (224, 224), mode="bicubic", antialias=True)
        logits = F.linear(network.pooled(x), published["_fc.weight"], published["_fc.bias"])
        assert int(logits.argmax()) == expected


def test_frozen_norm_keeps_its_statistics_but_trains_its_weights():
    frozen, free = EfficientNetLite0(freeze_norm=True), EfficientNetLite0()
    for network in (frozen, free):
        network.train()
        network.pooled(noise(2, 3, 32, 32)).sum().backward()
    assert frozen.stem[1].running_mean.abs().max() == 0
    assert free.stem[1].running_mean.abs().max() > 0
    assert frozen.stem[1].weight.grad.abs().max() > 0
    assert not frozen.eval().training


def test_grey_is_repeated_and_other_channels_are_refused():
    grey = noise(2, 1, 4, 4)
    assert torch.equal(to_rgb(grey), torch.cat([grey] * 3, dim=1))
    assert torch.equal(to_rgb(noise(2, 3, 4, 4)), noise(2, 3, 4, 4))
    with pytest.raises(FlawsmithError, match="2 channels"):
        to_rgb(noise(1, 2, 4, 4))


def test_missing_or_changed_weights_are_explained(monkeypatch):
    pytest.importorskip(efficientnet_lite0.PACKAGE)
    monkeypatch.setattr(efficientnet_lite0, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(FlawsmithError, match="not the expected"):
        load_pretrained()
    monkeypatch.setattr(efficientnet_lite0, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(FlawsmithError, match=r"flawsmith\[pretrained\]"):
        load_pretrained()
