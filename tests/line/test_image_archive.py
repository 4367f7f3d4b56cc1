"""Images that came without a file: kept under names of their own, replayed, and removed again."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from flawsmith.data.images import read_image
from flawsmith.errors import FlawsmithError
from flawsmith.line.image_archive import FRESH_SECONDS, ImageArchive, Removed
from flawsmith.line.inspector import Inspector
from flawsmith.line.part_images import PartImage
from flawsmith.line.replay import replay
from flawsmith.line.results import ImageInspection
from flawsmith.line.store import Store
from flawsmith.line.store.waiting import keep_waiting

from .spots import IDENTITY, SpotModel, png, rules


@pytest.fixture
def store(tmp_path):
    with Store(str(tmp_path / "results.db")) as opened:
        yield opened


@pytest.fixture
def archive(tmp_path, store):
    return ImageArchive(tmp_path / "kept", store)


def files(archive):
    return sorted(path for path in archive.folder.glob("??/*"))


def age(*paths):
    """Make images older than those that are never removed; beside one that is new."""
    then = time.time() - FRESH_SECONDS - 60
    for path in paths:
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
    lost, fresh = archive.keep(sent("b")), archive.keep(sent("c"))
    own = archive.folder / "ab"
    own.mkdir(exist_ok=True)
    (own / "notes.png").write_bytes(png())
    broken_off = own / f".b_{'0' * 32}.png.partial"
    broken_off.write_bytes(b"12")
    assert archive.remove_unnamed() == Removed(0, 0)  # all may be on their way to the store
    age(*(path for path in files(archive) if str(path) != fresh.name))
    assert archive.remove_unnamed(dry_run=True) == Removed(2, len(png()) + 2)
    assert len(files(archive)) == 5
    assert archive.remove_unnamed() == Removed(2, len(png()) + 2)
    left = [str(path) for path in files(archive)]
    assert lost.name not in left
    assert fresh.name in left
    assert len(left) == 3
    assert archive.remove_unnamed() == Removed(0, 0)


def test_images_of_views_that_wait_are_named(archive, store):
    kept = archive.keep(sent("a", "top"))
    age(Path(kept.name))
    keep_waiting(store, "line 1", ImageInspection(image=kept.name, part="a", view="top"))
    assert archive.remove_unnamed() == Removed(0, 0)
    assert [str(path) for path in files(archive)] == [kept.name]


def test_an_image_that_comes_again_is_young_again(archive):
    archive.keep(sent("b"))
    old = archive.keep(sent("a"))
    age(Path(old.name))
    assert archive.keep(sent("a")).name == old.name
    assert archive.remove_unnamed() == Removed(0, 0)


def test_a_clock_that_jumps_makes_nothing_old(archive, monkeypatch):
    archive.keep(sent("a"))
    monkeypatch.setattr(time, "time", lambda: 9e9)
    assert archive.remove_unnamed() == Removed(0, 0)


@pytest.mark.parametrize("way", ["symlink", "dots", "moved"])
def test_images_are_known_wherever_the_folder_is_now(archive, store, tmp_path, way):
    inspector = Inspector(SpotModel(), IDENTITY, rules(), store)
    inspector.inspect_part("a", [archive.keep(sent("a"))])
    archive.keep(sent("young"))
    (first,) = (path for path in files(archive) if path.name.startswith("a_"))
    age(first)
    other = tmp_path / "other"
    if way == "symlink":
        other.symlink_to(archive.folder)
    elif way == "moved":
        archive.folder.rename(other)
    else:
        other = tmp_path / "kept" / ".." / "kept"
    assert ImageArchive.existing(other, store).remove_unnamed() == Removed(0, 0)


def test_each_store_has_a_folder_of_its_own(archive, tmp_path):
    with Store(str(tmp_path / "other.db")) as other:
        for open_archive in (ImageArchive, ImageArchive.existing):
            with pytest.raises(FlawsmithError, match="images of another results store"):
                open_archive(archive.folder, other)
        with pytest.raises(FlawsmithError, match="has no kept images"):
            ImageArchive.existing(tmp_path, other)


def test_what_cannot_be_removed_is_said(archive, monkeypatch):
    age(Path(archive.keep(sent("a")).name))
    archive.keep(sent("b"))

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refused)
        with pytest.raises(FlawsmithError, match=r"cannot remove .*Permission denied; 0 images"):
            archive.remove_unnamed()
    assert archive.remove_unnamed().images == 1


def test_a_folder_that_cannot_be_written_is_said(archive, store, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(FlawsmithError, match="cannot keep images in"):
        ImageArchive(tmp_path / "file" / "kept", store)
    with pytest.raises(FlawsmithError, match="characters that a results store cannot keep"):
        ImageArchive(tmp_path / "k\udcff", store)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FlawsmithError, match="No space left"):
        archive.keep(sent())
    assert files(archive) == []
