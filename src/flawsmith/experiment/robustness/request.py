"""What a robustness test is asked for, checked before the long work."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.anomaly_model import BANK_FILE, ENCODER_FILE, PATCHCORE, AnyDefect
from flawsmith.experiment.inspection_model import (
    MACHINE_VISION_FILE,
    THRESHOLDS_FILE,
    load_model_config,
    load_thresholds,
)
from flawsmith.experiment.robustness.disturbances import DISTURBANCES, Disturbance, in_order
from flawsmith.experiment.robustness.facts import UNDISTURBED, VIEW
from flawsmith.experiment.training_data import held_out_records
from flawsmith.experiment.unseen import require_same_classes, require_unseen, seen_records
from flawsmith.inspection.thresholds import Thresholds
from flawsmith.registry import nearest_name
from flawsmith.systems.segmentation import InspectionModelConfig
from flawsmith.training.checkpoint import checkpoints
from flawsmith.training.config import CONFIG_FILE
from flawsmith.training.loop import BEST

FOLDER = "robustness"
MOST_VIEWS = 12
"""With more, views are no cameras or exposures but single pictures."""
SHARED_BY = 2
"""Parts that have a view of this name, for it to be one."""


@dataclass(frozen=True)
class RobustnessRequest:
    """A model, the images that it is tested on, and how they are disturbed.

    Attributes:
        tested: the real images of the test fold, all defects as one for patchcore.
        class_names: of the data set.
        disturbances: in the order of the page.
        views: names of the views tested alone, none where parts have one.
        training_views: views that training had; None where its data is not there any more.
        only: names that were asked for, empty for all.
        out: folder of the results.
    """

    run: Path
    config: InspectionModelConfig
    model_hash: str
    thresholds: Thresholds
    tested: DefectDataset
    class_names: list[str]
    fold: int
    disturbances: list[Disturbance]
    views: list[str]
    training_views: frozenset[str] | None
    only: list[str]
    out: Path


def prepare(
    run: Path,
    *,
    data: Path | None = None,
    fold: int | None = None,
    only: Sequence[str] = (),
    out: Path | None = None,
) -> RobustnessRequest:
    """Return the request; nothing is written.

    Args:
        run: of an inspection model.
        data: another data set with the same classes; default: the one it was trained on.
        fold: of its images that are tested; default: the one that training left out.
        only: names of disturbances, "undisturbed" or "view"; default: everything.
        out: default: ``RUN/robustness``.

    Raises:
        FlawsmithError: if the run is not finished, the classes differ, a name is unknown, or there
            is no image that the model may be tested on.
    """
    chosen = _chosen(only)
    if not run.is_dir():
        raise FlawsmithError(f"there is no run {run}; give the folder of an inspection model's run")
    config = load_model_config(run)
    thresholds = load_thresholds(run)
    if fold is None:
        fold = config.data.fold
    if fold is None:
        raise FlawsmithError(f"{run} was trained on all parts; name parts to test with --fold")
    if data is None and fold != config.data.fold:
        raise FlawsmithError(
            f"{run} was trained on fold {fold}; only fold {config.data.fold} can test it"
        )
    dataset = DefectDataset.open(data or Path(config.data.path))
    require_same_classes(run, dataset)
    records = held_out_records(dataset, fold)
    if not records:
        raise FlawsmithError(f"{dataset.root} has no real image in fold {fold} to test on")
    training = seen_records(config)
    require_unseen(run, records, training)
    tested = dataset.with_records(records)
    views = _views(records) if not only or VIEW in only else []
    return RobustnessRequest(
        run=run,
        config=config,
        model_hash=model_hash(run),
        thresholds=thresholds,
        tested=AnyDefect(tested) if config.system == PATCHCORE else tested,
        class_names=dataset.schema.defect_names,
        fold=fold,
        disturbances=chosen,
        views=views,
        training_views=None if training is None else frozenset(r.view for r in training),
        only=list(only),
        out=out or run / FOLDER,
    )


def model_hash(run: Path) -> str:
    """Return a short hash of everything that a run's scores and verdicts depend on."""
    names = (CONFIG_FILE, THRESHOLDS_FILE, MACHINE_VISION_FILE, BANK_FILE, ENCODER_FILE)
    paths = [run / name for name in (*names, f"{BEST}.safetensors")]
    found = checkpoints(run)
    if found:
        # Without validation the last average is what is loaded; the state tells the precision.
        last = ["state.json"]
        last += [] if paths[-1].is_file() else ["ema.safetensors", "networks.safetensors"]
        paths += [found[-1] / name for name in last]
    digest = hashlib.sha256()
    for path in paths:
        if path.is_file():
            digest.update(path.name.encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _chosen(only: Sequence[str]) -> list[Disturbance]:
    known = [*DISTURBANCES.names(), UNDISTURBED, VIEW]
    for name in only:
        if name not in known:
            raise FlawsmithError(
                f"there is no disturbance '{name}'{nearest_name(name, known)} "
                f"(known: {', '.join(known)})"
            )
    return [d for d in in_order() if not only or d.name in only]


def _views(records: list[ImageRecord]) -> list[str]:
    """Return the names of views that several parts share, if there are two or more."""
    parts = Counter(view for view, _ in {(r.view, r.part) for r in records} if view)
    shared = sorted(view for view, count in parts.items() if count >= SHARED_BY)
    return shared if 2 <= len(shared) <= MOST_VIEWS else []
