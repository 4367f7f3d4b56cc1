import time
from types import SimpleNamespace

import pytest
import torch

from flawsmith.training.config import TrainingConfig
from flawsmith.training.loop import Fit
from flawsmith.training.precision import Precision, candidates, choose, product_seconds, worthwhile


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


@pytest.mark.parametrize("faster", ["fp32", "bf16"])
def test_bf16_is_timed_where_its_products_are_not_slower(monkeypatch, faster):
    options = candidates(settings())
    monkeypatch.setattr(
        "flawsmith.training.precision.product_seconds",
        lambda dtype: 1.0 if (dtype == torch.bfloat16) == (faster == "bf16") else 2.0,
    )
    kept = worthwhile(options, torch.device("cpu"))
    assert kept == [o for o in options if o.dtype == "fp32" or faster == "bf16"]
    assert worthwhile(options, torch.device("cuda")) == options
    said = [Precision("bf16", True)]
    assert worthwhile(said, torch.device("cpu")) == said, "what is asked for is never left out"


def test_every_process_times_what_the_first_one_finds_worthwhile(monkeypatch):
    """Timed steps wait for each other; a process with another opinion would wait for ever."""
    monkeypatch.setattr("flawsmith.training.precision.product_seconds", lambda dtype: 1.0)
    first, tried, said = iter([2, 1]), [], []

    def timed_step(_, option):
        tried.append(option)
        return lambda: None

    cpu = torch.device("cpu")
    fit = SimpleNamespace(
        settings=settings(),
        processes=SimpleNamespace(device=cpu, agree=lambda own: next(first)),
        hooks=SimpleNamespace(report=said.append),
        _timed_step=timed_step,
    )
    assert Fit._choose_precision(fit, None, None) == Precision("fp32", True)
    assert tried == candidates(settings())[:2]
    assert {option.dtype for option in tried} == {"fp32"}
    assert "bf16 is slower here" in said[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_product_is_timed_in_its_own_format(monkeypatch, dtype):
    multiplied = []
    product = torch.Tensor.__matmul__

    def noted(one, other):
        multiplied.append((one.dtype, other.dtype))
        return product(one, other)

    monkeypatch.setattr(torch.Tensor, "__matmul__", noted)
    assert product_seconds(dtype) > 0
    assert set(multiplied) == {(dtype, dtype)}


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_autocast_computes_in_the_said_format(dtype):
    layer = torch.nn.Conv2d(1, 1, 3)
    with Precision(dtype, False).autocast(torch.device("cpu")):
        out = layer(torch.zeros(1, 1, 8, 8))
    assert out.dtype == (torch.float32 if dtype == "fp32" else torch.bfloat16)
