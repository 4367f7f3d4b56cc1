"""The report: every number and sentence against the runs it was made from."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta
from typer.testing import CliRunner

from flawsmith.cli import build_app
from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.images import encode_png, write_image, write_index_mask
from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.plant import PlantAssumptions
from flawsmith.experiment.report import build_report
from flawsmith.experiment.report_synthetic import nearest, turned
from flawsmith.inspection.thresholds import Thresholds
from flawsmith.metrics.evaluation import ClassResult, Evaluation, Interval, PartResult, Rate

SIZE = 48
VOID = {"meta", "br", "img", "link", "input", "hr"}


def exact_rate(count: int, total: int) -> Rate | None:
    """Clopper and Pearson's interval from the beta distribution."""
    if total == 0:
        return None
    low = 0.0 if count == 0 else float(beta.ppf(0.025, count, total - count + 1))
    high = 1.0 if count == total else float(beta.ppf(0.975, count + 1, total - count))
    return Rate(count=count, total=total, low=low, high=high)


class Page(HTMLParser):
    """Text, tags and attributes of a page; notices tags that are not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.stack: list[str] = []
        self.feed(html)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


class Plant:
    """A data set of square parts with a bright square defect, and runs tested on it."""

    def __init__(
        self, root: Path, *, classes: tuple[str, ...] = ("crack", "pit"), defective: int = 25,
        good: int = 10, simulated: bool = False, part: str = "part",
    ) -> None:  # fmt: skip
        self.root, self.classes = root, classes
        self.schema = Schema(
            name="plates", simulated=simulated, backgrounds=make_backgrounds(["plate"]),
            defects=make_defects(list(classes)),
        )  # fmt: skip
        rng = np.random.default_rng(0)
        with DatasetWriter(root / "data", self.schema) as writer:
            for i in range(defective + good):
                # All tested defects are of the first class, but for one training part of each.
                self._add(writer, rng, f"t{i:02d}", f"{part} {i}", 0, 1 if i < defective else 0)
            for k in range(1, len(classes) + 1):
                for i in range(3):
                    self._add(writer, rng, f"r{k}_{i}", f"train {k} {i}", 1, k)
        self.data = DefectDataset.open(root / "data")
        self.tested = [r for r in self.data if r.fold == 0]

    def _add(
        self, writer: DatasetWriter, rng: np.random.Generator, name: str, part: str, fold: int,
        defect: int,
    ) -> None:  # fmt: skip
        image = rng.integers(90, 120, (SIZE, SIZE), dtype=np.uint8)
        mask = np.zeros((SIZE, SIZE), np.uint8)
        if defect:
            y, x = rng.integers(8, 30, 2)
            mask[y : y + 9, x : x + 6] = defect
            image[mask > 0] = 200 + 5 * defect
        writer.add(name, image, LabelMap(mask, np.zeros_like(mask)), part=part, fold=fold)

    def run(
        self, name: str, arm: str, missed: int, rejected: int, *, iou: float = 0.4,
        synthetic: dict[str, int] | None = None, lucky: int = 0, reason: str = "score 0.90",
    ) -> Path:  # fmt: skip
        folder = self.root / name
        (folder / "predictions").mkdir(parents=True)
        parts, predictions = [], {}
        bad = [r for r in self.tested if r.labels]
        fine = [r for r in self.tested if not r.labels]
        for i, record in enumerate([*bad, *fine]):
            failed = missed <= i < len(bad) or 0 <= i - len(bad) < rejected
            file = f"predictions/{Path(record.file_name).stem}.png"
            mask = self.data.label_map(record).defects
            if failed and not record.labels:
                mask[4:10, 4:10] = 1
            write_index_mask(folder / file, mask if failed else mask * 0, self.schema.palette())
            predictions[record.file_name] = file
            hits = [0, 9, 54] if not failed or i - missed < lucky else [50, 1, 4]
            parts.append(
                PartResult(
                    part=record.part, labels=record.labels, verdict="FAIL" if failed else "PASS",
                    score=0.9 if failed else 0.2, reason=reason if failed else "",
                    views=[record.file_name], worst_view=record.file_name,
                    counts={label: hits for label in record.labels}, false_regions=0,
                )
            )  # fmt: skip
        curve = [0.0, 0.5, 1.0] if arm != "machine_vision" else [0.5]
        present = ClassResult(
            name=self.classes[0], parts=len(bad), images=len(bad), regions=len(bad),
            true_positive=1, false_positive=1, false_negative=1, iou=iou,
            iou_interval=Interval(low=iou - 0.1, high=iou + 0.1), average_precision=0.777,
            defect_recall=exact_rate(len(bad) - missed, len(bad)),
            recall_curve=curve, precision_curve=[1.0, 0.8, 0.3][: len(curve)],
        )  # fmt: skip
        absent = [
            ClassResult(
                name=c, parts=0, images=0, regions=0, true_positive=0, false_positive=0,
                false_negative=0, iou=None, iou_interval=None, average_precision=None,
                defect_recall=None, recall_curve=[], precision_curve=[],
            )
            for c in self.classes[1:]
        ]  # fmt: skip
        composition = {"real": dict.fromkeys(self.classes, 3)}
        if synthetic:
            composition["synthetic"] = synthetic
        Evaluation(
            arm=arm, model="fc_hardnet70", data=str(self.root / "data"),
            data_fingerprint=self.data.fingerprint(), simulated=self.schema.simulated, fold=0,
            composition=composition,
            thresholds=Thresholds(pixel=[0.5] * len(self.classes), region=0.5),
            classes=[present, *absent], macro_iou=iou,
            macro_iou_interval=Interval(low=iou - 0.1, high=iou + 0.1), pixel_accuracy=0.9871,
            escape=exact_rate(missed, len(bad)), overkill=exact_rate(rejected, len(fine)),
            false_regions_per_good_part=rejected / len(fine) if fine else None, part_auroc=0.91,
            part_average_precision=0.92, parts=parts, predictions=predictions,
            images=len(parts), seconds_per_image=0.043,
        ).save(folder)  # fmt: skip
        return folder


def log_training(run: Path, *, steps: int = 5) -> None:
    lines = [
        {"images": 16 * i, "seconds": 30.0 * i, "loss/total": 2.0 / i} for i in range(1, steps + 1)
    ]
    lines[-1]["val/macro_iou"] = 0.37
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run / "metrics.jsonl").write_text(text + '{"images": 999, "los')  # torn by a kill
    (run / "config.toml").write_text("steps = 5 # <b>&")


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def build(tmp_path: Path, *runs: Path, **options: object) -> tuple[Page, dict, str]:
    result = build_report(list(runs), tmp_path / "out" / "report.html", **options)
    html = result.html.read_text("utf-8")
    return Page(html), json.loads(result.json.read_text("utf-8")), html


def test_page_states_counts_intervals_and_within_chance(plant: Plant, tmp_path: Path) -> None:
    old = plant.run("mv", "machine_vision", 12, 5)
    before = plant.run("real", "real", 6, 1)
    after = plant.run("gan", "dbs_gan", 2, 0, iou=0.5, synthetic={"crack": 0, "pit": 47})
    page, numbers, _ = build(tmp_path, old, before, after)
    text = page.text
    assert (
        "Now 2 of 25 defective parts missed (8 %, between 1 % and 26 %); before, 6 of 25 "
        "(24 %, between 9.4 % and 45 %). The intervals overlap, so the difference is within chance."
    ) in text
    assert "No proof that synthetic images (dbs_gan) helped" in text
    assert "Now 0 of 10 good parts rejected (0 %, between 0 % and 31 %)" in text
    assert "newly found 4, newly missed 0" in text
    assert "the old way Fixed rules (machine vision)" in text
    assert "12 of 25" in text
    assert "no better than 13.7 % missed" in text
    assert "3 real + 47 synthetic" in text
    assert "0 absent from the test" in text
    assert "the intervals overlap: the difference is within chance" in text
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


def test_verdict_words_follow_the_intervals(plant: Plant, tmp_path: Path) -> None:
    before = plant.run("real", "real", 20, 0)
    after = plant.run("gan", "dbs_gan", 1, 0)
    page, numbers, _ = build(tmp_path, before, after)
    assert "helped: fewer defective parts are missed than before" in page.text
    assert "The intervals do not overlap: fewer than before." in page.text
    assert "Now 0 of 10 good parts rejected" in page.text
    assert "The count is the same as before." in page.text
    assert numbers["verdict"]["tone"] == "better"


def test_negative_results_are_said_as_such(plant: Plant, tmp_path: Path) -> None:
    before = plant.run("real", "real", 1, 0)
    after = plant.run("gan", "dbs_gan", 20, 0, iou=0.1)
    page, numbers, _ = build(tmp_path, before, after)
    assert "Synthetic images (dbs_gan) did harm: more defective parts are missed" in page.text
    assert "The mean over classes is lower after, and the intervals do not overlap." in page.text
    assert numbers["verdict"]["tone"] == "worse"


def test_plant_figures_on_the_page_follow_the_options(plant: Plant, tmp_path: Path) -> None:
    run = plant.run("real", "real", 5, 1)
    options = PlantAssumptions(volume=400_000, defect_ppm=2500, review_seconds=15)
    page, numbers, _ = build(tmp_path, run, plant=options)
    # 1,000 defective parts, 5 of 25 missed: 200 a year; 399,000 good, 1 of 10: 53 a shift.
    assert "Defective parts passed, a year200 (68 to 410)" in page.text.replace(" 200", "200")
    assert numbers["arms"][0]["plant"]["false_rejects_per_shift"]["value"] == pytest.approx(53.2)
    assert "400,000 parts a year with 2,500 ppm defective" in page.text
    assert "15 s for a second look" in page.text


def test_page_is_self_contained(plant: Plant, tmp_path: Path) -> None:
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


def test_hostile_names_are_escaped(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>"
    plant = Plant(tmp_path, classes=(bad, '"><img src=x onerror=y>'), part=bad + "'\"&")
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


def test_one_model_has_no_comparison_and_says_so(plant: Plant, tmp_path: Path) -> None:
    page, numbers, _ = build(tmp_path, plant.run("real", "real", 0, 0))
    assert "Real images only: 0 of 25 defective parts missed, 0 of 10 good parts" in page.text
    assert "No learned model trained another way was tested to compare with." in page.text
    assert "No defective part was missed" in page.text
    assert "No good part was rejected." in page.text
    assert "within chance" not in page.text
    assert numbers["before"] is None
    assert numbers["synthetic"] is None


def test_one_model_is_set_beside_the_old_way(plant: Plant, tmp_path: Path) -> None:
    old, run = plant.run("mv", "machine_vision", 20, 3), plant.run("real", "real", 1, 2)
    text = build(tmp_path, old, run)[0].text
    assert (
        "The old way (fixed rules): 20 of 25 defective parts missed (80 %, between 59 % and 93 %); "
        "the intervals do not overlap, the model has fewer."
    ) in text
    assert "3 of 10 good parts rejected (30 %, between 6.7 % and 65 %); the difference is" in text


def test_no_good_and_no_defective_parts(tmp_path: Path) -> None:
    plant = Plant(tmp_path / "a", good=0)
    page, _, _ = build(tmp_path / "a", plant.run("r", "real", 2, 0), plant.run("g", "gan", 1, 0))
    assert "The test had no good parts, so how many are rejected is not known." in page.text
    assert "none tested" in page.text
    plant = Plant(tmp_path / "b", defective=0)
    page, _, _ = build(tmp_path / "b", plant.run("r", "real", 0, 1), plant.run("g", "gan", 0, 2))
    assert "No defective part was tested" in page.text
    page, _, _ = build(tmp_path / "c", tmp_path / "b" / "r")
    assert "how many defects it misses is not known" in page.text


def test_simulated_data_wears_a_banner(tmp_path: Path) -> None:
    for simulated in (True, False):
        plant = Plant(tmp_path / str(simulated), simulated=simulated)
        page, _, _ = build(plant.root, plant.run("real", "real", 6, 1))
        assert ("Simulated." in page.text) == simulated


def test_right_verdict_for_the_wrong_reason_is_told(plant: Plant, tmp_path: Path) -> None:
    page, numbers, _ = build(tmp_path, plant.run("real", "real", 5, 1, lucky=3))
    assert "3 of the 20 defective parts found were rejected without one pixel" in page.text
    assert numbers["arms"][0]["lucky"] == 3


def test_few_test_parts_are_described_only(tmp_path: Path) -> None:
    for defective, described in ((9, True), (10, False)):
        plant = Plant(tmp_path / str(defective), defective=defective)
        page, _, _ = build(plant.root, plant.run("real", "real", 1, 1))
        assert (f"{defective} described only" in page.text) == described


def test_training_time_and_configuration(plant: Plant, tmp_path: Path) -> None:
    run = plant.run("real", "real", 6, 1)
    log_training(run, steps=20)
    page, numbers, _ = build(tmp_path, run)
    log = numbers["training"][0]
    assert (log["images"], log["seconds"]) == (320, 600)
    assert log["validation"]["values"] == [0.37]
    assert log["losses"][0]["values"][:2] == [2.0, 1.0]
    assert "10 min" in page.text
    assert "steps = 5 # <b>&" in page.text


def test_missing_and_changed_data_are_told(plant: Plant, tmp_path: Path) -> None:
    run = plant.run("real", "real", 6, 1)
    with DatasetWriter(plant.root / "data", plant.schema) as writer:
        mask = np.zeros((SIZE, SIZE), np.uint8)
        writer.add("new", mask + 9, LabelMap(mask, mask), part="new", fold=1)
    page, _, _ = build(tmp_path, run)
    assert "The data set has changed since the test" in page.text
    shutil.rmtree(plant.root / "data")
    page, numbers, _ = build(tmp_path, run)
    assert "no test image is shown" in page.text
    assert page.count("img") == 0
    assert numbers["arms"][0]["escape"]["count"] == 6


def test_runs_on_other_parts_are_refused(plant: Plant, tmp_path: Path) -> None:
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


def make_synthetic(plant: Plant) -> Path:
    """A synthetic set whose first image is a mirrored copy of a real training image."""
    record = next(r for r in plant.data if r.fold == 1 and "pit" in r.labels)
    image = plant.data.image(record)[:, ::-1]
    mask = plant.data.label_map(record).defects[:, ::-1]
    folder = plant.root / "synthetic"
    with DatasetWriter(folder, plant.schema) as writer:
        writer.add(
            "copy", np.ascontiguousarray(image), LabelMap(mask.copy(), mask * 0), part="s0",
            source="synthetic", parents=[record.file_name], mask_source="conditioning",
        )  # fmt: skip
    return folder


def test_nearest_real_crop_exposes_a_copy(plant: Plant, tmp_path: Path) -> None:
    runs = [plant.run("real", "real", 6, 1), plant.run("gan", "dbs_gan", 2, 0)]
    page, numbers, _ = build(tmp_path, *runs, synthetic=make_synthetic(plant))
    match = numbers["synthetic"]["matches"][0]
    assert match["defect"] == "pit"
    assert match["nearest"] == match["parents"][0]
    assert match["correlation"] > 0.98
    assert "mirrored" in match["turned"]
    assert match["searched"] == 3
    assert len(numbers["synthetic"]["sheets"][0]["real_files"]) == 3
    assert match["nearest"] in page.text


def test_nearest_compares_all_turns() -> None:
    rng = np.random.default_rng(1)
    crops = [rng.integers(0, 255, (40, 40, 3), dtype=np.uint8) for _ in range(4)]
    for turn in range(8):
        shown = turned(crops[2], turn)
        index, found, correlation = nearest(shown, crops)
        assert (index, found) == (2, turn)
        assert correlation == pytest.approx(1.0, abs=1e-4)
    flat = np.full((40, 40, 3), 7, np.uint8)
    assert nearest(flat, crops)[2] == 0.0


def test_gallery_shows_the_layers(plant: Plant, tmp_path: Path) -> None:
    run = plant.run("real", "real", 6, 1)
    synthesizer = tmp_path / "synthesizer"
    for n, layers in ((1, ("x_d", "x_b", "synthetic")), (2, ("synthetic",)), (3, ())):
        folder = synthesizer / "samples" / "gallery" / str(n)
        folder.mkdir(parents=True)
        mask = np.zeros((32, 32), np.uint8)
        mask[10:20, 12:18] = 2
        write_index_mask(folder / "label.png", mask, plant.schema.palette())
        if n == 2:  # a picture in the colours of the classes will do as well
            colours = np.array(plant.schema.palette(), np.uint8).reshape(256, 3)
            write_image(folder / "label.png", colours[mask])
        for layer in layers:
            write_image(folder / f"{layer}.png", mask * 60)
    (synthesizer / "samples" / "000100.png").write_bytes(encode_png(np.eye(20, dtype=np.uint8)))
    (synthesizer / "samples" / "000200.png").write_bytes(b"torn")
    page, numbers, html = build(tmp_path, run, synthesizer=synthesizer)
    assert [m["name"] for m in numbers["synthetic"]["matches"]] == ["1", "2"]
    assert all(m["nearest"].startswith("images/r2_") for m in numbers["synthetic"]["matches"])
    alternatives = [a.get("alt") for tag, a in page.tags if tag == "img"]
    assert alternatives.count("X_d") == 1
    assert alternatives.count("nearest real") == 2
    assert "sample sheet 000100" in html
    assert "sample sheet 000200" not in html


def test_predictions_outside_the_run_are_not_read(plant: Plant, tmp_path: Path) -> None:
    run = plant.run("real", "real", 6, 1)
    evaluation = Evaluation.load(run)
    outside = {name: "../data/masks/t00.png" for name in evaluation.predictions}
    evaluation.model_copy(update={"predictions": outside}).save(run)
    page, _, _ = build(tmp_path, run)
    assert "after (not saved)" in page.text


def test_command_writes_both_files(plant: Plant, tmp_path: Path) -> None:
    runs = [plant.run("real", "real", 6, 1), plant.run("gan", "dbs_gan", 2, 0)]
    out = tmp_path / "page.html"
    words = ["report", *map(str, runs), "--out", str(out), "--volume", "50000", "--title", "[T]"]
    result = CliRunner().invoke(build_app(), words)
    assert result.exit_code == 0, result.output
    assert "No proof that synthetic images (dbs_gan) helped" in result.output
    assert json.loads(out.with_suffix(".json").read_text())["assumptions"]["volume"] == 50000
    assert "[T]" in Page(out.read_text()).text
    assert CliRunner().invoke(build_app(), [*words, "--volume", "0"]).exit_code == 2


def test_browser_shows_the_page_without_a_complaint(plant: Plant, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    runs = [plant.run("real", "real", 6, 1), plant.run("gan", "dbs_gan", 2, 0)]
    out = build_report(runs, tmp_path / "report.html").html
    shot, log = tmp_path / "shot.png", tmp_path / "browser.log"
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--enable-logging", f"--log-file={log}", f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1366,3000", "--hide-scrollbars", f"--screenshot={shot}", out.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    messages = done.stderr + (log.read_text(errors="replace") if log.exists() else "")
    assert "CONSOLE" not in messages
    from flawsmith.data.images import read_image

    pixels = read_image(shot)[..., :3].astype(int)
    assert pixels.shape[:2] == (3000, 1366)
    assert (pixels.sum(axis=2) == 3 * 255).mean() > 0.4  # a light page
    lines = (pixels.sum(axis=2) < 3 * 120).any(axis=1)
    assert lines[:1000].mean() > 0.3  # with something to read on page one
    assert np.isin(np.ptp(pixels, axis=2), range(60, 256)).any()  # and the colours of the arms
