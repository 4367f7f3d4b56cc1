"""Zip archives are hostile until unpacked; a box is a weak label; a folder may change meanwhile."""

import json
import os
import stat
import zipfile

import numpy as np
import pytest

from flawsmith.data.formats import archives, import_folder
from flawsmith.data.formats.base import FORMATS
from flawsmith.data.formats.folder import SourceFolder
from flawsmith.data.formats.text import decode_text
from flawsmith.data.images import encode_png
from flawsmith.errors import FlawsmithError

PNG = encode_png(np.arange(192, dtype=np.uint8).reshape(12, 16))


class OldEntry(zipfile.ZipInfo):
    """An entry as tools without UTF-8 write it: the bytes of the name as they are."""

    encoding = "gbk"

    def _encodeFilenameFlags(self):  # noqa: N802 - the hook of zipfile
        return self.filename.encode(self.encoding), self.flag_bits & ~0x800


def zipped(path, members, entry=zipfile.ZipInfo):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members:
            archive.writestr(entry(name), data, zipfile.ZIP_DEFLATED)
    return path


def test_class_folders_inside_a_zip(tmp_path, imported):
    source = tmp_path / "lot"
    source.mkdir()
    zipped(source / "a.zip", [("good/1.png", PNG), ("dent/2.png", PNG)])
    done = imported(source)
    assert done.report.format == "class_folders"
    assert done.report.classes == {"dent": 1}
    assert set(done.records) == {"a/good/1.png", "a/dent/2.png"}
    assert not list(done.out.glob(".unpacked*"))


def test_a_zip_can_be_the_source(tmp_path):
    path = zipped(tmp_path / "lot.zip", [("good/1.png", PNG), ("dent/2.png", PNG)])
    assert import_folder(path, tmp_path / "out").images == 2


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("圆形缺陷/未焊透-1", "gbk"), ("裂纹", "gb18030"), ("Grüße", "cp1252"), ("Kratzer", "ascii")],
)
def test_names_in_other_encodings(text, encoding):
    assert decode_text(text.encode(encoding)) == text


def test_gbk_names_in_a_zip(tmp_path):
    path = zipped(tmp_path / "a.zip", [("圆形缺陷/圆形缺陷-1.png", PNG)], OldEntry)
    assert SourceFolder.scan(path, tmp_path / "u").files == ["圆形缺陷/圆形缺陷-1.png"]


@pytest.mark.parametrize("name", ["../out.png", "/etc/out.png", "a/../../out.png", "C:\\out.png"])
def test_zip_slip_writes_nothing_outside(tmp_path, name):
    path = zipped(tmp_path / "a.zip", [(name, PNG), ("good/1.png", PNG)])
    folder = SourceFolder.scan(path, tmp_path / "deep/u")
    assert folder.files == ["good/1.png"]
    assert [kind for kind, _, _ in folder.odd] == ["path outside the archive"]
    assert sorted(p.name for p in tmp_path.rglob("*.png")) == ["000001.png"]


def test_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = zipped(tmp_path / "a.zip", [("good/1.png", bytes(200 << 20))])
    with pytest.raises(FlawsmithError, match="zip bomb"):
        import_folder(path, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip"]


def test_links_and_archives_in_an_archive_are_left_out(tmp_path):
    link = zipfile.ZipInfo("good/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("good/in.zip", b"PK")
        archive.writestr("good/1.png", PNG)
    folder = SourceFolder.scan(path, tmp_path / "u")
    assert folder.files == ["good/1.png"]
    assert {kind for kind, _, _ in folder.odd} == {"link in an archive", "archive in an archive"}


def test_truncated_archive_and_full_disk_are_one_message(tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.zip", [("good/1.png", PNG)])
    monkeypatch.setattr(archives, "RESERVED_BYTES", 1 << 60)
    with pytest.raises(FlawsmithError, match="free some space"):
        import_folder(path, tmp_path / "out")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(FlawsmithError, match="no readable zip archive"):
        import_folder(path, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip"]


def test_pipes_and_broken_links_are_not_waited_for(tmp_path):
    (tmp_path / "good").mkdir()
    (tmp_path / "good/1.png").write_bytes(PNG)
    os.mkfifo(tmp_path / "good/pipe.png")
    (tmp_path / "good/gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "good/loop").symlink_to(tmp_path)
    folder = SourceFolder.scan(tmp_path)
    assert folder.files == ["good/1.png"]
    assert sorted(kind for kind, _, _ in folder.odd) == ["linked twice", "no file", "no file"]


@pytest.fixture
def boxed(tmp_path):
    """A COCO file with a box only, and a polygon elsewhere in the same image."""
    source = tmp_path / "boxed"
    source.mkdir()
    (source / "a.png").write_bytes(PNG)
    square = [1, 1, 3, 1, 3, 3, 1, 3]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 12, "width": 16}],
        "categories": [{"id": 1, "name": "dent"}, {"id": 2, "name": "pore"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [8, 2, 4, 5]},
            {"id": 2, "image_id": 1, "category_id": 2, "segmentation": [square]},
        ],
    }
    (source / "labels.json").write_text(json.dumps(content))
    return source


def test_a_box_is_a_weak_label(boxed, imported):
    done = imported(boxed)
    record = done.records["a.png"]
    assert (record.labels, record.weak_labels) == (["dent", "pore"], ["dent"])
    expected = np.zeros((12, 16), np.uint8)
    expected[2:7, 8:12] = 255
    expected[1:3, 1:3] = 2
    np.testing.assert_array_equal(done.defects("a.png"), expected)
    assert [(i["label"], i["weak"]) for i in record.instances] == [("dent", True), ("pore", False)]


def test_boxes_are_filled_on_demand(boxed, imported):
    done = imported(boxed, boxes="fill")
    assert done.records["a.png"].weak_labels == []
    assert (done.defects("a.png")[2:7, 8:12] == 1).all()


def test_an_image_that_changes_during_the_import_is_excluded(boxed, imported, monkeypatch):
    read = FORMATS.get("coco").read

    def read_and_touch(self, folder):
        os.utime(boxed / "a.png", ns=(1, 1))
        return read(self, folder)

    monkeypatch.setattr(FORMATS.get("coco"), "read", read_and_touch)
    done = imported(boxed)
    assert "changed during the import" in done.records["a.png"].excluded
    assert done.files("changed during the import") == ["a.png"]
