import numpy as np
import pytest
import torch

from flawsmith.data.schema import IGNORE
from flawsmith.errors import FlawsmithError
from flawsmith.systems.base import SampleRequest
from flawsmith.systems.difference_masks import (
    BLUR,
    LEAST_AREA,
    LEAST_CHANGE,
    changed_region,
    difference_masks,
    sample_difference,
)


def grainy(shape=(64, 64), strength=0.02):
    return np.abs(np.random.default_rng(0).normal(0, strength, shape)).astype(np.float32)


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def test_a_painted_square_is_found_in_grain():
    change, square = grainy(), np.zeros((64, 64), bool)
    square[20:35, 30:50] = True
    change[square] += 0.4
    found = changed_region(change)
    assert iou(found, square) > 0.9
    near = np.zeros_like(square)
    near[20 - BLUR : 35 + BLUR, 30 - BLUR : 50 + BLUR] = True
    assert not found[~near].any()


def test_the_threshold_is_otsus():
    """Against the definition: the split with the largest variance between its two parts."""
    change = np.zeros((60, 60), np.float32)
    change[:, 20:40], change[:, 40:] = 0.3, 1.0  # flat steps: blurring moves little
    found = changed_region(change)
    levels = np.rint(change * 255).astype(int)

    def between(split):
        low, high = levels[levels <= split], levels[levels > split]
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2

    best = max(range(levels.min(), levels.max()), key=between)
    assert iou(found, levels > best) > 0.95
    assert iou(found, change > 0.5) > 0.95  # and not the lower step


def test_specks_beside_a_defect_are_dropped_and_a_dot_alone_is_kept():
    change = np.zeros((64, 64), np.float32)
    change[10:20, 10:20] = 0.5
    change[40:43, 40:43] = 0.5
    found = changed_region(change)
    assert found[10:20, 10:20].mean() > 0.9
    assert not found[35:, 35:].any()
    alone = np.zeros((64, 64), np.float32)
    alone[40:42, 40:42] = 0.5
    dot = changed_region(alone)
    assert 0 < dot.sum() < LEAST_AREA
    assert dot[39:43, 39:43].sum() == dot.sum()


def test_nothing_changed_is_no_defect():
    assert not changed_region(np.zeros((32, 32), np.float32)).any()
    assert not changed_region(np.full((32, 32), 0.9 * LEAST_CHANGE, np.float32)).any()


@pytest.mark.parametrize("channels", [1, 3])
def test_each_map_carries_its_own_class_and_depends_on_its_own_row(channels):
    surfaces = torch.zeros(3, channels, 48, 48)
    images = surfaces.clone()
    images[0, :, 5:15, 5:15] = 0.6
    images[1, :, 20:40, 20:40] = -0.3
    maps = difference_masks(surfaces, images, torch.tensor([2, 1, 3]))
    assert maps.dtype == torch.int64
    assert [row.unique().tolist() for row in maps] == [[0, 2], [0, 1], [0]]
    alone = difference_masks(surfaces[1:2], images[1:2], torch.tensor([1]))
    assert torch.equal(alone[0], maps[1])


def test_a_sample_is_the_changed_surface_with_the_class_asked_for():
    defects = torch.zeros(2, 48, 48, dtype=torch.long)
    defects[0, :4, :4] = 2
    request = SampleRequest(
        defects, torch.ones_like(defects), background_images=torch.zeros(2, 1, 48, 48)
    )

    def translate(surface, classes, seeds):
        assert classes.tolist() == [2, 1]
        made = surface.clone()
        made[:, :, 10:30, 10:30] = 1.7
        return made

    samples = sample_difference(translate, request, torch.tensor([1, 2]))
    assert samples.mask_source == "difference"
    assert samples.images.max() == 1.0
    assert samples.defects[0, 15:25, 15:25].eq(2).all()
    assert not samples.defects[0, 35:, :].any()
    assert not samples.defects[1].any()  # nothing was asked for, so nothing was changed
    assert not samples.images[1].any()
    assert torch.equal(samples.backgrounds, request.backgrounds)
    assert all(layer.shape[-2:] == (48, 48) for layer in samples.layers.values())


def test_a_defect_that_was_not_painted_is_unknown():
    defects = torch.zeros(1, 48, 48, dtype=torch.long)
    defects[0, 8:20, 8:20] = 2
    surface = torch.zeros(1, 1, 48, 48)
    request = SampleRequest(defects, torch.zeros_like(defects), background_images=surface)
    samples = sample_difference(lambda image, classes, seeds: image, request, torch.tensor([1]))
    assert (samples.defects == IGNORE).all()


def test_a_request_without_surfaces_is_refused():
    nothing = torch.zeros(1, 8, 8, dtype=torch.long)
    with pytest.raises(FlawsmithError, match="real good surfaces"):
        sample_difference(lambda *_: nothing, SampleRequest(nothing, nothing), torch.tensor([1]))
