"""Tests on what was not seen: other folds, other classes, synthetic images of another fold."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flawsmith.data.dataset import METADATA_FILE, DefectDataset, write_metadata
from flawsmith.data.schema import SCHEMA_FILE
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.synthesis import SynthesisSettings
from flawsmith.experiment.train_model import configure_any_model, evaluate_run, train_model
from flawsmith.experiment.unseen import require_unseen_by_synthesizers
from flawsmith.metrics.evaluation import EVALUATION_FILE
from flawsmith.systems.classification import ClassificationConfig
from flawsmith.training.logs import read_metrics
from flawsmith.training.loop import Hooks

COMMAND = str(Path(sys.executable).with_name("flawsmith"))


def configure(folder: Path, *overrides: str, fold: int = 1) -> ClassificationConfig:
    config = configure_any_model(
        "cnn_classifier", "tiny", folder, fold=fold, synthetic=[], arm=None,
        overrides=list(overrides),
    )  # fmt: skip
    assert isinstance(config, ClassificationConfig)
    return config


Tested = tuple[Path, Path]


@pytest.fixture(scope="module", params=["cnn_classifier", "fc_hardnet70", "machine_vision"])
def tested(
    request: pytest.FixtureRequest,
    labels_only_folder: Path,
    pouch_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Tested:
    """Return a run that left out fold 1, and its data: labels of whole images, or masks."""
    images = request.param == "cnn_classifier"
    data = labels_only_folder if images else pouch_folder
    config = configure_any_model(
        request.param, "tiny", data, fold=1, synthetic=[], arm=None, overrides=[]
    )
    folder = tmp_path_factory.mktemp("runs") / "run"
    train_model(config, folder, Hooks(), resume=False)
    return folder, data


def test_images_of_the_training_test_nothing(tested: Tested, tmp_path: Path) -> None:
    """Named as data of their own, or copied elsewhere: the images are the same."""
    run, own = tested
    copied = tmp_path / "copied"
    shutil.copytree(own, copied)
    for data in (own, copied):
        with pytest.raises(FlawsmithError, match=r"are among those that .* was trained on"):
            evaluate_run(run, Hooks(), data=data, fold=0)
    assert not (run / EVALUATION_FILE).exists()
    assert evaluate_run(run, Hooks(), data=copied, fold=1).images > 0


def test_other_data_leave_the_own_test_alone(tested: Tested, tmp_path: Path) -> None:
    run, own = tested
    evaluate_run(run, Hooks())
    figures = (run / EVALUATION_FILE).read_bytes()
    copied = tmp_path / "another-line"
    shutil.copytree(own, copied)
    command = ("model", "test", str(run), "--data", str(copied), "--fold", "1")
    done = subprocess.run([COMMAND, *command], capture_output=True, text=True, check=True)
    assert (run / EVALUATION_FILE).read_bytes() == figures
    assert (run / "test-another-line" / EVALUATION_FILE).is_file()
    assert "test-another-line" in done.stdout
    assert "next:" not in done.stdout


def test_classes_in_another_order_are_refused(tested: Tested, tmp_path: Path) -> None:
    run, own = tested
    other = tmp_path / "other"
    shutil.copytree(own, other)
    schema = (other / SCHEMA_FILE).read_text()
    first, second = DefectDataset.open(other).schema.defect_names[:2]
    swap = {first: second, second: first}
    pattern = f'(?<=name = ")({first}|{second})(?=")'
    (other / SCHEMA_FILE).write_text(re.sub(pattern, lambda m: swap[m[0]], schema))
    assert DefectDataset.open(other).schema.defect_names[:2] == [second, first]
    with pytest.raises(FlawsmithError, match="same classes in the same order"):
        evaluate_run(run, Hooks(), data=other, fold=1)


def settings(*, fold: int | None, share: float | None) -> SynthesisSettings:
    """Return how a synthesizer of whole images was trained."""
    return SynthesisSettings(
        run="gan", checkpoint="16", system="bagan_gp", fold=fold, seed=0, plan={}, max_defects=1,
        tile_size=32, data="", validation_share=share,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fold", "share", "leaks"),
    [(1, 0.34, False), (1, None, False), (0, 0.34, True), (None, 0.34, True), (1, 0.0, True)],
)
def test_a_synthesizer_may_not_have_seen_what_is_kept_apart(
    fold: int | None, share: float | None, leaks: bool, labels_only_folder: Path, tmp_path: Path
) -> None:
    """It left out another fold or none, or learned from the validation parts."""
    config = configure(labels_only_folder)
    settings(fold=fold, share=share).save(tmp_path)
    mixed = config.data.model_copy(update={"synthetic": [str(tmp_path)]})
    config = config.model_copy(update={"data": mixed})
    if not leaks:
        require_unseen_by_synthesizers(config)
        return
    with pytest.raises(FlawsmithError, match="kept for test or validation here; train one with"):
        require_unseen_by_synthesizers(config)


def test_training_refuses_such_a_set(labels_only_folder: Path, tmp_path: Path) -> None:
    """Its images have no parents, so they alone would tell nothing."""
    made = tmp_path / "made"
    shutil.copytree(labels_only_folder, made)
    synthetic = {"source": "synthetic", "fold": None, "parents": []}
    records = [r.model_copy(update=synthetic) for r in DefectDataset.open(made) if r.labels]
    write_metadata(made / METADATA_FILE, records)
    config = configure(labels_only_folder)
    mixed = config.data.model_copy(update={"synthetic": [str(made)]})
    config = config.model_copy(update={"data": mixed})
    require_unseen_by_synthesizers(config)  # it does not say how it was made
    settings(fold=0, share=0.34).save(made)
    with pytest.raises(FlawsmithError, match=r"bagan_gp that left out fold 0 learned"):
        train_model(config, tmp_path / "run", Hooks(), resume=False)
    assert not (tmp_path / "run").exists()
    command = [
        COMMAND, "model", "train", "--data", str(labels_only_folder), "--synthetic", str(made),
        "--preset", "tiny", "--network", "cnn_classifier", "--fold", "1", "--dry-run",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2, done.stdout
    assert "left out fold 0 learned" in done.stderr


def test_nothing_to_tell_apart_is_said(labels_only_folder: Path, tmp_path: Path) -> None:
    """The training images all show one class; with good ones among them nothing is said."""
    for good, expected in ((False, 1), (True, 0)):
        folder = tmp_path / f"data-{good}"
        shutil.copytree(labels_only_folder, folder)
        kept = [["spore"], []] if good else [["spore"]]
        records = [r for r in DefectDataset.open(folder) if r.labels in kept]
        write_metadata(folder / METADATA_FILE, records)
        said: list[str] = []
        train_model(configure(folder), tmp_path / f"run-{good}", Hooks(report=said.append),
                    resume=False)  # fmt: skip
        assert (
            sum("every training image shows spore and nothing else" in s for s in said) == expected
        )


def test_without_a_defect_to_validate_on_the_last_weights_are_kept(
    labels_only_folder: Path, tmp_path: Path
) -> None:
    """The only part of each class trains, and good parts alone cannot tell weights apart."""
    folder = tmp_path / "data"
    shutil.copytree(labels_only_folder, folder)
    kept, seen = [], set()
    for record in DefectDataset.open(folder):
        of_class = (record.fold == 1, *record.labels)
        if record.labels and of_class in seen:
            continue
        seen.add(of_class)
        kept.append(record)
    write_metadata(folder / METADATA_FILE, kept)
    run = tmp_path / "run"
    train_model(configure(folder), run, Hooks(), resume=False)
    lines = [line for line in read_metrics(run) if "val/macro_f1" in line]
    assert len(lines) == 2
    assert not any("val/macro_average_precision" in line for line in lines)
    assert not (run / "best.safetensors").exists()
