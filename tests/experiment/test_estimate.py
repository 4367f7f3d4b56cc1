"""What a run is said to take before it runs."""

import pytest
import torch

from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.experiment import estimate as module
from flawsmith.experiment.estimate import estimate, extrapolated
from flawsmith.training.config import RunConfig, TrainingConfig

FIXED, EACH = 0.05, 2e-7
SCHEMA = Schema(
    name="plate", backgrounds=make_backgrounds(["steel"]), defects=make_defects(["dent"])
)


class Clock:
    """Seconds that pass only when a step says so."""

    now = 0.0

    def perf_counter(self):
        return self.now


class Optimising:
    """A system with an optimiser as slow as that of a large network on small images."""

    def __init__(self, clock):
        self.clock = clock
        self.network = torch.nn.Conv2d(1, 1, 1)

    def networks(self):
        return {"network": self.network}

    def step(self, batch):
        self.clock.now += FIXED + EACH * batch.images.numel()


@pytest.mark.parametrize("tile_size", [64, 512])
def test_what_a_step_costs_for_any_batch_is_not_multiplied(monkeypatch, tile_size):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    training = TrainingConfig(tile_size=tile_size, batch_size=16, total_images=1600)
    config = RunConfig.model_construct(training=training, data=_Labels())
    found = estimate(lambda: Optimising(clock), config, SCHEMA)
    assert found.seconds == pytest.approx(100 * (FIXED + EACH * 16 * tile_size**2))


def test_steps_that_cost_by_the_pixel_alone_or_not_at_all():
    assert extrapolated(small=1.0, large=4.0, grown=4, times=10) == pytest.approx(10)
    assert extrapolated(small=1.0, large=6.0, grown=4, times=10) == pytest.approx(50 / 3)
    for large in (1.0, 0.9):  # a larger step that came out faster: noise
        assert extrapolated(small=1.0, large=large, grown=4, times=10) == pytest.approx(1.0)


class _Labels:
    labels = "pixel"
