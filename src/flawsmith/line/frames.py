"""Frames on a stream, such as standard input: each a header in JSON and an image.

A frame is: 4 bytes, the length H of the header (big-endian); H bytes of JSON; then as many bytes of
image as the header's ``bytes`` says: an image file, or, where the header gives ``width`` and
``height``, bare pixels row by row (grey or RGB, 16 bit little-endian).
"""

import json
from collections.abc import Iterator
from typing import BinaryIO, Literal, Self, cast

import numpy as np
from pydantic import Field, model_validator

from flawsmith.config import StrictModel, validate
from flawsmith.data.images import MAX_BYTES, MAX_PIXELS, ImageArray
from flawsmith.errors import FlawsmithError
from flawsmith.line.part_images import PartImage

MAX_HEADER = 1 << 16
_CHUNK = 1 << 20


class FrameHeader(StrictModel):
    """What a frame says of itself.

    Attributes:
        bytes: length of the image that follows.
        name: what the results store knows it by; default: part and view.
        width: of bare pixels; an image file says it itself.
        bits: of a value of bare pixels: 8, or 16 for more than 8.
    """

    part: str = Field(min_length=1, max_length=200)
    view: str = Field(default="", max_length=200)
    bytes: int = Field(ge=0, le=MAX_BYTES)
    name: str | None = Field(default=None, min_length=1, max_length=4096)
    width: int | None = Field(default=None, ge=1)
    height: int | None = Field(default=None, ge=1)
    channels: Literal[1, 3] = 1
    bits: Literal[8, 16] = 8

    @model_validator(mode="after")
    def _bare_pixels_have_the_right_length(self) -> Self:
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height go together")
        if self.width and self.height:
            if self.width * self.height > MAX_PIXELS:
                raise ValueError(f"at most {MAX_PIXELS:,} pixels are read")
            expected = self.width * self.height * self.channels * self.bits // 8
            if self.bytes != expected:
                raise ValueError(f"bare pixels of this size have {expected} bytes")
        return self

    @model_validator(mode="after")
    def _names_can_be_printed(self) -> Self:
        for name in (self.part, self.view, self.name or ""):
            if not name.isprintable():
                raise ValueError("names have no control characters")
        return self


def read_frames(stream: BinaryIO) -> Iterator[PartImage]:
    """Yield the images of a stream until it ends.

    A stream that ends within an image yields that image with a problem, so that its part cannot
    pass, and then raises.

    Raises:
        FlawsmithError: if the stream ends within a frame or a header is wrong; where the next frame
            begins is then not known.
    """
    number = 0
    while length := _read(stream, 4):
        number += 1
        size = int.from_bytes(length, "big")
        if len(length) < 4 or not 0 < size <= MAX_HEADER:
            raise FlawsmithError(
                f"frame {number} does not begin with the length of its header, 1 to {MAX_HEADER} "
                "as 4 bytes, the highest first; docs/inspect.md describes frames"
            )
        header = _header(_read(stream, size), size, number)
        data = _read(stream, header.bytes)
        name = header.name or "/".join(filter(None, (header.part, header.view)))
        image = PartImage.from_bytes(data, name=name, part=header.part, view=header.view)
        if len(data) < header.bytes:
            problem = f"the stream ended after {len(data)} of its {header.bytes} bytes"
            yield image.with_problem(problem)
            raise FlawsmithError(f"frame {number} ({name}): {problem}")
        yield _with_pixels(image, header)


def _header(text: bytes, size: int, number: int) -> FrameHeader:
    if len(text) < size:
        raise FlawsmithError(f"the stream ended within the header of frame {number}")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FlawsmithError(f"the header of frame {number} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise FlawsmithError(f"the header of frame {number} is no JSON object")
    return validate(FrameHeader, values, source=f"header of frame {number}")


def _read(stream: BinaryIO, size: int) -> bytes:
    """Return ``size`` bytes, fewer at the end; memory grows with what really comes."""
    pieces = []
    while size and (piece := stream.read(min(size, _CHUNK))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _with_pixels(image: PartImage, header: FrameHeader) -> PartImage:
    if header.width is None or header.height is None:
        return image
    kind = np.dtype(np.uint8 if header.bits == 8 else "<u2")
    shape = (header.height, header.width, *([3] if header.channels == 3 else []))
    pixels = np.frombuffer(image.data, kind).reshape(shape)
    native = pixels.astype(kind.newbyteorder("="), copy=False)
    return image.with_pixels(cast(ImageArray, native))
