"""From an image to a stored verdict, with everything that can be wrong with the image."""

import io
import json
import os
import threading
import time

import numpy as np
import pytest
from PIL import Image

from flawsmith.errors import FlawsmithError
from flawsmith.line.inspector import Inspector, OpenPart
from flawsmith.line.part_images import PartImage, printable
from flawsmith.line.results import Verdict
from flawsmith.line.store import Store

from .spots import IDENTITY, SpotModel, png, rules


@pytest.fixture
def store(tmp_path):
    with Store(str(tmp_path / "results.db")) as opened:
        yield opened


def image(data, *, part="a", view="", name="a.png"):
    return PartImage.from_bytes(data, name=name, part=part, view=view)


def test_a_good_and_a_defective_part(store):
    inspector = Inspector(SpotModel(), IDENTITY, rules(), store)
    good = inspector.inspect_part("a", [image(png())])
    bad = inspector.inspect_part("b", [image(png(spot=True), part="b", name="b.png")])
    assert [r.verdict.verdict for r in (good, bad)] == [Verdict.PASS, Verdict.FAIL]
    assert list(store.find()) == [good, bad]
    (found,) = bad.images[0].regions
    assert (found.box, found.area_px, bad.verdict.reasons[0].rule) == (
        (10, 8, 6, 4),
        24,
        "any spot",
    )
    assert bad.images[0].model == IDENTITY
    assert bad.images[0].seconds["decode"] > 0


def encoded(form, mode="L", size=(32, 24), **options):
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, format=form, **options)
    return stream.getvalue()


def bomb():
    """Return a PNG that claims 400 million pixels, with a header that is otherwise sound."""
    import struct
    import zlib

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + chunk
    return start + struct.pack(">I", zlib.crc32(chunk)) + encoded("PNG")[33:]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a readable image"),
        (b"not an image at all", "not a readable image"),
        (png()[:-200], "damaged or truncated"),
        (bomb(), "at most 268,435,456 are read"),
        (encoded("PNG", "RGB"), "expected 8-bit grey"),
        (encoded("PNG", "I;16"), "expected 8-bit grey"),
        (encoded("TIFF", "F"), "floating-point"),
        (encoded("TIFF", save_all=True, append_images=[Image.new("L", (32, 24))]), "2 pages"),
    ],
    ids=["empty", "text", "truncated", "bomb", "colour", "16 bit", "float", "pages"],
)
def test_an_image_that_cannot_be_inspected_is_review(store, data, said):
    record = Inspector(SpotModel(), IDENTITY, rules(), store).inspect_part("a", [image(data)])
    assert record.verdict.verdict is Verdict.REVIEW
    assert said in record.verdict.reasons[0].text
    assert record.verdict.reasons[0].rule == "unreadable image"
    assert said in record.images[0].problem
    assert len(record.images[0].sha256) == 64


def test_files_that_are_none_are_review(store, tmp_path):
    inspector = Inspector(SpotModel(), IDENTITY, rules(), store)
    pipe, loop = tmp_path / "pipe.png", tmp_path / "loop.png"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    for path, said in (
        (pipe, "is no file"), (tmp_path, "directory"), (loop, "links"), (tmp_path / "x", "No such"),
    ):  # fmt: skip
        record = inspector.inspect_part("a", [PartImage.from_file(path, part="a")])
        assert record.verdict.verdict is Verdict.REVIEW
        assert said in record.images[0].problem


class Broken:
    def inspect(self, image):
        raise RuntimeError("device lost")


def test_a_library_that_fails_is_review_and_the_line_goes_on(store):
    record = Inspector(Broken(), IDENTITY, rules(), store).inspect_part("a", [image(png())])
    assert record.verdict.verdict is Verdict.REVIEW
    assert "RuntimeError: device lost" in record.verdict.reasons[0].text


class Slow(SpotModel):
    """Waits until it may go on, as a device that hangs."""

    def __init__(self):
        super().__init__()
        self.go_on = threading.Event()

    def inspect(self, image):
        self.go_on.wait(20)
        return super().inspect(image)


def test_a_part_that_takes_too_long_is_review_and_the_next_ones_too(store, monkeypatch):
    # A clock that jumps back by a day at every look must make no difference.
    clock = iter(range(10**9, 0, -86_400))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    model = Slow()
    inspector = Inspector(model, IDENTITY, rules(), store, deadline_seconds=0.2)
    began = time.monotonic()
    late = inspector.inspect_part("a", [image(png(1), view="l"), image(png(2), view="r")])
    assert 0.2 <= time.monotonic() - began < 3
    assert late.verdict.verdict is Verdict.REVIEW
    assert {reason.rule for reason in late.verdict.reasons} == {"timeout"}
    assert "not inspected within 0.2 s" in late.verdict.reasons[0].text
    assert late.seconds >= 0.2
    assert (
        inspector.inspect_part("b", [image(png(3), part="b")]).verdict.reasons[0].rule == "timeout"
    )
    model.go_on.set()
    fast = Inspector(model, IDENTITY, rules(), store, deadline_seconds=20)
    assert fast.inspect_part("c", [image(png(4), part="c")]).verdict.verdict is Verdict.PASS
    for _ in range(100):  # what nobody waits for any more is not inspected
        if model.calls == 2:
            break
        time.sleep(0.01)
    assert model.calls == 2


def test_nothing_is_announced_that_is_not_stored(store, monkeypatch):
    def full(*_, **__):
        raise FlawsmithError("disk is full")

    inspector = Inspector(SpotModel(), IDENTITY, rules(), store)
    monkeypatch.setattr(store, "record", full)
    with pytest.raises(FlawsmithError, match="full"):
        inspector.inspect_part("a", [image(png())])
    assert list(store.find()) == []


def test_sinks_and_audit_are_recorded_with_the_part(store):
    draw = {Verdict.PASS: 0.25}
    inspector = Inspector(
        SpotModel(), IDENTITY, rules(), store, sinks=["file"],
        audit=lambda verdict, images: draw.get(verdict.verdict),
    )  # fmt: skip
    assert inspector.inspect_part("a", [image(png())]).audited
    assert not inspector.inspect_part("b", [image(png(spot=True), part="b")]).audited


def test_what_is_hashed_is_what_is_decoded(store, tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(png())
    loaded = PartImage.from_file(path, part="a")
    path.write_bytes(png(spot=True))  # the camera writes the next one to the same name
    inspector = Inspector(SpotModel(), IDENTITY, rules(), store)
    assert inspector.inspect_part("a", [loaded]).verdict.verdict is Verdict.PASS


def test_names_of_files_become_text(tmp_path):
    strange = tmp_path / os.fsdecode(b"a\xff\n\x1b.png")
    text = printable(strange)
    assert text.endswith("/a\\xff\\n\\x1b.png")
    assert json.loads(json.dumps(text)).encode() == text.encode()
    assert printable(tmp_path / "é 1.png").endswith("/é 1.png")


def test_pixels_without_decoding(store):
    bare = image(b"x").with_pixels(np.zeros((24, 32), np.uint8))
    record = Inspector(SpotModel(), IDENTITY, rules(), store).inspect_part("a", [bare])
    assert record.verdict.verdict is Verdict.PASS


STILL = "the same image, byte for byte, as"


def test_a_camera_that_stands_still_passes_one_part_alone(store):
    inspector = Inspector(SpotModel(), IDENTITY, rules(), store)
    assert inspector.inspect_part("a", [image(png(), view="left")]).verdict.verdict is Verdict.PASS
    for later in (inspector, Inspector(SpotModel(), IDENTITY, rules(), store)):  # a restart too
        again = later.inspect_part("b", [image(png(), part="b", view="left", name="b.png")])
        assert again.verdict.verdict is Verdict.REVIEW
        (reason,) = again.verdict.reasons
        assert reason.rule == "warning"
        assert f"{STILL} view left of part a; a camera that stands still" in reason.text
    # The part itself may come again, and what cannot be read is another matter.
    assert inspector.inspect_part("a", [image(png(), view="left")]).verdict.verdict is Verdict.PASS
    unreadable = inspector.inspect_part("c", [image(b"", part="c"), image(b"", part="c")])
    assert STILL not in unreadable.verdict.model_dump_json()


def test_parts_that_wait_for_a_view_are_compared_too(store):
    inspector = Inspector(SpotModel(), IDENTITY, rules(), store)
    parts = [OpenPart("a"), OpenPart("b")]
    seen = [inspector.look(image(png(), part=part.part), part) for part in parts]
    assert [view.warnings for view in seen] == [
        [], [f"{STILL} of part a; a camera that stands still gives such images"]
    ]  # fmt: skip
