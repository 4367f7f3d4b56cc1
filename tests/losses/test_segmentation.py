import math

import pytest
import torch

from flawsmith.losses.segmentation import bootstrapped_cross_entropy, dice_loss, rarity_weights


def batch(classes=4, size=6, ignored=0.3):
    draw = torch.Generator().manual_seed(7)
    logits = 2 * torch.randn(3, classes, size, size, generator=draw)
    target = torch.randint(0, classes, (3, size, size), generator=draw)
    target[torch.rand(target.shape, generator=draw) < ignored] = 255
    return logits, target


def naive_bootstrapped(logits, target, keep, threshold, class_weights=None):
    means = []
    for image, labels in zip(logits.tolist(), target.tolist(), strict=True):
        losses = []
        for y, row in enumerate(labels):
            for x, label in enumerate(row):
                if label == 255:
                    continue
                scores = [plane[y][x] for plane in image]
                norm = math.log(sum(math.exp(s) for s in scores))
                losses.append((norm - scores[label], label))
        losses.sort(reverse=True)
        kept = [pair for pair in losses if pair[0] > threshold]
        if len(kept) < keep:
            kept = losses[:keep]
        weigh = [1.0 if class_weights is None else class_weights[label] for _, label in kept]
        total = sum(weigh)
        means.append(sum(w * k[0] for w, k in zip(weigh, kept, strict=True)) / total if kept else 0)
    return sum(means) / len(means)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 2.0, 100.0])
@pytest.mark.parametrize("keep", [1, 5, 18, 36])
@pytest.mark.parametrize("class_weights", [None, [0.1, 1.0, 3.0, 2.0]])
def test_bootstrapped_cross_entropy_equals_a_naive_loop(threshold, keep, class_weights):
    logits, target = batch()
    target[1, :, 1:] = 255  # six known pixels, fewer than K
    result = bootstrapped_cross_entropy(
        logits,
        target,
        keep_share=keep / 36,
        threshold=threshold,
        class_weights=None if class_weights is None else torch.tensor(class_weights),
    )
    expected = naive_bootstrapped(logits, target, keep, threshold, class_weights)
    assert result.item() == pytest.approx(expected, rel=1e-5)


def test_keeping_every_pixel_is_the_cross_entropy():
    logits, target = batch(ignored=0)
    expected = torch.nn.functional.cross_entropy(logits, target)
    result = bootstrapped_cross_entropy(logits, target, keep_share=1.0)
    torch.testing.assert_close(result, expected)


def test_only_hard_pixels_get_a_gradient():
    logits, target = batch(ignored=0)
    logits[:, :, :3] = torch.nn.functional.one_hot(target[:, :3], 4).permute(0, 3, 1, 2) * 9.0
    logits.requires_grad_()
    bootstrapped_cross_entropy(logits, target).backward()
    assert logits.grad[:, :, :3].abs().max() == 0
    assert logits.grad[:, :, 3:].abs().max() > 0


@pytest.mark.parametrize("class_weights", [None, torch.ones(4)])
def test_ignored_images_add_zero_and_no_gradient(class_weights):
    logits, target = batch()
    target[0] = 255
    logits.requires_grad_()
    result = bootstrapped_cross_entropy(logits, target, class_weights=class_weights)
    others = bootstrapped_cross_entropy(logits[1:], target[1:], class_weights=class_weights)
    torch.testing.assert_close(result, others * 2 / 3)
    everything = bootstrapped_cross_entropy(
        logits, torch.full_like(target, 255), class_weights=class_weights
    )
    everything.backward()
    assert everything.item() == 0
    assert logits.grad.abs().max() == 0


def test_a_class_of_weight_zero_alone_gives_zero():
    logits = torch.randn(1, 2, 4, 4)
    target = torch.zeros(1, 4, 4, dtype=torch.int64)
    weights = torch.tensor([0.0, 1.0])
    assert bootstrapped_cross_entropy(logits, target, class_weights=weights).item() == 0


def test_small_crops_keep_at_least_one_pixel():
    logits = torch.tensor([[5.0, 0.0], [0.0, 0.0]]).T.reshape(1, 2, 1, 2)
    target = torch.zeros(1, 1, 2, dtype=torch.int64)
    result = bootstrapped_cross_entropy(logits, target, threshold=10.0)
    assert result.item() == pytest.approx(math.log(2), rel=1e-6)


def naive_dice(logits, target):
    coefficients = []
    for c in range(1, logits.shape[1]):
        overlap = predicted = true = 0.0
        for n in range(logits.shape[0]):
            for y in range(logits.shape[2]):
                for x in range(logits.shape[3]):
                    if target[n, y, x] == 255:
                        continue
                    scores = [math.exp(s) for s in logits[n, :, y, x].tolist()]
                    p = scores[c] / sum(scores)
                    is_class = float(target[n, y, x] == c)
                    overlap, predicted, true = (
                        overlap + p * is_class,
                        predicted + p,
                        true + is_class,
                    )
        if true:
            coefficients.append(2 * overlap / (predicted + true))
    return 1 - sum(coefficients) / len(coefficients)


@pytest.mark.parametrize("absent", [None, 2])
def test_dice_equals_a_naive_loop(absent):
    logits, target = batch()
    if absent is not None:
        target[target == absent] = 0
    assert dice_loss(logits, target).item() == pytest.approx(naive_dice(logits, target), rel=1e-5)


def test_dice_of_certain_predictions():
    target = torch.tensor([[[0, 1, 1, 2]]])
    right = torch.nn.functional.one_hot(target, 3).permute(0, 3, 1, 2) * 100.0
    assert dice_loss(right, target).item() == pytest.approx(0, abs=1e-6)
    assert dice_loss(right.roll(1, dims=1), target).item() == pytest.approx(1, abs=1e-6)
    half = torch.tensor([[[0, 1, 0, 2]]])  # class 1: 2 * 1 / (2 + 1)
    assert dice_loss(right, half).item() == pytest.approx(1 - (2 / 3 + 1) / 2, abs=1e-6)


def test_dice_of_good_images_is_zero_with_a_zero_gradient():
    logits, target = batch()
    logits.requires_grad_()
    loss = dice_loss(logits, torch.where(target == 255, 255, 0))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().max() == 0


@pytest.mark.parametrize("loss", [bootstrapped_cross_entropy, dice_loss])
def test_losses_are_float32_and_refuse_sizes_that_differ(loss):
    logits, target = batch()
    assert loss(logits.bfloat16(), target).dtype == torch.float32
    with pytest.raises(ValueError, match="do not fit a target"):
        loss(logits, target[:, :5])


def test_rare_classes_weigh_more():
    target = torch.zeros(1, 10, 10, dtype=torch.long)
    target[0, 0, :4] = 1
    target[0, 1, 0] = 2
    target[0, 2] = 255
    weights = rarity_weights(target, 4, exponent=0.5)
    assert weights.tolist() == pytest.approx([1.0, (85 / 4) ** 0.5, 85**0.5, 1.0])
    assert rarity_weights(target, 4, exponent=1.0, largest=50.0)[2] == 50.0
    assert rarity_weights(target, 4, exponent=0.0).tolist() == [1.0] * 4
