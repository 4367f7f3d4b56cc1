"""Pictures, masks and texts that the samples of `fuzz_samples` are made of."""

import io
import json

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 12, 16
SQUARE = [[4, 3], [9, 3], [9, 7], [4, 7]]

Files = dict[str, bytes]
"""Path in the folder, and content."""


def picture(seed: int, suffix: str = ".png", *, colour: bool = False, deep: bool = False) -> bytes:
    """Return a picture of noise as the file type of the suffix."""
    shape = (HEIGHT, WIDTH, 3) if colour else (HEIGHT, WIDTH)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return encoded(pixels.astype(np.uint16) * 16 if deep else pixels, suffix)


def encoded(pixels: np.ndarray, suffix: str = ".png") -> bytes:
    """Return pixels as an image file."""
    stream = io.BytesIO()
    kinds = {".png": "PNG", ".jpg": "JPEG", ".bmp": "BMP", ".tif": "TIFF"}
    Image.fromarray(pixels).save(stream, kinds[suffix.lower()])
    return stream.getvalue()


def mask(value: int = 255, *, palette: bool = False, suffix: str = ".png") -> bytes:
    """Return a mask with a rectangle of one value."""
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[3:7, 4:9] = value
    if not palette:
        return encoded(values, suffix)
    image = Image.fromarray(values, mode="P")
    image.putpalette([7 * i % 256 for i in range(768)])
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def text(content: object) -> bytes:
    """Return a value as JSON."""
    return json.dumps(content).encode()


def voc(*names: str, file: str = "") -> bytes:
    """Return a Pascal VOC file with a box of each class."""
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>3</xmin><ymin>2</ymin><xmax>6</xmax>"
        "<ymax>4</ymax></bndbox></object>"
        for name in names
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>1</depth></size>"
    return f"<annotation><filename>{file}</filename>{size}{objects}</annotation>".encode()
