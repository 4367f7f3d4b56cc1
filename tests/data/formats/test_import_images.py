"""Images on their way through an import: bytes, bit depth, orientation, damage, twins."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from flawsmith.errors import FlawsmithError

HEIGHT, WIDTH = 12, 16


def test_images_are_copied_byte_for_byte_and_report_is_saved(
    source, put, picture, class_folders, imported
):
    class_folders(source)
    put(source / "dent/photo.jpg", picture(5, shape=(HEIGHT, WIDTH, 3)))
    done = imported(source, name="My set", pixel_size_mm=(0.5, 0.4))
    for record in done.data:
        original = (source / record.original).read_bytes()
        assert (done.out / record.file_name).read_bytes() == original
    schema = done.data.schema
    assert (schema.name, schema.channels, schema.bit_depth) == ("My set", 3, 8)
    assert (schema.pixel_size_mm.x, schema.pixel_size_mm.y) == (0.5, 0.4)
    assert [background.name for background in schema.backgrounds] == ["surface"]
    saved = json.loads((done.out / "import.json").read_text())
    assert saved == done.report.model_dump(mode="json")


@pytest.mark.parametrize(
    ("highest", "option", "depth", "white"),
    [(4095, None, 12, 4095), (4096, None, 16, 65535), (3000, 16383, 14, 16383)],
)
def test_sixteen_bit_png_and_tiff_set_depth_and_white_level(
    source, highest, option, depth, white, imported
):
    rng = np.random.default_rng(0)
    grey = rng.integers(0, highest + 1, (HEIGHT, WIDTH), dtype=np.uint16)
    grey[0, 0] = highest
    colour = rng.integers(0, highest + 1, (HEIGHT, WIDTH, 3), dtype=np.uint16)
    for name in ("OK", "dent"):
        (source / name).mkdir()
    cv2.imwrite(str(source / "OK/grey.png"), grey)
    cv2.imwrite(str(source / "dent/colour.tiff"), colour[..., ::-1])
    done = imported(source, white_level=option)
    schema = done.data.schema
    assert (schema.bit_depth, schema.white_level, schema.channels) == (depth, white, 3)
    np.testing.assert_array_equal(done.data.image(done.records["OK/grey.png"]), grey)
    np.testing.assert_array_equal(done.data.image(done.records["dent/colour.tiff"]), colour)


def test_mixed_bit_depths_exclude_the_fewer(source, class_folders, imported):
    class_folders(source)
    deep = np.full((HEIGHT, WIDTH), 60000, np.uint16)
    cv2.imwrite(str(source / "dent/deep.png"), deep)
    done = imported(source)
    assert done.data.schema.white_level == 255
    assert [name for name, r in done.records.items() if r.excluded] == ["dent/deep.png"]
    assert done.files("mixed bit depth") == ["dent/deep.png"]


def test_white_level_beyond_the_images_is_an_error(source, class_folders, imported):
    class_folders(source)
    with pytest.raises(FlawsmithError, match="8-bit images"):
        imported(source, white_level=4095)


def test_turned_photograph_keeps_its_label_in_place(source, put, picture, imported):
    pixels = picture(0)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter: 12 wide, 16 high
    (source / "images").mkdir()
    Image.fromarray(pixels).save(source / "images/a.jpg", exif=exif)
    mask = np.zeros((WIDTH, HEIGHT), np.uint8)
    mask[10:14, 2:5] = 1
    put(source / "masks/a.png", mask)
    done = imported(source)
    record = done.records["images/a.jpg"]
    assert (record.height, record.width) == (WIDTH, HEIGHT) == done.data.image(record).shape
    np.testing.assert_array_equal(done.defects("images/a.jpg"), mask)


def test_damaged_images_are_left_out_aloud(source, put, picture, class_folders, imported):
    class_folders(source)
    whole = put(source / "dent/cut.png", picture(8, shape=(200, 200))).read_bytes()
    (source / "dent/cut.png").write_bytes(whole[: len(whole) // 2])
    (source / "dent/no.bmp").write_bytes(b"hello")
    done = imported(source)
    assert done.files("unreadable image") == ["dent/cut.png", "dent/no.bmp"]
    assert done.report.images == 3


def test_identical_images_are_told(source, class_folders, imported):
    class_folders(source)
    (source / "dent/twin.png").write_bytes((source / "OK/p1_top.png").read_bytes())
    done = imported(source)
    (finding,) = done.report.findings
    assert finding.kind == "identical image"
    assert "another part" in finding.message
