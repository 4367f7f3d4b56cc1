"""The exported detector is the torch one, and its limit keeps its promise."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.images import write_image
from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.anomaly_model import AnomalyModel, encoder_features, signed
from flawsmith.experiment.export_novelty import (
    Calibration,
    export_novelty,
    limit_words,
    write_expected,
    write_graph,
)
from flawsmith.experiment.inspection_model import load_model_config
from flawsmith.experiment.train_model import configure_model, train_model
from flawsmith.inspection.novelty import NoveltyDetector, NoveltySettings
from flawsmith.inspection.patchcore import BorderStatistics, PatchCore
from flawsmith.models import efficientnet_lite0
from flawsmith.training.loop import Hooks

TOLERANCE = 1e-3
"""Of a score, relative and absolute: float32 sums in another order."""


def schema(channels, bits):
    return Schema(
        name="test", channels=channels, bit_depth=bits, black_level=4 if bits == 8 else 100,
        white_level=2**bits - 10, backgrounds=make_backgrounds(["body"]),
        defects=make_defects(["crack"]),
    )  # fmt: skip


def surface(height, width, channels, bits, seed=0):
    """Return grain as the camera would give it, also below black and above white."""
    values = np.random.default_rng(seed).normal(0.5, 0.12, (height, width, channels))
    top = 2**bits - 1
    pixels = np.clip(values * top, 0, top).astype(np.uint8 if bits == 8 else np.uint16)
    return pixels[..., 0] if channels == 1 else pixels


@pytest.fixture(scope="module")
def encoder():
    pytest.importorskip(efficientnet_lite0.PACKAGE)
    return efficientnet_lite0.load_pretrained()


def anomaly_model(encoder, channels, bits, window=3):
    features, kind = encoder_features(encoder), schema(channels, bits)
    good = [signed(surface(64, 64, channels, bits, seed), kind) for seed in range(4)]
    core = PatchCore.fit(
        [features(np.stack(good))], bank_size=40, candidates=200, window=window, smoothing=2.0
    )
    model = AnomalyModel(core, encoder, kind, tile_size=64, overlap=16)
    heats = [model.heat_map(surface(110, 150, channels, bits, seed)) for seed in range(20, 23)]
    return replace(model, core=core.calibrated([BorderStatistics.of(h) for h in heats], 0.05))


def exported(model, folder):
    write_graph(model, folder / "novelty.xml")
    write_expected(folder / "novelty.npz", model.core)
    settings = NoveltySettings(
        tile=model.tile_size, overlap=model.overlap, smoothing=model.core.smoothing,
        limit=model.core.scale, review_rate=0.05, good_parts=1,
    )  # fmt: skip
    return load(folder, settings, model.schema), settings


def load(folder, settings, schema, **options):
    def read(name):
        return (folder / name).read_bytes()

    return NoveltyDetector.from_files(read, settings, schema, **{"threads": 1} | options)


@pytest.fixture(scope="module")
def grey(encoder, tmp_path_factory):
    """Give the detector of grey images of 8 bit, its settings and its folder."""
    folder = tmp_path_factory.mktemp("grey")
    return *exported(anomaly_model(encoder, 1, 8), folder), folder


@pytest.mark.parametrize(("channels", "bits", "window"), [(3, 8, 1), (1, 16, 5), (3, 12, 3)])
def test_scores_are_those_of_torch(encoder, tmp_path, channels, bits, window):
    model = anomaly_model(encoder, channels, bits, window)
    detector, _ = exported(model, tmp_path)
    for size in ((40, 50), (110, 150)):
        image = surface(*size, channels, bits, seed=9)
        image[10:20, 10:30] = 2**bits - 1
        expected = model.core.excess(model.heat_map(image)) / model.core.scale
        found = detector.heat_map(image)
        assert expected.max() > 0.5
        np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)
        assert detector.inspect(image).score == pytest.approx(expected.max(), rel=TOLERANCE)


def test_a_foreign_patch_scores_more_and_is_marked(grey):
    detector = grey[0]
    image = surface(120, 160, 1, 8, seed=7)
    without = detector.inspect(image)
    stripes = np.where(np.arange(24) // 4 % 2, 250, 5).astype(np.uint8)
    image[60:84, 90:114] = stripes[:, None]
    found = detector.inspect(image)
    assert found.score > 1.2 * without.score
    x, y, width, height = found.box
    assert x <= 102 < x + width
    assert y <= 72 < y + height
    assert width * height < 120 * 160 / 4


def test_settings_that_do_not_fit_the_graph_are_refused(grey):
    _, settings, folder = grey
    for changes, kind in (
        ({"tile": 96}, schema(1, 8)), ({}, schema(3, 8)), ({}, schema(1, 16))
    ):  # fmt: skip
        with pytest.raises(FlawsmithError, match=r"model\.json says"):
            load(folder, settings.model_copy(update=changes), kind)
    with pytest.raises(FlawsmithError, match="device TOASTER"):
        load(folder, settings, schema(1, 8), device="TOASTER")


def test_no_torch_at_run_time(grey):
    detector, settings, folder = grey
    image = surface(100, 90, 1, 8, seed=5)
    write_image(folder / "image.png", image)
    code = (
        "import sys\n"
        "for name in ('torch', 'lightning', 'safetensors', 'sklearn'): sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from flawsmith.data.images import read_image\n"
        "from flawsmith.data.schema import Schema\n"
        "from flawsmith.inspection.novelty import NoveltyDetector, NoveltySettings\n"
        f"folder = Path({str(folder)!r})\n"
        f"settings = NoveltySettings.model_validate_json({settings.model_dump_json()!r})\n"
        f"schema = Schema.model_validate_json({schema(1, 8).model_dump_json()!r})\n"
        "read = lambda name: (folder / name).read_bytes()\n"
        "detector = NoveltyDetector.from_files(read, settings, schema, threads=1)\n"
        "print(detector.inspect(read_image(folder / 'image.png')).model_dump_json())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found, expected = json.loads(done.stdout), detector.inspect(image)
    assert found["score"] == pytest.approx(expected.score, rel=1e-5)
    assert tuple(found["box"]) == expected.box


@pytest.fixture(scope="module")
def run(pouch_folder, tmp_path_factory):
    pytest.importorskip(efficientnet_lite0.PACKAGE)
    run = tmp_path_factory.mktemp("runs") / "patchcore"
    config = configure_model(
        "patchcore", "tiny", pouch_folder, fold=1, synthetic=[], arm=None, overrides=[]
    )
    train_model(config, run, Hooks(), resume=False)
    return run


def test_limit_is_set_on_the_good_validation_parts(run, tmp_path):
    lines = []
    settings = export_novelty(run, tmp_path, hooks=Hooks(report=lines.append))
    assert {p.name for p in tmp_path.iterdir()} == {"novelty.xml", "novelty.bin", "novelty.npz"}
    core = PatchCore.load(run / "patchcore.npz")  # calibrated on the same parts, in torch
    assert settings.limit == pytest.approx(core.scale, rel=TOLERANCE)
    assert settings.good_parts == 2
    assert "too few to promise 5.0% of good parts in review, which takes 19" in lines[0]
    model = AnomalyModel.load(run, load_model_config(run))
    detector = load(tmp_path, settings, model.schema)
    calibration = Calibration.of(run)
    for record in calibration.records:
        image = calibration.dataset.image(record)
        score = detector.inspect(image).score
        expected = model.core.excess(model.heat_map(image)).max() / model.core.scale
        assert score == pytest.approx(expected, rel=0.01)  # through expectation and limit
        assert score <= 1.05  # left-one-out, the limit is that of the others
    dataset = DefectDataset.open(calibration.dataset.root)
    assert {r.fold for r in calibration.records} <= {0, 2}
    assert not {r.part for r in calibration.records} & {r.part for r in dataset if r.fold == 1}


def test_limit_is_the_order_statistic_that_the_rate_asks_for():
    settings = NoveltySettings(
        tile=64, overlap=0, smoothing=1, limit=1, review_rate=0.2, good_parts=19
    )
    assert "expect 20.0% of good parts" in limit_words(settings)  # the 16th of 19
    fewer = settings.model_copy(update={"good_parts": 3})
    assert "takes 4; expect about 25.0%" in limit_words(fewer)


def test_wrong_requests_are_explained(run, pouch_folder, tmp_path):
    for rate in (0, 1, -0.1):
        with pytest.raises(FlawsmithError, match="review rate"):
            export_novelty(run, tmp_path, review_rate=rate)
    with pytest.raises(FlawsmithError, match="train --network patchcore"):
        export_novelty(tmp_path, tmp_path)
    with pytest.raises(FlawsmithError, match="bit_depth 8 and 12"):
        export_novelty(run, tmp_path, schema=schema(1, 12))
    assert not any(tmp_path.iterdir())
