import json
import os

import pytest

from flawsmith.errors import FlawsmithError
from flawsmith.inspection.exported import MAX_JSON_BYTES, ExportedModel
from flawsmith.inspection.network import compile_network
from flawsmith.inspection.thresholds import Thresholds


def test_what_is_written_is_read(make_model):
    made = make_model()
    loaded = ExportedModel.load(made.folder)
    assert loaded == made
    assert loaded.schema.defect_names == ["dark", "bright"]
    assert set(loaded.card.files) == {"network.xml", "network.bin"}
    assert len(loaded.identity) == 64
    assert json.loads((made.folder / "model.json").read_text())["schema"]["name"] == "strips"


def test_identity_changes_with_every_file(make_model):
    made = make_model()
    assert ExportedModel.write(made.folder, made.card).identity == made.identity
    renamed = ExportedModel.write(made.folder, made.card.model_copy(update={"name": "other"}))
    (made.folder / "novelty.npz").write_bytes(b"1")
    longer = ExportedModel.write(made.folder, renamed.card)
    assert set(longer.card.files) == {"network.xml", "network.bin", "novelty.npz"}
    assert len({made.identity, renamed.identity, longer.identity}) == 3


@pytest.mark.parametrize("name", ["network.xml", "network.bin"])
def test_changed_file_is_an_error(make_model, name):
    made = make_model()
    data = bytearray((made.folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (made.folder / name).write_bytes(data)
    with pytest.raises(FlawsmithError, match=rf"{name} has been changed or damaged"):
        ExportedModel.load(made.folder)
    with pytest.raises(FlawsmithError, match=rf"{name} has been changed or damaged"):
        compile_network(made)  # loaded before it was changed


def test_missing_files_are_errors(make_model, tmp_path):
    made = make_model()
    (made.folder / "network.bin").unlink()
    with pytest.raises(FlawsmithError, match=r"network\.bin is missing"):
        ExportedModel.load(made.folder)
    with pytest.raises(FlawsmithError, match="is no exported model"):
        ExportedModel.load(tmp_path)
    with pytest.raises(FlawsmithError, match="is no exported model"):
        ExportedModel.load(tmp_path / "nowhere")


def test_pipe_in_place_of_a_file_does_not_wait(make_model):
    made = make_model()
    (made.folder / "network.bin").unlink()
    os.mkfifo(made.folder / "network.bin")
    with pytest.raises(FlawsmithError, match="missing or no file"):
        ExportedModel.load(made.folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "has the format 2; this program reads 1"),
        ({"files": {"../network.xml": "0" * 64}}, "is no file of a model"),
        ({"files": {"network.xml": "no hash"}}, "files.network.xml"),
        ({"files": {}}, "names no network.xml"),
        ({"thresholds": {"pixel": [0.5]}}, "1 pixel thresholds for 2 defect classes"),
        ({"thresholds": {"pixel": [0.5, 0.0]}}, r"not in \(0, 1\]"),
        ({"thresholds": {"pixel": [0.5, float("nan")]}}, r"not in \(0, 1\]"),
        ({"overlap": 31}, "overlap"),
        ({"tile": 50}, "multiples"),
        ({"window": [32, 128]}, "no smaller than a tile"),
        ({"window": [128, 1 << 20]}, "window"),
        ({"backend": "pickle"}, "backend"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)  # fmt: skip
def test_wrong_descriptions_are_refused(make_model, changes, message):
    path = make_model().folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(FlawsmithError, match=message):
        ExportedModel.load(path.parent)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b" " * (MAX_JSON_BYTES + 1), b'{"a": NaN}'],
    ids=["empty", "torn", "list", "bytes", "deep", "large", "other"],
)
def test_hostile_descriptions_are_refused(make_model, text):
    path = make_model().folder / "model.json"
    path.write_bytes(text)
    with pytest.raises(FlawsmithError, match=r"model\.json"):
        ExportedModel.load(path.parent)


def test_calibration_and_schema_must_agree(make_model, strip_schema, strip_calibration):
    record = strip_calibration()
    with pytest.raises(ValueError, match="different sizes of a pixel"):
        make_model(calibration=record)
    agreeing = strip_schema(pixel_size_mm=record.mm_per_pixel)
    made = make_model("b", calibration=record, defect_schema=agreeing)
    assert ExportedModel.load(made.folder).calibration == record


def test_strange_files_are_not_taken_along(make_model):
    made = make_model()
    (made.folder / "run.sh").write_text("")
    with pytest.raises(FlawsmithError, match=r"'run\.sh', which is no file of a model"):
        ExportedModel.write(made.folder, made.card)


def test_file_that_is_no_network_is_an_error(make_model):
    made = make_model()
    (made.folder / "network.xml").write_text('<?xml version="1.0"?><net name="a" version="11"/>')
    broken = ExportedModel.write(made.folder, made.card)
    with pytest.raises(FlawsmithError, match=r"cannot be read or compiled|inputs and outputs"):
        compile_network(broken)


def test_network_for_another_depth_is_an_error(make_model, strip_schema):
    made = make_model()
    deep = strip_schema(bit_depth=12, white_level=4095)
    wrong = ExportedModel.write(made.folder, made.card.model_copy(update={"defect_schema": deep}))
    with pytest.raises(FlawsmithError, match="inputs and outputs"):
        compile_network(wrong)
    assert wrong.thresholds == Thresholds(pixel=[0.5, 0.5], region=0.6)


@pytest.mark.parametrize(
    ("device", "message"),
    [("GPU.7", r"no device GPU\.7 .*there is: .*CPU"), ("CUDA", "export with --to onnx")],
)
def test_absent_device_is_an_error(make_model, device, message):
    with pytest.raises(FlawsmithError, match=message):
        compile_network(make_model(), device=device)
