"""Mean and spread of pixels, and that they come back from the store."""

import numpy as np
import pytest
from line_facts import image, verdict

from flawsmith.line.brightness import brightness
from flawsmith.line.store import Store


@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 3)], ids=["grey", "colour"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_mean_and_spread_are_those_of_all_values(shape, kind):
    full = np.iinfo(kind).max
    pixels = np.random.default_rng(0).integers(0, full, shape, kind, endpoint=True)
    expected = pixels.mean() / full, pixels.std() / full
    assert brightness(pixels) == pytest.approx(expected, rel=1e-9)
    assert brightness(np.full(shape, full, kind)) == (1, 0)


def test_they_are_stored_and_may_be_absent(url):
    with Store(url) as store:
        store.record(verdict(), [image(mean=0.25, spread=0.125), image(view="b")])
        found = store.get(1).images
    assert [(i.mean, i.spread) for i in found] == [(0.25, 0.125), (None, None)]
