"""DiffAugment: labels move with their pixels, and what nobody can know is not asked."""

import pytest
import torch

from flawsmith.data.schema import IGNORE
from flawsmith.systems.differentiable_augmentation import COVERED, SHIFT, diff_augment

SIDE = 64


def batch(count=40, channels=1):
    """Images whose pixels say their own label, and where they are from."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 3, (count, SIDE, SIDE), generator=generator)
    images = (labels.float() / 2 - 0.5).unsqueeze(1).repeat(1, channels, 1, 1)
    return images, labels, torch.arange(count)


@pytest.mark.parametrize("channels", [1, 3])
def test_labels_stay_with_their_pixels(channels):
    images, labels, seeds = batch(channels=channels)
    changed, names = diff_augment(images, labels, seeds)
    assert changed.shape == images.shape
    for image, name in zip(changed, names, strict=True):
        values = [image[:, name == k] for k in range(3)]
        # One tone for each label, evenly apart: a change of light and contrast, no more.
        assert all(value.std() < 1e-5 for value in values)
        tones = [float(value.mean()) for value in values]
        assert 0.25 - 1e-4 <= tones[1] - tones[0] <= 0.75 + 1e-4
        assert tones[2] - tones[1] == pytest.approx(tones[1] - tones[0], abs=1e-4)
        assert (image[:, name == IGNORE] == 0).all()


def test_about_a_quarter_is_covered_and_an_eighth_moved():
    images, labels, seeds = batch(400)
    _, names = diff_augment(images, torch.zeros_like(labels), seeds)
    hidden = (names == IGNORE).float()
    most = (COVERED + 1 / SIDE) ** 2 + 2 * SHIFT
    assert hidden.mean(dim=(1, 2)).max() <= most
    assert 0.15 < hidden.mean() < 0.4
    corners = hidden[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.mean(dim=0).min() > 0.4  # either way, on both axes
    # No pixel is spared.
    assert hidden.mean(dim=0).min() > 0.05


def test_a_row_follows_from_its_seed_alone():
    images, labels, seeds = batch(6)
    together = diff_augment(images, labels, seeds)
    alone = diff_augment(images[4:5], labels[4:5], seeds[4:5])
    assert torch.equal(together[0][4:5], alone[0])
    assert torch.equal(together[1][4:5], alone[1])
    other = diff_augment(images[4:5], labels[4:5], seeds[5:6])
    assert not torch.equal(other[0], alone[0])


def test_the_gradient_comes_back_to_the_pixels_that_are_seen():
    images, labels, seeds = batch(1)
    images.requires_grad_()
    changed, names = diff_augment(images, labels, seeds)
    changed.sum().backward()
    # c for a pixel that is seen, and for all alike what the mean passes on: two values.
    values, counts = images.grad.mul(1e4).round().unique(return_counts=True)
    assert len(values) == 2
    assert int(counts[1]) == int((names != IGNORE).sum())
