"""Adaptive augmentation: what each transform does, to whom, and how often."""

import math

import pytest
import torch

from flawsmith.systems.adaptive_augmentation import (
    CHANGES_CLASSES,
    COLOURED,
    GEOMETRIC,
    TRANSFORMS,
    AdaptiveAugmentation,
    AdaptiveProbability,
    augment,
)

MOVING = list(dict.fromkeys(name for name, _ in GEOMETRIC))


def pictures(count=3, channels=1, planes=2, size=16):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels + planes, size, size, generator=generator) * 2 - 1


def seeds(count=3):
    return torch.arange(count) * 1_000 + 5


def always(joint, *transforms, channels=1, given=None):
    given = seeds(len(joint)) if given is None else given
    return augment(joint, given, channels=channels, p=1.0, transforms=transforms)


def test_every_transform_is_geometric_or_of_colour():
    assert set(MOVING) | set(COLOURED) == set(TRANSFORMS)
    assert not set(MOVING) & set(COLOURED)
    assert set(AdaptiveAugmentation().transforms) == set(TRANSFORMS) - set(CHANGES_CLASSES)


def test_nothing_happens_without_probability_or_transforms():
    joint = pictures()
    assert torch.equal(augment(joint, seeds(), channels=1, p=0.0, transforms=TRANSFORMS), joint)
    assert torch.equal(always(joint), joint)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_follows_from_its_seed_alone(channels):
    joint = pictures(channels=channels)
    together = always(joint, *TRANSFORMS, channels=channels)
    alone = always(joint[1:2], *TRANSFORMS, channels=channels, given=seeds()[1:2])
    torch.testing.assert_close(alone, together[1:2])
    other = always(joint, *TRANSFORMS, channels=channels, given=seeds() + 1)
    assert not torch.allclose(other, together)


@pytest.mark.parametrize("name", MOVING)
def test_geometry_moves_image_and_planes_alike(name):
    joint = pictures(planes=0).repeat(1, 3, 1, 1)
    moved = always(joint, name)
    torch.testing.assert_close(moved[:, 0], moved[:, 1])
    torch.testing.assert_close(moved[:, 0], moved[:, 2])
    assert not torch.allclose(moved, joint)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", COLOURED)
def test_colour_leaves_the_planes(name, channels):
    joint = pictures(count=6, channels=channels)
    changed = always(joint, name, channels=channels)
    assert torch.equal(changed[:, channels:], joint[:, channels:])
    grey_has_none = channels == 1 and name in ("hue", "saturation")
    same = torch.allclose(changed[:, :channels], joint[:, :channels], atol=1e-6)
    assert same == grey_has_none


def test_flips_and_quarter_turns_are_exact():
    joint = pictures(count=8)
    for name, options in (
        ("flip", [joint, joint.flip(3)]),
        ("rot90", [joint.rot90(k, (2, 3)) for k in range(4)]),
    ):
        moved = always(joint, name)
        found = set()
        for i in range(8):
            fits = [k for k, o in enumerate(options) if torch.allclose(o[i], moved[i], atol=1e-4)]
            assert len(fits) == 1
            found.update(fits)
        assert len(found) > 1


def test_shifts_are_by_whole_pixels_and_mirror_the_rim():
    joint = pictures(count=6)
    moved = always(joint, "int_translate")
    padded = torch.nn.functional.pad(joint, (2, 2, 2, 2), mode="replicate")
    padded = torch.cat([joint[:, :, :2].flip(2), joint, joint[:, :, -2:].flip(2)], dim=2)
    padded = torch.cat([padded[..., :2].flip(3), padded, padded[..., -2:].flip(3)], dim=3)
    for i in range(6):
        views = [padded[i, :, y : y + 16, x : x + 16] for y in range(5) for x in range(5)]
        assert sum(torch.allclose(view, moved[i], atol=1e-4) for view in views) == 1


def test_transforms_follow_each_other_in_the_papers_order():
    joint = pictures(count=6)
    at_once = always(joint, "int_translate", "rot90", "flip")
    in_turn = always(always(always(joint, "flip"), "rot90"), "int_translate")
    torch.testing.assert_close(at_once, in_turn, atol=1e-3, rtol=1e-3)
    coloured = always(joint, "luma_flip", "contrast", "brightness")
    in_turn = always(always(always(joint, "brightness"), "contrast"), "luma_flip")
    torch.testing.assert_close(coloured, in_turn)


def test_colour_transforms_keep_what_they_should():
    joint = pictures(count=6, channels=3, planes=0)
    luma = joint.mean(dim=1)
    rest = joint - luma[:, None]
    for name in ("hue", "saturation"):
        torch.testing.assert_close(always(joint, name, channels=3).mean(dim=1), luma)
    hue = always(joint, "hue", channels=3)
    torch.testing.assert_close(hue.square().sum(dim=1), joint.square().sum(dim=1))
    flipped = always(joint, "luma_flip", channels=3)
    torch.testing.assert_close(flipped - flipped.mean(dim=1, keepdim=True), rest)
    torch.testing.assert_close(flipped.mean(dim=1).abs(), luma.abs())
    offset = always(joint, "brightness", channels=3) - joint
    assert offset.std(dim=(1, 2, 3)).max() < 1e-6


def test_a_transform_comes_as_often_as_told():
    joint = torch.linspace(-1, 1, 16).view(1, 1, 4, 4).repeat(4_000, 1, 1, 1)
    many = torch.arange(4_000) * 77
    for name in ("brightness", "scale", "rotate"):  # two rotations count as one transform
        moved = augment(joint, many, channels=1, p=0.3, transforms=[name])
        share = ((moved - joint).abs().amax(dim=(1, 2, 3)) > 1e-5).double().mean()
        assert share.item() == pytest.approx(0.3, abs=4.0 * math.sqrt(0.3 * 0.7 / 4_000)), name


def test_gradient_reaches_the_picture():
    joint = pictures().requires_grad_()
    augment(joint, seeds(), channels=1, p=1.0, transforms=TRANSFORMS).square().sum().backward()
    assert joint.grad.abs().sum(dim=(2, 3)).min() > 0


def test_probability_follows_the_sign():
    settings = AdaptiveAugmentation(target=0.6, images=100, every=2)
    adaptive = AdaptiveProbability(settings)
    moves = []
    for sign in (1.0, 1.0, 0.9, 0.2, 1.0, 0.3, -1.0, -1.0, -1.0, -1.0):
        adaptive.observe(torch.tensor(sign), images=5)
        moves.append(round(float(adaptive.p), 4))
    # means of two steps: 1 (up), 0.55 (down), 0.65 (up), -1 (down), -1 (down, but not below 0)
    assert moves == [0.0, 0.1, 0.1, 0.0, 0.0, 0.1, 0.1, 0.0, 0.0, 0.0]
    assert set(adaptive.state_dict()) == {"p", "sign_sum", "steps"}
