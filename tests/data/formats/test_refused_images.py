"""Image files that cannot be used are left out of an import with a reason that helps."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

RNG = np.random.default_rng(3)
GREY16 = RNG.integers(0, 65536, (12, 16), dtype=np.uint16)
UNIT = RNG.random((12, 16)).astype(np.float32)
WRONG = np.where(np.eye(12, 16, dtype=bool), np.nan, UNIT).astype(np.float32)
LARGE = RNG.integers(0, 256, (200, 200), dtype=np.uint8)


def tiff(pixels, **options) -> bytes:
    tifffile = pytest.importorskip("tifffile")
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def animation(kind: str) -> bytes:
    first, second = (
        Image.fromarray(RNG.integers(0, 256, (12, 16), dtype=np.uint8)) for _ in range(2)
    )
    stream = io.BytesIO()
    first.save(stream, kind, save_all=True, append_images=[second])
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    chunks = b"\x89PNG\r\n\x1a\n"
    for name, data in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0")),
        (b"IEND", b""),
    ):
        chunks += struct.pack(">I", len(data)) + name + data
        chunks += struct.pack(">I", zlib.crc32(name + data))
    return chunks


REFUSED = {
    "unit.tif": (lambda: tiff(UNIT), "floating-point values"),
    "nan.tif": (lambda: tiff(WRONG), "NaN and Inf need a value"),
    "inf.tif": (lambda: tiff(np.where(UNIT > 0.9, np.inf, UNIT)), "whole numbers"),
    "float_rgb.tif": (lambda: tiff(np.dstack([UNIT] * 3), photometric="rgb"), "whole numbers"),
    "int32.tif": (lambda: tiff(GREY16.astype(np.int32)), "its values have a sign"),
    "uint32.tif": (lambda: tiff(GREY16.astype(np.uint32)), "expected 8 or 16-bit grey or RGB"),
    "int16.tif": (lambda: tiff((GREY16 // 2).astype(np.int16)), "its values have a sign"),
    "int8.tif": (lambda: tiff((LARGE.astype(int) - 128).astype(np.int8)), "have a sign"),
    "planar.tif": (
        lambda: tiff(np.stack([GREY16] * 3), photometric="rgb", planarconfig="separate"),
        "separate planes",
    ),
    "white_is_zero.tif": (lambda: tiff(GREY16, photometric="miniswhite"), "0 is white"),
    "pages.tif": (
        lambda: tiff(np.stack([GREY16] * 3), photometric="minisblack"),
        "has 3 pages; split it",
    ),
    "animated.png": (lambda: animation("PNG"), "has 2 pages; split it"),
    "gif.png": (lambda: animation("GIF"), "has 2 pages; split it"),
    "empty.png": (lambda: b"", "not a readable image"),
    "no_area.png": (lambda: png_header(0, 0), "not a readable image"),
    "bomb.png": (lambda: png_header(100_000, 100_000), "claims 100000 x 100000 pixels"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_left_out_and_the_reason_is_told(source, put, picture, imported, name):
    make, reason = REFUSED[name]
    put(source / "good/fine.png", picture(0))
    (source / "good" / name).write_bytes(make())
    done = imported(source, format="class_folders")
    assert list(done.records) == ["good/fine.png"]
    (finding,) = done.report.findings
    assert (finding.kind, finding.file) == ("unreadable image", f"good/{name}")
    assert reason in finding.message
    assert str(source) not in finding.message


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_left_out_wherever_it_ends(
    source, put, picture, imported, suffix, share
):
    put(source / "good/fine.png", picture(0))
    done, data = cv2.imencode(suffix, LARGE)
    assert done
    (source / f"good/cut{suffix}").write_bytes(bytes(data)[: int(len(data) * share)])
    result = imported(source, format="class_folders")
    assert result.files("unreadable image") == [f"good/cut{suffix}"]
    assert result.report.images == 1
