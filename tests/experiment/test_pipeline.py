import shutil

import pytest

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.pouch import PouchSettings
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.demo import DemoPlan, run_demo
from flawsmith.experiment.plant import PlantAssumptions
from flawsmith.experiment.start import StartChoices, start
from flawsmith.training.loop import Hooks

PLAN = DemoPlan(
    data=PouchSettings(
        good_parts=8, defective_parts=30, min_parts_per_class=4, views=1, tile_size=64
    ),
    preset="tiny",
    synthesizer_images=16,
    model_images=16,
)


def test_demo_runs_through_and_a_second_call_only_reports(tmp_path):
    told: list[str] = []
    first = run_demo(tmp_path / "demo", Hooks(), told.append, PLAN)
    assert first.report.is_file()
    made_images = len(DefectDataset.open(tmp_path / "demo" / "synthetic"))
    assert made_images > 0
    assert any(line.startswith(f"synthesis: {made_images} images") for line in told)
    made = {p: p.stat().st_mtime_ns for p in (tmp_path / "demo").rglob("*.safetensors")}
    assert made
    told.clear()
    run_demo(tmp_path / "demo", Hooks(), told.append, PLAN)
    assert sum("tested already" in line for line in told) == 3
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "demo").rglob("*.safetensors")} == made


def test_start_takes_a_folder_as_it_is(pouch_folder, tmp_path):
    source = tmp_path / "mine"
    source.mkdir()
    for name in ("images", "masks"):
        (source / name).symlink_to(pouch_folder / name)
    copied = tmp_path / "plain"
    shutil.copytree(source, copied, symlinks=False)
    told: list[str] = []
    hooks = Hooks(report=told.append)
    page, _ = start(
        copied,
        tmp_path / "out",
        StartChoices(preset="tiny", images=32),
        PlantAssumptions(),
        hooks,
        told.append,
    )
    assert page.is_file()
    assert any("index_png" in line for line in told)
    assert any(line.startswith("folds:") for line in told)
    assert "real+copy_paste" in page.read_text()
    dataset = DefectDataset.open(tmp_path / "out" / "data")
    assert all(record.fold is not None for record in dataset)


def test_start_says_when_no_image_is_labelled(tmp_path, pouch_folder):
    source = tmp_path / "classes" / "good"
    source.mkdir(parents=True)
    for image in sorted((pouch_folder / "images").iterdir())[:8]:
        (source / image.name).write_bytes(image.read_bytes())
    choices = StartChoices(format="class_folders")
    with pytest.raises(FlawsmithError, match=r"no image is labelled with a defect; expected masks"):
        start(source.parent, tmp_path / "out", choices, PlantAssumptions(), Hooks(), lambda _: None)
    assert not (tmp_path / "out" / "runs").exists()
