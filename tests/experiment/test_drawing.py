"""Requests: a class is put on surfaces like those on which it was seen."""

import numpy as np
import pytest

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.experiment.drawing import Banks

SCHEMA = Schema(
    name="plates",
    channels=1,
    backgrounds=make_backgrounds(["surface"]),
    defects=make_defects(["on_dark", "anywhere"]),
)
DARK, BRIGHT = 60, 200


@pytest.fixture(scope="module")
def plates(tmp_path_factory):
    """24 good images, half of them dark; one class on the dark ones, the other on both."""
    folder = tmp_path_factory.mktemp("plates")
    rng = np.random.default_rng(0)
    with DatasetWriter(folder, SCHEMA) as writer:

        def add(name, tone, label=0):
            defects = np.zeros((80, 80), np.uint8)
            defects[35:45, 35:45] = label
            image = np.clip(rng.normal(tone, 4, (80, 80)), 0, 255).astype(np.uint8)
            image[defects > 0] //= 2
            writer.add(name, image, LabelMap(defects, np.zeros_like(defects)), part=name)

        for index in range(24):
            add(f"good-{index}", DARK if index % 2 else BRIGHT)
        for index in range(6):
            add(f"a-{index}", DARK, 1)
            add(f"b-{index}", DARK if index % 2 else BRIGHT, 2)
    return DefectDataset.open(folder)


@pytest.mark.parametrize("needs", [{"background_images", "exemplars"}, {"background_images"}])
def test_a_class_lies_on_surfaces_on_which_it_was_seen(plates, needs):
    banks = Banks.from_dataset(plates, plates.records, frozenset(needs))
    tones = {
        label: np.array([banks.draw(s, label, 64).background.image.mean() for s in range(80)])
        for label in (1, 2)
    }
    dark = {label: float((values < 0.5).mean()) for label, values in tones.items()}
    assert 0.3 < dark[2] < 0.7
    if "exemplars" in needs:
        assert dark[1] == 1.0
    else:  # no pictures are kept, so nothing is known of the surfaces
        assert 0.3 < dark[1] < 0.7


def test_what_is_drawn_follows_from_the_seed(plates):
    needs = frozenset({"background_images", "exemplars"})
    first, second = (Banks.from_dataset(plates, plates.records, needs) for _ in range(2))
    first.draw(99, 2, 64)  # what was drawn before changes nothing
    for seed in range(5):
        one, two = first.draw(seed, 1, 64), second.draw(seed, 1, 64)
        assert np.array_equal(one.background.image, two.background.image)
        assert np.array_equal(one.label_map.defects, two.label_map.defects)
        assert one.parents == two.parents


def test_a_surface_like_no_other_still_gets_the_likest(plates):
    banks = Banks.from_dataset(
        plates, [r for r in plates if r.part.startswith(("good", "a"))],
        frozenset({"background_images", "exemplars"}),
    )  # fmt: skip
    for instance in banks.masks.instances[1]:
        banks.masks._around[id(instance)] = (0.9, 0.01)  # brighter than any
    drawn = [banks.draw(seed, 1, 64).background.image.mean() for seed in range(20)]
    assert min(drawn) > 0.5
