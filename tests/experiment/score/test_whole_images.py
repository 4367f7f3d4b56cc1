"""Scores where labels are for whole images, and the map of the features."""

import numpy as np
import pytest

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.images import to_unit
from flawsmith.data.whole_images import fit
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.report.figures import Point, scatter
from flawsmith.experiment.score import prepare, score, write_score
from flawsmith.experiment.score.crops import CROP_SIZE, whole_image
from flawsmith.experiment.score.facts import Score
from flawsmith.experiment.score.feature_map import laid_out
from flawsmith.experiment.selection import prepare as prepare_selection


@pytest.fixture
def make_labelled(labels_only_folder, tmp_path, write_settings):
    """Write a synthetic set of whole images from training images; ``change`` makes other pixels."""
    dataset = DefectDataset.open(labels_only_folder)

    def make(name, change=lambda pixels, rng: pixels):
        folder = tmp_path / name
        with DatasetWriter(folder, dataset.schema) as writer:
            for i, record in enumerate(r for r in dataset if r.labels and r.fold != 0):
                pixels = change(dataset.image(record), np.random.default_rng(i))
                nothing = np.zeros(pixels.shape[:2], np.uint8)
                writer.add(
                    f"synthetic-{i}", pixels, LabelMap(nothing, nothing), part=f"synthetic-{i}",
                    source="synthetic", system="bagan_gp", run="run", labels=record.labels,
                    weak_labels=record.labels, mask_source="none",
                )  # fmt: skip
        write_settings(folder, system="bagan_gp", validation_share=0.0)
        return folder

    return make


def noise(pixels, rng):
    return rng.integers(0, 256, pixels.shape).astype(pixels.dtype)


def test_copies_of_whole_images_are_flagged_and_noise_is_far(
    make_labelled, labels_only_folder, simple, tmp_path
):
    request = prepare(make_labelled("copied"), labels_only_folder)
    scored = score(request, features=simple)
    copied = scored.score
    assert (request.level, copied.level) == ("image", "image")
    assert [f.name for f in copied.overall.figures] == ["simple/pooled"]
    assert all(c.synthetic == c.training for c in copied.classes), "weak labels count here"
    memory = copied.overall.memorisation
    assert memory.features.flagged.count == memory.features.flagged.total > 0
    assert memory.pixels.flagged.count == memory.pixels.flagged.total
    page = write_score(request, scored, tmp_path / "page")
    text = page.read_text()
    for words in ("Whole images: simple/pooled", "Map of the features", "Random images",
                  "labels are for whole images", "alone, same axes"):  # fmt: skip
        assert words in text
    for words in ("in_mask", "synthetic defects", "Inside the mask"):
        assert words not in text
    assert Score.model_validate_json((tmp_path / "page" / "score.json").read_text()) == copied

    far = score(prepare(make_labelled("noisy", noise), labels_only_folder), features=simple).score
    kid = far.overall.variant("pooled")
    assert kid.kid.value > 3 * abs(kid.kid_floor.value)
    assert kid.kid.value > copied.overall.variant("pooled").kid.value
    assert not far.overall.memorisation.features.too_many


def test_real_images_show_no_more_than_the_synthetic_size(labels_only_folder):
    dataset = DefectDataset.open(labels_only_folder)
    record = next(r for r in dataset if r.labels)
    first, second = whole_image(dataset, record, [1, 3], 8)
    small = fit(to_unit(dataset.image(record), dataset.schema), 8)[..., 0]
    assert first.image.shape == (CROP_SIZE, CROP_SIZE, 3)
    assert (first.image == second.image).all()
    assert (first.place.class_id, second.place.class_id) == (1, 3)
    assert first.mask.min() == 1.0
    places = (np.arange(CROP_SIZE) + 0.5) / 16 - 0.5  # bilinear, half a pixel at each border
    rows = np.stack([np.interp(places, np.arange(8), column) for column in small.T], axis=1)
    enlarged = np.stack([np.interp(places, np.arange(8), row) for row in rows])
    assert first.image[..., 0] == pytest.approx(enlarged, abs=1e-5)


def test_few_points_are_laid_out_by_their_principal_components():
    line = np.outer([0.0, 1.0, 3.0], [3.0, 4.0]).astype(np.float32)
    places, method = laid_out(line, 0)
    along = places[:, 0] if places[0, 0] < places[2, 0] else 1 - places[:, 0]  # its sign is free
    assert along == pytest.approx([0.0, 1 / 3, 1.0])
    assert places[:, 1] == pytest.approx([0.5] * 3)
    assert method == "two principal components (100 % of the variance)"
    same, _ = laid_out(np.ones((4, 5), np.float32), 0)
    assert same == pytest.approx(np.full((4, 2), 0.5))


def test_map_keeps_groups_apart_and_is_the_same_again():
    rng = np.random.default_rng(0)
    groups = [rng.normal(centre, 0.1, (25, 12)) for centre in (0.0, 5.0)]
    features = np.concatenate(groups).astype(np.float32)
    places, method = laid_out(features, 3)
    assert "t-SNE" in method
    assert places.min() >= 0
    assert places.max() <= 1
    first, second = places[:25], places[25:]
    gap = np.linalg.norm(first.mean(axis=0) - second.mean(axis=0))
    assert gap > 2 * max(first.std(), second.std())
    assert (laid_out(features, 3)[0] == places).all()


def test_rings_are_drawn_over_filled_points():
    points = [Point(0.0, 0.0, "#ff0000", filled=False), Point(1.0, 1.0, "#0000ff", filled=True)]
    drawn = scatter(points, "two <points>", size=190)
    assert drawn.index("#0000ff") < drawn.index("#ff0000")
    assert drawn.count("<circle") == 2
    assert 'cx="5.0" cy="185.0"' in drawn
    assert "two &lt;points&gt;" in drawn


def test_selection_needs_masks(make_labelled, tmp_path):
    with pytest.raises(FlawsmithError, match="labels for whole images only"):
        prepare_selection(make_labelled("made"), tmp_path / "run", None)
