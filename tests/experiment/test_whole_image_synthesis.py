"""Synthesis without masks: what is asked for, what is refused, what is written, how it goes on."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from flawsmith import cli
from flawsmith.data.dataset import METADATA_FILE, DefectDataset, ImageRecord, write_metadata
from flawsmith.data.images import to_unit
from flawsmith.data.whole_images import WholeImageSource, fit
from flawsmith.errors import FlawsmithError
from flawsmith.experiment import sample_sheet
from flawsmith.experiment.balance import balance
from flawsmith.experiment.train_synthesizer import (
    build_system,
    configure,
    synthesizer_tiles,
    train_synthesizer,
)
from flawsmith.experiment.training_data import tile_source, training_datasets, training_records
from flawsmith.experiment.whole_image_synthesis import WholeImages, askable, plan_for
from flawsmith.training.loop import Hooks

SURFACES = frozenset({"background_images"})


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Run the command in this process; return status, output and errors in one line each."""
    argv, sys.argv = sys.argv, ["flawsmith", *map(str, words)]
    status = 0
    try:
        cli.main()
    except SystemExit as stop:
        status = int(stop.code or 0)
    finally:
        sys.argv = argv
    out, err = capsys.readouterr()
    return status, " ".join(out.split()), " ".join(err.split())


@pytest.fixture(scope="module")
def run(labels_only_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained synthesizer, if sixteen images can be called training."""
    folder = tmp_path_factory.mktemp("runs") / "bagan_gp-1"
    config = configure("bagan_gp", "tiny", labels_only_folder, fold=0, overrides=[])
    train_synthesizer(config, folder, Hooks(), resume=False)
    return folder


def test_a_request_is_a_class_all_over(labels_only_folder: Path) -> None:
    dataset = DefectDataset.open(labels_only_folder)
    drawn = WholeImages.from_dataset(dataset, dataset.records, frozenset()).draw(7, 3, 16)
    assert drawn.label_map.defects.shape == (16, 16)
    assert (drawn.label_map.defects == 3).all()
    assert (drawn.parents, drawn.background, drawn.exemplar) == ((), None, None)


def test_a_surface_is_a_whole_good_image(labels_only_folder: Path) -> None:
    """Resized, its file the parent, the same for the same seed, another for others."""
    dataset = DefectDataset.open(labels_only_folder)
    source = WholeImages.from_dataset(dataset, dataset.records, SURFACES)
    drawn = [source.draw(seed, 1, 16) for seed in range(20)]
    good = {record.file_name: record for record in dataset if record.is_good}
    for one in drawn:
        image = to_unit(dataset.image(good[one.parents[0]]), dataset.schema)
        assert one.background is not None
        assert np.array_equal(one.background.image, fit(image, 16))
    assert source.draw(5, 2, 16).parents == drawn[5].parents
    assert len({one.parents for one in drawn}) > 4
    with pytest.raises(FlawsmithError, match="no training image is good"):
        WholeImages.from_dataset(dataset, [r for r in dataset if r.labels], SURFACES)


def test_balance_counts_images_by_their_labels(labels_only_folder: Path) -> None:
    """One with two labels counts for both; without any mask no class is left out for lack of it."""
    schema = DefectDataset.open(labels_only_folder).schema
    first, second, third = schema.defect_names[:3]
    fields = {"part": "p", "sha256": "0", "height": 1, "width": 1}
    sets = [[first], [first, second], [first], [second, first], []]
    records = [ImageRecord(file_name=f"{i}.png", labels=v, **fields) for i, v in enumerate(sets)]
    found = balance(records, schema, None)
    assert found.before == {name: 0 for name in schema.defect_names} | {first: 4, second: 2}
    assert found.added == {first: 0, second: 2}
    assert third in found.without_masks
    masked = records[0].model_copy(update={"mask_file_name": "m.png"})
    assert balance([masked, *records[1:]], schema, None).added == {first: 0}
    assert balance([masked, *records[1:]], schema, None, labels="image").added == found.added


@pytest.mark.parametrize(
    ("system", "overrides", "expected"),
    [
        ("bagan_gp", [], "all"),
        ("cyclegan", [], "all"),
        ("dcgan", [], []),
        ("crack_gan", [], []),
        ("dcgan", ["only=spore"], ["spore"]),
        ("dcgan", ["only=good", "data.good_share=0.5"], []),
    ],
)
def test_what_a_run_can_be_asked_for(
    system: str, overrides: list[str], expected: list[str] | str, labels_only_folder: Path
) -> None:
    """A system that takes no class shows nobody knows what, unless one class alone trained it."""
    config = configure(system, "tiny", labels_only_folder, fold=0, overrides=overrides)
    dataset = DefectDataset.open(labels_only_folder)
    names = dataset.schema.defect_names if expected == "all" else expected
    assert askable(config, dataset.schema, dataset.records) == names
    spores = [r for r in dataset if r.labels in (["spore"], [])]
    if overrides == [] and system == "crack_gan":
        assert askable(config, dataset.schema, spores) == ["spore"]
        shown = config.model_copy(update={"data": config.data.model_copy(update={"good_share": 1})})
        assert askable(shown, dataset.schema, spores) == []
    if expected == []:
        why = (
            "makes good images alone, .*" if "only=good" in overrides else "none can be labelled: "
        )
        with pytest.raises(FlawsmithError, match=f"{why}train one run a class"):
            plan_for(config, dataset.schema, dataset.records, None)


@pytest.mark.parametrize(
    ("system", "only", "head"),
    [
        ("bagan_gp", None, "synthetic"),
        ("dcgan", None, "synthetic, any class"),
        ("dcgan", "spore", "synthetic, spore"),
        ("dcgan", "good", "synthetic, good"),
    ],
)
def test_a_sheet_says_which_class_was_made(
    system: str, only: str | None, head: str, labels_only_folder: Path, monkeypatch, tmp_path: Path
) -> None:
    """Every row has a real image of its class beside, whatever the run makes."""
    overrides = [] if only is None else [f"only={only}", "data.good_share=0.5"]
    config = configure(system, "tiny", labels_only_folder, fold=0, overrides=overrides)
    heads = []
    monkeypatch.setattr(sample_sheet, "write_sheet", lambda _, columns, rows: heads.append(columns))
    source, schema = synthesizer_tiles(config)
    sheet = sample_sheet.SampleSheet.of(source, schema, tmp_path, frozenset())
    sheet.draw(build_system(config, schema), 16)
    assert heads == [[head, "real"]]


@pytest.mark.parametrize("only", ["spore", "good"])
def test_a_run_on_a_class_without_images_is_refused(
    only: str, labels_only_folder: Path, tmp_path: Path
) -> None:
    """Its discriminator would see nothing real, and its images would be labelled all the same."""
    folder = tmp_path / "data"
    shutil.copytree(labels_only_folder, folder)
    others = [r for r in DefectDataset.open(folder) if only not in (r.labels or ["good"])]
    write_metadata(folder / METADATA_FILE, others)
    config = configure(
        "dcgan", "tiny", folder, fold=0, overrides=[f"only={only}", "data.good_share=0.5"]
    )
    with pytest.raises(FlawsmithError, match=f"only = {only} would train dcgan on nothing"):
        train_synthesizer(config, tmp_path / "run", Hooks(), resume=False)
    assert not (tmp_path / "run").exists()


def test_command_goes_on_after_a_kill(
    run: Path, labels_only_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a kill leaves are some lines and files; the same command ends with the same set."""
    command = ["synthesize", run, "--data", labels_only_folder, "--balance", "--per-class", 9]
    command += ["--batch-size", 4, "--out"]
    assert call(capsys, *command, tmp_path / "whole")[0] == 0
    killed = shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    lines = (killed / METADATA_FILE).read_text().splitlines(keepends=True)
    (killed / METADATA_FILE).write_text("".join(lines[:6]) + lines[6][:20])
    for path in sorted((killed / "images").iterdir())[6:]:
        path.unlink()
    status, out, _ = call(capsys, *command, killed)
    assert status == 0
    assert f"{len(lines)} synthetic images, {len(lines) - 6} of them now" in out
    for path in (tmp_path / "whole").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (killed / path.relative_to(tmp_path / "whole")).read_bytes()
    made = DefectDataset.open(killed)
    config = configure("bagan_gp", "tiny", labels_only_folder, fold=0, overrides=[])
    real, _ = training_records(DefectDataset.open(labels_only_folder), config.data)
    for name in made.schema.defect_names:
        together = [r for r in [*real, *made] if name in r.labels]
        assert len(together) >= 9 if any(name in r.labels for r in real) else not together


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--max-defects", 2], "leave out --max-defects"),
        (["--size-px", "4..8"], "leave out --size-px or --size-mm"),
        (["--new-shapes", 0], "leave out --new-shapes"),
    ],
)
def test_what_only_a_mask_could_tell_is_refused(
    option: list[object],
    words: str,
    run: Path,
    labels_only_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["synthesize", run, "--data", labels_only_folder, "--balance", "--per-class", 20]
    status, _, err = call(capsys, *command, "--out", tmp_path / "set", *option)
    assert (status, words in err) == (2, True), err
    assert not (tmp_path / "set").exists()


def test_a_drawing_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawing = ["--mask", tmp_path / "drawn.png", "--out", tmp_path / "painted"]
    status, _, err = call(capsys, "synthesize", run, *drawing)
    assert status == 2
    assert "learned from labels of whole images and cannot paint a drawing" in err
    assert not (tmp_path / "painted").exists()


def test_a_run_that_takes_no_class_says_so_in_time(
    labels_only_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before it trains, in its plan, and when images are asked for; one class alone is fine."""
    mixed, spores, made = (tmp_path / name for name in ("mixed", "spores", "set"))
    train = ["train", "dcgan", "--data", labels_only_folder, "--preset", "tiny"]
    word = "note: dcgan makes images of all that trained it"
    assert word in call(capsys, *train, "--dry-run")[1]
    status, out, _ = call(capsys, *train, "--out", mixed)
    assert (status, word in out, "next:" in out) == (0, True, False)
    balanced = ["--data", labels_only_folder, "--balance", "--out", made]
    status, _, err = call(capsys, "synthesize", mixed, *balanced)
    assert (status, "--set only=NAME" in err, made.exists()) == (2, True, False)
    status, out, _ = call(capsys, *train, "--set", "only=spore", "--out", spores)
    assert (status, "note:" in out, "next:" in out) == (0, False, True)
    status, out, _ = call(capsys, "synthesize", spores, *balanced, "--per-class", 12)
    assert status == 0
    assert "note: this run makes spore alone, not" in out
    assert {tuple(record.labels) for record in DefectDataset.open(made)} == {("spore",)}


def test_synthetic_images_are_mixed_with_real_ones(
    run: Path,
    labels_only_folder: Path,
    pouch_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Half of the tiles of a class with both; a run that reads masks wants nothing of them."""
    made = tmp_path / "made"
    command = ["synthesize", run, "--data", labels_only_folder, "--balance", "--per-class", 9]
    assert call(capsys, *command, "--out", made)[0] == 0
    config = configure("bagan_gp", "tiny", labels_only_folder, fold=0, overrides=[])
    data = config.data.model_copy(update={"synthetic": [str(made)], "good_share": 0.0})
    datasets, _ = training_datasets(data)
    source = tile_source(datasets, config.model_copy(update={"data": data}))
    assert isinstance(source, WholeImageSource)
    names = datasets[0].schema.defect_names
    both = {names.index(n) + 1 for n in source.composition()["synthetic"]}
    rng = np.random.default_rng(0)
    origins = []
    for _ in range(400):
        index, _ = source._draw_place(int(rng.choice(sorted(both))), rng, mixed=True)
        origins.append(source._items[index][1].source)
    assert abs(origins.count("synthetic") - 200) < 5 * np.sqrt(100)
    pixels = configure("dbs_gan", "tiny", pouch_folder, fold=0, overrides=[]).data
    with pytest.raises(FlawsmithError, match=r"has labels for whole images only, .*leave it out"):
        training_datasets(pixels.model_copy(update={"synthetic": [str(made)]}))
