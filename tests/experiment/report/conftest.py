"""A small tested world to report: parts with square defects, runs on them, and the page read."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.images import write_index_mask
from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.experiment.report import build_report
from flawsmith.inspection.thresholds import Thresholds
from flawsmith.metrics.evaluation import ClassResult, Evaluation, Interval, PartResult, Rate

SIZE = 48
VOID = {"meta", "br", "img", "link", "input", "hr"}


def _exact_rate(count: int, total: int) -> Rate | None:
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
            defect_recall=_exact_rate(len(bad) - missed, len(bad)),
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
            escape=_exact_rate(missed, len(bad)), overkill=_exact_rate(rejected, len(fine)),
            false_regions_per_good_part=rejected / len(fine) if fine else None, part_auroc=0.91,
            part_average_precision=0.92, parts=parts, predictions=predictions,
            images=len(parts), seconds_per_image=0.043,
        ).save(folder)  # fmt: skip
        return folder


def _log_training(run: Path, *, steps: int = 5) -> None:
    lines = [
        {"images": 16 * i, "seconds": 30.0 * i, "loss/total": 2.0 / i} for i in range(1, steps + 1)
    ]
    lines[-1]["val/macro_iou"] = 0.37
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run / "metrics.jsonl").write_text(text + '{"images": 999, "los')  # torn by a kill
    (run / "config.toml").write_text("steps = 5 # <b>&")


def _build(tmp_path: Path, *runs: Path, **options: object) -> tuple[Page, dict, str]:
    result = build_report(list(runs), tmp_path / "out" / "report.html", **options)
    html = result.html.read_text("utf-8")
    return Page(html), json.loads(result.json.read_text("utf-8")), html


@pytest.fixture(scope="session")
def exact_rate() -> Callable[[int, int], Rate | None]:
    """Clopper and Pearson's interval of count and total."""
    return _exact_rate


@pytest.fixture(scope="session")
def make_plant() -> type[Plant]:
    return Plant


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


@pytest.fixture(scope="session")
def log_training() -> Callable[..., None]:
    """Write what training leaves in a run folder."""
    return _log_training


@pytest.fixture(scope="session")
def read_page() -> type[Page]:
    """Parse HTML and check that its tags are closed."""
    return Page


@pytest.fixture(scope="session")
def build() -> Callable[..., tuple[Page, dict, str]]:
    """Build a report of runs: the page, its numbers and its HTML."""
    return _build
