"""The short list of pairs that are looked at."""

import numpy as np
import pytest

from flawsmith.data.views.candidates import (
    Candidate,
    Vocabulary,
    candidates_by_points,
    candidates_by_thumbnail,
)
from flawsmith.data.views.features import extract, mirror_descriptors
from flawsmith.data.views.store import FeatureStore


def store_of(images) -> FeatureStore:
    store = FeatureStore(len(images))
    for image in images:
        store.add(extract(np.ascontiguousarray(image)))
    return store


def test_words_of_mirrored_descriptors_are_the_mirrored_words(surfaces):
    descriptors = extract(surfaces[0]).descriptors
    vocabulary = Vocabulary(descriptors, 32)
    words = vocabulary.words(descriptors)
    expected = vocabulary.words(mirror_descriptors(descriptors))
    assert len(vocabulary) == 32
    assert (vocabulary.mirror_words(words) == expected).mean() > 0.98  # ties may go either way
    assert len(set(words.tolist())) > 8


def test_words_are_the_nearest_centres(surfaces):
    descriptors = extract(surfaces[0]).descriptors
    vocabulary = Vocabulary(descriptors, 16)
    centres = vocabulary._centres
    distances = ((descriptors[:, None].astype(float) - centres[None]) ** 2).sum(2)
    np.testing.assert_array_equal(vocabulary.words(descriptors), distances.argmin(1))


def test_a_crop_and_a_mirrored_copy_are_on_the_list(surfaces):
    images = [*surfaces, surfaces[2][60:230, 40:220], surfaces[7][::-1]]
    found = candidates_by_points(store_of(images))
    assert Candidate(2, 10, False) in found
    assert Candidate(7, 11, True) in found


@pytest.mark.parametrize("count", [0, 1])
def test_no_list_of_fewer_than_two_images(surfaces, count):
    store = store_of(surfaces[:count])
    assert candidates_by_points(store) == set()
    assert candidates_by_thumbnail(store, least=0.5, per_image=3) == {}


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_thumbnails_of_all_flips_and_quarter_turns_are_equal(surfaces, quarters, mirrored):
    turned = np.rot90(surfaces[0][:200], quarters)
    turned = turned[:, ::-1] if mirrored else turned
    found = candidates_by_thumbnail(
        store_of([surfaces[0][:200], surfaces[1], turned]), least=0.95, per_image=3
    )
    assert list(found) == [Candidate(0, 2, mirrored)]
    assert found[Candidate(0, 2, mirrored)] == pytest.approx(1, abs=0.01)


def test_light_that_falls_off_makes_no_thumbnail_alike():
    rng = np.random.default_rng(0)
    light = 160 - 60 * (np.mgrid[-1:1:200j, -1:1:200j] ** 2).sum(0)
    images = [np.clip(light + rng.normal(0, 4, light.shape), 0, 255) for _ in range(4)]
    store = store_of([image.astype(np.uint8) for image in images])
    assert candidates_by_thumbnail(store, least=0.9, per_image=3) == {}
