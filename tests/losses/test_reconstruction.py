import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation

from flawsmith.losses.reconstruction import (
    background_weight,
    defect_mask,
    defect_target,
    known_weight,
    low_frequency,
    low_frequency_mse,
    masked_mse,
)


def images(channels=2, size=12):
    draw = torch.Generator().manual_seed(5)
    return (torch.randn(3, channels, size, size, generator=draw) for _ in range(2))


def weights(size=12):
    return (torch.rand(3, size, size, generator=torch.Generator().manual_seed(6)) > 0.4).float()


def naive_low_frequency_mse(prediction, target, weight, scale):
    """Window by window, in NumPy."""
    p, t, w = (a.double().numpy() for a in (prediction, target, weight))
    stride, size = max(scale // 2, 1), p.shape[-1]
    starts = range(0, size - scale + stride, stride)
    results = []
    for n in range(len(p)):
        error, total = 0.0, 0.0
        for y in starts:
            for x in starts:
                part = w[n, y : y + scale, x : x + scale]
                share = part.sum()
                if share == 0:
                    continue
                difference = (p - t)[n, :, y : y + scale, x : x + scale]
                local = (difference * part).sum((1, 2)) / share
                error, total = error + share * (local**2).mean(), total + share
        results.append(error / total if total else 0.0)
    return np.mean(results)


def test_masked_mse_is_the_mean_of_the_chosen_pixels():
    prediction, target = images()
    weight = weights()
    expected = np.mean(
        [((prediction - target)[n][:, weight[n] > 0] ** 2).mean().item() for n in range(3)]
    )
    assert masked_mse(prediction, target, weight).item() == pytest.approx(expected, rel=1e-5)
    assert masked_mse(prediction, target, weight.bool()).item() == pytest.approx(expected, rel=1e-5)


def test_masked_mse_of_a_full_mask_is_the_mse():
    prediction, target = images()
    expected = torch.nn.functional.mse_loss(prediction, target)
    torch.testing.assert_close(masked_mse(prediction, target, torch.ones(3, 12, 12)), expected)


def test_halves_of_a_batch_average_to_the_whole():
    prediction, target = (x[:2] for x in images())
    weight = weights()[:2]
    weight[0, 3:] = 0  # very different shares: a pooled mean would not pass
    for loss in (masked_mse, lambda *a: low_frequency_mse(*a, 4)):
        halves = [loss(prediction[i : i + 1], target[i : i + 1], weight[i : i + 1]) for i in (0, 1)]
        torch.testing.assert_close(loss(prediction, target, weight), sum(halves) / 2)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5, 8, 12])
def test_low_frequency_mse_equals_a_naive_loop(scale):
    prediction, target = images()
    weight = weights()
    weight[1] = 0  # an image without any pixel
    expected = naive_low_frequency_mse(prediction, target, weight, scale)
    result = low_frequency_mse(prediction, target, weight, scale)
    assert result.item() == pytest.approx(expected, rel=1e-5)


def test_low_frequency_mse_at_one_pixel_is_the_masked_mse():
    prediction, target = images()
    expected = masked_mse(prediction, target, weights())
    torch.testing.assert_close(low_frequency_mse(prediction, target, weights(), 1), expected)


def test_low_frequency_mse_leaves_texture_free_but_not_tone():
    checker = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2.0 - 1.0
    texture = checker.expand(1, 1, 16, 16)
    flat, ones = torch.zeros(1, 1, 16, 16), torch.ones(1, 16, 16)
    assert low_frequency_mse(texture, flat, ones, 4).item() == pytest.approx(0, abs=1e-10)
    assert low_frequency_mse(texture + 0.5, flat, ones, 4).item() == pytest.approx(0.25)
    assert masked_mse(texture, flat, ones).item() == pytest.approx(1.0)


@pytest.mark.parametrize("scale", [1, 4, 5])
def test_pixels_of_weight_zero_have_no_influence_and_no_gradient(scale):
    prediction, target = images()
    weight = weights()
    expected = low_frequency_mse(prediction, target, weight, scale)
    spoiled = torch.where(weight.unsqueeze(1) > 0, prediction, 1e4).requires_grad_()
    result = low_frequency_mse(spoiled, target, weight, scale)
    torch.testing.assert_close(result, expected)
    result.backward()
    hidden = (weight == 0).unsqueeze(1).expand_as(spoiled)
    assert spoiled.grad[hidden].abs().max() == 0
    assert spoiled.grad[~hidden].abs().min() > 0


@pytest.mark.parametrize("loss", [masked_mse, lambda *a: low_frequency_mse(*a, 4)])
def test_a_batch_of_nothing_known_is_zero_with_a_zero_gradient(loss):
    prediction, target = images()
    prediction.requires_grad_()
    result = loss(prediction, target, torch.zeros(3, 12, 12))
    result.backward()
    assert result.item() == 0
    assert prediction.grad.abs().max() == 0


def test_low_frequency_is_the_mean_of_half_overlapping_windows():
    image = torch.arange(36.0).reshape(1, 1, 6, 6)
    result = low_frequency(image, 4)
    expected = [[image[0, 0, y : y + 4, x : x + 4].mean() for x in (0, 2)] for y in (0, 2)]
    torch.testing.assert_close(result[0, 0], torch.tensor(expected))
    torch.testing.assert_close(low_frequency(image, 1), image)
    assert low_frequency(image, 100).flatten()[0] == image.mean()


def test_low_frequency_refuses_a_scale_of_nothing():
    with pytest.raises(ValueError, match="at least 1 pixel, got 0"):
        low_frequency(torch.zeros(1, 1, 4, 4), 0)


def test_defect_target_shows_the_defect_on_grey():
    image = torch.tensor([[[[0.1, 0.2], [0.3, 0.4]], [[0.5, 0.6], [0.7, 0.8]]]])
    mask = torch.tensor([[[True, False], [False, True]]])
    expected = [[[0.1, -1], [-1, 0.4]], [[0.5, -1], [-1, 0.8]]]
    torch.testing.assert_close(defect_target(image, mask, fill=-1.0)[0], torch.tensor(expected))
    assert defect_target(image, mask)[0, 0, 0, 1] == 0


def test_defect_target_refuses_a_label_map():
    with pytest.raises(ValueError, match=r"must be bool, got torch\.int64"):
        defect_target(torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64))


def test_ignored_pixels_are_neither_defect_nor_background():
    defects = torch.tensor([[[0, 1, 6, 255]]])
    assert defect_mask(defects)[0, 0].tolist() == [False, True, True, False]
    assert known_weight(defects)[0, 0].tolist() == [1, 1, 1, 0]
    assert background_weight(defects)[0, 0].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("margin", [0, 1, 3])
def test_background_keeps_its_distance_from_defects(margin):
    defects = torch.zeros(1, 15, 15, dtype=torch.int64)
    defects[0, 4, 5], defects[0, 14, 0] = 2, 255
    square = np.ones((2 * margin + 1, 2 * margin + 1))
    grown = binary_dilation(defects[0].numpy() != 0, square)
    result = background_weight(defects, margin_pixels=margin)[0].numpy()
    np.testing.assert_array_equal(result, ~grown)
