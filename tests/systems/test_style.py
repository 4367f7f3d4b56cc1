import pytest
import torch

from flawsmith.models.style_bank import StyleBank
from flawsmith.systems.base import Batch, multiscale_noise
from flawsmith.systems.style import (
    CONTRAST_SCALE,
    TONE_SCALE,
    complete_styles,
    main_class,
    style_length,
    style_maps,
    style_of,
)


def batch():
    """Two flat backgrounds of tones -0.3 and 0.3, a defect of tone 0.6 with a checkerboard."""
    image = torch.full((1, 1, 64, 64), -0.3)
    image[..., 32:] = 0.3
    defects = torch.zeros(1, 64, 64, dtype=torch.long)
    defects[:, 8:24, 4:20] = 2
    board = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2.0 - 1.0
    image[0, 0, 8:24, 4:20] = 0.6 + 0.1 * board
    backgrounds = torch.zeros_like(defects)
    backgrounds[..., 32:] = 1
    return Batch(image, defects, backgrounds, torch.tensor([2]), torch.tensor([7]))


def test_style_measures_tone_and_contrast():
    style = style_of(batch(), 2)
    assert style.shape == (1, style_length(2))
    tones = style[0, :2] * TONE_SCALE
    assert tones[0].item() == pytest.approx(-0.3, abs=1e-5)
    assert tones[1].item() == pytest.approx(0.3, abs=1e-5)
    around = (-0.3 * (32 * 64 - 256) + 0.3 * 32 * 64) / (64 * 64 - 256)
    assert style[0, 4].item() * TONE_SCALE == pytest.approx(0.6 - around, abs=1e-4)
    assert style[0, 5].item() * CONTRAST_SCALE > 0.1  # the board and its edge


def test_maps_show_each_number_where_it_belongs():
    given = batch()
    style = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    of_background, of_defect = style_maps(style, given.defects, given.backgrounds)
    assert of_background[0, :, 0, 0].tolist() == [1.0, 3.0]
    assert of_background[0, :, 0, 63].tolist() == [2.0, 4.0]
    assert of_defect[0, :, 10, 10].tolist() == [5.0, 6.0]
    assert of_defect[0, :, 0, 0].tolist() == [0.0, 0.0]


def test_an_image_without_defect_has_a_neutral_defect_style():
    given = batch()
    good = Batch(given.images, torch.zeros_like(given.defects), *list(vars(given).values())[2:])
    assert style_of(good, 2)[0, 4].item() == 0.0


def test_main_class_is_the_largest_and_ignores_255():
    defects = torch.zeros(3, 4, 4, dtype=torch.long)
    defects[0, 0, :3] = 1
    defects[0, 1, :2] = 2
    defects[1] = 255
    defects[1, 0, 0] = 3
    assert main_class(defects).tolist() == [1, 3, 0]


def test_bank_gives_a_style_seen_with_the_class_by_seed_alone():
    bank = StyleBank(size=6, length=1)
    bank.fill(torch.arange(6.0)[:, None], torch.tensor([1, 1, 1, 2, 2, 2]))
    labels, seeds = torch.tensor([1] * 20 + [2] * 20), torch.arange(40)
    drawn = bank(labels, seeds)
    assert set(drawn[:20].flatten().tolist()) == {0.0, 1.0, 2.0}
    assert set(drawn[20:].flatten().tolist()) == {3.0, 4.0, 5.0}
    assert torch.equal(bank(labels[5:6], seeds[5:6]), drawn[5:6])
    assert bank(torch.tensor([9]), torch.tensor([0])).item() in range(6)


def test_noise_varies_over_its_scales():
    noise = multiscale_noise(torch.tensor([3, 4]), 4, torch.Size([128, 96]))
    assert noise.shape == (2, 4, 128, 96)
    steps = (noise[..., 1:] - noise[..., :-1]).abs().mean(dim=(0, 2, 3))
    assert steps[0] > 4 * steps[1] > 8 * steps[2] > 16 * steps[3]
    alone = multiscale_noise(torch.tensor([4]), 4, torch.Size([128, 96]))
    assert torch.equal(alone[0], noise[1])


def test_unseen_backgrounds_take_the_style_of_another_tile():
    seen = torch.tensor([[1.0, 2.0, 0.1, 0.2, 9.0, 9.0], [3.0, 4.0, 0.3, 0.4, 9.0, 9.0]])
    half = torch.tensor([[5.0, 0.0, 0.5, 0.0, 7.0, 7.0]]).repeat(3, 1)
    done = complete_styles(torch.cat([seen, half]), 2)
    assert torch.equal(done[:2], seen)
    assert done[2:, [0, 2, 4, 5]].tolist() == [[5.0, 0.5, 7.0, 7.0]] * 3
    expected = torch.tensor([[2.0, 0.2], [4.0, 0.4], [2.0, 0.2]])
    assert torch.equal(done[2:, [1, 3]], expected)
