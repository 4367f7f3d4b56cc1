"""The share of new shapes of a synthesis: its default, what refuses it, and old settings."""

import json
from pathlib import Path

import pytest

from flawsmith.data.dataset import DefectDataset
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.synthesis import (
    NEW_SHAPES,
    SETTINGS_FILE,
    SynthesisSettings,
    synthesize,
)
from flawsmith.experiment.train_synthesizer import configure, train_synthesizer
from flawsmith.training.loop import Hooks


@pytest.fixture(scope="module")
def runs(pouch_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two systems that learn nothing: one makes up its defects, one pastes real ones."""
    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for name in ("perlin_noise", "copy_paste"):
        config = configure(name, "tiny", pouch_folder, fold=0, overrides=[])
        train_synthesizer(config, folder / name, Hooks(), resume=False)
        found[name] = folder / name
    return found


def share(out: Path) -> float:
    return float(json.loads((out / SETTINGS_FILE).read_text())["new_shapes"])


def test_default_is_half_but_none_with_pictures(
    runs: dict[str, Path], pouch_folder: Path, tmp_path: Path
) -> None:
    dataset = DefectDataset.open(pouch_folder)
    for name, expected in (("perlin_noise", NEW_SHAPES), ("copy_paste", 0.0)):
        synthesize(runs[name], dataset, tmp_path / name, plan={"spore": 2})
        assert share(tmp_path / name) == expected
    with pytest.raises(FlawsmithError, match=r"begun with other settings: new_shapes was 0\.5, is"):
        synthesize(
            runs["perlin_noise"], dataset, tmp_path / "perlin_noise", plan={"spore": 2},
            new_shapes=0.25,
        )  # fmt: skip


def test_share_that_means_nothing_is_refused(
    runs: dict[str, Path], pouch_folder: Path, tmp_path: Path
) -> None:
    dataset = DefectDataset.open(pouch_folder)
    cases = (
        ("copy_paste", 0.5, "copy_paste shows the pictures of real defects"),
        ("perlin_noise", 1.5, r"new shapes 1\.5: expected a share from 0 to 1"),
        ("perlin_noise", float("nan"), "expected a share from 0 to 1"),
    )
    for name, wanted, expected in cases:
        with pytest.raises(FlawsmithError, match=expected):
            synthesize(runs[name], dataset, tmp_path / "set", plan={"spore": 2}, new_shapes=wanted)
        assert not (tmp_path / "set").exists()


def test_settings_written_before_there_were_new_shapes_are_read() -> None:
    old = {
        "run": "a", "checkpoint": "000016", "system": "fake", "fold": 0, "seed": 3,
        "plan": {"dot": 9}, "max_defects": 1, "tile_size": 16, "data": "ab",
    }  # fmt: skip
    assert SynthesisSettings(**old).new_shapes == 0.0
