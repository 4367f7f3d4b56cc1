from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from flawsmith.training.engine import Engine


@dataclass
class Numbers:
    values: Tensor

    def split(self, pieces):
        return [Numbers(chunk) for chunk in self.values.chunk(pieces)]


def mean_square(weight):
    return lambda batch: {"n/total": (batch.values * weight).square().mean()}


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_update_makes_the_step_of_the_whole_batch(accumulate):
    weight = nn.Parameter(torch.tensor(2.0))
    values = torch.arange(8.0)
    engine = Engine(accumulate=accumulate)
    scalars = engine.update(torch.optim.SGD([weight], lr=0.1), Numbers(values), mean_square(weight))
    gradient = 2 * 2.0 * values.square().mean()
    assert weight.item() == pytest.approx(2.0 - 0.1 * gradient.item())
    assert scalars["n/total"] == pytest.approx(4.0 * values.square().mean().item())


def test_update_gives_no_gradient_to_other_networks():
    generator, critic = nn.Linear(1, 1), nn.Linear(1, 1)
    optimizer = torch.optim.SGD(generator.parameters(), lr=0.1)
    Engine().update(
        optimizer,
        Numbers(torch.ones(4, 1)),
        lambda b: {"g/total": critic(generator(b.values)).mean()},
    )
    assert all(p.grad is None for p in critic.parameters())
    assert all(p.grad is not None for p in generator.parameters())


def test_update_clips_the_norm_over_all_parameters():
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    engine = Engine()
    engine.update(
        torch.optim.SGD([weight], lr=1.0),
        Numbers(torch.ones(1)),
        lambda b: {"n/total": (weight * torch.tensor([30.0, 40.0])).sum()},
        max_norm=1.0,
    )
    assert torch.allclose(weight, torch.tensor([3.0 - 0.6, 4.0 - 0.8]), atol=1e-4)


def test_update_uses_the_mean_gradient_of_all_processes():
    weight = nn.Parameter(torch.tensor(1.0))
    engine = Engine(all_reduce_mean=lambda gradient: gradient * 0.5)
    engine.update(torch.optim.SGD([weight], lr=1.0), Numbers(torch.ones(2)), mean_square(weight))
    assert weight.item() == pytest.approx(1.0 - 0.5 * 2.0)


def test_mean_is_that_of_the_micro_batches_of_all_processes():
    """(1 + 3) / 2 and (2 + 6) / 2; another process with twice these values makes it 1.5 times."""
    pieces = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 6.0])]
    assert Engine(accumulate=2).mean(pieces).tolist() == [2.0, 4.0]
    of_two = Engine(accumulate=2, all_reduce_mean=lambda own: (own + 2 * own) / 2)
    assert of_two.mean(pieces).tolist() == [3.0, 6.0]
