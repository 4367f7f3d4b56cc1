import pytest
import torch

from flawsmith.nn.dropout import seeded_dropout

SEEDS = torch.tensor([3, 1 << 61, 5])


def test_the_share_is_dropped_and_the_mean_stays():
    x = torch.ones(3, 16, 64, 64)
    y = seeded_dropout(x, SEEDS, 0.3)
    assert (y == 0).float().mean().item() == pytest.approx(0.3, abs=0.005)
    assert y[y != 0].unique().tolist() == pytest.approx([1 / 0.7])
    per_channel = (y == 0).float().mean(dim=(2, 3))
    assert per_channel.max() < 0.4, "whole channels must not fall out"


def test_a_row_depends_on_its_own_seed_alone():
    x = torch.randn(3, 2, 8, 8)
    whole = seeded_dropout(x, SEEDS, 0.5)
    assert torch.equal(whole[1:2], seeded_dropout(x[1:2], SEEDS[1:2], 0.5))
    assert not torch.equal(whole[:1] == 0, seeded_dropout(x[:1], SEEDS[:1] + 1, 0.5) == 0)


def test_nothing_is_dropped_of_no_share():
    x = torch.randn(3, 7)
    assert torch.equal(seeded_dropout(x, SEEDS, 0.0), x)
