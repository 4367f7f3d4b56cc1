"""The run lengths in which Label Studio stores brush strokes.

The format is that of @thi.ng/rle-pack, as label-studio-converter (brush.py, ``decode_rle``) reads
it: a stream of bits with the number of values (32 bits), the bits of a value less 1 (5 bits) and
four bit lengths less 1 (4 bits each), then blocks. A block is 1 bit: 1 for a repeated value, 0 for
single ones; 2 bits that choose one of the four lengths; the count less 1 in that many bits; and the
value or values. The values are the RGBA bytes of the image; alpha says where the stroke is.
"""

from typing import Any

import numpy as np

from flawsmith.data.images import BoolArray

CHANNELS = 4


class _Bits:
    """Reads numbers of any bit length; the highest bit comes first."""

    def __init__(self, data: bytes) -> None:
        self._bits = np.unpackbits(np.frombuffer(data, np.uint8))
        self._text = (self._bits + ord("0")).tobytes()
        self._at = 0

    def take(self, length: int) -> int:
        return int(self._text[self._advance(length) : self._at], 2)

    def any_set(self, count: int, length: int) -> BoolArray:
        """Return for ``count`` numbers of ``length`` bits whether they are above 0."""
        start = self._advance(count * length)
        numbers = self._bits[start : self._at].reshape(count, length)
        return np.asarray(numbers.any(axis=1), np.bool_)

    def _advance(self, length: int) -> int:
        start = self._at
        self._at += length
        if self._at > len(self._bits):
            raise ValueError("its brush RLE ends too early")
        return start


def decode_brush(code: Any, size: tuple[int, int]) -> BoolArray:  # noqa: ANN401 - JSON
    """Return where the alpha of a brush stroke is above 0, H x W.

    Args:
        code: a list of the bytes, 0 to 255.
        size: height and width in pixels.

    Raises:
        ValueError: if it is damaged or made for another number of pixels.
    """
    if not isinstance(code, list):
        raise ValueError("its brush RLE is no list of bytes")
    bits = _Bits(bytes(code))
    number, expected = bits.take(32), size[0] * size[1] * CHANNELS
    if number != expected:
        raise ValueError(f"its brush RLE has {number} values, the image {expected}")
    word = bits.take(5) + 1
    lengths = [bits.take(4) + 1 for _ in range(4)]
    values = np.zeros(number, np.bool_)
    start = 0
    while start < number:
        repeated = bits.take(1)
        count = 1 + bits.take(lengths[bits.take(2)])
        if start + count > number:
            raise ValueError("its brush RLE is longer than the image")
        if repeated:
            values[start : start + count] = bits.take(word) > 0
        else:
            values[start : start + count] = bits.any_set(count, word)
        start += count
    return values.reshape(*size, CHANNELS)[..., CHANNELS - 1]
