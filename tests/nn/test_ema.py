import pytest
import torch
from torch import nn

from flawsmith.nn.ema import Ema


def test_average_differs_from_the_live_weights_after_a_step():
    network = nn.Linear(3, 2)
    ema = Ema(network, halflife_images=100)
    before = network.weight.detach().clone()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    network(torch.randn(5, 3)).square().mean().backward()
    optimizer.step()
    ema.update(10)
    assert not torch.equal(ema.average.weight, network.weight)
    assert not torch.equal(ema.average.weight, before)


@pytest.mark.parametrize("steps", [1, 4, 20])
def test_old_weights_halve_over_a_half_life_whatever_the_batch(steps):
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 3.0)
    ema = Ema(network, halflife_images=1000)
    nn.init.constant_(network.weight, 1.0)
    for _ in range(steps):
        ema.update(1000 // steps)
    assert ema.average.weight.item() == pytest.approx(1.0 + (3.0 - 1.0) / 2, rel=1e-5)


def test_buffers_are_copied_and_the_average_evaluates():
    network = nn.BatchNorm2d(2).train()
    ema = Ema(network, halflife_images=10)
    network(torch.randn(4, 2, 3, 3) + 5)
    ema.update(4)
    assert torch.equal(ema.average.running_mean, network.running_mean)
    assert ema.average.num_batches_tracked == 1
    assert not ema.average.training
    assert not any(p.requires_grad for p in ema.average.parameters())


def test_state_goes_into_another_average():
    network = nn.Linear(2, 2)
    ema = Ema(network, halflife_images=10)
    nn.init.zeros_(network.weight)
    ema.update(3)
    other = Ema(nn.Linear(2, 2), halflife_images=10)
    other.load_state_dict(ema.state_dict())
    assert torch.equal(other.average.weight, ema.average.weight)
    assert set(ema.state_dict()) == {"weight", "bias"}


def test_half_life_must_be_positive():
    with pytest.raises(ValueError, match="half-life must be positive"):
        Ema(nn.Linear(1, 1), halflife_images=0)


def test_untrained_weights_are_soon_forgotten():
    network = torch.nn.Linear(1, 1, bias=False)
    average = Ema(network, halflife_images=1000)
    first = average.average.weight.item()
    with torch.no_grad():
        network.weight.fill_(5.0)
    for step in range(20):
        average.update(8, seen=8 * step)
    assert average.average.weight.item() == pytest.approx(5.0, abs=0.01)
    slow = Ema(network, halflife_images=1000)
    with torch.no_grad():
        slow.average.weight.fill_(first)
    slow.update(160)
    assert abs(slow.average.weight.item() - first) < 0.2 * abs(5.0 - first)
