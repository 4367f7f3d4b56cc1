"""The report: every number and sentence against the runs it was made from."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from flawsmith.cli import build_app
from flawsmith.data.dataset import DatasetWriter, LabelMap
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.plant import PlantAssumptions
from flawsmith.experiment.report import build_report
from flawsmith.metrics.evaluation import Evaluation


def test_page_states_counts_intervals_and_within_chance(plant, tmp_path: Path, build) -> None:
    old = plant.run("mv", "machine_vision", 12, 5)
    before = plant.run("real", "real", 6, 1)
    after = plant.run("gan", "dbs_gan", 2, 0, iou=0.5, synthetic={"crack": 0, "pit": 47})
    page, numbers, _ = build(tmp_path, old, before, after)
    text = page.text
    assert (
        "Now 2 of 25 defective parts missed (8 %, between 1 % and 26 %); before, 6 of 25 "
        "(24 %, between 9.4 % and 45 %). The intervals overlap, so this proves nothing."
    ) in text
    assert "No proof that synthetic images (dbs_gan) helped" in text
    assert "Now 0 of 10 good parts rejected (0 %, between 0 % and 31 %)" in text
    assert "newly found 4, newly missed 0 (p = 0.12)" in text
    assert "the old way Fixed rules (machine vision)" in text
    assert "12 of 25" in text
    assert "no better than 13.7 % missed" in text
    assert "3 real + 47 synthetic" in text
    assert "0 absent from the test" in text
    assert "the intervals overlap: this proves nothing" in text
    assert "0.40 (0.30 to 0.50)" in text
    assert "0.50 (0.40 to 0.60)" in text
    assert numbers["before"] == 1
    assert numbers["after"] == 2
    assert numbers["old_way"] == 0
    assert numbers["verdict"]["tone"] == "open"
    assert [a["escape"]["count"] for a in numbers["arms"]] == [12, 6, 2]
    assert numbers["paired"]["newly_found"] == ["part 2", "part 3", "part 4", "part 5"]
    assert numbers["classes"][0]["cells"][2]["average_precision"] == 0.777
    assert [e["part"] for e in numbers["missed"]] == ["part 0", "part 1"]
    assert "uri" not in json.dumps(numbers)


def test_verdict_words_follow_the_intervals(plant, tmp_path: Path, build) -> None:
    before = plant.run("real", "real", 20, 0)
    after = plant.run("gan", "dbs_gan", 1, 0)
    page, numbers, _ = build(tmp_path, before, after)
    assert "helped: fewer defective parts are missed than before" in page.text
    assert "The intervals do not overlap: fewer than before." in page.text
    assert "Now 0 of 10 good parts rejected" in page.text
    assert "The count is the same as before." in page.text
    assert numbers["verdict"]["tone"] == "better"


def test_negative_results_are_said_as_such(plant, tmp_path: Path, build) -> None:
    before = plant.run("real", "real", 1, 0)
    after = plant.run("gan", "dbs_gan", 20, 0, iou=0.1)
    page, numbers, _ = build(tmp_path, before, after)
    assert "Synthetic images (dbs_gan) did harm: more defective parts are missed" in page.text
    assert "The mean over classes is lower after, and the intervals do not overlap." in page.text
    assert numbers["verdict"]["tone"] == "worse"


def test_plant_figures_on_the_page_follow_the_options(plant, tmp_path: Path, build) -> None:
    run = plant.run("real", "real", 5, 1)
    options = PlantAssumptions(volume=400_000, defect_ppm=2500, review_seconds=15)
    page, numbers, _ = build(tmp_path, run, plant=options)
    # 1,000 defective parts, 5 of 25 missed: 200 a year; 399,000 good, 1 of 10: 53 a shift.
    assert "Defective parts passed, a year200 (68 to 410)" in page.text.replace(" 200", "200")
    assert numbers["arms"][0]["plant"]["false_rejects_per_shift"]["value"] == pytest.approx(53.2)
    assert "400,000 parts a year with 2,500 ppm defective" in page.text
    assert "15 s for a second look" in page.text


def test_page_is_self_contained(plant, tmp_path: Path, build) -> None:
    runs = [plant.run("real", "real", 6, 1), plant.run("gan", "dbs_gan", 2, 0)]
    page, _, html = build(tmp_path, *runs)
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object")
        for name in ("src", "href", "srcset", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith("data:image/"), (tag, name, value)
    assert "http" not in html
    assert "url(" not in html
    assert "@import" not in html
    assert page.count("img") >= 2 * 3 + 6 * 2  # missed with three pictures, found before and after


def test_hostile_names_are_escaped(tmp_path: Path, build, log_training, make_plant) -> None:
    bad = "<script>alert(1)</script>"
    plant = make_plant(tmp_path, classes=(bad, '"><img src=x onerror=y>'), part=bad + "'\"&")
    before = plant.run("real", "real", 6, 1)
    after = plant.run("gan", f"{bad}$x_", 2, 1, reason=f"{bad} in images/a.png")
    for run in (before, after):
        log_training(run)
    page, numbers, _ = build(tmp_path, before, after, title=f"</title>{bad}")
    assert page.count("script") == 0
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert all(a.get("src", "data:").startswith("data:") for _, a in page.tags)
    assert page.text.count(bad) > 20
    assert numbers["classes"][0]["name"] == bad


def test_one_model_has_no_comparison_and_says_so(plant, tmp_path: Path, build) -> None:
    page, numbers, _ = build(tmp_path, plant.run("real", "real", 0, 0))
    assert "Real images only: 0 of 25 defective parts missed, 0 of 10 good parts" in page.text
    assert "No learned model trained another way was tested to compare with." in page.text
    assert "No defective part was missed" in page.text
    assert "No good part was rejected." in page.text
    assert "proves nothing" not in page.text
    assert numbers["before"] is None
    assert numbers["synthetic"] is None


def test_one_model_is_set_beside_the_old_way(plant, tmp_path: Path, build) -> None:
    old, run = plant.run("mv", "machine_vision", 20, 3), plant.run("real", "real", 1, 2)
    text = build(tmp_path, old, run)[0].text
    assert (
        "The old way (fixed rules): 20 of 25 defective parts missed (80 %, between 59 % and 93 %); "
        "the intervals do not overlap, the model has fewer."
    ) in text
    assert (
        "3 of 10 good parts rejected (30 %, between 6.7 % and 65 %); the intervals overlap." in text
    )


def test_no_good_and_no_defective_parts(tmp_path: Path, build, make_plant) -> None:
    plant = make_plant(tmp_path / "a", good=0)
    page, _, _ = build(tmp_path / "a", plant.run("r", "real", 2, 0), plant.run("g", "gan", 1, 0))
    assert "The test had no good parts, so how many are rejected is not known." in page.text
    assert "none tested" in page.text
    plant = make_plant(tmp_path / "b", defective=0)
    page, _, _ = build(tmp_path / "b", plant.run("r", "real", 0, 1), plant.run("g", "gan", 0, 2))
    assert "No defective part was tested" in page.text
    page, _, _ = build(tmp_path / "c", tmp_path / "b" / "r")
    assert "how many defects it misses is not known" in page.text


def test_simulated_data_wears_a_banner(tmp_path: Path, build, make_plant) -> None:
    for simulated in (True, False):
        plant = make_plant(tmp_path / str(simulated), simulated=simulated)
        page, _, _ = build(plant.root, plant.run("real", "real", 6, 1))
        assert ("Simulated." in page.text) == simulated


def test_right_verdict_for_the_wrong_reason_is_told(plant, tmp_path: Path, build) -> None:
    page, numbers, _ = build(tmp_path, plant.run("real", "real", 5, 1, lucky=3))
    assert "3 of the 20 defective parts found were rejected without one pixel" in page.text
    assert numbers["arms"][0]["lucky"] == 3


def test_few_test_parts_are_described_only(tmp_path: Path, build, make_plant) -> None:
    for defective, described in ((9, True), (10, False)):
        plant = make_plant(tmp_path / str(defective), defective=defective)
        page, _, _ = build(plant.root, plant.run("real", "real", 1, 1))
        assert (f"{defective} described only" in page.text) == described


def test_training_time_and_configuration(plant, tmp_path: Path, build, log_training) -> None:
    run = plant.run("real", "real", 6, 1)
    log_training(run, steps=20)
    page, numbers, _ = build(tmp_path, run)
    log = numbers["training"][0]
    assert (log["images"], log["seconds"]) == (320, 600)
    assert log["validation"]["values"] == [0.37]
    assert log["losses"][0]["values"][:2] == [2.0, 1.0]
    assert "10 min" in page.text
    assert "steps = 5 # <b>&" in page.text


def test_missing_and_changed_data_are_told(plant, tmp_path: Path, build) -> None:
    run = plant.run("real", "real", 6, 1)
    with DatasetWriter(plant.root / "data", plant.schema) as writer:
        mask = np.zeros((48, 48), np.uint8)
        writer.add("new", mask + 9, LabelMap(mask, mask), part="new", fold=1)
    page, _, _ = build(tmp_path, run)
    assert "The data set has changed since the test" in page.text
    shutil.rmtree(plant.root / "data")
    page, numbers, _ = build(tmp_path, run)
    assert "no test image is shown" in page.text
    assert page.count("img") == 0
    assert numbers["arms"][0]["escape"]["count"] == 6


def test_runs_on_other_parts_are_refused(plant, tmp_path: Path) -> None:
    first = plant.run("real", "real", 6, 1)
    other = plant.run("gan", "dbs_gan", 2, 0)
    changed = Evaluation.load(other)
    changed.model_copy(update={"fold": 3}).save(other)
    with pytest.raises(FlawsmithError, match=r"another test fold.*3, not 0.*model test"):
        build_report([first, other], tmp_path / "r.html")
    changed.model_copy(update={"parts": changed.parts[:-1]}).save(other)
    with pytest.raises(FlawsmithError, match="another test parts"):
        build_report([first, other], tmp_path / "r.html")
    with pytest.raises(FlawsmithError, match="model test"):
        build_report([tmp_path], tmp_path / "r.html")
    with pytest.raises(FlawsmithError, match=r"ends with \.html"):
        build_report([first], tmp_path / "r.pdf")
    assert not (tmp_path / "r.html").exists()


def test_predictions_outside_the_run_are_not_read(plant, tmp_path: Path, build) -> None:
    run = plant.run("real", "real", 6, 1)
    evaluation = Evaluation.load(run)
    outside = {name: "../data/masks/t00.png" for name in evaluation.predictions}
    evaluation.model_copy(update={"predictions": outside}).save(run)
    page, _, _ = build(tmp_path, run)
    assert "after (not saved)" in page.text


def test_command_writes_both_files(plant, tmp_path: Path, read_page) -> None:
    runs = [plant.run("real", "real", 6, 1), plant.run("gan", "dbs_gan", 2, 0)]
    out = tmp_path / "page.html"
    words = ["report", *map(str, runs), "--out", str(out), "--volume", "50000", "--title", "[T]"]
    result = CliRunner().invoke(build_app(), words)
    assert result.exit_code == 0, result.output
    assert "No proof that synthetic images (dbs_gan) helped" in result.output
    assert json.loads(out.with_suffix(".json").read_text())["assumptions"]["volume"] == 50000
    assert "[T]" in read_page(out.read_text()).text
    assert CliRunner().invoke(build_app(), [*words, "--volume", "0"]).exit_code == 2


def test_browser_shows_the_page_without_a_complaint(plant, tmp_path: Path, photograph) -> None:
    runs = [plant.run("real", "real", 6, 1), plant.run("gan", "dbs_gan", 2, 0)]
    out = build_report(runs, tmp_path / "report.html").html
    pixels = photograph(out, 3000)
    assert (pixels.sum(axis=2) == 3 * 255).mean() > 0.4  # a light page
    lines = (pixels.sum(axis=2) < 3 * 120).any(axis=1)
    assert lines[:1000].mean() > 0.3  # with something to read on page one
    assert np.isin(np.ptp(pixels, axis=2), range(60, 256)).any()  # and the colours of the arms
