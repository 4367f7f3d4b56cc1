"""New shapes: like the real ones of their class, in one piece, and none of them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.mask_bank import MaskBank
from flawsmith.data.mask_bank.bank import Seat
from flawsmith.data.mask_bank.interpolation import Form, interpolate, main_piece
from flawsmith.data.mask_bank.lines import SLENDER, grow, slenderness, thin, trace
from flawsmith.data.mask_bank.new_shapes import ShapeMaker, touched_edges
from flawsmith.data.mask_bank.shapes import Mask, direction, split_instances, trim
from flawsmith.data.mask_bank.sizes import SizeRange
from flawsmith.data.schema import Schema

BLOB, CRACK, RARE, CHIP = 1, 2, 3, 4


def disc(radius: int) -> Mask:
    canvas = np.zeros((2 * radius + 1, 2 * radius + 1), np.uint8)
    cv2.circle(canvas, (radius, radius), radius, 1, -1)
    return canvas > 0


def crack(rng: np.random.Generator, length: int = 90, width: int = 2) -> Mask:
    """A vertical line that winds a little."""
    ys = np.arange(0, length + 1, 6)
    xs = 30 + np.cumsum(rng.normal(0, 1.2, len(ys)))
    canvas = np.zeros((length + 8, 60), np.uint8)
    points = np.stack([xs, ys + 4], axis=1).round().astype(np.int32)
    cv2.polylines(canvas, [points], False, 1, width)
    return trim(canvas > 0).mask


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DefectDataset:
    colours = ("#e69f00", "#56b4e9", "#009e73", "#f0e442")
    schema = Schema(
        name="plate",
        backgrounds=[{"id": 0, "name": "body", "colour": "#202020"}],
        defects=[
            {"id": i, "name": name, "colour": colour}
            for i, (name, colour) in enumerate(
                zip(("blob", "crack", "rare", "chip"), colours, strict=True), start=1
            )
        ],
    )
    root = tmp_path_factory.mktemp("plates")
    rng = np.random.default_rng(5)
    with DatasetWriter(root, schema) as writer:
        for index in range(30):
            defects = np.zeros((128, 128), np.uint8)
            class_id = (BLOB, CRACK, CHIP)[index % 3] if index else RARE
            at = int(rng.integers(40, 88))
            if class_id == CRACK:
                shape = crack(rng)
                defects[10 : 10 + len(shape), at : at + shape.shape[1]][shape] = CRACK
            elif class_id == CHIP:
                axes = (int(rng.integers(10, 18)), int(rng.integers(8, 14)))
                cv2.ellipse(defects, (at, 0), axes, 0, 0, 360, CHIP, -1)
            else:
                axes = (int(rng.integers(8, 20)), int(rng.integers(8, 14)))
                angle = int(rng.integers(0, 180))
                cv2.ellipse(defects, (at, 60), axes, angle, 0, 360, class_id, -1)
                cv2.rectangle(defects, (at, 60), (at + 15, 64 + index % 7), class_id, -1)
            label_map = LabelMap(defects, defects * 0)
            writer.add(f"{index}", defects + 90, label_map, part=f"{index}")
    return DefectDataset.open(root)


@pytest.fixture(scope="module")
def bank(dataset: DefectDataset) -> MaskBank:
    return MaskBank.from_dataset(dataset, dataset)


def maker(bank: MaskBank, class_id: int) -> ShapeMaker:
    return ShapeMaker(bank.instances[class_id], np.ones(len(bank.instances[class_id])))


def test_between_two_discs_is_a_disc_of_the_mean_size() -> None:
    for small, large, share in ((10, 20, 0.5), (4, 6, 0.25), (60, 140, 0.7)):
        mixed = interpolate(
            Form.of(disc(small)),
            Form.of(disc(large)),
            share,
            np.random.default_rng(0),
            aligned=False,
        )
        assert mixed is not None
        radius = small ** (1 - share) * large**share
        assert mixed.sum() == pytest.approx(np.pi * radius**2, rel=0.12)
        assert max(mixed.shape) == pytest.approx(2 * radius + 1, abs=0.06 * radius + 2)


def test_mixture_has_the_direction_of_the_first() -> None:
    wide, tall = np.ones((10, 30), np.bool_), np.ones((36, 12), np.bool_)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        mixed = interpolate(Form.of(wide), Form.of(tall), 0.5, rng, aligned=False)
        assert mixed is not None
        assert direction(mixed).real > 0.6
        assert mixed.sum() == pytest.approx(np.sqrt(300 * 432), rel=0.15)


def test_shapes_that_do_not_overlap_are_not_mixed() -> None:
    ring, dot = np.zeros((61, 61), np.uint8), np.ones((3, 3), np.bool_)
    cv2.circle(ring, (30, 30), 28, 1, 2)
    rng = np.random.default_rng(0)
    assert interpolate(Form.of(ring > 0), Form.of(dot), 0.5, rng, aligned=True) is None


def test_main_piece_keeps_close_satellites_only() -> None:
    mask = np.zeros((20, 40), np.bool_)
    mask[5:12, 5:12] = True
    mask[5:8, 15:18] = True  # three pixels off
    mask[5:8, 30:33] = True
    kept = main_piece(mask)
    assert kept.sum() == 49 + 9
    assert not kept[:, 25:].any()


@pytest.mark.parametrize(("height", "width"), [(60, 3), (80, 8), (200, 20)])
def test_slenderness_of_a_strip_is_length_over_width(height: int, width: int) -> None:
    strip = np.ones((height, width), np.bool_)
    assert slenderness(strip) == pytest.approx(height / width, rel=0.35)


def test_slenderness_tells_lines_from_blobs() -> None:
    assert slenderness(disc(20)) == pytest.approx(1.8, abs=0.3)
    assert slenderness(np.ones((1, 1), np.bool_)) <= 1
    assert slenderness(crack(np.random.default_rng(0))) > 2 * SLENDER


def test_skeleton_is_thin_and_whole() -> None:
    canvas = np.zeros((60, 60), np.uint8)
    cv2.line(canvas, (8, 10), (50, 45), 1, 7)
    cv2.line(canvas, (30, 28), (45, 12), 1, 5)
    skeleton = thin(canvas > 0)
    assert skeleton.sum() < 0.2 * canvas.sum()
    assert not (skeleton & (canvas == 0)).any()
    assert cv2.connectedComponents(skeleton.astype(np.uint8), connectivity=8)[0] == 2
    np.testing.assert_array_equal(thin(skeleton), skeleton)


def test_trace_measures_a_strip() -> None:
    canvas = np.zeros((80, 140), np.uint8)
    canvas[37:42, 10:130] = 1
    course = trace(canvas > 0)
    assert course is not None
    assert abs(np.sin(course.heading)) < 0.05
    assert np.abs(course.turns).max() < 0.2
    assert course.width == pytest.approx(5, abs=0.6)
    assert len(course.turns) == pytest.approx(60, abs=5)
    assert course.branches < 0.05
    canvas[10:37, 68:73] = 1
    branched = trace(canvas > 0)
    assert branched is not None
    assert branched.branches == pytest.approx(27 / 118, abs=0.08)
    assert trace(np.ones((3, 3), np.bool_)) is None


def test_gaps_of_a_broken_line_are_known() -> None:
    line = np.zeros((5, 100), np.bool_)
    line[2] = True
    line[2, 50:53] = False
    course = trace(line)
    assert course is not None
    assert course.widths.min() < 0.5 < np.median(course.widths)


def test_grown_lines_are_whole_thin_and_follow_their_mould() -> None:
    rng = np.random.default_rng(2)
    real = [crack(rng) for _ in range(6)]
    courses = [course for mask in real if (course := trace(mask)) is not None]
    assert len(courses) == 6
    seen = set()
    for seed in range(40):
        made = grow(courses[0], courses[1:4], courses[2], np.random.default_rng(seed))
        assert made is not None
        assert cv2.connectedComponents(made.astype(np.uint8), connectivity=8)[0] == 2
        seen.add(made.tobytes())
        assert len(list(split_instances(made))) == 1
        assert slenderness(made) > SLENDER
        assert direction(made).real < -0.9, "vertical as all of them"
        assert 0.8 * len(real[0]) < len(made) < 1.2 * len(real[0])
        assert 0.5 < made.sum() / np.mean([mask.sum() for mask in real]) < 2
    assert len(seen) == 40


@pytest.mark.parametrize("class_id", [BLOB, CRACK])
def test_new_shapes_are_none_of_the_real_ones(bank: MaskBank, class_id: int) -> None:
    known = {(i.mask.shape, i.mask.tobytes()) for i in bank.instances[class_id]}
    areas = [i.mask.sum() for i in bank.instances[class_id]]
    made = maker(bank, class_id)
    files = {i.file_name for i in bank.instances[class_id]}
    new = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        instance = bank.choose(rng, class_id)
        shape = made.make(instance, rng)
        if shape is None:
            continue
        new += (shape.mask.shape, shape.mask.tobytes()) not in known
        assert 0.6 * min(areas) < shape.mask.sum() < 1.6 * max(areas)
        assert shape.parents[0] == instance.file_name
        assert set(shape.parents) <= files
        assert len(list(split_instances(shape.mask))) == 1
    assert new > 45


def test_other_views_of_one_part_give_no_new_shape(dataset: DefectDataset) -> None:
    same = [r.model_copy(update={"part": "one"}) for r in dataset if "crack" in r.labels]
    bank = MaskBank.from_dataset(dataset, same)
    made = maker(bank, CRACK)
    rng = np.random.default_rng(0)
    assert all(made.make(i, rng) is None for i in bank.instances[CRACK])


def test_single_mask_of_a_class_is_still_drawn(bank: MaskBank) -> None:
    assert len(bank.instances[RARE]) == 1
    for seed in range(20):
        drawn = bank.draw(np.random.default_rng(seed), RARE, 96, 96, new_shapes=1.0)
        assert (drawn.label_map.defects == RARE).any()
        assert drawn.parents == ("images/0.png",)


def test_share_of_zero_draws_what_it_always_drew(bank: MaskBank) -> None:
    for seed in range(20):
        one, two = np.random.default_rng(seed), np.random.default_rng(seed)
        before = bank.draw(one, CRACK, 96, 96, max_defects=2)
        now = bank.draw(two, CRACK, 96, 96, max_defects=2, new_shapes=0.0)
        np.testing.assert_array_equal(before.label_map.defects, now.label_map.defects)
        assert before.parents == now.parents
        assert one.random() == two.random()


def test_share_is_kept_and_draws_follow_from_the_generator(bank: MaskBank) -> None:
    def parents(share: float) -> list[int]:
        return [
            len(bank.draw(np.random.default_rng(s), CRACK, 128, 128, new_shapes=share).parents)
            for s in range(120)
        ]

    assert set(parents(0.0)) == {1}
    half = sum(n > 1 for n in parents(0.5))
    assert 35 < half < 85
    again = [bank.draw(np.random.default_rng(4), BLOB, 96, 96, new_shapes=1.0) for _ in range(2)]
    np.testing.assert_array_equal(again[0].label_map.defects, again[1].label_map.defects)


def test_wanted_sizes_are_kept(bank: MaskBank) -> None:
    sizes = SizeRange(18.0, 22.0)
    for seed in range(30):
        drawn = bank.draw(np.random.default_rng(seed), BLOB, 96, 96, sizes=sizes, new_shapes=1.0)
        diameter = np.sqrt(4 / np.pi * (drawn.label_map.defects > 0).sum())
        assert 0.85 * 18 < diameter < 1.15 * 22


def test_seated_shape_touches_the_edge_that_its_instance_touched(bank: MaskBank) -> None:
    new = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        instance = bank.choose(rng, CHIP)
        assert touched_edges(instance) == {0}
        seat = Seat(instance, (instance.edges[0], 48))
        drawn = bank.draw(
            rng, CHIP, 96, 96, background_map=np.zeros((96, 96), np.uint8), seat=seat,
            new_shapes=1.0,
        )  # fmt: skip
        new += len(drawn.parents) > 1
        # Scaling by 0.7 around its heart, and bending, takes a few pixels off.
        assert np.flatnonzero(drawn.label_map.defects.any(axis=1))[0] <= 5
    assert new > 20


def test_pictures_keep_their_shapes(dataset: DefectDataset) -> None:
    bank = MaskBank.from_dataset(dataset, dataset, appearance=True)
    one = bank.draw(np.random.default_rng(1), BLOB, 96, 96)
    two = bank.draw(np.random.default_rng(1), BLOB, 96, 96, new_shapes=1.0)
    np.testing.assert_array_equal(one.label_map.defects, two.label_map.defects)
    assert one.parents == two.parents


def test_compact_one_among_lines_and_cut_ones_stay_as_they_are(bank: MaskBank) -> None:
    lines = bank.instances[CRACK]
    odd = replace(lines[0], mask=disc(14), part="odd")
    other = replace(odd, mask=np.ones((24, 27), np.bool_), part="other")
    rng = np.random.default_rng(0)
    among_lines = [*lines, odd, other]
    assert ShapeMaker(among_lines, np.ones(len(among_lines))).make(odd, rng) is None
    alone = ShapeMaker([odd, other], np.ones(2)).make(odd, rng)
    line = maker(bank, CRACK).make(lines[0], rng)
    assert alone is not None
    assert line is not None
    assert alone.elastic[1] > 4 * line.elastic[1], "compact ones bend more than lines"
    cut = [replace(odd, is_cut=True), replace(other, is_cut=True)]
    shape = ShapeMaker(cut, np.ones(2)).make(cut[0], rng)
    assert shape is not None
    assert shape.elastic[1] < alone.elastic[1], "a straight cut does not become a wave"


@pytest.mark.parametrize("shape", [(7, 2), (2, 7), (1, 2), (2, 2), (7, 1), (1, 1), (5, 3)])
def test_the_moments_of_a_thin_mask_are_those_of_its_pixels(shape):
    """OpenCV takes an array of two columns for a list of points."""
    form = Form.of(np.ones(shape, bool))
    height, width = shape
    assert form.centre == pytest.approx(((width - 1) / 2, (height - 1) / 2))
    assert form.area == height * width
    upright = height > width
    assert abs(form.axis) == pytest.approx(np.pi / 2 if upright else 0.0, abs=1e-6)
