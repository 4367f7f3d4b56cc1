"""Picture files that are damaged, too large, of an unusual kind, or not there at all."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from fuzz_files import picture
from hostile_registry import Case, add, imported, put, refused
from PIL import Image

LOST = {"unreadable image": 1}
GOOD = {f"OK/{i}.png": picture(i) for i in range(2)}
TWO = {"OK/a.png": picture(0), "dent/b.png": picture(1)}
KINDS = (".png", ".jpg", ".bmp", ".tif")


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int) -> bytes:
    """Return a PNG that claims a size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def bmp_of(width: int, height: int) -> bytes:
    """Return a BMP that claims a size."""
    data = bytearray(picture(0, ".bmp"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def saved(mode: str, kind: str, **options: object) -> bytes:
    """Return a picture in one of Pillow's modes."""
    stream = io.BytesIO()
    Image.new(mode, (16, 12)).save(stream, kind, **options)
    return stream.getvalue()


def float_tiff() -> bytes:
    """Return a TIFF of floats with NaN and infinity among them."""
    values = np.full((12, 16), np.nan, np.float32)
    values[0, 0] = np.inf
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "TIFF")
    return stream.getvalue()


def pages(kind: str) -> bytes:
    """Return a file with two pages or frames."""
    stream = io.BytesIO()
    first, second = Image.new("L", (16, 12)), Image.new("L", (16, 12), 9)
    first.save(stream, kind, save_all=True, append_images=[second])
    return stream.getvalue()


BROKEN = {f"truncated {kind}": (kind, picture(7, kind)[: len(picture(7, kind)) * 2 // 3])
          for kind in KINDS}  # fmt: skip
BROKEN |= {f"{kind} cut after 20 bytes": (kind, picture(7, kind)[:20]) for kind in KINDS}
BROKEN |= {f"{kind} of zero bytes": (kind, b"") for kind in KINDS}
BROKEN |= {
    "PNG bomb of 10 gigapixels": (".png", png_of(100_000, 100_000)),
    "PNG bomb of 200 megapixels": (".png", png_of(16_000, 12_500)),
    "PNG without a width": (".png", png_of(0, 10)),
    "PNG of 2^31 columns": (".png", png_of(2**31 - 1, 1)),
    "BMP bomb": (".bmp", bmp_of(60_000, 60_000)),
    "BMP of negative width": (".bmp", bmp_of(-16, 12)),
    "float TIFF with NaN": (".tif", float_tiff()),
    "32-bit TIFF": (".tif", saved("I", "TIFF")),
    "TIFF with two pages": (".tif", pages("TIFF")),
    "animated PNG": (".png", pages("PNG")),
    "text called .png": (".png", b"I am no picture"),
    "HTML called .jpg": (".jpg", b"<html>404</html>"),
    "1,000 zeros called .tif": (".tif", bytes(1000)),
}
for name, (suffix, data) in BROKEN.items():
    files = {**GOOD, f"dent/x{suffix}": data}
    add(Case(name, lambda folder, files=files: put(folder, files), images=2,
             findings={**LOST, "class without images": 1}))  # fmt: skip

for name, data, found, excluded in (
    ("GIF called .png", saved("L", "GIF"), {}, 0),
    ("palette with transparency", saved("P", "PNG", transparency=0), {}, 0),
    ("CMYK picture", saved("CMYK", "TIFF"), {}, 0),
    ("black and white picture", saved("1", "PNG"), {}, 0),
    ("16-bit picture among 8-bit ones", saved("I;16", "PNG"), {"mixed bit depth": 1}, 1),
):
    suffix = ".tif" if name.startswith("CMYK") else ".png"
    files = {**GOOD, f"dent/x{suffix}": data}
    add(Case(name, lambda folder, files=files: put(folder, files), images=3, excluded=excluded,
             findings=found))  # fmt: skip


@refused("all pictures unreadable", "no usable image", "a.png", "2 more", "not a readable image")
def all_unreadable(folder: Path) -> None:
    put(folder, {f"{name}/{i}a.png": b"x" for name in ("OK", "dent") for i in range(2)}
        | {"OK/a.png": b"y"})  # fmt: skip


@imported("the same picture in two classes", {"identical image": 1}, images=2)
def twice(folder: Path) -> None:
    put(folder, {"OK/a.png": picture(0), "dent/a.png": picture(0)})


@imported("a picture of one pixel", {}, images=3)
def one_pixel(folder: Path) -> None:
    stream = io.BytesIO()
    Image.new("L", (1, 1)).save(stream, "PNG")
    put(folder, {**GOOD, "dent/x.png": stream.getvalue()})


@imported("a pipe called .png", {"no file": 1}, images=2)
def pipe(folder: Path) -> None:
    put(folder, TWO)
    os.mkfifo(folder / "OK/x.png")


@imported("a link to a device", {"no file": 1}, images=2)
def device(folder: Path) -> None:
    put(folder, TWO)
    (folder / "OK/x.png").symlink_to("/dev/zero")


@imported("a folder called .png", {}, images=3)
def folder_picture(folder: Path) -> None:
    put(folder, {**GOOD, "dent/x.png/y.png": picture(5)})
