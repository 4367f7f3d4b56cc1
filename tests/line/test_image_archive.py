"""Images that came without a file: kept under names of their own, replayed, and removed again."""

import os
import time

import numpy as np
import pytest

from flawsmith.data.images import read_image
from flawsmith.errors import FlawsmithError
from flawsmith.line.image_archive import FRESH_SECONDS, ImageArchive, Removed
from flawsmith.line.inspector import Inspector
from flawsmith.line.part_images import PartImage
from flawsmith.line.replay import replay
from flawsmith.line.store import Store

from .spots import IDENTITY, SpotModel, png, rules


@pytest.fixture
def archive(tmp_path):
    return ImageArchive(tmp_path / "kept")


@pytest.fixture
def store(tmp_path):
    with Store(str(tmp_path / "results.db")) as opened:
        yield opened


def files(archive):
    return sorted(path for path in archive.folder.rglob("*") if path.is_file())


def age(archive):
    """Make all kept images older than those that are never removed."""
    then = time.time() - FRESH_SECONDS - 60
    for path in files(archive):
        os.utime(path, (then, then))


def sent(part="a", view="", data=None):
    return PartImage.from_bytes(data or png(), name=f"{part}/{view}", part=part, view=view)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "BMP"])
def test_what_comes_is_kept_to_the_byte(archive, form):
    data = png(3, spot=True, form=form)
    kept = archive.keep(sent("0815", "top", data))
    path = files(archive)[0]
    assert kept.name == str(path)
    assert path.read_bytes() == data == kept.data
    assert path.name.startswith("0815-top_")
    assert path.suffix == {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "BMP": ".bmp"}[form]


def test_the_same_image_is_kept_once_and_every_other_beside_it(archive):
    names = [archive.keep(image).name for image in
             (sent(), sent(), sent("b"), sent("a", "top"), sent(data=png(1)))]  # fmt: skip
    assert names[0] == names[1]
    assert len(set(names)) == len(files(archive)) == 4


@pytest.mark.parametrize("part", ["../../x", "/etc/passwd", "ä\x00b", "..", "a" * 200, "con.png"])
def test_no_name_leads_out_of_the_folder(archive, part):
    archive.keep(sent(part, "../y"))
    (path,) = files(archive)
    assert path.parent.parent == archive.folder
    assert set(path.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_damaged_images_are_kept_and_absent_ones_are_not(archive):
    kept = archive.keep(sent(data=b"no image"))
    assert kept.name.endswith(".image")
    nothing = sent().with_problem("the stream ended after 3 of its 9 bytes")
    assert archive.keep(nothing) is nothing
    assert len(files(archive)) == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bare_pixels_become_a_file_that_is_replayed(archive, store, dtype):
    pixels = np.arange(24 * 32, dtype=dtype).reshape(24, 32)
    image = PartImage.from_bytes(pixels.tobytes(), name="a", part="a").with_pixels(pixels)
    kept = archive.keep(image)
    np.testing.assert_array_equal(read_image(files(archive)[0]), pixels)
    inspector = Inspector(SpotModel(), IDENTITY, rules(), store)
    assert replay(inspector.inspect_part("a", [kept]), inspector).same


def test_images_go_when_no_result_names_them(archive, store):
    inspector = Inspector(SpotModel(), IDENTITY, rules(), store)
    inspector.inspect_part("a", [archive.keep(sent("a"))])
    lost = archive.keep(sent("b"))
    own = archive.folder / "ab"
    own.mkdir(exist_ok=True)
    (own / "notes.png").write_bytes(png())
    assert archive.remove_unnamed(store) == Removed(0, 0)  # b may be on its way to the store
    age(archive)
    assert archive.remove_unnamed(store, dry_run=True) == Removed(1, len(png()))
    assert len(files(archive)) == 3
    assert archive.remove_unnamed(store) == Removed(1, len(png()))
    assert lost.name not in map(str, files(archive))
    assert len(files(archive)) == 2
    assert archive.remove_unnamed(store) == Removed(0, 0)


def test_the_store_of_another_line_removes_nothing(archive, store, tmp_path):
    archive.keep(sent("a"))
    age(archive)
    with pytest.raises(FlawsmithError, match="names none of the 1 images"):
        archive.remove_unnamed(store)
    assert len(files(archive)) == 1
    with pytest.raises(FlawsmithError, match="is no folder"):
        ImageArchive.existing(tmp_path / "absent")


def test_a_folder_that_cannot_be_written_is_said(archive, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(FlawsmithError, match="cannot keep images in"):
        ImageArchive(tmp_path / "file" / "kept")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FlawsmithError, match="No space left"):
        archive.keep(sent())
    assert files(archive) == []
