"""Which test images a report on whole images shows, with what the model looked at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.images import read_image
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.activation import GAP
from flawsmith.experiment.report.facts import Panel
from flawsmith.experiment.report.pictures import Pixels, displayed, fit, photo
from flawsmith.experiment.report.whole_images.facts import ClassExamples, ImageExample, Kind
from flawsmith.experiment.report.whole_images.tables import named_classes, right_parts
from flawsmith.metrics.classification import verdict_scale
from flawsmith.metrics.evaluation import Activation, Evaluation, PartResult

WORST_SHOWN = 24
BOX = 320
LOOKED = "what speaks for {}"


@dataclass(frozen=True)
class TestedClassifier:
    """A run, what its test found, and the data that it was tested on, where they still are."""

    run: Path
    evaluation: Evaluation
    dataset: DefectDataset | None

    def panels(self, activation: Activation) -> list[Panel]:
        """Return the image and the same under its map; nothing where the file is gone."""
        path = self.run / activation.picture
        if not path.resolve().is_relative_to(self.run.resolve()) or not path.is_file():
            return []
        try:
            pixels = _rgb(path)
        except FlawsmithError:
            return []
        width = (pixels.shape[1] - GAP) // 2
        halves = {"image": pixels[:, :width], LOOKED.format(activation.defect): pixels[:, -width:]}
        return [_panel(label, half) for label, half in halves.items()]

    def image_panel(self, file_name: str) -> list[Panel]:
        """Return a test image alone, for which the test drew no map."""
        if self.dataset is None:
            return []
        record = next((r for r in self.dataset if r.file_name == file_name), None)
        try:
            pixels = displayed(self.dataset.image(record), self.dataset.schema) if record else None
        except FlawsmithError:
            return []  # an image that was removed after the test: the numbers still stand
        return [] if pixels is None else [_panel("image", pixels)]

    def part_of(self, image: str) -> PartResult:
        """Return the part of a tested image."""
        return next(part for part in self.evaluation.parts if image in part.views)

    def threshold(self, defect: str) -> float:
        """Return the score from which a class is found."""
        names = [result.name for result in self.evaluation.classes]
        return self.evaluation.thresholds.pixel[names.index(defect)]


def class_examples(tested: TestedClassifier) -> list[ClassExamples]:
    """Return what the test drew maps for, class by class: the worst of each kind first."""
    found = []
    for result in tested.evaluation.classes:
        own = [a for a in tested.evaluation.activations if a.defect == result.name]

        def of_kind(kind: Kind, own: Sequence[Activation] = own) -> list[ImageExample]:
            return [_example(tested, a) for a in own if a.kind == kind]

        found.append(
            ClassExamples(
                name=result.name,
                missed=sorted(of_kind("missed"), key=lambda e: e.score),
                false=sorted(of_kind("false"), key=lambda e: -e.score),
                found=sorted(of_kind("found"), key=lambda e: -e.score),
            )
        )
    return found


def _example(tested: TestedClassifier, activation: Activation) -> ImageExample:
    part = tested.part_of(activation.image)
    images = {r.image: r.labels for r in tested.evaluation.image_results}
    return ImageExample(
        kind=activation.kind,
        defect=activation.defect,
        labels=images.get(activation.image, part.labels),
        part=part.part,
        image=activation.image,
        score=activation.score,
        threshold=activation.threshold,
        note=f"{activation.defect} {activation.score:.2f}, found from {activation.threshold:.2f}",
        panels=tested.panels(activation),
    )


def missed_examples(tested: TestedClassifier) -> list[ImageExample]:
    """Return the defective parts that passed, the lowest scores first, each with one view."""
    missed = [p for p in tested.evaluation.parts if p.labels and p.verdict == "PASS"]
    missed.sort(key=lambda part: part.score)
    return [_missed(tested, part) for part in missed[:WORST_SHOWN]]


def _missed(tested: TestedClassifier, part: PartResult) -> ImageExample:
    """Return the view that the test drew the map of one of its classes for, else the nearest."""
    maps = _maps(tested, part, lambda a: a.kind == "missed")
    if maps:
        return _example(tested, maps[0])
    names = [result.name for result in tested.evaluation.classes]
    scored = [
        (result.scores[names.index(label)], label, result)
        for result in tested.evaluation.image_results
        if result.image in part.views
        for label in result.labels
    ]
    limit = tested.evaluation.thresholds.region
    rejected = f"{part.score:.2f}, rejected from {limit:.2f}"
    if not scored:
        note = f"highest score {rejected}"
        return ImageExample(
            kind="missed", defect=part.labels[0], labels=part.labels, part=part.part,
            image=part.worst_view, score=part.score, threshold=limit, note=note,
            panels=tested.image_panel(part.worst_view),
        )  # fmt: skip
    score, defect, result = max(scored, key=lambda item: item[0])
    threshold = tested.threshold(defect)
    note = f"{defect} {score:.2f}, found from {threshold:.2f}"
    if score >= threshold:
        note += f"; but the part scores {rejected}"
    return ImageExample(
        kind="missed",
        defect=defect,
        labels=result.labels,
        part=part.part,
        image=result.image,
        score=score,
        threshold=threshold,
        note=note,
        panels=tested.image_panel(result.image),
    )


def wrong_examples(tested: TestedClassifier) -> list[ImageExample]:
    """Return parts with a wrongly classified image, the most wrong first, that image of each."""
    evaluation = tested.evaluation
    names = [result.name for result in evaluation.classes]
    said, right = named_classes(evaluation), right_parts(evaluation)
    thresholds = np.array(evaluation.thresholds.pixel)
    worst: dict[str, tuple[float, ImageExample]] = {}
    for result in evaluation.image_results:
        part = tested.part_of(result.image)
        if part.part in right or set(result.labels) == set(said[result.image]):
            continue
        scaled = verdict_scale(np.array(result.scores), thresholds)
        shown = np.array([name in result.labels for name in names])
        extra = [name for name in said[result.image] if name not in result.labels]
        lacking = [name for name in result.labels if name not in said[result.image]]
        wrongness = float(scaled[~shown].max(initial=0) - scaled[shown].min(initial=1))
        if part.part in worst and worst[part.part][0] >= wrongness:
            continue
        defect = (extra or lacking)[0]
        score = result.scores[names.index(defect)]
        maps = _maps(tested, part, lambda a, image=result.image: a.image == image)  # type: ignore[misc]
        worst[part.part] = wrongness, ImageExample(
            kind="false" if extra else "missed",
            defect=defect,
            labels=result.labels,
            part=part.part,
            image=result.image,
            score=score,
            threshold=tested.threshold(defect),
            note=_wrong_words(said[result.image], extra, lacking, score),
            panels=_wrong_panels(tested, result.image, maps),
        )  # fmt: skip
    ordered = sorted(worst.values(), key=lambda item: -item[0])
    return [example for _, example in ordered[:WORST_SHOWN]]


def _wrong_words(said: list[str], extra: list[str], lacking: list[str], score: float) -> str:
    if extra and lacking:
        return f"taken for {' and '.join(said)} ({score:.2f})"
    if extra:
        return f"{' and '.join(extra)} found as well ({score:.2f})"
    return f"{' and '.join(lacking)} not found ({score:.2f})"


def _wrong_panels(tested: TestedClassifier, image: str, maps: Sequence[Activation]) -> list[Panel]:
    """Return the image once and the maps that the test drew for it."""
    panels = [tested.panels(activation) for activation in maps]
    drawn = [both for both in panels if both]
    if not drawn:
        return tested.image_panel(image)
    return [drawn[0][0], *(both[1] for both in drawn)]


def _maps(
    tested: TestedClassifier, part: PartResult, fits: Callable[[Activation], bool]
) -> list[Activation]:
    return [a for a in tested.evaluation.activations if a.image in part.views and fits(a)]


def _rgb(path: Path) -> Pixels:
    pixels: Pixels = read_image(path).astype(np.uint8)
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def _panel(label: str, pixels: Pixels) -> Panel:
    return Panel(label=label, picture=photo(fit(np.ascontiguousarray(pixels), BOX)))
