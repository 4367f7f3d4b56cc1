"""Synthesis: as planned, from training parts only, resumable bit by bit, in bounded memory."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from flawsmith import cli
from flawsmith.data.dataset import METADATA_FILE, DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.latent import write_painting
from flawsmith.data.mask_bank import MaskBank
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.drawing import Banks
from flawsmith.experiment.painting import paint_label_map, write_painted
from flawsmith.experiment.synthesis import SETTINGS_FILE, SynthesisSettings, fill, synthesize
from flawsmith.experiment.train_synthesizer import configure, train_synthesizer
from flawsmith.experiment.training_data import training_records
from flawsmith.systems.base import SampleRequest, Samples, seeded_noise
from flawsmith.training.loop import Hooks


class FakeSynthesizer:
    """Paints the label map and adds the noise of each seed; notes the sizes it was asked for."""

    name = "fake"
    run = "fake-1"
    fold = 0
    system = SimpleNamespace(size_multiple=16, needs=frozenset())

    def __init__(self, schema: Schema, tile_size: int = 16, fail_at: int | None = None) -> None:
        self.schema = schema
        self.tile_size = tile_size
        self.shapes: list[tuple[int, ...]] = []
        self.fail_at = fail_at

    def sample(self, request: SampleRequest, seeds: Tensor) -> Samples:
        self.shapes.append(tuple(request.defects.shape))
        if self.fail_at is not None and len(self.shapes) > self.fail_at:
            raise KeyboardInterrupt
        noise = seeded_noise(seeds, (1, *request.defects.shape[1:]))
        images = (request.defects[:, None] * 0.3 + 0.05 * noise - 0.5).clamp(-1, 1)
        return Samples(images, request.defects, request.backgrounds, "conditioning", seeds)


SCHEMA = Schema(
    name="dots",
    backgrounds=[{"id": 0, "name": "body", "colour": "#202020"}],
    defects=[
        {"id": i, "name": name, "colour": colour}
        for i, (name, colour) in enumerate(
            {"dot": "#e69f00", "line": "#56b4e9", "spore": "#009e73"}.items(), start=1
        )
    ],
)


@pytest.fixture(scope="module")
def dots(tmp_path_factory: pytest.TempPathFactory) -> DefectDataset:
    root = tmp_path_factory.mktemp("dots")
    with DatasetWriter(root, SCHEMA) as writer:
        for index in range(6):
            mask = np.zeros((24, 24), np.uint8)
            mask[5:8, 6 : 9 + 5 * (index % 2)] = 1 + index % 2
            writer.add(f"{index}", mask * 50, LabelMap(mask, mask * 0), part=f"{index}")
    return DefectDataset.open(root)


@pytest.fixture(scope="module")
def bank(dots: DefectDataset) -> Banks:
    return Banks(MaskBank.from_dataset(dots, dots))


def make_settings(**changes: Any) -> SynthesisSettings:
    values: dict[str, Any] = {
        "run": "fake-1", "checkpoint": "000016", "system": "fake", "fold": 0, "seed": 3,
        "plan": {"dot": 9, "line": 5, "spore": 0}, "max_defects": 1, "tile_size": 16, "data": "ab",
    }  # fmt: skip
    return SynthesisSettings(**(values | changes))


def fill_set(bank: Banks, out: Path, batch_size: int = 4, **changes: Any) -> FakeSynthesizer:
    fake = FakeSynthesizer(SCHEMA)
    fill(fake, bank, out, make_settings(**changes), batch_size=batch_size)  # type: ignore[arg-type]
    return fake


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def test_set_is_as_planned(bank: Banks, dots: DefectDataset, tmp_path: Path) -> None:
    fill_set(bank, tmp_path / "set")
    made = DefectDataset.open(tmp_path / "set")
    assert Counter(label for r in made for label in r.labels) == {"dot": 9, "line": 5}
    real = {r.file_name: r for r in dots}
    for index, record in enumerate(made):
        assert record.file_name == f"images/synthetic-{index:06d}.png"
        assert (record.source, record.system, record.run) == ("synthetic", "fake", "fake-1")
        assert (record.fold, record.mask_source) == (None, "conditioning")
        assert record.part == f"synthetic-{index}"
        assert record.seed == make_settings().image_seed(index)
        assert [real[name].labels for name in record.parents] == [record.labels]
        defects = made.label_map(record).defects
        image = made.image(record).astype(float) / 255 * 2 - 1
        assert np.abs(image + 0.5 - 0.3 * defects).max() < 0.3, "the mask fits its image"
    first_half = Counter(label for r in made.records[:7] for label in r.labels)
    assert len(first_half) == 2, "a part of the set shows all classes"


def test_image_depends_on_settings_and_its_number_alone(bank: Banks, tmp_path: Path) -> None:
    shapes = fill_set(bank, tmp_path / "one", batch_size=1).shapes
    assert set(shapes) == {(1, 16, 16)}
    fill_set(bank, tmp_path / "all", batch_size=100)
    assert contents(tmp_path / "one") == contents(tmp_path / "all")
    fill_set(bank, tmp_path / "other", seed=4)
    assert contents(tmp_path / "other") != contents(tmp_path / "all")


def test_image_seeds_are_distinct_and_exact_in_json() -> None:
    settings = make_settings()
    seeds = [settings.image_seed(index) for index in range(3000)]
    assert len(set(seeds)) == 3000
    assert max(seeds) < 2**53
    assert not set(seeds) & {make_settings(seed=4).image_seed(index) for index in range(3000)}


@pytest.mark.parametrize("kept_lines", [0, 4, 6, 8, 14])
def test_interrupted_set_ends_with_the_same_files(
    bank: Banks, tmp_path: Path, kept_lines: int
) -> None:
    fill_set(bank, tmp_path / "whole")
    out = tmp_path / "set"
    fake = FakeSynthesizer(SCHEMA, fail_at=2)
    with pytest.raises(KeyboardInterrupt):
        fill(fake, bank, out, make_settings(), batch_size=4)  # type: ignore[arg-type]
    assert len(DefectDataset.open(out)) == 8, "two whole batches are safe"
    if kept_lines == 14:
        fill_set(bank, out)
    lines = (out / METADATA_FILE).read_bytes().splitlines(keepends=True)[:kept_lines]
    torn = b'{"file_name": "ima' if kept_lines < 14 else b""
    (out / METADATA_FILE).write_bytes(b"".join(lines) + torn)
    told: list[int] = []
    report = fill(
        FakeSynthesizer(SCHEMA),  # type: ignore[arg-type]
        bank,
        out,
        make_settings(),
        batch_size=4,
        advance=lambda count=1, *, note="": told.append(count),
    )
    assert contents(out) == contents(tmp_path / "whole")
    assert (report.images, report.new_images) == (14, 14 - kept_lines)
    assert sum(told) == 14


def test_other_settings_are_refused(bank: Banks, tmp_path: Path) -> None:
    fill_set(bank, tmp_path)
    before = contents(tmp_path)
    with pytest.raises(FlawsmithError, match=r"seed was 3, is 4; max_defects was 1, is 2; give"):
        fill_set(bank, tmp_path, seed=4, max_defects=2)
    with pytest.raises(FlawsmithError, match=r"plan was .*'dot': 9.* is .*'dot': 1"):
        fill_set(bank, tmp_path, plan={"dot": 1})
    assert contents(tmp_path) == before
    (tmp_path / SETTINGS_FILE).write_text("{")
    with pytest.raises(FlawsmithError, match="is not JSON"):
        fill_set(bank, tmp_path)


def test_folder_that_holds_something_else_is_refused(bank: Banks, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(FlawsmithError, match="exists already"):
        fill_set(bank, tmp_path)
    assert contents(tmp_path) == {"mine.txt": b"keep"}


def test_memory_does_not_grow_with_the_number_of_images(bank: Banks, tmp_path: Path) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        fill_set(bank, tmp_path / str(count), batch_size=16, plan={"dot": count}, tile_size=16)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(16)  # what is imported on first use
    small, large = peak(64), peak(480)
    # One byte a planned image is meant to grow: its class.
    assert large < small + 50_000
    assert len((tmp_path / "480" / METADATA_FILE).read_bytes()) > 150_000, "more than the margin"


def test_painting_of_any_size(tmp_path: Path) -> None:
    defects = np.zeros((21, 50), np.uint8)
    defects[4:9, 40:50] = 2
    fake = FakeSynthesizer(SCHEMA)
    label_map = LabelMap(defects, np.zeros_like(defects))
    painted = paint_label_map(fake, label_map, [7, 8])  # type: ignore[arg-type]
    assert fake.shapes == [(1, 32, 64)] * 2
    assert [image.shape for image in painted.images] == [(21, 50)] * 2
    assert not np.array_equal(*painted.images)
    write_painted(painted, tmp_path / "painted")
    made = DefectDataset.open(tmp_path / "painted")
    assert [(r.labels, r.seed, r.parents) for r in made] == [(["line"], 7, []), (["line"], 8, [])]
    for record, image in zip(made, painted.images, strict=True):
        np.testing.assert_array_equal(made.label_map(record).defects, defects)
        np.testing.assert_array_equal(made.image(record), image)
    with pytest.raises(FlawsmithError, match="exists already"):
        write_painted(painted, tmp_path / "painted")


@pytest.fixture(scope="module")
def run(pouch_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained synthesizer, if sixteen images can be called training."""
    folder = tmp_path_factory.mktemp("runs") / "dbs_gan-1"
    config = configure("dbs_gan", "tiny", pouch_folder, fold=1, overrides=[])
    train_synthesizer(config, folder, Hooks(), resume=False)
    return folder


def test_nothing_descends_from_test_or_validation_parts(
    run: Path, pouch_folder: Path, tmp_path: Path
) -> None:
    dataset = DefectDataset.open(pouch_folder)
    config = configure("dbs_gan", "tiny", pouch_folder, fold=1, overrides=[])
    training, validation = training_records(dataset, config.data)
    assert validation
    report = synthesize(run, dataset, tmp_path / "set", plan={"spore": 12, "leakage": 12})
    made = DefectDataset.open(report.out)
    assert len(made) == report.images == 24
    parents = {name for record in made for name in record.parents}
    assert parents <= {record.file_name for record in training}
    assert len(parents) > 2
    settings = json.loads((report.out / SETTINGS_FILE).read_text())
    assert (settings["fold"], settings["run"]) == (1, "dbs_gan-1")
    assert settings["data"] == dataset.fingerprint()


def test_another_test_fold_is_refused(run: Path, pouch_folder: Path, tmp_path: Path) -> None:
    dataset = DefectDataset.open(pouch_folder)
    with pytest.raises(FlawsmithError, match="leaving out fold 1, not fold 0"):
        synthesize(run, dataset, tmp_path / "set", plan={"spore": 1}, fold=0)
    assert not (tmp_path / "set").exists()


def test_data_with_other_classes_is_refused(run: Path, dots: DefectDataset, tmp_path: Path) -> None:
    with pytest.raises(FlawsmithError, match=r"knows the backgrounds body, outside; .* has body"):
        synthesize(run, dots, tmp_path / "set", plan={"dot": 1})


def test_class_without_masks_is_refused_before_anything_is_written(
    run: Path, pouch_folder: Path, tmp_path: Path
) -> None:
    dataset = DefectDataset.open(pouch_folder)
    without = dataset.with_records([r for r in dataset if "spore" not in r.labels])
    with pytest.raises(FlawsmithError, match="no training image has a mask of spore"):
        synthesize(run, without, tmp_path / "set", plan={"spore": 1, "groove": 1})
    assert not (tmp_path / "set").exists()


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Run the command in this process; return status, output and errors."""
    argv, sys.argv = sys.argv, ["flawsmith", *map(str, words)]
    try:
        cli.main()
        status = 0
    except SystemExit as stop:
        status = int(stop.code or 0)
    finally:
        sys.argv = argv
    out, err = capsys.readouterr()
    return status, out, err


def test_command_survives_a_kill(
    run: Path, pouch_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", pouch_folder, "--balance", "--per-class", 16, "--batch-size", 1]
    command = ["synthesize", run, *options, "--max-defects", 2, "--out"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        status, out, _ = call(capsys, *command, tmp_path / "whole")
        killed = tmp_path / "killed"
        process = subprocess.Popen(
            [sys.executable, "-m", "flawsmith", *map(str, command), str(killed)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
        )
        while process.poll() is None and not _lines(killed) > 6:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert 6 < _lines(killed) < len(DefectDataset.open(tmp_path / "whole"))
        assert call(capsys, *command, killed)[0] == 0
    finally:
        torch.set_num_threads(threads)
    assert contents(killed) == contents(tmp_path / "whole")
    assert status == 0
    assert f"next: flawsmith model train --data {pouch_folder} --synthetic" in out
    assert "--fold 1" in out.partition("next:")[2]
    row = next(line for line in out.splitlines() if "groove" in line)
    before, added, after = (int(row.split()[i].replace("+", "")) for i in (3, 6, 8))
    assert before + added == after == 16


def _lines(folder: Path) -> int:
    path = folder / METADATA_FILE
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def test_command_makes_images_of_a_drawing(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    defects = np.zeros((40, 56), np.uint8)
    defects[10:20, 8:40] = 3
    drawing = tmp_path / "drawn.png"
    write_painting(drawing, LabelMap(defects, np.zeros_like(defects)), Schema.load(run))
    command = ["synthesize", run, "--mask", drawing, "--background", "Outside", "--count", 2]
    status, out, err = call(capsys, *command, "--out", tmp_path / "out")
    assert (status, err) == (0, "")
    assert str(tmp_path / "out") in out
    made = DefectDataset.open(tmp_path / "out")
    assert [(r.height, r.width, r.labels) for r in made] == [(40, 56, ["folding"])] * 2
    assert (made.label_map(made.records[0]).backgrounds == 1).all()
    status, _, err = call(capsys, *command[:-4], "--background", "lid", "--out", tmp_path / "no")
    assert status == 2
    assert "there is no such background (known: body, outside)" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["RUN"], "needs --balance --data DATA, or --mask"),
        (["RUN", "--balance", "--mask", "a.png"], "needs --balance --data DATA, or --mask"),
        (["RUN", "--balance"], "--balance needs --data"),
        (["RUN", "--mask", "a.png"], "--mask needs --out"),
        (["RUN", "--mask", "a.png", "--per-class", "3"], "--per-class means nothing with --mask"),
        (["RUN", "--balance", "--data", "DATA", "--count", "3"], "--count means nothing with"),
        (["RUN", "--balance", "--data", "DATA", "--per-class", "0"], "--per-class 0: expected"),
        (["RUN", "--balance", "--data", "DATA", "--per-class", "9", "--batch-size", "0"], "batch"),
        (["DATA", "--balance", "--data", "DATA"], "is no run folder"),
        (["RUN", "--balance", "--data", "RUN"], "metadata.jsonl"),
        (["RUN", "--mask", "a.png", "--out", "NEW"], "there is no image a.png"),
        (["RUN", "--mask", "a.png", "--out", "NEW", "--count", "0"], "--count 0: expected 1"),
    ],
)
def test_wrong_use_is_one_message_and_status_2(
    run: Path,
    pouch_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    places = {"RUN": run, "DATA": pouch_folder, "NEW": tmp_path / "new"}
    status, _, err = call(capsys, "synthesize", *(places.get(word, word) for word in words))
    assert status == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (run / "synthetic").exists()
    assert not (tmp_path / "new").exists()


def test_changed_data_do_not_continue_a_set(run: Path, pouch_folder: Path, tmp_path: Path) -> None:
    dataset = DefectDataset.open(pouch_folder)
    synthesize(run, dataset, tmp_path / "set", plan={"spore": 2})
    changed = tmp_path / "data"
    shutil.copytree(pouch_folder, changed)
    fewer = DefectDataset.open(changed)
    good = next(r for r in fewer if r.is_good)
    fewer = fewer.with_records([r for r in fewer if r.part != good.part])
    with pytest.raises(FlawsmithError, match="begun with other settings: data was"):
        synthesize(run, fewer, tmp_path / "set", plan={"spore": 2})
