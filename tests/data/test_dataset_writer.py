"""The writer of data sets: fast, and nothing that it reported is ever lost."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flawsmith.data import dataset as dataset_module
from flawsmith.data.dataset import (
    FLUSH_IMAGES,
    METADATA_FILE,
    DatasetWriter,
    DefectDataset,
    LabelMap,
)
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError

SCHEMA = Schema(
    name="tiny",
    backgrounds=[{"id": 0, "name": "surface", "colour": "#202020"}],
    defects=[{"id": 1, "name": "dot", "colour": "#e69f00"}],
)


def add(writer: DatasetWriter, index: int) -> None:
    mask = np.zeros((8, 9), np.uint8)
    mask[index % 8, 2] = 1
    writer.add(f"{index:03d}", mask * 200 + index, LabelMap(mask, mask * 0), part=str(index))


def test_lines_follow_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []

    def sync(paths: list[Path]) -> None:
        text = (tmp_path / METADATA_FILE).read_text()
        assert all(path.is_file() and path.name[:3] not in text for path in paths)
        synced.extend(paths)

    monkeypatch.setattr(dataset_module, "sync_files", sync)
    with DatasetWriter(tmp_path, SCHEMA) as writer:
        add(writer, 0)
        assert not synced
        writer.flush()
        assert sorted(path.name for path in synced) == ["000.png", "000.png"]
        assert len(DefectDataset.open(tmp_path)) == 1
        writer.flush()
        assert len(synced) == 2, "nothing to do twice"
        add(writer, 1)
    assert len(synced) == 4, "closing flushes"
    assert [r.labels for r in DefectDataset.open(tmp_path)] == [["dot"], ["dot"]]


def test_writer_flushes_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = DatasetWriter(tmp_path, SCHEMA)
    for index in range(FLUSH_IMAGES):
        assert len(DefectDataset.open(tmp_path)) == 0
        add(writer, index)
    assert len(writer) == len(DefectDataset.open(tmp_path)) == FLUSH_IMAGES
    monkeypatch.setattr(dataset_module, "FLUSH_BYTES", 50)
    add(writer, FLUSH_IMAGES)
    assert len(DefectDataset.open(tmp_path)) == FLUSH_IMAGES + 1


def test_killed_writer_goes_on_from_its_lines(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from test_dataset_writer import SCHEMA, DatasetWriter, add\n"
        "writer = DatasetWriter(Path(sys.argv[1]), SCHEMA)\n"
        "for i in range(10):\n"
        "    add(writer, i)\n"
        "    if i == 5: writer.flush()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "set"), str(Path(__file__).parent)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    with (tmp_path / "set" / METADATA_FILE).open("a") as stream:
        stream.write('{"file_name": "images/torn')
    with DatasetWriter(tmp_path / "set", SCHEMA) as writer:
        assert len(writer) == 6
        for index in range(len(writer), 10):
            add(writer, index)
    with DatasetWriter(tmp_path / "whole", SCHEMA) as writer:
        for index in range(10):
            add(writer, index)
    for path in (p for p in (tmp_path / "whole").rglob("*") if p.is_file()):
        other = tmp_path / "set" / path.relative_to(tmp_path / "whole")
        assert other.read_bytes() == path.read_bytes()


def test_failed_write_is_told(tmp_path: Path) -> None:
    writer = DatasetWriter(tmp_path, SCHEMA)
    (tmp_path / "images" / "000.png").mkdir()
    with pytest.raises(FlawsmithError, match=r"cannot write .*000.png: Is a directory"):
        add(writer, 0)
    writer.close()
    assert len(DefectDataset.open(tmp_path)) == 0
