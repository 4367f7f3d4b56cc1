"""Hugging Face: what is damaged, missing, outside, large, or not installed is told, never lost."""

import sys

import numpy as np
import pytest
from PIL import Image

from flawsmith.data.formats.base import choose_format
from flawsmith.data.formats.folder import SourceFolder
from flawsmith.data.formats.hugging_face_labels import Said, learn_mask_names
from flawsmith.data.formats.hugging_face_tables import MAX_BATCH, ArrowTable, PictureReader
from flawsmith.errors import FlawsmithError

datasets = pytest.importorskip("datasets")
pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
datasets.disable_progress_bars()


def png(pixels, folder) -> bytes:
    path = folder / "one.png"
    Image.fromarray(pixels).save(path)
    return path.read_bytes()


def write(path, cells, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    table = pyarrow.table({"image": pyarrow.array(cells, kind), **columns})
    parquet.write_table(table, path, row_group_size=columns.pop("row_group_size", 4))


def test_pictures_named_by_path_are_taken_from_the_folder_only(
    source, put, picture, imported, tmp_path
):
    put(source / "loose/b.png", picture(1))
    put(tmp_path / "secret.png", picture(2))
    cells = [
        {"bytes": png(picture(0), tmp_path), "path": "/home/else/a.png"},
        {"bytes": None, "path": "../loose/b.png"},
        {"bytes": None, "path": "../../secret.png"},
        {"bytes": None, "path": str(tmp_path / "secret.png")},
        {"bytes": None, "path": "gone.png"},
        {"bytes": b"no image", "path": None},
        None,
    ]
    write(source / "data/x.parquet", cells, label=["good"] * 7)
    done = imported(source)
    assert list(done.records) == ["data/x.parquet/000000/a.png", "data/x.parquet/000001/b.png"]
    np.testing.assert_array_equal(
        done.data.image(done.records["data/x.parquet/000001/b.png"]), picture(1)
    )
    told = {f.file: f.message for f in done.report.findings if f.kind == "unreadable image"}
    assert len(told) == 5
    assert "leads out" in told["data/x.parquet/000002/secret.png"]
    assert "leads out" in told["data/x.parquet/000003/secret.png"]
    assert "not there" in told["data/x.parquet/000004/gone.png"]
    assert "has no image" in told["data/x.parquet/000006.png"]


@pytest.mark.parametrize("name", ["bad.parquet", "bad.arrow"])
@pytest.mark.parametrize("how", ["noise", "cut", "empty"])
def test_a_damaged_shard_is_reported(source, picture, imported, tmp_path, name, how):
    cells = [{"bytes": png(picture(i), tmp_path), "path": None} for i in range(4)]
    write(source / "a.parquet", cells, label=["good", "dent"] * 2)
    whole = (source / "a.parquet").read_bytes()
    content = {"noise": b"PAR1" + bytes(range(256)) * 9, "cut": whole[: len(whole) // 2]}
    (source / name).write_bytes(content.get(how, b""))
    done = imported(source)
    assert done.report.images == 4
    assert done.files("unreadable labels") == [name]


def test_a_damaged_page_costs_its_rows_only(source, picture, imported, tmp_path):
    cells = [{"bytes": png(picture(i, shape=(60, 60)), tmp_path), "path": None} for i in range(8)]
    write(source / "a.parquet", cells, label=["dent"] * 8)
    data = bytearray((source / "a.parquet").read_bytes())
    start = len(data) // 2
    data[start : start + 200] = bytes(200)
    (source / "a.parquet").write_bytes(bytes(data))
    done = imported(source)
    assert 0 < done.report.images < 8
    assert done.report.images + len(done.files("unreadable image")) == 8


def test_files_that_the_state_lists_are_read_and_caches_are_not(
    source, picture, imported, tmp_path
):
    content = {"image": [Image.fromarray(picture(0))], "label": ["dent"]}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    datasets.Dataset.from_dict(content, features=features).save_to_disk(source)
    (source / "cache-1234.arrow").write_bytes(b"old")
    assert imported(source).report.images == 1
    (source / "data-00000-of-00001.arrow").rename(source / "moved.arrow")
    with pytest.raises(FlawsmithError, match=r"state\.json lists it, but it is not there"):
        imported(source.rename(tmp_path / "moved"), format="hugging_face")


def test_without_pyarrow_one_message_says_what_to_install(
    source, picture, imported, tmp_path, monkeypatch
):
    write(source / "a.parquet", [{"bytes": png(picture(0), tmp_path), "path": None}], label=["x"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(FlawsmithError, match=r"pip install 'flawsmith\[train\]'"):
        imported(source)


def test_metadata_need_no_pyarrow_and_report_what_is_not_there(
    source, put, picture, imported, monkeypatch, tmp_path
):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    put(source / "a.png", picture(0))
    put(tmp_path / "b.png", picture(1))
    (source / "metadata.jsonl").write_text(
        '{"file_name": "a.png", "label": "dent", "operator": "x"}\n'
        '{"file_name": "a.png", "label": "good"}\n'
        '{"file_name": "gone.png", "label": "dent"}\n'
        '{"file_name": "../b.png", "label": "dent"}\n'
    )
    done = imported(source)
    assert done.records["a.png"].labels == ["dent"]
    assert done.kinds() == ["listed twice", "missing image", "path outside the folder"]
    assert "Columns not read: operator." in done.report.notes


@pytest.mark.parametrize("line", ["{", "[1]", "[" * 100_000])
def test_damaged_metadata_are_reported(source, put, picture, imported, line):
    put(source / "a.png", picture(0))
    (source / "metadata.jsonl").write_text(f'{{"file_name": "a.png", "label": "x"}}\n{line}\n')
    with pytest.raises(FlawsmithError, match=r"metadata\.jsonl, line 2"):
        imported(source, format="hugging_face")


def test_captions_alone_are_no_labels(source, class_folders):
    class_folders(source)
    (source / "metadata.csv").write_text("file_name,caption\nOK/p1_top.png,a part\n")
    assert choose_format(SourceFolder.scan(source))[0] == "class_folders"


@pytest.mark.parametrize("group", [7, 100_000])
def test_rows_are_read_a_batch_at_a_time(source, group):
    rng = np.random.default_rng(0)
    cells = [{"bytes": rng.bytes(1 << 20), "path": f"{i}"} for i in range(64)]
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    table = pyarrow.table({"image": pyarrow.array(cells, kind)})
    parquet.write_table(table, source / "a.parquet", row_group_size=group)
    shard = ArrowTable(SourceFolder.scan(source), "a.parquet")
    assert [row["image"] for row in shard.rows(["image"])] == [str(i) for i in range(64)]
    sizes = [batch.num_rows for batch in shard.picture_batches(["image"])]
    assert max(sizes) <= 17 < MAX_BATCH
    reader = PictureReader()
    for i in (0, 1, 30, 63, 5):
        assert reader.cells(shard, i, ["image"])["image"] == cells[i]
    with pytest.raises(FlawsmithError, match="changed while"):
        reader.cells(shard, 64, ["image"])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(["a"], [0, 1]), (["a", "b"], [0, 1, 2, 255])], {1: "a", 2: "b"}),
        ([(["a"], [0, 1]), (["b"], [0, 1])], {}),
        ([(["a"], [1]), (["a"], [2])], {}),
        ([(["a", "b"], [1, 2])], {}),
        ([(None, [1]), ([], [2])], {}),
    ],
)
def test_mask_values_are_named_by_elimination(rows, expected):
    said = [Said(names, values=values) for names, values in rows]
    assert learn_mask_names(said) == expected
