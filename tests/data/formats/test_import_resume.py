"""A killed or interrupted import goes on where it stopped, and comes to the same end."""

import hashlib
import json
import signal
import subprocess
import sys
import time

import pytest

from flawsmith.data import dataset
from flawsmith.data.formats import import_folder, importing
from flawsmith.data.formats.import_journal import JOURNAL_FILE
from flawsmith.errors import FlawsmithError
from flawsmith.storage import resumable_folder

IMAGES = 12


@pytest.fixture
def source(source, put, picture, box, labelme, write_json, monkeypatch):
    """Images with labels, among them a twin, a torn one and one with contradicting labels."""
    for i in range(IMAGES):
        put(source / f"lot{i % 2}/a{i}.png", picture(0 if i in (3, 8) else i))
        points = [[1, 1], [6, 1], [6, 6], [1, 6]]
        shapes = [{"label": "dent", "points": points, "shape_type": "polygon"}] * (1 + i % 2)
        write_json(source / f"lot{i % 2}/a{i}.json", labelme(f"a{i}.png", shapes))
    (source / "lot0/a4.png").write_bytes(b"torn")
    (source / "lot1/a5.json").write_text("{")
    monkeypatch.setattr(dataset, "FLUSH_IMAGES", 3)
    return source


def digest(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def stop_at(monkeypatch, number, error=KeyboardInterrupt):
    """Let reading of the n-th image raise, and count how many are read."""
    seen = []
    read = importing.read_image

    def counted(path):
        seen.append(path.name)
        if len(seen) == number:
            raise error
        return read(path)

    monkeypatch.setattr(importing, "read_image", counted)
    return seen


@pytest.mark.parametrize("number", [1, 2, 5, 8, IMAGES])
def test_a_stopped_import_goes_on_and_equals_an_undisturbed_one(
    source, tmp_path, monkeypatch, number
):
    whole, out = tmp_path / "whole", tmp_path / "out"
    report = import_folder(source, whole)
    with monkeypatch.context() as patched:
        stop_at(patched, number)
        with pytest.raises(KeyboardInterrupt):
            import_folder(source, out)
    assert not out.exists()
    with monkeypatch.context() as patched:
        seen = stop_at(patched, 0)
        assert import_folder(source, out) == report
    assert len(seen) == IMAGES - (number - 1)
    assert digest(out) == digest(whole)
    assert not (tmp_path / ".out.partial").exists()


def test_stopped_after_the_last_image_it_still_comes_to_the_same_end(source, tmp_path, monkeypatch):
    whole, out = tmp_path / "whole", tmp_path / "out"
    import_folder(source, whole)
    for name in ("write_metadata", "write_text"):
        with monkeypatch.context() as patched:

            def interrupt(*_):
                raise KeyboardInterrupt

            patched.setattr(importing, name, interrupt)
            with pytest.raises(KeyboardInterrupt):
                import_folder(source, out)
    import_folder(source, out)
    assert digest(out) == digest(whole)


@pytest.mark.parametrize("change", ["option", "label", "torn journal", "lost lines"])
def test_what_no_longer_holds_is_made_again(source, tmp_path, monkeypatch, change):
    out, options = tmp_path / "out", {}
    with monkeypatch.context() as patched:
        stop_at(patched, 10)
        with pytest.raises(KeyboardInterrupt):
            import_folder(source, out)
    partial = tmp_path / ".out.partial"
    journal = partial / JOURNAL_FILE
    if change == "option":
        options["part_pattern"] = r"(lot\d)"
    elif change == "label":
        (source / "lot0/a0.json").unlink()
    elif change == "torn journal":
        journal.write_bytes(journal.read_bytes()[:-9])
    else:
        metadata = partial / dataset.METADATA_FILE
        metadata.write_text(metadata.read_text().splitlines()[0] + "\n{")
    import_folder(source, out, **options)
    import_folder(source, tmp_path / "whole", **options)
    assert digest(out) == digest(tmp_path / "whole")


def test_an_error_leaves_nothing(source, tmp_path, monkeypatch):
    stop_at(monkeypatch, 7, OSError(28, "No space left on device"))
    with pytest.raises(FlawsmithError, match=r"cannot write the data set .*No space left"):
        import_folder(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_two_imports_to_one_place_do_not_mix(source, tmp_path):
    out = tmp_path / "out"
    with resumable_folder(out, what="data set") as partial:
        (partial / "mine").touch()
        with pytest.raises(FlawsmithError, match="another process is writing the data set"):
            import_folder(source, out)
    assert [path.name for path in out.iterdir()] == ["mine"]


def test_links_lead_to_the_source_and_archives_are_copied(source, tmp_path, put, picture):
    out = tmp_path / "out"
    import_folder(source, out, link=True)
    linked = sorted((out / "images").iterdir())
    assert linked
    assert all(path.is_symlink() for path in linked)
    for path in linked:
        assert source in path.resolve().parents
    import_folder(source, tmp_path / "copied")
    assert digest(out).keys() == digest(tmp_path / "copied").keys()
    assert (out / "metadata.jsonl").read_text() == (tmp_path / "copied/metadata.jsonl").read_text()


def test_a_link_is_never_written_through(source, tmp_path, monkeypatch):
    before = digest(source)
    with monkeypatch.context() as patched:
        stop_at(patched, 9)
        with pytest.raises(KeyboardInterrupt):
            import_folder(source, tmp_path / "out", link=True)
    import_folder(source, tmp_path / "out")
    assert digest(source) == before
    assert not any(path.is_symlink() for path in (tmp_path / "out/images").iterdir())


def test_a_killed_process_is_resumed_by_the_same_command(source, tmp_path, put, picture):
    for i in range(300):
        put(source / f"lot2/b{i}.png", picture(100 + i))
        label = {"version": "5", "shapes": [], "imagePath": f"b{i}.png", "imageData": None}
        (source / f"lot2/b{i}.json").write_text(json.dumps(label))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "flawsmith", "data", "import", str(source), str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    journal = tmp_path / ".out.partial" / JOURNAL_FILE
    deadline = time.monotonic() + 60
    while not journal.exists() or journal.read_bytes().count(b"\n") < 2:
        assert time.monotonic() < deadline
        if process.poll() is not None:
            pytest.fail("finished before it could be killed")
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    assert subprocess.run(command, capture_output=True, timeout=120).returncode == 0
    monkey = import_folder(source, tmp_path / "whole")
    assert monkey.images == 311
    assert digest(out) == digest(tmp_path / "whole")
