"""What every registered network must do; a new one fails here until it has an entry below."""

import pytest
import torch
from safetensors.torch import load, save

from flawsmith.models import NETWORKS
from flawsmith.nn.cost import parameter_count

SIZE = 64


def labels(highest: int) -> torch.Tensor:
    return torch.arange(2 * SIZE * SIZE).reshape(2, SIZE, SIZE) // 37 % (highest + 1)


def image(channels: int, size: int = SIZE) -> torch.Tensor:
    return torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def noise(length: int) -> torch.Tensor:
    return torch.randn(2, length, generator=torch.Generator().manual_seed(2))


# name: (inputs, shape of each output, parameters as published)
NETWORK_FACTS = {
    "bagan_gp_discriminator": ((image(3), torch.tensor([0, 3])), [(2,)], 5_122_625),
    "bagan_gp_encoder": ((image(3),), [(2, 128)], 1_445_568),
    "bagan_gp_generator": ((noise(128), torch.tensor([0, 3])), [(2, 3, 64, 64)], 1_450_435),
    "cyclegan_resnet6": ((image(3),), [(2, 3, 64, 64)], 7_837_699),
    "cyclegan_resnet9": ((image(3),), [(2, 3, 64, 64)], 11_378_179),
    "crack_gan_discriminator": ((image(3, 128),), [(2,)], 6_959_552),
    "crack_gan_generator": ((noise(128),), [(2, 3, 128, 128)], 4_986_659),
    "dbs_gan": ((labels(6), labels(1)), [(2, 1, 64, 64)] * 3, 31_700_035),
    "dbs_gan_branch": ((image(1),), [(2, 1, 64, 64)], 7_523_969),
    "dbs_gan_combiner": ((image(1), image(1).flip(3)), [(2, 1, 64, 64)], 16_652_097),
    "dbs_gan_compact36": ((labels(6), labels(1)), [(2, 1, 64, 64)] * 3, 10_033_383),
    "dcgan_discriminator": ((image(1)[..., :28, :28],), [(2,)], 212_865),
    "dcgan_generator": ((noise(100),), [(2, 1, 28, 28)], 2_305_472),
    "defect_gan_generator": (
        (image(3), image(6), image(2)),
        [(2, 3, 64, 64), (2, 3, 64, 64), (2, 1, 64, 64)],
        12_611_588,
    ),
    "efficientnet_lite0": ((image(1),), [(2, 19, 64, 64)], 3_373_747),
    "fc_hardnet70": ((image(3),), [(2, 19, 64, 64)], 4_119_257),
    "patch_gan70": ((image(3),), [(2, 1, 6, 6)], 2_764_737),
    "stargan_discriminator": ((image(3, 128),), [(2, 1, 2, 2), (2, 5)], 44_762_048),
    "stargan_generator": ((image(3), image(5)), [(2, 3, 64, 64)], 8_430_528),
    "smp": ((image(3),), [(2, 19, 64, 64)], 14_330_819),
    "stylegan2": ((noise(512)[:1], None, torch.zeros(1, 174_736)), [(1, 3, 256, 256)], 23_191_522),
    "stylegan2_discriminator": ((image(3)[:1].repeat(1, 1, 4, 4),), [(1,)], 24_001_089),
}


def outputs(network, inputs):
    result = network(*inputs)
    return [result] if isinstance(result, torch.Tensor) else list(result)


@pytest.fixture(params=NETWORKS.names())
def name(request):
    if request.param == "smp":
        pytest.importorskip("segmentation_models_pytorch")
    return request.param


def test_network_has_the_published_count_and_shapes_and_gradients(name):
    inputs, shapes, parameters = NETWORK_FACTS[name]
    torch.manual_seed(0)
    network = NETWORKS.get(name)()
    assert parameter_count(network) == parameters
    results = outputs(network, inputs)
    assert [tuple(r.shape) for r in results] == shapes
    assert all(torch.isfinite(r).all() for r in results)
    sum((r * torch.linspace(-1, 1, r.numel()).view_as(r)).sum() for r in results).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        if parameter.ndim > 1:  # instance norm takes the gradient of the bias before it
            assert parameter.grad.abs().max() > 0, parameter_name


def test_weights_survive_safetensors_and_channels_last(name):
    inputs, _, _ = NETWORK_FACTS[name]
    torch.manual_seed(0)
    network = NETWORKS.get(name)().eval()
    copy = NETWORKS.get(name)().eval()
    copy.load_state_dict(load(save(network.state_dict())))
    copy.to(memory_format=torch.channels_last)
    with torch.no_grad():
        for expected, result in zip(outputs(network, inputs), outputs(copy, inputs), strict=True):
            torch.testing.assert_close(result, expected, atol=2e-4, rtol=2e-3)


def test_networks_run_in_bfloat16(name):
    inputs, shapes, _ = NETWORK_FACTS[name]
    network = NETWORKS.get(name)().eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        results = outputs(network, inputs)
    assert [tuple(r.shape) for r in results] == shapes
    assert all(torch.isfinite(r).all() for r in results)
