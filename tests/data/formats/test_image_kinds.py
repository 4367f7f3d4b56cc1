"""Every kind of image file through an import: equal to what an independent writer put in, or told.

Files are written by tifffile, OpenCV or by hand, and compared with the arrays they were made of.
"""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from flawsmith.data.images import image_size

HEIGHT, WIDTH = 12, 16
RNG = np.random.default_rng(7)
GREY8 = RNG.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
GREY12 = RNG.integers(0, 4096, (HEIGHT, WIDTH), dtype=np.uint16)
GREY16 = RNG.integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
RGB8 = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
RGB16 = RNG.integers(0, 65536, (HEIGHT, WIDTH, 3), dtype=np.uint16)
BITS = RNG.integers(0, 2, (HEIGHT, WIDTH)).astype(bool)
LUMA = (RGB8.astype(float) @ [0.299, 0.587, 0.114]).round()


def tiff(pixels, **options) -> bytes:
    tifffile = pytest.importorskip("tifffile")
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def opencv(pixels, suffix) -> bytes:
    done, data = cv2.imencode(suffix, pixels[..., ::-1] if pixels.ndim == 3 else pixels)
    assert done
    return bytes(data)


def pillow(pixels, kind, mode=None, **options) -> bytes:
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(stream, kind, **options)
    return stream.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(rows: bytes, *, depth: int, colour: int, more=b"", size=(WIDTH, HEIGHT)) -> bytes:
    """Return a PNG made by hand from rows that each begin with their filter, 0."""
    head = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    data = _chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + more + data + _chunk(b"IEND", b"")


def by_rows(pixels) -> bytes:
    return b"".join(b"\0" + np.ascontiguousarray(row).tobytes() for row in pixels)


PALETTE = RNG.integers(0, 256, (256, 3), dtype=np.uint8)
ALPHA = np.full((HEIGHT, WIDTH, 1), 100, np.uint8)

KINDS = {
    "grey8.png": (lambda: png(by_rows(GREY8), depth=8, colour=0), GREY8),
    "grey12.png": (lambda: png(by_rows(GREY12.astype(">u2")), depth=16, colour=0), GREY12),
    "grey16.png": (lambda: png(by_rows(GREY16.astype(">u2")), depth=16, colour=0), GREY16),
    "rgb8.png": (lambda: png(by_rows(RGB8), depth=8, colour=2), RGB8),
    "rgb16.png": (lambda: png(by_rows(RGB16.astype(">u2")), depth=16, colour=2), RGB16),
    "palette.png": (
        lambda: png(by_rows(GREY8), depth=8, colour=3, more=_chunk(b"PLTE", PALETTE.tobytes())),
        PALETTE[GREY8],
    ),
    "la.png": (lambda: png(by_rows(np.dstack([GREY8, ALPHA])), depth=8, colour=4), GREY8),
    "rgba.png": (lambda: png(by_rows(np.dstack([RGB8, ALPHA])), depth=8, colour=6), RGB8),
    "rgba16.png": (
        lambda: png(
            by_rows(np.dstack([RGB16, 257 * ALPHA.astype(np.uint16)]).astype(">u2")),
            depth=16,
            colour=6,
        ),
        RGB16,
    ),
    "la16.png": (
        lambda: png(
            by_rows(np.dstack([GREY16, 257 * ALPHA.astype(np.uint16)]).astype(">u2")),
            depth=16,
            colour=4,
        ),
        GREY16,
    ),
    "bits.png": (
        lambda: png(by_rows(np.packbits(BITS, axis=1)), depth=1, colour=0),
        BITS.astype(np.uint8) * 255,
    ),
    "grey.bmp": (lambda: opencv(GREY8, ".bmp"), GREY8),
    "rgb.bmp": (lambda: opencv(RGB8, ".bmp"), RGB8),
    "grey8.tif": (lambda: tiff(GREY8), GREY8),
    "grey12.tif": (lambda: tiff(GREY12), GREY12),
    "grey16.tif": (lambda: tiff(GREY16), GREY16),
    "big_endian8.tif": (lambda: tiff(GREY8, byteorder=">"), GREY8),
    "big_endian16.tif": (lambda: tiff(GREY16, byteorder=">"), GREY16),
    "big_endian_rgb16.tif": (lambda: tiff(RGB16, byteorder=">", photometric="rgb"), RGB16),
    "big_tiff.tif": (lambda: tiff(GREY16, bigtiff=True), GREY16),
    "rgb8.tif": (lambda: tiff(RGB8, photometric="rgb"), RGB8),
    "rgb16.tif": (lambda: tiff(RGB16, photometric="rgb"), RGB16),
    "rgba16.tif": (
        lambda: tiff(np.dstack([RGB16, 257 * ALPHA.astype(np.uint16)]), photometric="rgb"),
        RGB16,
    ),
    "tiled.tif": (lambda: tiff(GREY16, tile=(16, 16)), GREY16),
    "lzw.tif": (lambda: pillow(RGB8, "TIFF", compression="tiff_lzw"), RGB8),
    "lzw16.tif": (lambda: cv2_tiff(GREY16, 5), GREY16),
    "deflate.tif": (lambda: tiff(GREY8, compression="zlib", predictor=True), GREY8),
    "deflate16.tif": (lambda: tiff(GREY16, compression="zlib", tile=(16, 16)), GREY16),
    "wrong_suffix.png": (lambda: opencv(np.full_like(GREY8, 90), ".jpg"), np.full_like(GREY8, 90)),
    "one.png": (lambda: png(b"\0\x2a", depth=8, colour=0, size=(1, 1)), np.full((1, 1), 42, "u1")),
}


def cv2_tiff(pixels, compression) -> bytes:
    done, data = cv2.imencode(".tif", pixels, [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    assert done
    return bytes(data)


@pytest.mark.parametrize("name", KINDS)
def test_pixels_arrive_as_they_were_written(source, imported, name):
    make, expected = KINDS[name]
    data = make()
    (source / "good").mkdir()
    (source / "good" / name).write_bytes(data)
    done = imported(source, format="class_folders")
    (record,) = done.data
    assert done.report.findings == []
    assert (done.out / record.file_name).read_bytes() == data
    pixels = done.data.image(record)
    assert pixels.dtype == expected.dtype
    np.testing.assert_array_equal(pixels, expected)
    channels = 3 if expected.ndim == 3 else 1
    assert done.data.schema.channels == channels
    depths = {np.dtype(np.uint8): {8}, np.dtype(np.uint16): {12, 16}}
    assert done.data.schema.bit_depth in depths[expected.dtype]


def test_lossy_kinds_are_near_what_was_written(source, imported):
    smooth = np.indices((64, 64)).sum(axis=0).astype(np.uint8)
    colour = np.dstack([smooth, smooth // 2, 200 - smooth])
    (source / "good").mkdir()
    cmyk = Image.fromarray(colour).convert("CMYK")
    files = {
        "cmyk.jpg": pillow(cmyk, "JPEG", quality=95),
        "in_tiff.tif": pillow(colour, "TIFF", compression="jpeg"),
        "progressive.jpg": pillow(colour, "JPEG", progressive=True, quality=95),
    }
    for name, data in files.items():
        (source / "good" / name).write_bytes(data)
    done = imported(source, format="class_folders")
    for name in files:
        pixels = done.data.image(done.records[f"good/{name}"]).astype(int)
        assert np.abs(pixels - colour).mean() < 4, name


TURNS = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("tag", TURNS)
def test_exif_turns_image_and_its_mask_must_fit_what_is_shown(source, put, imported, tag):
    pixels = np.zeros((24, 40), np.uint8)
    pixels[:8, :8], pixels[16:, :8] = 250, 120
    exif = Image.Exif()
    exif[0x0112] = tag
    shown = TURNS[tag](pixels)
    (source / "images").mkdir()
    for name in ("a", "b"):
        (source / f"images/{name}.jpg").write_bytes(pillow(pixels, "JPEG", exif=exif, quality=100))
    put(source / "masks/a.png", (shown > 200).astype(np.uint8) * 255)
    put(source / "masks/b.png", (pixels > 200).astype(np.uint8) * 255)
    done = imported(source)
    record = done.records["images/a.jpg"]
    assert (record.height, record.width) == shown.shape
    assert np.abs(done.data.image(record).astype(int) - shown).max() <= 2
    np.testing.assert_array_equal(done.defects("images/a.jpg"), shown > 200)
    raw = done.records["images/b.jpg"]
    assert bool(raw.excluded) == (tag >= 5)
    assert tag < 5 or "24" in raw.excluded


@pytest.mark.parametrize("pixels", [GREY8, GREY16, RGB8], ids=["grey8", "grey16", "rgb8"])
@pytest.mark.parametrize("tag", TURNS)
def test_turned_tiff_is_shown_as_its_tag_says(source, imported, tag, pixels):
    (source / "good").mkdir()
    options = {"photometric": "rgb"} if pixels.ndim == 3 else {}
    data = tiff(pixels, extratags=[(274, "H", 1, tag, True)], **options)
    (source / "good/a.tif").write_bytes(data)
    done = imported(source, format="class_folders")
    (record,) = done.data
    shown = TURNS[tag](pixels)
    assert (record.height, record.width) == shown.shape[:2] == image_size(source / "good/a.tif")
    np.testing.assert_array_equal(done.data.image(record), shown)
