"""What goes wrong while an import runs: the disk is full, a folder is closed, files change."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_files import picture
from fuzz_import import digest, inspect
from fuzz_samples import SAMPLES
from hostile_registry import put

from flawsmith.data import images
from flawsmith.data.formats import import_folder, importing
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    put(folder, {f"{name}/{i}.png": picture(i) for i, name in enumerate(("OK", "OK", "dent"))})
    return folder


@pytest.mark.parametrize("nth", [1, 2, 4, 6, 9])
def test_full_disk_at_the_nth_write(source, tmp_path, monkeypatch, nth):
    written = 0
    real = Path.open

    def opened(path, mode="r", *arguments, **named):
        nonlocal written
        written += "w" in mode or "a" in mode
        if written >= nth and mode[0] in "wa":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, mode, *arguments, **named)

    monkeypatch.setattr(Path, "open", opened)
    before = digest(tmp_path)
    with pytest.raises(FlawsmithError, match="No space left on device") as caught:
        import_folder(source, tmp_path / "out")
    monkeypatch.undo()
    assert len(str(caught.value).splitlines()) == 1
    assert digest(tmp_path) == before


def test_files_over_the_limit_of_the_system(source, tmp_path):
    put(source, {"dent/big.bmp": picture(5, ".bmp") + bytes(200_000)})
    script = (
        "import resource, signal, sys; from flawsmith.cli import main;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); main()"
    )
    before = digest(tmp_path)
    command = [sys.executable, "-c", script, "data", "import", str(source), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert "File too large" in line
    assert digest(tmp_path) == before


def test_folder_that_cannot_be_written(source, monkeypatch, tmp_path):
    def refuse(path, *_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(FlawsmithError, match=r"cannot write .*Permission denied"):
        import_folder(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_label_file_that_cannot_be_read(tmp_path, monkeypatch):
    put(tmp_path / "source", SAMPLES["labelme"][0]())
    real = Path.read_bytes

    def refuse(path):
        if path.name == "a.json":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    report = import_folder(tmp_path / "source", tmp_path / "out", format="labelme")
    (finding,) = [f for f in report.findings if f.kind == "unreadable labels"]
    assert finding.message == "a.json cannot be read: Permission denied"


def test_picture_that_cannot_be_read(source, tmp_path, monkeypatch):
    real = Path.read_bytes

    def refuse(path):
        if path.as_posix().endswith("dent/2.png"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    report = import_folder(source, tmp_path / "out")
    assert [(f.kind, f.file) for f in report.findings] == [
        ("unreadable image", "dent/2.png"),
        ("class without images", "."),
    ]
    assert "Permission denied" in report.findings[0].message


ONCE = {
    "removed": lambda path: path.unlink(),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "replaced": lambda path: path.write_bytes(picture(77)),
    "turned into a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("change", ONCE)
def test_picture_changes_before_its_turn(source, tmp_path, monkeypatch, change):
    real, calls = importing.read_image, []

    def read(path):
        if not calls:
            ONCE[change](source / "dent/2.png")
        calls.append(path)
        return real(path)

    monkeypatch.setattr(importing, "read_image", read)
    report = import_folder(source, tmp_path / "out")
    monkeypatch.undo()
    kinds = [finding.kind for finding in report.findings if finding.file == "dent/2.png"]
    expected = ["changed during the import"]
    assert kinds == (expected if change == "replaced" else ["unreadable image", *expected])
    assert (report.images, report.excluded) == ((3, 1) if change == "replaced" else (2, 0))
    assert inspect(tmp_path / "out", report.images) is None


def test_picture_added_during_the_import_is_not_in_the_data_set(source, tmp_path, monkeypatch):
    real = images.read_image

    def read(path):
        put(source, {"dent/new.png": picture(9)})
        return real(path)

    monkeypatch.setattr(importing, "read_image", read)
    assert import_folder(source, tmp_path / "out").images == 3


def test_output_inside_the_source_leaves_its_files_alone(source):
    before = digest(source)
    report = import_folder(source, source / "sets/out")
    assert report.images == 3
    assert before.items() <= digest(source).items()
    again = import_folder(source, source / "sets/again")
    assert [(f.kind, f.file) for f in again.findings] == [("data set inside", "sets/out")]
    assert again.images == 3


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_names_that_no_file_can_have(source, tmp_path, name):
    with pytest.raises(FlawsmithError, match="cannot write the data set"):
        import_folder(source, tmp_path / name)
    with pytest.raises(FlawsmithError, match="there is no folder"):
        import_folder(tmp_path / name, tmp_path / "out")


def test_source_and_set_whose_names_are_no_text(source, tmp_path):
    odd = source.rename(tmp_path / os.fsdecode(b"\xb2\xd0"))
    report = import_folder(odd, tmp_path / "out")
    assert report.images == 3
    assert Schema.load(tmp_path / "out").name == "残"
    import_folder(odd, tmp_path / "named", name="\ud800")
    assert Schema.load(tmp_path / "named").name == "\ufffd"


def test_pixel_size_that_is_no_number(source, tmp_path):
    with pytest.raises(FlawsmithError, match="pixel size"):
        import_folder(source, tmp_path / "out", pixel_size_mm=(float("nan"), 1.0))
    assert not (tmp_path / "out").exists()
