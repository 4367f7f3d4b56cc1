"""The report of classification models: words, figures and pictures are of whole images."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.activation import save_activations
from flawsmith.experiment.report import build_report
from flawsmith.inspection.thresholds import Thresholds
from flawsmith.metrics.evaluation import Evaluation
from flawsmith.metrics.image_testing import ScoredImages, evaluate_images

SIZE = 24
PIXEL_WORDS = ("IoU", "pixel label", "mask", "region", "Pixel accuracy", "outlined")


class Line:
    """A data set of whole images in parts, and classification models tested on it."""

    def __init__(
        self, root: Path, labels: list[list[str]], *, classes: tuple[str, ...] = ("pore", "crack")
    ) -> None:
        self.root = root
        schema = Schema(
            name="welds", backgrounds=make_backgrounds(["weld"]), defects=make_defects(classes)
        )
        rng = np.random.default_rng(0)
        nowhere = np.zeros((SIZE, SIZE), np.uint8)
        with DatasetWriter(root / "data", schema) as writer:
            for fold, name in ((0, "t"), (1, "r")):
                for i, shown in enumerate(labels):
                    image = rng.integers(60, 200, (SIZE, SIZE), dtype=np.uint8)
                    writer.add(
                        f"{name}{i:02d}", image, LabelMap(nowhere, nowhere), part=f"{name}{i:02d}",
                        fold=fold, labels=shown, weak_labels=shown,
                    )  # fmt: skip
        self.data = DefectDataset.open(root / "data")
        self.tested = [record for record in self.data if record.fold == 0]

    def run(
        self, name: str, scores: list[list[float]], *, arm: str = "real",
        model: str = "efficientnet_classifier", threshold: float = 0.5, region: float = 0.5,
    ) -> Path:  # fmt: skip
        folder = self.root / name
        folder.mkdir()
        names = self.data.schema.defect_names
        scored = ScoredImages(
            records=self.tested, scores=np.array(scores, np.float64), seconds=0.4,
            truth=np.array([[n in r.labels for n in names] for r in self.tested]),
        )  # fmt: skip
        limits = Thresholds(pixel=[threshold] * len(names), region=region)
        composition = {"real": {n: 3 for n in names}}
        if arm != "real":
            composition["synthetic"] = {n: 40 for n in names}
        found = evaluate_images(
            self.data, scored, limits, arm=arm, model=model, fold=0, composition=composition
        )
        heat = np.linspace(0, 1, SIZE * SIZE, dtype=np.float32).reshape(SIZE, SIZE)
        maps = save_activations(
            folder, self.data, scored, limits, lambda _: np.stack([heat] * len(names))
        )
        found.model_copy(update={"activations": maps}).save(folder)
        return folder


LABELS = [["pore"]] * 12 + [["crack"]] * 8 + [[]] * 10


def scores_of(labels: list[list[str]], wrong: dict[int, list[float]]) -> list[list[float]]:
    """Right scores in rising order, but for the images that are given."""
    right = [[0.1 + 0.7 * (n in shown) + i / 1000 for n in ("pore", "crack")]
             for i, shown in enumerate(labels)]  # fmt: skip
    return [wrong.get(i, row) for i, row in enumerate(right)]


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path, LABELS)


def test_page_one_counts_parts_and_compares_with_before(line, tmp_path: Path, build) -> None:
    before = line.run("real", scores_of(LABELS, {i: [0.2, 0.1] for i in range(6)}))
    wrong = {0: [0.3, 0.1], 1: [0.2, 0.1], 2: [0.1, 0.7], 25: [0.8, 0.2]}
    after = line.run("gan", scores_of(LABELS, wrong), arm="bagan_gp")
    page, numbers, _ = build(tmp_path, before, after)
    text = page.text
    assert "Now 2 of 20 defective parts missed (10 %, between 1.2 % and 32 %); before, 6 of 20" in (
        text
    )
    assert "Now 1 of 10 good parts rejected" in text
    assert "No proof that synthetic images (bagan_gp) helped" in text
    assert "newly found 4, newly missed 0 (p = 0.12)" in text
    assert "1 of the 18 defective parts found was rejected for a class that it does not show" in (
        text
    )
    assert "3 real + 40 synthetic" in text
    assert "1,000,000 parts a year" in text
    assert [arm["escape"]["count"] for arm in numbers["arms"]] == [6, 2]
    assert numbers["arms"][1]["wrong"]["count"] == 4
    assert numbers["paired"]["newly_right"] == ["t03", "t04", "t05"]
    assert numbers["paired"]["newly_wrong"] == ["t25"]
    assert [e["part"] for e in numbers["worst"]] == ["t01", "t00"]
    assert "pore 0.20, found from 0.50" in text
    for word in PIXEL_WORDS:
        assert word not in text
    assert not {"iou", "macro_iou", "pixel_accuracy", "defect_recall", "regions"} & keys(numbers)


def keys(value: object) -> set[str]:
    """All keys of nested JSON."""
    if isinstance(value, dict):
        return set(value) | {key for inner in value.values() for key in keys(inner)}
    return {key for inner in value for key in keys(inner)} if isinstance(value, list) else set()


def test_a_part_may_pass_with_a_class_found(line, tmp_path: Path, build) -> None:
    """Rejected from 0.6: a score of 0.55 is found and passes, and the page says both."""
    run = line.run("real", scores_of(LABELS, {3: [0.55, 0.1]}), region=0.6)
    page, numbers, _ = build(tmp_path, run)
    (missed,) = numbers["worst"]
    assert (
        missed["note"] == "pore 0.55, found from 0.50; but the part scores 0.55, rejected from 0.60"
    )
    assert missed["note"] in page.text
    assert "can pass although a class was found in its image" in page.text
    assert numbers["arms"][0]["part_threshold"] == 0.6


def test_a_right_reason_below_its_class_threshold_is_right(line, tmp_path: Path, build) -> None:
    """Rejected from 0.3: part 3 for the pore that it shows, 4 for a crack, 5 for both."""
    wrong = {3: [0.4, 0.1], 4: [0.1, 0.4], 5: [0.35, 0.4]}
    _, numbers, _ = build(tmp_path, line.run("real", scores_of(LABELS, wrong), region=0.3))
    assert numbers["arms"][0]["escape"]["count"] == 0
    assert numbers["arms"][0]["other_class"] == 1


def test_class_figures_and_confusion(line, tmp_path: Path, build) -> None:
    wrong = {0: [0.3, 0.1], 1: [0.6, 0.9], 2: [0.1, 0.7], 15: [0.7, 0.6], 25: [0.8, 0.2]}
    scores = scores_of(LABELS, wrong)
    page, numbers, _ = build(tmp_path, line.run("real", scores))
    pore, crack = (row["cells"][0] for row in numbers["classes"])
    assert (pore["true_positive"], pore["false_positive"], pore["false_negative"]) == (10, 2, 2)
    assert pore["recall"] == pytest.approx(10 / 12)
    assert crack["precision"] == pytest.approx(8 / 10)
    truth = ["pore" in shown for shown in LABELS]
    assert pore["auroc"] == pytest.approx(roc_auc_score(truth, [row[0] for row in scores]))
    assert pore["auroc_interval"]["low"] < pore["auroc"] < pore["auroc_interval"]["high"]
    interval = pore["recall_interval"]
    assert f"0.83{interval['low']:.2f} to {interval['high']:.2f}" in page.text
    said = [int(np.argmax(row)) if max(row) >= 0.5 else 2 for row in scores]
    expected = confusion_matrix([0] * 12 + [1] * 8 + [2] * 10, said)
    table = numbers["confusions"][0]
    assert table["truth"] == table["said"] == ["pore", "crack", "good"]
    assert table["counts"] == expected.tolist()
    assert "described only" in page.text  # eight parts with a crack


def test_without_good_parts_nothing_is_said_of_missing(tmp_path: Path, build) -> None:
    labels = LABELS[:20]
    line = Line(tmp_path, labels)
    wrong = {i: [0.2, 0.9] for i in range(10)}
    one = line.run("small", scores_of(labels, wrong), model="cnn_classifier")
    two = line.run("big", scores_of(labels, {13: [0.1, 0.1]}))
    page, numbers, _ = build(tmp_path, one, two)
    text = page.text
    assert "The pretrained network is better than the small network from scratch" in text
    assert "The pretrained network: 1 of 20 parts classified wrongly (5 %" in text
    assert "the small network from scratch: 10 of 20 (50 %" in text
    assert "only by the pretrained network 10, only by the small network from scratch 1" in text
    assert "Every tested part is defective. So nothing here says how many good parts" in text
    assert "20 defective and no good parts tested" in text
    for word in ("Defective parts missed", "Good parts rejected", "parts a year", "overkill"):
        assert word not in text
    assert numbers["assumptions"] is None
    assert [arm["plant"] for arm in numbers["arms"]] == [None, None]
    assert numbers["verdict"]["tone"] == "better"
    assert numbers["confusions"][1]["said"][-1] == "none of them"
    assert [e["part"] for e in numbers["worst"]] == ["t13"]
    assert "crack, part t13: crack not found (0.10)" in text
    alone, _, _ = build(tmp_path / "alone", one)
    assert "10 of 20 parts classified wrongly." in alone.text
    assert "pore, part t00: taken for crack (0.90)" in alone.text


@pytest.mark.parametrize(("labels", "alike"), [([["pore"]] * 4, True), (LABELS[:16], False)])
def test_parts_that_all_show_the_same_tell_nothing(
    labels: list[list[str]], alike: bool, tmp_path: Path, build
) -> None:
    cases = Line(tmp_path, labels)
    page, _, _ = build(tmp_path, cases.run("real", scores_of(labels, {})))
    assert "Every tested part is defective" in page.text
    assert ("every tested part shows the same" in page.text) == alike


def test_two_networks_are_compared_by_name(line, tmp_path: Path, build) -> None:
    one = line.run("small", scores_of(LABELS, {0: [0.2, 0.1]}), model="cnn_classifier")
    two = line.run("big", scores_of(LABELS, {1: [0.2, 0.1]}))
    page, numbers, _ = build(tmp_path, one, two)
    assert "The pretrained network and the small network from scratch made equally many" in (
        page.text
    )
    assert "defective parts found only by the pretrained network 1" in page.text
    assert "before" not in page.text.lower()
    assert numbers["role_words"]["before"] == "compared with"
    assert "training again" not in page.text


def test_images_of_several_classes_have_no_confusion(tmp_path: Path, build) -> None:
    labels = [["pore", "crack"]] * 6 + [["pore"]] * 6 + [[]] * 4
    line = Line(tmp_path, labels)
    page, numbers, _ = build(tmp_path, line.run("real", scores_of(labels, {0: [0.9, 0.1]})))
    assert numbers["confusions"] == []
    assert numbers["arms"][0]["wrong"]["count"] == 1
    assert numbers["arms"][0]["escape"]["count"] == 0
    assert "What the images were taken for" not in page.text


def test_every_class_shows_hits_and_misses_the_worst_first(line, tmp_path: Path, build) -> None:
    wrong = {0: [0.3, 0.1], 1: [0.2, 0.1], 2: [0.25, 0.1], 25: [0.8, 0.2], 26: [0.9, 0.2]}
    page, numbers, _ = build(tmp_path, line.run("real", scores_of(LABELS, wrong)))
    pore, crack = numbers["examples"]
    assert [e["score"] for e in pore["missed"]] == [0.2, 0.25]
    assert [e["score"] for e in pore["false"]] == [0.9, 0.8]
    assert len(pore["found"]) == len(crack["found"]) == 2
    assert crack["missed"] == crack["false"] == []
    # Three missed parts on page one, one of them without a map; then eight examples in pairs.
    assert page.count("img") == 2 + 2 + 1 + 8 * 2
    assert "what speaks for pore" in page.text


def test_pictures_outside_the_run_are_not_read(line, tmp_path: Path, build) -> None:
    run = line.run("real", scores_of(LABELS, {}))
    found = Evaluation.load(run)
    outside = [a.model_copy(update={"picture": "../data/images/t00.png"}) for a in
               found.activations]  # fmt: skip
    found.model_copy(update={"activations": outside}).save(run)
    assert build(tmp_path, run)[0].count("img") == 0


def test_data_and_scores_may_be_gone(line, tmp_path: Path, build) -> None:
    run = line.run("real", scores_of(LABELS, {0: [0.3, 0.1]}))
    found = Evaluation.load(run)
    found.model_copy(update={"image_results": []}).save(run)
    shutil.rmtree(line.root / "data")
    page, numbers, _ = build(tmp_path, run)
    assert "no test image is shown" in page.text
    assert numbers["confusions"] == []
    assert numbers["arms"][0]["wrong"] is None
    assert numbers["classes"][0]["cells"][0]["auroc_interval"] is None
    assert "pore 0.30, found from 0.50" in page.text


def test_pixels_and_images_do_not_mix(line, plant, tmp_path: Path) -> None:
    of_images, of_pixels = line.run("whole", scores_of(LABELS, {})), plant.run("px", "real", 6, 1)
    with pytest.raises(
        FlawsmithError, match=r"px was tested by its pixels, .*whole on labels of whole images"
    ):
        build_report([of_images, of_pixels], tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_synthetic_images_are_shown_whole_beside_real_ones(line, tmp_path: Path, build) -> None:
    record = next(r for r in line.data if r.fold == 1 and "crack" in r.labels)
    folder, nowhere = line.root / "synthetic", np.zeros((SIZE, SIZE), np.uint8)
    with DatasetWriter(folder, line.data.schema) as writer:
        writer.add(
            "copy", np.ascontiguousarray(line.data.image(record)[:, ::-1]),
            LabelMap(nowhere, nowhere), part="s0", source="synthetic", labels=record.labels,
            weak_labels=record.labels, parents=[record.file_name],
        )  # fmt: skip
    run = line.run("real", scores_of(LABELS, {}))
    page, numbers, _ = build(tmp_path, run, synthetic=folder)
    made = numbers["synthetic"]
    assert (made["images"], made["crop"]) == (1, SIZE)
    assert made["sheets"][0]["defect"] == "crack"
    assert len(made["sheets"][0]["real_files"]) == 8
    assert made["matches"][0]["nearest"] == record.file_name
    assert made["matches"][0]["correlation"] > 0.98
    assert "mirrored" in page.text


def test_hostile_names_are_escaped(tmp_path: Path, build) -> None:
    bad = "<script>alert(1)</script>"
    labels = [[bad]] * 6 + [[]] * 4
    line = Line(tmp_path, labels, classes=(bad, '"><img src=x onerror=y>'))
    page, _, _ = build(tmp_path, line.run("real", scores_of(labels, {})), title=f"</title>{bad}")
    assert page.count("script") == 0
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.text.count(bad) > 5


def test_browser_shows_the_page_without_a_complaint(line, tmp_path: Path, photograph) -> None:
    runs = [line.run("real", scores_of(LABELS, {0: [0.2, 0.1]})),
            line.run("gan", scores_of(LABELS, {}), arm="bagan_gp")]  # fmt: skip
    out = build_report(runs, tmp_path / "report.html").html
    pixels = photograph(out, 3000)
    assert (pixels.sum(axis=2) == 3 * 255).mean() > 0.4  # a light page
    assert (pixels.sum(axis=2) < 3 * 120).any(axis=1)[:1000].mean() > 0.3
    assert np.isin(np.ptp(pixels, axis=2), range(60, 256)).any()
    assert json.loads(out.with_suffix(".json").read_text())["level"] == "image"
