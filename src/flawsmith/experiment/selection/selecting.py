"""From a synthetic set and a model of real images to a verdict on every image."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from flawsmith import __version__
from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import ImageArray, LabelArray
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.anomaly_model import PATCHCORE
from flawsmith.experiment.inspection_model import (
    PredictMany,
    load_model_config,
    load_predict_many,
    load_thresholds,
)
from flawsmith.experiment.selection import words
from flawsmith.experiment.selection.copies import copy_figures
from flawsmith.experiment.selection.facts import (
    ClassSelection,
    CopyFigures,
    ImageVerdict,
    Limits,
    RealDefect,
    Reason,
    ReasonCode,
    Selection,
    TileFigures,
)
from flawsmith.experiment.selection.figures import (
    MARGIN,
    away_from_labels,
    judge,
    reasons_of_class,
    reasons_outside,
    set_limits,
    tile_figures,
)
from flawsmith.experiment.selection.real_defects import RealTile, cut_tiles, require_masks
from flawsmith.experiment.selection.surroundings import Surroundings
from flawsmith.experiment.synthesis import SynthesisSettings
from flawsmith.experiment.train_model import COMPOSITION_FILE
from flawsmith.experiment.training_data import training_datasets
from flawsmith.inspection.thresholds import Thresholds
from flawsmith.metrics.evaluation import Rate
from flawsmith.metrics.intervals import rate
from flawsmith.systems.base import SYSTEMS
from flawsmith.training.loop import Advance

BATCH = 32
Item = TypeVar("Item")


@dataclass(frozen=True)
class SelectionRequest:
    """What is judged by what, checked to fit together.

    Attributes:
        made: the synthetic images.
        training: real images that the model was trained on.
        validation: real images that it was not, outside the test fold.
        needs: what real the system builds its images from.
    """

    synthetic: DefectDataset
    data: DefectDataset
    run: Path
    fold: int
    thresholds: Thresholds
    made: list[ImageRecord]
    training: list[ImageRecord]
    validation: list[ImageRecord]
    system: str
    needs: frozenset[str]

    @property
    def images(self) -> int:
        """Images that the model looks at."""
        return len(self.made) + len(self.validation)

    @property
    def tile(self) -> int:
        """Side of the real tiles."""
        return min(min(record.height, record.width) for record in self.made)


def prepare(synthetic: Path, run: Path, data: Path | None = None) -> SelectionRequest:
    """Open set, model and data.

    Args:
        synthetic: a synthetic set.
        run: folder of an inspection model that was trained on real images alone, with the same
            test fold left out.
        data: the data set; by default where the model was trained on it.

    Raises:
        FlawsmithError: if the model has seen synthetic images, knows no classes or kept no part
            for validation; or if set, model and data differ in fold or classes, or an image
            descends from a part that the model is validated or tested on.
    """
    require_masks(synthetic)
    config = load_model_config(run)
    if config.system == PATCHCORE:
        raise FlawsmithError(
            f"{run} is a patchcore model, which knows no classes; give one of: flawsmith model "
            "train --network efficientnet_lite0"
        )
    _require_real_only(run, config.data.synthetic)
    made_set = DefectDataset.open(synthetic)
    made = made_set.usable().records
    if not made or any(record.source != "synthetic" for record in made):
        raise FlawsmithError(
            f"{synthetic} is no synthetic set; expected what flawsmith synthesize makes"
        )
    fold = config.data.fold
    if fold is None:
        raise FlawsmithError(f"{run} left out no fold; train one with: flawsmith model train "
                             "--fold K")  # fmt: skip
    _require_fold(synthetic, fold, run)
    folder = data or Path(config.data.path)
    dataset = DefectDataset.open(folder)
    _require_same_data(run, Path(config.data.path), dataset)
    given = config.data.model_copy(update={"path": str(folder), "synthetic": [str(synthetic)]})
    opened, validation = training_datasets(given)
    validation = [r for r in validation if r.labels and r.source == "real" and r.mask_file_name]
    if not validation:
        raise FlawsmithError(
            f"{run} kept no defective part for inner validation, which limits come from; train one "
            "with: --set data.validation_share=0.2"
        )
    system = made[0].system or ""
    return SelectionRequest(
        made_set, dataset, run, fold, load_thresholds(run), made,
        training=[r for r in opened[0] if r.labels and r.source == "real"],
        validation=validation, system=system,
        needs=SYSTEMS.get(system).needs if system in SYSTEMS else frozenset(),
    )  # fmt: skip


def select(
    request: SelectionRequest,
    *,
    quantile: float = 0.05,
    copies: bool = True,
    features: str = "efficientnet_lite0",
    predict: PredictMany | None = None,
    advance: Advance | None = None,
) -> Selection:
    """Judge every synthetic image by limits from real validation defects.

    Args:
        request: see `prepare`.
        quantile: share of the real defects that each limit gives up, above 0 and below 0.5.
        copies: look for copies of training defects too.
        features: network that they are looked for with.
        predict: gives the scores of several images; by default the model of the request.
        advance: told of images that the model, then of those that the feature network has seen.

    Raises:
        FlawsmithError: if the quantile is out of range or a file is damaged.
    """
    if not 0.0 < quantile < 0.5:
        raise FlawsmithError(f"--quantile {quantile}: expected more than 0 and less than 0.5")
    judging = _Judging(request, predict or load_predict_many(request.run), advance)
    real = list(judging.real())
    if not real:
        raise FlawsmithError(
            f"no validation part of {request.data.root} has a defect labelled pixel by pixel, so "
            "there are no limits; label some"
        )
    names = request.data.schema.defect_names
    limits = {name: set_limits(real, name, quantile) for name in names}
    real = [_with_failure(item, limits[item.figures.name]) for item in real]
    near: dict[str, list[CopyFigures]] = {}
    if copies:
        near = copy_figures(
            request.synthetic, request.made, request.data, request.training, request.validation,
            features=features, tile=request.tile, advance=advance,
        )  # fmt: skip
    verdicts = [
        judge(
            verdict.model_copy(update={"copies": near.get(verdict.file_name, [])}),
            limits,
            reject_copies=_rejects_copies(request, copies),
        )
        for verdict in judging.made()
    ]
    result = _facts(request, verdicts, real, limits, quantile=quantile, copies=copies)
    return result.model_copy(update={"warnings": list(words.warnings(result))})


class _Judging:
    """Sends tiles through the model in batches; memory holds one batch."""

    def __init__(
        self, request: SelectionRequest, predict: PredictMany, advance: Advance | None
    ) -> None:
        self.request = request
        self.predict = predict
        self.advance = advance
        self.started = time.perf_counter()
        self.done = 0

    def real(self) -> Iterator[RealDefect]:
        """Yield the real validation defects with their figures."""
        request = self.request
        for batch in _batches(self._cut()):
            figures = self._figures([t.image for t in batch], [t.defects for t in batch])
            for tile, found in zip(batch, figures, strict=True):
                name = request.data.schema.defects[tile.class_id - 1].name
                window = tile.window
                yield RealDefect(
                    file_name=tile.record.file_name,
                    part=tile.record.part,
                    window=(window.top, window.left, window.height, window.width),
                    figures=next(f for f in found.defects if f.name == name),
                    outside=found.outside,
                )

    def made(self) -> Iterator[ImageVerdict]:
        """Yield the synthetic images with their figures, no reasons yet."""
        synthetic = self.request.synthetic
        on_real_surface = "background_images" in self.request.needs
        surroundings = Surroundings(self.request.data)
        for batch in _batches(self.request.made):
            images = [synthetic.image(record) for record in batch]
            maps = [synthetic.label_map(record).defects for record in batch]
            figures = self._figures(images, maps)
            for record, pixels, defects, found in zip(batch, images, maps, figures, strict=True):
                untouched = None
                if on_real_surface:
                    away = away_from_labels(defects)
                    untouched = surroundings.untouched(pixels, away, record.parents)
                yield ImageVerdict(file_name=record.file_name, figures=found, untouched=untouched)
            self._tell(len(batch))

    def _cut(self) -> Iterator[RealTile]:
        for record in self.request.validation:
            yield from cut_tiles(self.request.data, record, self.request.tile)
            self._tell(1)

    def _figures(
        self, images: Sequence[ImageArray], maps: Sequence[LabelArray]
    ) -> list[TileFigures]:
        schema = self.request.data.schema
        scores = self.predict(images)
        for found, defects in zip(scores, maps, strict=True):
            _require_scores(found, (1 + schema.num_defects, *defects.shape), self.request.run)
        return [
            tile_figures(found, defects, self.request.thresholds, schema)
            for found, defects in zip(scores, maps, strict=True)
        ]

    def _tell(self, count: int) -> None:
        self.done += count
        if self.advance:
            seconds = time.perf_counter() - self.started
            self.advance(count, note=f"{self.done / seconds:.1f} images/s")


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    remaining = iter(items)
    while batch := list(islice(remaining, BATCH)):
        yield batch


def _rejects_copies(request: SelectionRequest, copies: bool) -> bool:
    return copies and "exemplars" not in request.needs


def _facts(
    request: SelectionRequest,
    verdicts: list[ImageVerdict],
    real: list[RealDefect],
    limits: dict[str, Limits],
    *,
    quantile: float,
    copies: bool,
) -> Selection:
    classes = [_of_class(request, name, verdicts, real, limits[name]) for name in limits]
    return Selection(
        synthetic=str(request.synthetic.root),
        model=str(request.run),
        data=str(request.data.root),
        data_fingerprint=request.data.fingerprint(),
        system=request.system,
        fold=request.fold,
        quantile=quantile,
        tile=request.tile,
        margin=MARGIN,
        copies_checked=copies,
        copies_rejected=_rejects_copies(request, copies),
        simulated=request.data.schema.simulated,
        accepted=_rate(sum(v.accepted for v in verdicts), len(verdicts)),
        classes=[item for item in classes if item is not None],
        warnings=[],
        images=verdicts,
        real=real,
        version=__version__,
    )


def _with_failure(item: RealDefect, limits: Limits) -> RealDefect:
    reasons: list[Reason] = [
        *reasons_of_class(item.figures, limits),
        *reasons_outside(item.outside, [limits.outside]),
    ]
    return item.model_copy(update={"fails": bool(reasons)})


def _of_class(
    request: SelectionRequest,
    name: str,
    verdicts: Iterable[ImageVerdict],
    real: Iterable[RealDefect],
    limits: Limits,
) -> ClassSelection | None:
    """Return the figures of a class, or None if no synthetic image shows it."""
    shown = [v for v in verdicts if any(f.name == name for f in v.figures.defects)]
    if not shown:
        return None
    own = [item for item in real if item.figures.name == name]
    # Of an image with two classes a reason counts for the class that it is of, "" for both.
    counts: Counter[ReasonCode] = Counter(
        code for v in shown for code in {r.code for r in v.reasons if r.name in (name, "")}
    )
    return ClassSelection(
        name=name,
        colour=request.data.schema.defect(name).colour,
        accepted=_rate(sum(v.accepted for v in shown), len(shown)),
        reasons=dict(counts),
        limits=limits,
        real_failing=rate(sum(item.fails for item in own), len(own)),
        median_real=median(item.figures.probability for item in own) if own else None,
        median_synthetic=median(v.figures_of(name).probability for v in shown),
    )


def _rate(count: int, total: int) -> Rate:
    found = rate(count, total)
    assert found is not None  # never asked for nothing
    return found


def _require_real_only(run: Path, synthetic: list[str]) -> None:
    path = run / COMPOSITION_FILE
    sources = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if synthetic or "synthetic" in sources:
        raise FlawsmithError(
            f"{run} was trained with synthetic images, so it recognises what a generator makes and "
            "not what is real; give one that was trained on real images alone (arm real)"
        )


def _require_fold(synthetic: Path, fold: int, run: Path) -> None:
    settings = SynthesisSettings.load(synthetic)
    # Without settings the parents of every image are checked in any case.
    if settings is not None and settings.fold != fold:
        left_out = "no fold" if settings.fold is None else f"fold {settings.fold}"
        raise FlawsmithError(
            f"{synthetic} was made leaving out {left_out}, {run} was trained leaving out fold "
            f"{fold}; give a model of the same fold"
        )


def _require_same_data(run: Path, trained_on: Path, dataset: DefectDataset) -> None:
    """Refuse data with other images, parts or folds than the model's, as far as that is there."""
    try:
        before = DefectDataset.open(trained_on)
    except FlawsmithError:
        before = dataset  # it was moved: what is given is all there is
    if before.fingerprint() != dataset.fingerprint():
        raise FlawsmithError(
            f"{dataset.root} differs from {trained_on}, on which {run} was trained, in images, "
            "parts or folds; give the same data, or train the model again"
        )


def _require_scores(scores: NDArray[np.float32], shape: tuple[int, ...], run: Path) -> None:
    if scores.shape != shape or not np.isfinite(scores).all():
        raise FlawsmithError(
            f"{run} gives scores of the shape {scores.shape}, or not finite ones; expected {shape} "
            "finite ones: it was made for other classes, or its training has diverged"
        )
