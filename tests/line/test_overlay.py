import numpy as np
import pytest

from flawsmith.data.schema import Schema, make_backgrounds, make_defects, rgb
from flawsmith.inspection.regions import find_regions
from flawsmith.line.inspector import Inspector
from flawsmith.line.overlay import (
    VERDICT_COLOURS,
    draw_overlay,
    overlay_name,
    region_text,
    write_overlay,
)
from flawsmith.line.part_images import PartImage
from flawsmith.line.results import Novelty, Verdict
from flawsmith.line.store import Store

from .spots import IDENTITY, SCHEMA, SpotModel, pixels, png, rules


@pytest.fixture
def record(tmp_path):
    with Store(str(tmp_path / "results.db")) as store:
        image = PartImage.from_bytes(png(spot=True), name="a.png", part="a")
        return Inspector(SpotModel(), IDENTITY, rules(), store).inspect_part("a", [image])


def colours(picture):
    return {tuple(int(v) for v in c) for c in picture.reshape(-1, 3)}


def test_verdict_and_outline_are_in_their_colours(record):
    picture = draw_overlay(record, 0, pixels(spot=True), SCHEMA)
    assert picture.shape[1] == 800  # 32 pixels, each 25 times as large
    below = picture[picture.shape[0] - 24 * 25 :]
    rim = below[8 * 25 : 12 * 25, 10 * 25 : 16 * 25]
    assert rgb(SCHEMA.defects[0].colour) in colours(rim)
    np.testing.assert_array_equal(below[8 * 25 + 40, 10 * 25 + 60], [250] * 3)  # not covered
    assert tuple(picture[0, -1]) == rgb(VERDICT_COLOURS[Verdict.FAIL])
    assert rgb(SCHEMA.defects[0].colour) not in colours(picture[: picture.shape[0] - 24 * 25])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
def test_every_kind_of_image_is_shown_as_the_schema_says(record, channels, bits):
    white = 2**bits - 1
    kind = np.uint8 if bits == 8 else np.uint16
    shape = (24, 900) if channels == 1 else (24, 900, 3)
    schema = Schema(
        name="x", channels=channels, bit_depth=bits, white_level=white,
        backgrounds=make_backgrounds(["a"]), defects=make_defects(["b"]),
    )  # fmt: skip
    picture = draw_overlay(record, 0, np.full(shape, white, kind), schema)
    assert tuple(picture[-1, -1]) == (255, 255, 255)
    assert picture.dtype == np.uint8


def test_a_tiny_region_gets_a_ring_and_many_do_not_stop_it(record):
    index = np.zeros((900, 1200), np.uint8)
    index[5:890:20, 7:1190:20] = 1
    scores = np.stack([1 - index, index]).astype(np.float32)
    regions = find_regions(index, scores, SCHEMA)
    novelty = Novelty(score=1.5, box=(0, 0, 50, 60))
    image = record.images[0].model_copy(update={"regions": regions, "novelty": novelty})
    many = record.model_copy(update={"images": [image]})
    picture = draw_overlay(many, 0, np.zeros(index.shape, np.uint8), SCHEMA)
    last = picture[-900:][885, 1187 - 7 : 1187 + 7]  # the ring around the last one
    assert rgb(SCHEMA.defects[0].colour) in colours(last)


def test_sizes_are_told_with_their_uncertainty(record):
    (region,) = record.images[0].regions
    assert region_text(region) == "spot 6 px  1.00"
    measured = region.model_copy(update={"length_mm": 12.3456})
    assert region_text(measured) == "spot 12.3 mm  1.00"
    assert region_text(measured.model_copy(update={"length_mm_u95": 0.213})) == (
        "spot 12.3 mm ± 0.2  1.00"
    )


@pytest.mark.parametrize("part", ["../../etc/passwd", "a/b\\c", "x" * 300, "é ", "..", "-rf"])
def test_no_name_of_a_part_leads_out_of_the_folder(record, tmp_path, part):
    verdict = record.verdict.model_copy(update={"part": part})
    image = record.images[0].model_copy(update={"view": part})
    named = record.model_copy(update={"verdict": verdict, "images": [image]})
    assert len(overlay_name(named, 0).encode()) < 255
    path = write_overlay(tmp_path, named, 0, pixels(), SCHEMA)
    assert path.parent == tmp_path
    assert path.is_file()
