"""What every report needs before its figures: the tested data, the commands, the logs."""

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from flawsmith.data.dataset import DefectDataset
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.plant import PlantAssumptions
from flawsmith.experiment.report.facts import DataFacts
from flawsmith.experiment.report.runs import TrainingLog, read_training_log
from flawsmith.metrics.evaluation import EVALUATION_FILE, Evaluation

SYNTHESIZER_COLOUR = "#3c8d7a"


def open_data(evaluation: Evaluation) -> tuple[DefectDataset | None, str]:
    """Return the data set that was tested on, and what is wrong with it now."""
    try:
        dataset = DefectDataset.open(Path(evaluation.data))
    except FlawsmithError:
        return None, f"The data set is no longer at {evaluation.data}: no test image is shown."
    if dataset.fingerprint() != evaluation.data_fingerprint:
        return dataset, (
            f"The data set has changed since the test (fingerprint now {dataset.fingerprint()}): "
            "pictures may not match the numbers. Test the models again."
        )
    return dataset, ""


def tested_on(run: Path) -> str:
    """Return the day of a run's test."""
    written = (run / EVALUATION_FILE).stat().st_mtime
    return datetime.fromtimestamp(written, UTC).date().isoformat()


def data_facts(evaluation: Evaluation, dataset: DefectDataset | None, note: str) -> DataFacts:
    """Return what was tested on; ``note`` says what is wrong with it now."""
    defective = sum(bool(part.labels) for part in evaluation.parts)
    return DataFacts(
        name=dataset.schema.name if dataset else Path(evaluation.data).name,
        path=evaluation.data,
        fingerprint=evaluation.data_fingerprint,
        fold=evaluation.fold,
        simulated=evaluation.simulated,
        test_parts=len(evaluation.parts),
        defective_parts=defective,
        good_parts=len(evaluation.parts) - defective,
        test_images=evaluation.images,
        note=note,
    )


def synthesizer_log(synthesizer: Path | None) -> list[TrainingLog]:
    """Return what the synthesizer logged, if there is one."""
    if synthesizer is None:
        return []
    label = f"Synthesizer ({synthesizer.name})"
    return [read_training_log(synthesizer, label=label, colour=SYNTHESIZER_COLOUR)]


def report_commands(
    runs: Sequence[Path],
    out: Path,
    synthesizer: Path | None,
    synthetic: Path | None,
    plant: PlantAssumptions,
) -> list[str]:
    """Return the commands that make this page again from the run folders."""
    options: list[str | Path] = ["--out", out]
    options += ["--synthesizer", synthesizer] if synthesizer else []
    options += ["--synthetic", synthetic] if synthetic else []
    options += ["--volume", str(plant.volume), "--defect-ppm", f"{plant.defect_ppm:g}"]
    options += ["--review-seconds", f"{plant.review_seconds:g}"]
    options += ["--shifts-per-year", f"{plant.shifts_per_year:g}"]
    tests = [shlex.join(["flawsmith", "model", "test", str(run)]) for run in runs]
    report = ["flawsmith", "report", *runs, *options]
    return [*tests, shlex.join(str(word) for word in report)]
