"""Which sets, models and data may be judged together."""

import shutil

import pytest
import tomli_w

from flawsmith.config import load_toml
from flawsmith.data.dataset import METADATA_FILE, DatasetWriter, DefectDataset, write_metadata
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.inspection_model import load_model_config
from flawsmith.experiment.selection import prepare
from flawsmith.experiment.train_model import configure_model, train_model
from flawsmith.experiment.training_data import training_datasets
from flawsmith.training.loop import Hooks


@pytest.fixture(scope="module")
def run(pouch_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "real"
    config = configure_model(
        "fc_hardnet70", "tiny", pouch_folder, fold=1, synthetic=[], arm=None,
        overrides=["training.total_images=16"],
    )  # fmt: skip
    train_model(config, folder, Hooks(), resume=False)
    return folder


@pytest.fixture
def write_made(pouch_folder, tmp_path, write_settings):
    """Write a set that descends from real records."""
    dataset = DefectDataset.open(pouch_folder)

    def write(records, *, fold=1, schema=None, source="synthetic"):
        folder = tmp_path / "made"
        with DatasetWriter(folder, schema or dataset.schema) as writer:
            for i, record in enumerate(records):
                writer.add(
                    f"s{i}", dataset.image(record), dataset.label_map(record), part=f"s{i}",
                    source=source, system="copy_paste", parents=[record.file_name],
                )  # fmt: skip
        write_settings(folder, fold=fold, system="copy_paste")
        return folder

    write.dataset = dataset
    return write


@pytest.fixture
def training(run):
    datasets, _ = training_datasets(load_model_config(run).data)
    return [record for record in datasets[0] if record.labels]


def edited(run, folder, **data):
    """A copy of a run whose configuration says something else of its data."""
    shutil.copytree(run, folder)
    values = load_toml(folder / "config.toml")
    values["data"] |= data
    (folder / "config.toml").write_text(tomli_w.dumps(values))
    return folder


def test_real_images_are_dealt_as_in_the_model(run, write_made, training, pouch_folder):
    request = prepare(write_made(training[:3]), run)
    assert len(request.made) == 3
    assert {r.file_name for r in request.training} == {r.file_name for r in training}
    parts = [{r.part for r in records} for records in (request.training, request.validation)]
    assert all(parts)
    assert not parts[0] & parts[1]
    assert all(r.fold != 1 and r.labels for r in request.validation)
    assert request.fold == 1
    assert request.needs == {"background_images", "exemplars"}


def test_data_may_have_moved_but_not_changed(run, write_made, training, pouch_folder, tmp_path):
    made = write_made(training[:1])
    shutil.copytree(pouch_folder, tmp_path / "moved")
    assert prepare(made, run, tmp_path / "moved").data.root == tmp_path / "moved"
    gone = edited(run, tmp_path / "gone", path=str(tmp_path / "nowhere"))
    assert len(prepare(made, gone, tmp_path / "moved").validation)
    with pytest.raises(FlawsmithError, match="nowhere"):
        prepare(made, gone)
    dataset = DefectDataset.open(tmp_path / "moved")
    refolded = [r.model_copy(update={"fold": r.fold % 2}) for r in dataset]
    write_metadata(dataset.root / METADATA_FILE, refolded)
    with pytest.raises(FlawsmithError, match="images, parts or folds"):
        prepare(made, run, tmp_path / "moved")


def test_sets_that_do_not_fit_are_refused(run, write_made, training, pouch_folder, tmp_path):
    with pytest.raises(FlawsmithError, match="is no synthetic set"):
        prepare(pouch_folder, run)
    with pytest.raises(FlawsmithError, match=r"leaving out fold 2, .* fold 1"):
        prepare(write_made(training[:1], fold=2), run)
    with pytest.raises(FlawsmithError, match="leaving out no fold"):
        prepare(write_made([], fold=None), run)
    (tmp_path / "made" / "synthesis.json").write_text("[")
    with pytest.raises(FlawsmithError, match="is not JSON"):
        prepare(tmp_path / "made", run)


@pytest.mark.parametrize("tested", [True, False], ids=["test part", "validation part"])
def test_images_of_unseen_parts_are_refused(run, write_made, tested):
    config = load_model_config(run)
    _, validation = training_datasets(config.data)
    test = [r for r in write_made.dataset if r.fold == 1]
    stolen = next(r for r in (test if tested else validation) if r.labels)
    with pytest.raises(FlawsmithError, match="kept for test or validation"):
        prepare(write_made([stolen]), run)


def test_other_classes_are_refused(run, write_made, training):
    schema = write_made.dataset.schema
    renamed = [d.model_copy(update={"name": f"x{d.id}"}) for d in schema.defects]
    other = schema.model_copy(update={"defects": renamed})
    with pytest.raises(FlawsmithError, match="different defect classes"):
        prepare(write_made(training[:1], schema=other), run)


def test_models_that_cannot_judge_are_refused(run, write_made, training, tmp_path):
    made = write_made(training[:1])
    mixed = edited(run, tmp_path / "mixed", synthetic=[str(made)])
    with pytest.raises(FlawsmithError, match="trained with synthetic images"):
        prepare(made, mixed)
    shutil.copytree(run, tmp_path / "told")
    (tmp_path / "told" / "composition.json").write_text('{"real": {}, "synthetic": {"crack": 1}}')
    with pytest.raises(FlawsmithError, match="trained with synthetic images"):
        prepare(made, tmp_path / "told")
    unvalidated = edited(run, tmp_path / "whole", validation_share=0.0)
    with pytest.raises(FlawsmithError, match="no defective part for inner validation"):
        prepare(made, unvalidated)
    shutil.copytree(run, tmp_path / "anomalies")
    text = (run / "config.toml").read_text().replace('"fc_hardnet70"', '"patchcore"')
    (tmp_path / "anomalies" / "config.toml").write_text(text)
    with pytest.raises(FlawsmithError, match="knows no classes"):
        prepare(made, tmp_path / "anomalies")
    (run / "thresholds.toml").rename(tmp_path / "thresholds.toml")
    try:
        with pytest.raises(FlawsmithError, match="no thresholds yet"):
            prepare(made, run)
    finally:
        (tmp_path / "thresholds.toml").rename(run / "thresholds.toml")
