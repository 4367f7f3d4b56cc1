"""What every registered classifier must do; a new one fails here until it has an entry below."""

import pytest
import torch
from safetensors.torch import load, save

from flawsmith.errors import FlawsmithError
from flawsmith.models import efficientnet_lite0
from flawsmith.models.classifiers import CLASSIFIERS
from flawsmith.models.settings import build_network, complete_settings
from flawsmith.nn.cost import parameter_count

# name: (settings, trained parameters for grey images and 3 classes, features, size of the maps)
FACTS = {
    "cnn_classifier": ({}, 210_931, 96, (4, 5)),
    "efficientnet_classifier": ({"pretrained": False, "encoder": "tuned"}, 3_374_851, 1280, (2, 3)),
}


def images(channels=1):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, channels, 64, 80, generator=generator) * 2 - 1


@pytest.fixture(params=CLASSIFIERS.names())
def name(request):
    return request.param


def build(name, *, in_channels=1):
    factory = CLASSIFIERS.get(name)
    settings = complete_settings(name, factory, FACTS[name][0])
    torch.manual_seed(0)
    return build_network(factory, settings, in_channels=in_channels, num_classes=3)


@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_counts_and_a_gradient_everywhere(name, channels):
    _, parameters, features, size = FACTS[name]
    network = build(name, in_channels=channels)
    if channels == 1:
        assert parameter_count(network) == parameters
    logits = network(images(channels))
    assert logits.shape == (2, 3)
    assert network.maps(images(channels)).shape == (2, 3, *size)
    assert network.features(images(channels)).shape == (2, features, *size)
    assert network.pooled(images(channels)).shape == (2, features)
    (logits * torch.linspace(-1, 1, 6).view(2, 3)).sum().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


def test_a_logit_is_the_mean_of_its_map_and_linear_in_the_pooled_features(name):
    network = build(name).eval()
    with torch.no_grad():
        logits, maps, pooled = network(images()), network.maps(images()), network.pooled(images())
    torch.testing.assert_close(maps.mean(dim=(2, 3)), logits)
    weight, bias = network.classifier.weight[:, :, 0, 0], network.classifier.bias
    torch.testing.assert_close(pooled @ weight.T + bias, logits, atol=1e-4, rtol=1e-4)


def test_weights_survive_safetensors_and_bfloat16(name):
    network, copy = build(name).eval(), build(name).eval()
    copy.load_state_dict(load(save(network.state_dict())))
    with torch.no_grad():
        assert torch.equal(network(images()), copy(images()))
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(images())
    assert logits.dtype == torch.float32  # the mean over places is not rounded
    assert torch.isfinite(logits).all()


def test_a_frozen_encoder_leaves_logistic_regression():
    pytest.importorskip(efficientnet_lite0.PACKAGE)
    network = CLASSIFIERS.get("efficientnet_classifier")(num_classes=3)
    trained = [name for name, p in network.named_parameters() if p.requires_grad]
    assert trained == ["classifier.weight", "classifier.bias"]
    before = {k: v.clone() for k, v in network.encoder.state_dict().items()}
    network.train()
    network(images()).sum().backward()
    assert all(torch.equal(before[k], v) for k, v in network.encoder.state_dict().items())
    with torch.no_grad():
        expected = efficientnet_lite0.load_pretrained().pooled(images(3))
        torch.testing.assert_close(network.pooled(images(3)), expected)


def test_random_frozen_weights_are_refused():
    with pytest.raises(FlawsmithError, match="would keep random weights"):
        CLASSIFIERS.get("efficientnet_classifier")(pretrained=False, encoder="frozen")


def test_images_of_two_channels_are_refused():
    network = CLASSIFIERS.get("efficientnet_classifier")(pretrained=False, encoder="tuned")
    with pytest.raises(FlawsmithError, match="2 channels"):
        network(images(2))
