import time

import pytest
import torch

from flawsmith.training.config import TrainingConfig
from flawsmith.training.precision import Precision, candidates, choose


def settings(**values):
    return TrainingConfig(tile_size=32, batch_size=4, total_images=8, **values)


def test_everything_is_timed_unless_it_is_said():
    automatic = candidates(settings())
    assert automatic[0] == Precision("fp32", False)
    assert Precision("bf16", True) in automatic
    said = settings(precision="bf16", channels_last="no")
    assert candidates(said) == [Precision("bf16", False)]


def test_the_fastest_is_chosen_and_a_single_one_is_not_timed():
    pace = {Precision("fp32", False): 0.02, Precision("fp32", True): 0.002}

    def timed_step(precision):
        return lambda: time.sleep(pace[precision])

    chosen, seconds = choose(list(pace), timed_step)
    assert chosen == Precision("fp32", True)
    assert len(seconds) == 2

    def never(_):
        raise AssertionError("a single option was timed")

    assert choose([Precision()], never) == (Precision(), {})


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_autocast_computes_in_the_said_format(dtype):
    layer = torch.nn.Conv2d(1, 1, 3)
    with Precision(dtype, False).autocast(torch.device("cpu")):
        out = layer(torch.zeros(1, 1, 8, 8))
    assert out.dtype == (torch.float32 if dtype == "fp32" else torch.bfloat16)
