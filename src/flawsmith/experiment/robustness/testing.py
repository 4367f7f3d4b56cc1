"""The tests of a robustness table, cell by cell: each is kept, so that a stop loses one at most."""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import LabelArray, write_index_mask
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.anomaly_model import PATCHCORE, without_classes
from flawsmith.experiment.inspection_model import load_predict
from flawsmith.experiment.ledger import append_line, read_lines
from flawsmith.experiment.robustness.disturbances import Disturbance
from flawsmith.experiment.robustness.disturbed import DisturbedDataset
from flawsmith.experiment.robustness.examples import choose_examples
from flawsmith.experiment.robustness.facts import (
    CELLS_FILE,
    UNDISTURBED,
    VIEW,
    Cell,
    PartFigures,
    cell_line,
)
from flawsmith.experiment.robustness.request import RobustnessRequest
from flawsmith.experiment.source import code_hash
from flawsmith.metrics.evaluation import Evaluation
from flawsmith.metrics.testing import Predict, Progress, evaluate
from flawsmith.models import NETWORKS
from flawsmith.storage import exclusive
from flawsmith.training.loop import Hooks

CODE = (
    "data/images.py",
    "experiment/inspection_model.py",
    "experiment/robustness/disturbances.py",
    "experiment/robustness/disturbed.py",
    "inspection",
    "metrics/segmentation.py",
    "metrics/testing.py",
)
"""A change of these, or of the network, makes every cell new; weights and thresholds are in the
model's hash."""
TIMED_IMAGES = 3


@dataclass(frozen=True)
class Job:
    """One test to be made.

    Attributes:
        disturbance: None for undisturbed images.
        strength: None for undisturbed images.
        view: whose images alone are tested; empty for all.
    """

    disturbance: Disturbance | None = None
    strength: float | None = None
    view: str = ""

    @property
    def name(self) -> str:
        """What stands in the cell."""
        if self.disturbance is not None:
            return self.disturbance.name
        return VIEW if self.view else UNDISTURBED

    def dataset(self, tested: DefectDataset) -> DefectDataset:
        """Return the images of this job."""
        if self.disturbance is not None and self.strength is not None:
            return DisturbedDataset(tested, self.disturbance, self.strength)
        return tested

    def records(self, dataset: DefectDataset) -> list[ImageRecord]:
        """Return the records of this job."""
        return [r for r in dataset.records if not self.view or r.view == self.view]


@dataclass
class RobustnessTest:
    """The jobs of a request and what is known of them."""

    request: RobustnessRequest

    @cached_property
    def jobs(self) -> list[Job]:
        """All jobs, in the order in which they are done."""
        views = [Job(view=view) for view in self.request.views]
        disturbed = [Job(d, s) for d in self.request.disturbances for s in d.strengths]
        return [Job(), *views, *disturbed]

    @cached_property
    def examples(self) -> list[ImageRecord]:
        """The images that the page shows."""
        return choose_examples(self.request.tested.records, self.request.class_names)

    def key(self, job: Job) -> str:
        """Return what names a job's result: model, images, code, disturbance and strength."""
        strength = None if job.strength is None else f"{job.strength:g}"
        values = (*self._base, job.name, strength, job.view)
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]

    @cached_property
    def _base(self) -> tuple[str, ...]:
        fingerprint = self.request.tested.fingerprint()
        name = self.request.config.system
        parts = (*CODE, "experiment/anomaly_model.py") if name == PATCHCORE else CODE
        code = code_hash(parts, NETWORKS.get(name) if name in NETWORKS else None)
        return self.request.model_hash, fingerprint, str(self.request.fold), code

    def finished(self) -> dict[str, Cell]:
        """Return the cells that are there already, by key."""
        cells = {}
        for line in read_lines(self.request.out / CELLS_FILE):
            try:
                cell = Cell.model_validate(line)
            except ValueError:  # of another version
                continue
            cells[cell.key] = cell
        return {
            self.key(job): cells[self.key(job)]
            for job in self.jobs
            if self.key(job) in cells and all(p.is_file() for p in self.prediction_files(job))
        }

    def prediction_files(self, job: Job) -> list[Path]:
        """Return where the predictions of the shown images are; none for jobs not shown."""
        strongest = job.disturbance is None or job.strength == job.disturbance.strongest
        if job.view or not strongest:
            return []
        # Another model that is tested into the same folder must not show its own in their place.
        folder = self.request.out / "predictions" / f"{job.name}-{self.key(job)[:8]}"
        return [folder / f"{Path(record.file_name).stem}.png" for record in self.examples]

    def run_job(self, job: Job, predict: Predict, advance: Progress) -> Cell:
        """Test the model on the images of a job."""
        dataset = job.dataset(self.request.tested)
        places = {
            record.file_name: path
            for record, path in zip(self.examples, self.prediction_files(job), strict=False)
        }

        def save(record: ImageRecord, indices: LabelArray) -> str:
            path = places.get(record.file_name)
            if path is None:
                return ""
            path.parent.mkdir(parents=True, exist_ok=True)
            write_index_mask(path, indices, dataset.schema.palette())
            return str(path.relative_to(self.request.out))

        start = time.perf_counter()
        evaluation = evaluate(
            dataset, job.records(dataset), predict, self.request.thresholds,
            arm=self.request.config.arm, model=self.request.config.system, fold=self.request.fold,
            composition={}, save_prediction=save, progress=advance,
        )  # fmt: skip
        if self.request.config.system == PATCHCORE:
            evaluation = without_classes(evaluation, dataset)
        return _cell(self.key(job), job, evaluation, time.perf_counter() - start)


def run_tests(request: RobustnessRequest, hooks: Hooks) -> list[Cell]:
    """Make the tests that are not there yet, and return the cells of all, undisturbed first.

    Raises:
        FlawsmithError: if the folder cannot be written, another process is at work in it, or an
            image or the model is damaged.
    """
    test = RobustnessTest(request)
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FlawsmithError(f"cannot make {request.out}: {error.strerror or error}") from error
    with exclusive(request.out, what="robustness test"):
        done = test.finished()
        images = {job: len(job.records(request.tested)) for job in test.jobs}
        if done:
            hooks.report(f"{len(done)} of {len(test.jobs)} tests are there already")
        predict = load_predict(request.run) if len(done) < len(test.jobs) else None
        with hooks.bar("robustness", sum(images.values())) as advance:
            for job in test.jobs:
                if test.key(job) in done or predict is None:
                    advance(images[job])
                    continue
                cell = test.run_job(job, predict, advance)
                append_line(request.out / CELLS_FILE, cell_line(cell))
                done[cell.key] = cell
        return [done[test.key(job)] for job in test.jobs]


def estimate_seconds(request: RobustnessRequest) -> tuple[int, int, float]:
    """Return (tests to make, all tests, seconds for those to make), from a few timed images.

    The seconds go with the pixels: a picture that is turned or enlarged has more of them.
    """
    test = RobustnessTest(request)
    done = test.finished()
    waiting = [job for job in test.jobs if test.key(job) not in done]
    if not waiting:
        return 0, len(test.jobs), 0.0
    records = request.tested.records
    step = max(len(records) // TIMED_IMAGES, 1)
    timed = records[::step][:TIMED_IMAGES]
    predict = load_predict(request.run)
    predict(request.tested.image(timed[0]))  # the first one pays for what is set up once
    start = time.perf_counter()
    evaluate(
        request.tested, timed, predict, request.thresholds, arm="", model="", fold=request.fold,
        composition={}, save_prediction=lambda record, indices: "",
    )  # fmt: skip
    seconds = (time.perf_counter() - start) / _pixels(timed)
    total = sum(_pixels(job.records(job.dataset(request.tested))) for job in waiting)
    return len(waiting), len(test.jobs), seconds * total


def _pixels(records: list[ImageRecord]) -> int:
    return sum(record.height * record.width for record in records)


def _cell(key: str, job: Job, evaluation: Evaluation, seconds: float) -> Cell:
    return Cell(
        key=key,
        disturbance=job.name,
        strength=job.strength,
        view=job.view,
        macro_iou=evaluation.macro_iou,
        macro_iou_interval=evaluation.macro_iou_interval,
        escape=evaluation.escape,
        overkill=evaluation.overkill,
        part_auroc=evaluation.part_auroc,
        classes={result.name: result.iou for result in evaluation.classes},
        parts=list(_parts(evaluation)),
        images=evaluation.images,
        seconds=round(seconds, 3),
    )


def _parts(evaluation: Evaluation) -> Iterator[PartFigures]:
    for part in evaluation.parts:
        yield PartFigures(
            part=part.part,
            defective=bool(part.labels),
            fails=part.verdict == "FAIL",
            score=part.score,
            counts=list(part.counts.values()),
        )
