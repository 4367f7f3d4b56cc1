"""Images of one piece get one part before folds are drawn; what the origin said stays."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from flawsmith.data import parts
from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.formats import import_folder
from flawsmith.data.parts import VIEWS_FILE, dataset_views, join_parts, leaks, need_comparison


def record(name: str, part: str | None = None, fold: int | None = None) -> ImageRecord:
    return ImageRecord(
        file_name=name, part=part or name, part_source="origin" if part else "file",
        sha256=name, height=8, width=8, fold=fold,
    )  # fmt: skip


def test_groups_become_parts_and_the_rest_counts_as_compared():
    grouping = join_parts([record(n) for n in "abcd"], [["a", "c"]])
    assert [r.part for r in grouping.records] == ["a", "b", "a", "d"]
    assert not need_comparison(grouping.records)
    assert (grouping.groups, grouping.contradictions) == ([["a", "c"]], [])


def test_the_origin_names_the_part_and_is_never_overruled():
    records = [record("a"), record("b", "tile 7"), record("c", "tile 8"), record("d", "tile 8")]
    grouping = join_parts(records, [["a", "b"], ["c", "d"]])
    assert [r.part for r in grouping.records] == ["tile 7", "tile 7", "tile 8", "tile 8"]
    assert grouping.contradictions == []
    apart = join_parts(records, [["b", "c"]])
    assert [r.part for r in apart.records] == ["a", "tile 7", "tile 8", "tile 8"]
    assert (apart.groups, apart.contradictions) == ([], [["b", "c"]])


def test_leaks_are_images_with_a_view_in_another_fold():
    records = [record(n, fold=f) for n, f in zip("abcde", [0, 1, 1, 1, 0], strict=True)]
    assert leaks(records, [["a", "b", "c"], ["d"]]) == 3
    assert leaks(records, [["b", "c", "d"], ["a", "e"]]) == 0


def surface(seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(size=(240, 320)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


@pytest.fixture
def turned(tmp_path: Path) -> Path:
    """Eight surfaces; 0 and 1 again, turned and darker, under names that say nothing."""
    source = tmp_path / "plain"
    for name in ("good", "dent"):
        (source / name).mkdir(parents=True)
    for i in range(8):
        folder = source / ("good" if i < 4 else "dent")
        cv2.imwrite(str(folder / f"{i}.png"), surface(i))
    for i in range(2):
        dark = (0.7 * surface(i)).astype(np.uint8)
        cv2.imwrite(str(source / "dent" / f"x{i}.png"), cv2.rotate(dark, cv2.ROTATE_180))
    import_folder(source, tmp_path / "set")
    return tmp_path / "set"


def split(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("flawsmith")), "data", "split"]
    command += map(str, arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_split_compares_first_and_says_what_would_have_leaked(turned):
    done = split(turned, "--folds", 2)
    assert done.returncode == 0, done.stderr
    assert "4 of them are views of 2 pieces" in done.stdout
    records = {r.original: r for r in DefectDataset.open(turned)}
    for i in range(2):
        pair = records[f"good/{i}.png"], records[f"dent/x{i}.png"]
        assert pair[0].part == pair[1].part
        assert pair[0].fold == pair[1].fold
    assert len({r.part for r in records.values()}) == 8


def test_comparison_can_be_left_out(turned):
    done = split(turned, "--folds", 2, "--no-compare")
    assert done.returncode == 0, done.stderr
    assert "Compared" not in done.stdout
    assert len({r.part for r in DefectDataset.open(turned)}) == 10


def test_views_are_kept_until_a_file_changes(turned, monkeypatch):
    dataset = DefectDataset.open(turned)
    found = dataset_views(dataset)
    calls = []
    monkeypatch.setattr(parts, "find_views", lambda images, progress: calls.append(1) or found)
    assert dataset_views(dataset) == found
    assert calls == []
    (turned / VIEWS_FILE).write_text('{"files"')  # torn: compared anew
    assert dataset_views(dataset) == found
    other = dataset.records[0].model_copy(update={"sha256": "changed"})
    dataset_views(dataset.with_records([other, *dataset.records[1:]]))
    assert len(calls) == 2
    assert json.loads((turned / VIEWS_FILE).read_text())["views"]["pairs"]
