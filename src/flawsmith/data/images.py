"""Reading and writing image files: 8 or 16 bit, grey or RGB, nothing stretched silently."""

import io
import warnings
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.storage import write_bytes

ImageArray = NDArray[np.uint8] | NDArray[np.uint16]
"""H x W (grey) or H x W x 3 (RGB)."""

LabelArray = NDArray[np.uint8]
"""H x W indices: 0 = no defect, k = k-th defect, 255 = ignore."""

BoolArray = NDArray[np.bool_]
"""H x W: where something is."""

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
MAX_PIXELS = 1 << 28  # 268 million pixels: a 5400 x 49,000 strip; more is taken for a bomb

MAX_BYTES = 1 << 31  # six bytes a pixel of the largest colour image, and some

MAX_RATIO = 10_000
"""Pixels in each byte beyond `FREE_PIXELS`; deflate reaches 8,256 with 1 bit a pixel."""

FREE_PIXELS = 1 << 22

# The limit above is ours and is checked before any pixel is decoded.
Image.MAX_IMAGE_PIXELS = None


def is_image_file(path: Path) -> bool:
    """Tell whether the name looks like an image; macOS ``._*`` files and hidden files do not."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def image_size(path: Path) -> tuple[int, int]:
    """Return (height, width) after EXIF rotation, without decoding the pixels."""
    with open_image(path) as image:
        width, height = image.size
        if image.format == "TIFF":  # newer Pillow gives the size after rotation
            tags = image.tag_v2  # type: ignore[attr-defined]
            width, height = tags.get(256, width), tags.get(257, height)
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (width, height) if turned else (height, width)


def read_image(path: Path) -> ImageArray:
    """Return the pixels as stored: uint8 or uint16, H x W or H x W x 3 (RGB), EXIF-rotated.

    Palette images are expanded to their colours and an alpha channel is dropped.

    Raises:
        FlawsmithError: if the file is missing, truncated, too large or no supported image.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FlawsmithError(f"{path} has more than {MAX_BYTES:,} bytes; that is no image")
        data = path.read_bytes()
    except FileNotFoundError:
        raise FlawsmithError(f"there is no image {path}") from None
    except (OSError, ValueError) as error:
        raise FlawsmithError(f"{path} is not a readable image: {_reason(error)}") from None
    return decode_image(data, str(path))


def decode_image(data: bytes, name: str) -> ImageArray:
    """Return the pixels of an encoded image as `read_image` does.

    Args:
        data: content of an image file.
        name: what the messages call it.
    """
    with _open(io.BytesIO(data), name) as image:
        _require_whole_numbers(name, data, image)
        turned = image.format == "TIFF" and image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        if turned and image.mode in ("L", "I;16", "I;16B"):  # Pillow 13 mixes up their sides
            return _decode_with_opencv(name, data, image.mode)
        try:
            image.load()  # turns a TIFF, and notices truncation, which OpenCV does not
            if image.mode in ("1", "L"):
                return np.asarray(ImageOps.exif_transpose(image).convert("L"))
            if image.mode in ("I;16", "I;16B", "I;16L"):
                return np.asarray(ImageOps.exif_transpose(image)).astype(np.uint16)
            if image.mode in ("LA", "La"):
                return np.asarray(ImageOps.exif_transpose(image).convert("L"))
            sixteen_bit_colour = _bits_of_colour(data, image) == 16
            if image.mode in ("RGB", "P", "RGBA", "CMYK", "YCbCr") and not sixteen_bit_colour:
                return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        except Exception as error:  # see _open
            raise _damaged(name, error) from None
        mode = image.mode
    return _decode_with_opencv(name, data, mode)


def _bits_of_colour(data: bytes, image: Image.Image) -> int:
    """Return 16 for 48-bit PNG and TIFF, which Pillow would reduce to 8 bits a channel."""
    if image.format == "PNG":
        return 16 if data[24] == 16 else 8
    if image.format == "TIFF":
        bits = image.tag_v2.get(258, (8,))  # type: ignore[attr-defined]
        return max(bits) if isinstance(bits, tuple) else int(bits)
    return 8


def _decode_with_opencv(name: str, data: bytes, mode: str) -> ImageArray:
    flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise _damaged(name, error) from None
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        kind = "unreadable" if pixels is None else f"of type {pixels.dtype}"
        raise FlawsmithError(
            f"{name}: {kind} (mode {mode}); expected 8 or 16-bit grey or RGB, convert it first"
        )
    grey_with_alpha = data.startswith(b"\x89PNG") and data[25:26] == b"\x04"
    if pixels.ndim == 3 and grey_with_alpha:  # OpenCV repeats the grey
        return cast(ImageArray, np.ascontiguousarray(pixels[..., 0]))
    return cast(ImageArray, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if pixels.ndim == 3 else pixels)


def _require_whole_numbers(name: str, data: bytes, image: Image.Image) -> None:
    """Raise a `FlawsmithError` for a TIFF whose values would be read wrongly, or not at all.

    The tags are those of TIFF 6.0: 262 photometric interpretation, 284 planar configuration,
    339 sample format.
    """
    if image.format != "TIFF":
        return
    tags = image.tag_v2  # type: ignore[attr-defined]
    try:
        kinds = tags.get(339, (1,))
        kind = max(kinds) if isinstance(kinds, tuple) else int(kinds)
        deep = _bits_of_colour(data, image) == 16
    except Exception as error:  # see _open
        raise _damaged(name, error) from None
    reason = ""
    if kind == 3:
        reason = "it has floating-point values, in which nothing says what white is"
    elif kind == 2:
        reason = "its values have a sign"
    elif deep and tags.get(284) == 2:
        reason = "its 16-bit colours lie in separate planes"
    elif deep and tags.get(262) == 0:
        reason = "0 is white in it, with 16 bits"
    if reason:
        raise FlawsmithError(
            f"{name}: {reason}; scale it to 8 or 16-bit whole numbers, 0 black, grey or "
            "interleaved RGB, and save it again (NaN and Inf need a value of your choice)"
        )


def read_index_mask(path: Path) -> LabelArray:
    """Return the indices of an 8-bit grey or palette PNG, H x W uint8.

    Raises:
        FlawsmithError: if the file is damaged or has colours instead of indices.
    """
    with open_image(path) as image:
        if image.mode not in ("L", "P", "1"):
            raise FlawsmithError(
                f"{path} is a {image.mode} image; a mask must be an 8-bit index (palette) or "
                "grey PNG with one class number per pixel"
            )
        try:
            return np.asarray(image.convert("L") if image.mode == "1" else image).copy()
        except Exception as error:  # see _open
            raise _damaged(path, error) from None


def encode_index_mask(indices: LabelArray, palette: list[int]) -> bytes:
    """Return H x W indices as an 8-bit palette PNG."""
    image = Image.fromarray(np.ascontiguousarray(indices, dtype=np.uint8), mode="P")
    image.putpalette(palette)
    stream = io.BytesIO()
    image.save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def write_index_mask(path: Path, indices: LabelArray, palette: list[int]) -> None:
    """Write H x W indices as an 8-bit palette PNG, whole or not at all."""
    write_bytes(path, encode_index_mask(indices, palette))


def encode_png(pixels: ImageArray) -> bytes:
    """Return 8 or 16-bit grey or RGB pixels as PNG."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    done, data = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise FlawsmithError(f"cannot encode an image of {pixels.dtype} {pixels.shape} as PNG")
    return bytes(data)


def write_image(path: Path, pixels: ImageArray) -> None:
    """Write a PNG, whole or not at all."""
    write_bytes(path, encode_png(pixels))


def to_unit(pixels: ImageArray, schema: Schema) -> NDArray[np.float32]:
    """Return float32 H x W x C in [0, 1]: black level to 0, white level to 1, clipped.

    C is the schema's number of channels: grey is repeated, RGB is averaged by luminance.
    """
    if pixels.ndim == 2 and schema.channels == 3:
        pixels = cast(ImageArray, np.repeat(pixels[..., None], 3, axis=2))
    elif pixels.ndim == 3 and schema.channels == 1:
        pixels = cast(ImageArray, cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    span = schema.white_level - schema.black_level
    unit = (pixels.astype(np.float32) - schema.black_level) / span
    return np.clip(unit.reshape(*unit.shape[:2], schema.channels), 0.0, 1.0)


def from_unit(unit: NDArray[np.float32], schema: Schema) -> ImageArray:
    """Return H x W x C values in [0, 1] as pixels of the schema's depth: inverse of `to_unit`."""
    span = schema.white_level - schema.black_level
    values = np.rint(np.clip(unit, 0.0, 1.0) * span + schema.black_level)
    values = values[..., 0] if schema.channels == 1 else values
    return values.astype(np.uint8) if schema.bit_depth == 8 else values.astype(np.uint16)


def open_image(path: Path) -> Image.Image:
    """Open an image file without decoding its pixels.

    Raises:
        FlawsmithError: if the file is missing, no image, too large or has several pages.
    """
    return _open(path, str(path))


def _open(source: Path | io.BytesIO, name: str) -> Image.Image:
    """Open a file, or the content of one, as `open_image` does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(source)
            pages = getattr(image, "n_frames", 1)  # reads the headers of all pages
    except FileNotFoundError:
        raise FlawsmithError(f"there is no image {name}") from None
    except UnidentifiedImageError:
        raise FlawsmithError(
            f"{name} is not a readable image: it is empty, damaged at its start, or something else"
            " (a TIFF must be 8 or 16-bit grey or RGB, with whole numbers)"
        ) from None
    except Exception as error:  # Pillow raises nearly every type on damaged files
        raise FlawsmithError(f"{name} is not a readable image: {_reason(error)}") from None
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise FlawsmithError(
            f"{name} claims {image.width} x {image.height} pixels; at most {MAX_PIXELS:,} are read"
        )
    size = source.stat().st_size if isinstance(source, Path) else source.getbuffer().nbytes
    if pixels > FREE_PIXELS + MAX_RATIO * size:
        raise FlawsmithError(
            f"{name} claims {image.width} x {image.height} pixels in {size:,} bytes: its header is "
            "damaged, or it is a bomb"
        )
    if pages > 1:
        raise FlawsmithError(f"{name} has {pages} pages; split it into one file a page")
    return image


def _damaged(name: str | Path, error: Exception) -> FlawsmithError:
    return FlawsmithError(f"{name} is damaged or truncated: {_reason(error)}")


def _reason(error: Exception) -> str:
    """Return what a library says of a file in one line; some say nothing."""
    return " ".join(str(error).split()) or type(error).__name__
