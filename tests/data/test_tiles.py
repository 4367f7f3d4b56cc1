import numpy as np
import pytest

from flawsmith.data.dataset import DefectDataset, LabelMap
from flawsmith.data.tiles import GOOD, DataConfig, TileSource
from flawsmith.data.transforms import AugmentationConfig, View, change_light, cut
from flawsmith.data.whole_images import WholeImageSource
from flawsmith.errors import FlawsmithError

PAPER = AugmentationConfig(rotation=30, translation=0.1, scaling=0.2, flip=True, noise=0.02)


def source(folder, size=32, augmentation=PAPER, seed=0, **data):
    dataset = DefectDataset.open(folder)
    config = DataConfig(path=str(folder), **data)
    return TileSource([dataset], tile_size=size, data=config, augmentation=augmentation, seed=seed)


def test_tile_depends_on_seed_and_number_alone(pouch_folder):
    one, other = source(pouch_folder), source(pouch_folder)
    for _ in range(5):
        other[3]  # reading others first changes nothing
    first, second = one[7], other[7]
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.label_map.defects, second.label_map.defects)
    assert first.seed == second.seed
    assert not np.array_equal(first.image, one[8].image)
    assert not np.array_equal(first.image, source(pouch_folder, seed=1)[7].image)


def test_classes_are_drawn_equally_often_and_show_their_defect(pouch_folder):
    drawn = source(pouch_folder, size=64)
    tiles = [drawn[i] for i in range(300)]
    labels = np.array([tile.label for tile in tiles])
    counts = np.bincount(labels, minlength=7)[1:]
    assert counts.min() > 300 / 6 * 0.55
    shown = [np.any(tile.label_map.defects == tile.label) for tile in tiles]
    assert np.mean(shown) > 0.97


def test_good_share_draws_good_images(pouch_folder):
    drawn = source(pouch_folder, good_share=0.5)
    tiles = [drawn[i] for i in range(200)]
    good = [tile for tile in tiles if tile.label == GOOD]
    assert 70 < len(good) < 130
    assert all(not tile.label_map.defects.any() for tile in good)


def test_a_synthetic_image_without_its_defect_is_no_good_image(pouch_folder):
    """A made mask that came out empty, or unknown, would stand for good surface."""
    dataset = DefectDataset.open(pouch_folder)
    failed = {"source": "synthetic", "labels": [], "mask_file_name": None}
    made = dataset.with_records([r.model_copy(update=failed) for r in dataset])
    data = DataConfig(path="", good_share=0.5)
    for kind in (TileSource, WholeImageSource):
        both, alone = (
            kind(sets, tile_size=32, data=data, augmentation=PAPER, seed=0)
            for sets in ([dataset, made], [dataset])
        )
        assert all(np.array_equal(both[i].image, alone[i].image) for i in range(20))
        assert both.composition() == alone.composition()


def test_tiles_are_in_range_and_sized(pouch_folder):
    tile = source(pouch_folder, size=96)[0]  # larger than the 64-pixel images: mirrored
    assert tile.image.shape == (96, 96, 1)
    assert tile.image.dtype == np.float32
    assert 0.0 <= tile.image.min()
    assert tile.image.max() <= 1.0


def test_source_refuses_data_without_defects(pouch_folder):
    dataset = DefectDataset.open(pouch_folder)
    good = dataset.with_records([r for r in dataset if r.is_good])
    with pytest.raises(FlawsmithError, match="no training image has a labelled defect"):
        TileSource([good], tile_size=32, data=DataConfig(path=""), augmentation=PAPER, seed=0)


def picture(height=40, width=50):
    rng = np.random.default_rng(0)
    image = rng.random((height, width, 1), np.float32)
    indices = rng.integers(0, 3, (height, width)).astype(np.uint8)
    return image, LabelMap(indices, np.zeros_like(indices))


def test_straight_view_is_a_plain_crop():
    image, labels = picture()
    tile, cut_labels = cut(image, labels, View(centre=(10 + 7.5, 20 + 7.5)), 16)
    assert np.array_equal(tile, image[10:26, 20:36])
    assert np.array_equal(cut_labels.defects, labels.defects[10:26, 20:36])


@pytest.mark.parametrize(("flip_x", "flip_y"), [(True, False), (False, True), (True, True)])
def test_flips_mirror_image_and_label_alike(flip_x, flip_y):
    image, labels = picture()
    tile, cut_labels = cut(image, labels, View((17.5, 27.5), flip_x=flip_x, flip_y=flip_y), 16)
    step_y, step_x = (-1 if flip_y else 1), (-1 if flip_x else 1)
    assert np.array_equal(tile, image[10:26, 20:36][::step_y, ::step_x])
    assert np.array_equal(cut_labels.defects, labels.defects[10:26, 20:36][::step_y, ::step_x])


def test_quarter_turn_equals_numpy():
    image, labels = picture()
    tile, cut_labels = cut(image, labels, View((17.5, 27.5), angle=90.0), 16)
    assert np.allclose(tile, np.rot90(image[10:26, 20:36]), atol=1e-5)
    assert np.array_equal(cut_labels.defects, np.rot90(labels.defects[10:26, 20:36]))


def test_scaling_zooms_about_the_centre():
    image = np.zeros((33, 33, 1), np.float32)
    image[12:21, 12:21] = 1.0
    nothing = LabelMap(image[..., 0].astype(np.uint8), np.zeros((33, 33), np.uint8))
    _, labels = cut(image, nothing, View((16.0, 16.0), scale=2.0), 33)
    assert abs(int(labels.defects.sum()) - 4 * 81) < 40
    ys, xs = np.nonzero(labels.defects)
    assert ys.mean() == pytest.approx(16, abs=0.6)
    assert xs.mean() == pytest.approx(16, abs=0.6)


def test_light_changes_stay_in_range_and_are_absent_at_zero():
    rng = np.random.default_rng(0)
    image, _ = picture()
    assert np.array_equal(change_light(image, AugmentationConfig(), rng), image)
    strong = AugmentationConfig(brightness=0.5, contrast=0.5, noise=0.3)
    changed = change_light(image, strong, rng)
    assert changed.min() >= 0.0
    assert changed.max() <= 1.0
    assert changed.dtype == np.float32
    assert not np.array_equal(changed, image)


def test_a_share_of_each_class_leaves_the_others_as_they_are(pouch_folder):
    dataset = DefectDataset.open(pouch_folder)
    made = dataset.with_records([r.model_copy(update={"source": "synthetic"}) for r in dataset])

    def tiles(*datasets, **data):
        config = DataConfig(path="", **data)
        return TileSource(
            list(datasets), tile_size=32, data=config, augmentation=PAPER, seed=0, total_images=100
        )

    def places(source):
        rngs = [np.random.default_rng(i) for i in range(60)]
        return [source._draw_place(i % 2 + 1, rng, mixed=True) for i, rng in enumerate(rngs)]

    first = dataset.schema.defect_names[0]
    real, mixed = places(tiles(dataset)), tiles(dataset, made, synthetic_share={first: 1.0})
    drawn = places(mixed)
    assert drawn[1::2] == real[1::2]
    assert all(index >= len(dataset) for index, _ in drawn[::2])
    none = tiles(dataset, made, synthetic_share={})
    alone = tiles(dataset)
    assert all(np.array_equal(none[i].image, alone[i].image) for i in range(8))
    same = tiles(dataset, made, synthetic_share=dict.fromkeys(dataset.schema.defect_names, 0.5))
    assert places(same) == places(tiles(dataset, made, synthetic_share=0.5))
    with pytest.raises(FlawsmithError, match="'dent' is no defect"):
        tiles(dataset, made, synthetic_share={"dent": 0.5})


def test_synthetic_crops_end_where_the_schedule_says(pouch_folder):
    dataset = DefectDataset.open(pouch_folder)
    made = dataset.with_records([r.model_copy(update={"source": "synthetic"}) for r in dataset])

    def drawn(until, total=100):
        data = DataConfig(path="", synthetic_share=1.0, synthetic_until=until)
        tiles = TileSource(
            [dataset, made], tile_size=32, data=data, augmentation=PAPER, seed=0,
            total_images=total,
        )  # fmt: skip
        real = len(dataset)
        rngs = [np.random.default_rng(i) for i in range(100)]
        places = [tiles._draw_place(1, rng, mixed=tiles._is_mixed(i)) for i, rng in enumerate(rngs)]
        return [index >= real for index, _ in places]

    assert all(drawn(1.0))
    assert drawn(0.3) == [True] * 30 + [False] * 70
    assert not any(drawn(0.0))
    with pytest.raises(FlawsmithError, match="synthetic_until"):
        drawn(0.3, total=None)
