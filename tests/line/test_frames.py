import io
import json

import numpy as np
import pytest

from flawsmith.errors import FlawsmithError
from flawsmith.line.frames import read_frames

from .spots import pixels, png


def frame(data, **header):
    text = json.dumps({"bytes": len(data), **header}).encode()
    return len(text).to_bytes(4, "big") + text + data


def read(*frames):
    return list(read_frames(io.BytesIO(b"".join(frames))))


def test_image_files_and_bare_pixels():
    deep = pixels(2).astype(np.uint16) * 40
    colour = np.stack([pixels(s) for s in (3, 4, 5)], axis=2)
    found = read(
        frame(png(1), part="a", view="left"),
        frame(deep.astype("<u2").tobytes(), part="b", width=32, height=24, bits=16, name="b 1"),
        frame(colour.tobytes(), part="c", width=32, height=24, channels=3),
    )
    assert [(i.name, i.part, i.view) for i in found] == [
        ("a/left", "a", "left"), ("b 1", "b", ""), ("c", "c", ""),
    ]  # fmt: skip
    np.testing.assert_array_equal(found[0].decoded().pixels, pixels(1))
    np.testing.assert_array_equal(found[1].decoded().pixels, deep)
    assert found[1].pixels.dtype == np.uint16
    np.testing.assert_array_equal(found[2].pixels, colour)
    assert len({image.sha256 for image in found}) == 3
    assert read() == []


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (b"\x89PNG\r\n", "frame 1 does not begin with the length"),
        (b"\0\0\0\0", "1 to 65536"),
        (b"\0\0", "does not begin"),
        (b"\0\0\0\x0212", "no JSON object"),
        (b"\0\0\0\x02{", "ended within the header of frame 1"),
        (b"\0\0\0\x02{{", "is not JSON"),
        (b"\0\0\xff\xff" + b"[" * 0xFFFF, "is not JSON"),
        (frame(b"", view="left"), "'part' is missing"),
        (frame(b"", part="a", colour=1), "unknown key 'colour'"),
        (frame(b"", part="a\n"), "control characters"),
        (frame(b"", part="a" * 201), "200"),
        (frame(b"12", part="a", width=2), "width and height go together"),
        (frame(b"12", part="a", width=2, height=2), "have 4 bytes"),
        (frame(b"", part="a", width=10**6, height=10**6), "at most 268,435,456 pixels"),
        (frame(b"", part="a", bytes=10**10), "less than or equal"),
    ],
)  # fmt: skip
def test_what_is_no_frame_is_told(stream, said):
    with pytest.raises(FlawsmithError, match=said):
        read(stream)


def test_a_stream_that_breaks_within_an_image_gives_the_image_with_its_problem():
    frames = read_frames(io.BytesIO(frame(png(1), part="a") + frame(png(2), part="b")[:-7]))
    assert next(frames).problem is None
    broken = next(frames)
    assert broken.part == "b"
    assert "the stream ended after" in broken.problem
    with pytest.raises(FlawsmithError, match="frame 2"):
        next(frames)
