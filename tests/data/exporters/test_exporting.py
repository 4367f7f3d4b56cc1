"""What all exporters share: whole or not at all, what is left out, what is said to be lost."""

import shutil

import pytest
from typer.testing import CliRunner

from flawsmith.cli import build_app
from flawsmith.data.dataset import DefectDataset
from flawsmith.data.exporters import EXPORTERS, export_dataset
from flawsmith.errors import FlawsmithError

ALL = EXPORTERS.names()


@pytest.mark.parametrize("name", ALL)
def test_images_are_copied_byte_for_byte(odd, tmp_path, name):
    report = export_dataset(odd, tmp_path / "out", name)
    written = {p.read_bytes() for p in (tmp_path / "out").rglob("i*.png") if "mask" not in str(p)}
    wanted = {odd.path(r.file_name).read_bytes() for r in odd}
    assert written <= wanted
    assert len(written) == report.images == len(odd) - sum(report.left_out.values())
    assert report.left_out["excluded"] == 1


@pytest.mark.parametrize("name", ALL)
def test_a_missing_image_leaves_nothing_behind(odd, tmp_path, name):
    odd.path("images/i1.png").unlink()
    before = set(tmp_path.iterdir())
    with pytest.raises(FlawsmithError, match=r"no image .*i1\.png"):
        export_dataset(odd, tmp_path / "out", name)
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ALL)
def test_what_gets_lost_is_said_for_this_data_set(odd, tmp_path, name):
    said = " ".join(export_dataset(odd, tmp_path / "out", name).losses)
    assert "Parts:" in said
    assert "white level 4095" in said
    assert "Folds:" not in said
    assert "Pixel size:" not in said


def test_same_stem_twice_gets_two_names(odd, tmp_path):
    twin = odd.records[0].model_copy(update={"file_name": "images/I0.PNG"})
    shutil.copyfile(odd.path(odd.records[0].file_name), odd.path(twin.file_name))
    export_dataset(odd.with_records([odd.records[0], twin]), tmp_path / "out", "index_png")
    assert sorted(p.name for p in (tmp_path / "out/masks").iterdir()) == ["I0_2.png", "i0.png"]


def test_an_existing_folder_and_an_unknown_format_are_refused(odd, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(FlawsmithError, match="exists already"):
        export_dataset(odd, tmp_path / "out", "index_png")
    assert (tmp_path / "out/mine.txt").read_text() == "mine"
    with pytest.raises(FlawsmithError, match="did you mean 'index_png'"):
        export_dataset(odd, tmp_path / "new", "index_pgn")
    with pytest.raises(FlawsmithError, match="no image that index_png can hold"):
        export_dataset(odd.with_records(odd.records[4:]), tmp_path / "new", "index_png")


def test_command_says_what_is_left_out_and_lost(odd, tmp_path):
    arguments = ["data", "export", str(odd.root), str(tmp_path / "out"), "--to", "index_png"]
    result = CliRunner().invoke(build_app(), arguments)
    assert result.exit_code == 0, result.output
    for text in ("4 images written", "1 images left out: excluded", "Weak labels: 1 images"):
        assert text in result.output
    assert len(DefectDataset.open(odd.root)) == 5
