"""Perlin-noise defects: only inside the drawn mask, and labelled where something changed."""

import numpy as np
import pytest

from flawsmith.errors import FlawsmithError
from flawsmith.systems.perlin_noise import PerlinNoiseDefect, disturb, perlin

SIZE = 64


def scene():
    rng = np.random.default_rng(0)
    background = rng.normal(0, 0.3, (SIZE, SIZE, 1)).clip(-1, 1).astype(np.float32)
    defects = np.zeros((SIZE, SIZE), np.uint8)
    defects[8:40, 12:56] = 2
    return background, defects


@pytest.mark.parametrize("shape", ["perlin", "mask"])
def test_label_is_exactly_what_changed_without_an_edge(shape):
    background, defects = scene()
    look = PerlinNoiseDefect(shape=shape, edge=0.0)
    sizes = []
    for seed in range(20):
        image, label = disturb(background, defects, look, np.random.default_rng(seed))
        changed = (image != background).any(axis=2)
        assert not changed[label == 0].any()
        assert changed[label > 0].mean() > 0.99
        assert set(np.unique(label)) == {0, 2}
        assert (defects[label > 0] == 2).all()
        sizes.append(int((label > 0).sum()))
    whole = int((defects > 0).sum())
    if shape == "mask":
        assert set(sizes) == {whole}
    else:
        assert min(sizes) >= 0.25 * whole
        assert np.median(sizes) < 0.7 * whole


def test_specks_stay_whole():
    background, _ = scene()
    speck = np.zeros((SIZE, SIZE), np.uint8)
    speck[30, 30] = 1
    look = PerlinNoiseDefect(threshold=0.9)
    for seed in range(20):
        _, label = disturb(background, speck, look, np.random.default_rng(seed))
        np.testing.assert_array_equal(label, speck)


def test_nothing_drawn_changes_nothing():
    background, defects = scene()
    rng = np.random.default_rng(0)
    image, label = disturb(background, defects * 0, PerlinNoiseDefect(), rng)
    np.testing.assert_array_equal(image, background)
    assert not label.any()


def test_noise_is_zero_on_its_lattice_and_within_one():
    noise = perlin((200, 200), 16, np.random.default_rng(0))
    assert np.abs(noise).max() <= 1.0
    assert noise.std() == pytest.approx(0.35, abs=0.08)
    # Somewhere in a period the lattice begins; there every 16th row and column is zero.
    lattice = [np.abs(noise[y::16, x::16]).max() for y in range(16) for x in range(16)]
    assert min(lattice) < 1e-6
    steps = np.abs(np.diff(noise, axis=0)).max()
    assert steps < 0.3, "smooth"


def changes(image, background, label):
    """Return the mean change of the labelled pixels of each class, in grey levels of 255."""
    change = 127.5 * np.abs(image - background).mean(axis=2)
    return [float(change[label == k].mean()) for k in np.unique(label[label > 0])]


@pytest.mark.parametrize("tone", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_labelled_can_be_seen(tone, channels):
    _, defects = scene()
    defects[50:58, 4:12] = 1
    background = np.full((SIZE, SIZE, channels), tone, np.float32)
    faint = 0
    for seed in range(60):
        drawn = [
            disturb(background, defects, PerlinNoiseDefect(**more), np.random.default_rng(seed))
            for more in ({}, {"least_change": 0.0})
        ]
        assert set(np.unique(drawn[0][1])) == {0, 1, 2}, "each defect keeps some of its mask"
        assert min(changes(drawn[0][0], background, drawn[0][1])) > 4.99
        if min(changes(drawn[1][0], background, drawn[1][1])) > 5.01:
            np.testing.assert_array_equal(drawn[0][0], drawn[1][0])
        else:
            faint += 1
        np.testing.assert_array_equal(drawn[0][1], drawn[1][1])
    assert faint > 0, "some had to be drawn anew"


def test_a_look_that_nobody_can_see_is_refused():
    _, defects = scene()
    background = np.zeros((SIZE, SIZE, 1), np.float32)
    same = PerlinNoiseDefect(brightness=0.0, contrast=0.0)
    with pytest.raises(FlawsmithError, match=r"by the 5 grey levels .* raise defect\.brightness"):
        disturb(background, defects, same, np.random.default_rng(0))
    anything = same.model_copy(update={"least_change": 0.0})
    image, label = disturb(background, defects, anything, np.random.default_rng(0))
    np.testing.assert_array_equal(image, background)
    assert label.any()


def test_satellites_are_of_their_defect():
    background, _ = scene()
    splash = np.zeros((SIZE, SIZE), np.uint8)
    splash[20:40, 20:40] = 1
    splash[42:64:8, 30] = 1  # specks that alone would be kept whole
    look = PerlinNoiseDefect(threshold=0.0, largest_period=2)
    cut = [disturb(background, splash, look, np.random.default_rng(s))[1] for s in range(20)]
    assert any(not label[42:, 30].all() for label in cut)
