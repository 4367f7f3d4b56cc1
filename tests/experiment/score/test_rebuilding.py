"""PSNR and SSIM of rebuilt real tiles: closed forms, real tiles, and which runs may rebuild."""

import json
import math
import shutil

import numpy as np
import pytest
import torch

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.images import to_unit
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.score import prepare, score
from flawsmith.experiment.score import rebuilding as module
from flawsmith.experiment.score.crops import Place, cut_defects, window_of
from flawsmith.experiment.score.facts import Score
from flawsmith.experiment.score.nearness import HIGHEST_PSNR, MARGIN, compare, mean_over_parts
from flawsmith.experiment.score.rebuilding import Rebuilder, find_rebuilder, rebuild
from flawsmith.experiment.train_synthesizer import configure, train_synthesizer
from flawsmith.experiment.training_data import training_records
from flawsmith.systems import SYSTEMS
from flawsmith.systems.load import Synthesizer
from flawsmith.training.loop import Hooks
from flawsmith.training.precision import Precision

PLACE = Place(1, "a.png", "part", (20.0, 20.0), 64)
NAMES = ("dbs_gan", "dbs_gan_real", "dbs_gan_exemplar")


def figures(mask, known, real, rebuilt, before=None):
    return compare(PLACE, mask, known, real, rebuilt, before).values


def square(side=60, at=30, half=2):
    mask = np.zeros((side, side), bool)
    mask[at - half : at + half, at - half : at + half] = True
    return mask


def test_an_error_counts_near_the_mask_and_by_its_share_of_the_tile():
    mask, known = square(), np.ones((60, 60), bool)
    real = np.full((60, 60, 1), 0.5, np.float32)
    rebuilt = real + 0.1 * mask[..., None]
    found = figures(mask, known, real, rebuilt)
    rows, columns = np.nonzero(mask)
    y, x = np.mgrid[:60, :60]
    distance = np.min((y[..., None] - rows) ** 2 + (x[..., None] - columns) ** 2, axis=-1)
    near = (distance <= (MARGIN + 0.5) ** 2).sum()
    pixels = 10 ** (found["near", "psnr"] / -10) / 0.01  # share of the near pixels with the error
    assert mask.sum() / pixels == pytest.approx(near, rel=0.06)  # a digital disc is not a circle
    whole = 10 * math.log10(1 / (0.01 * mask.mean()))
    assert found["whole", "psnr"] == pytest.approx(whole, rel=1e-5)
    assert found["near", "ssim"] < found["whole", "ssim"] < 1.0
    assert ("near", "psnr_before") not in found


def test_equal_tiles_have_finite_figures_and_unknown_pixels_do_not_count():
    mask, known = square(), np.ones((60, 60), bool)
    real = np.random.default_rng(0).uniform(0, 1, (60, 60, 3)).astype(np.float32)
    other = real.copy()
    known[:, :15] = False
    other[:, :10] = 0.0  # 5 px of the window of SSIM away from what is known
    found = figures(mask, known, real, real, other)
    for area in ("near", "whole"):
        assert found[area, "psnr"] == found[area, "psnr_before"] == HIGHEST_PSNR
        assert found[area, "ssim"] == pytest.approx(1.0)
        assert found[area, "ssim_before"] == pytest.approx(1.0)
    nothing = figures(mask, np.zeros_like(known), real, other)
    assert all(math.isnan(value) for value in nothing.values())


def test_means_are_over_tiles_and_intervals_over_parts():
    estimate, drawn = mean_over_parts([1.0, 3.0, 8.0, math.nan], ["a", "a", "b", "c"], 0)
    assert estimate.value == pytest.approx(4.0)
    # Drawn parts: a a, a b, b b. The means of tiles are 2, 4 and 8.
    assert set(np.round(drawn, 9)) == {2.0, 4.0, 8.0}
    assert (estimate.interval.low, estimate.interval.high) == (2.0, 8.0)
    alone, _ = mean_over_parts([1.0, 3.0], ["a", "a"], 0)
    assert alone.value == 2.0
    assert alone.interval is None
    assert mean_over_parts([math.nan], ["a"], 0)[0] is None


def synthesizer(name, data, tile_size=32):
    """A synthesizer that has learned nothing."""
    torch.manual_seed(0)
    config = configure(name, "tiny", data, fold=0, overrides=[])
    schema = DefectDataset.open(data).schema
    system = SYSTEMS.get(name)(config, schema)
    return Synthesizer(system, schema, tile_size, name, "run", 0, torch.device("cpu"), Precision())


@pytest.fixture
def request_of(make_set, pouch_folder):
    def make(name="set", **options):
        training = [r for r in make_set.dataset if r.labels and r.fold != 0]
        return prepare(make_set(name, training[:4], **options), pouch_folder)

    return make


def places_of(request, tile=32):
    cuts = [cut_defects(request.data, record, tile)[0] for record in request.held_out]
    return [cut.place for found in cuts for cut in found]


@pytest.mark.parametrize("name", NAMES)
def test_every_system_that_rebuilds_does(name, request_of, pouch_folder):
    request = request_of()
    places = places_of(request)
    rebuilder = Rebuilder(synthesizer(name, pouch_folder), "16")
    found, examples = rebuild(request, rebuilder, places, 0)
    assert (found, len(examples)) == (rebuild(request, rebuilder, places, 0)[0], len(examples))
    assert found.overall.tiles == len(places)
    assert sum(c.tiles for c in found.classes) == len(places)
    assert found.overall.parts == len({place.part for place in places})
    painted_on = name != "dbs_gan"
    assert bool(found.before) == painted_on
    for item in (*found.classes, found.overall):
        for area in (item.near, item.whole):
            assert 0 < area.psnr.value <= HIGHEST_PSNR
            assert area.ssim.value < 1
            assert (area.psnr_before is not None) == painted_on
    if painted_on:  # what is near the defect is all that differs
        assert found.overall.whole.psnr_before.value > found.overall.near.psnr_before.value
    assert "NaN" not in found.model_dump_json()


def test_tiles_are_real_ones_at_their_own_scale(request_of, pouch_folder, monkeypatch):
    monkeypatch.setattr(module, "_by_system", lambda _, batch: (batch.images, batch.clean))
    request = request_of()
    places = places_of(request)
    found, examples = rebuild(
        request, Rebuilder(synthesizer("dbs_gan_real", pouch_folder), "16"), places, 0
    )
    assert found.overall.near.psnr.value == found.overall.whole.psnr.value == HIGHEST_PSNR
    assert found.overall.near.ssim.value == pytest.approx(1.0)
    assert found.overall.near.psnr_before.value < 50
    records = {record.file_name: record for record in request.held_out}
    known = {place.file_name: place for place in reversed(places)}
    shown = {e.file_name: e for e in reversed(examples)}
    name = next(n for n in shown if known[n].class_id == shown[n].class_id)
    image = to_unit(request.data.image(records[name]), request.data.schema)
    window = window_of(known[name], image.shape[:2], 32)
    real = image[window.top : window.top + 32, window.left : window.left + 32]
    assert np.allclose(shown[name].real, real, atol=1e-6)
    assert np.allclose(shown[name].real, shown[name].rebuilt, atol=1e-6)


def test_an_image_smaller_than_the_tile_is_told_from_its_mirror(
    request_of, pouch_folder, monkeypatch
):
    def spoil(_, batch):
        """Change only what lies outside the image of 64 px in a tile of 96."""
        spoiled = batch.images.clone()
        inside = (slice(None), slice(None), slice(16, 80), slice(16, 80))
        spoiled[:] = -1.0
        spoiled[inside] = batch.images[inside]
        return spoiled, batch.clean

    monkeypatch.setattr(module, "_by_system", spoil)
    request = request_of()
    rebuilder = Rebuilder(synthesizer("dbs_gan_real", pouch_folder, tile_size=96), "16")
    found, _ = rebuild(request, rebuilder, places_of(request)[:3], 0)
    assert found.overall.whole.psnr.value == HIGHEST_PSNR


@pytest.fixture(scope="module")
def trained(pouch_folder, tmp_path_factory):
    """A run named "run"; no set's checkpoint is another than its last."""
    run = tmp_path_factory.mktemp("runs") / "run"
    overrides = ["data.validation_share=0.2"]
    config = configure("dbs_gan", "tiny", pouch_folder, fold=0, overrides=overrides)
    train_synthesizer(config, run, Hooks(), resume=False)
    return run, max(path.name for path in (run / "checkpoints").iterdir())


def test_the_run_of_a_set_is_found_beside_it(request_of, trained, simple, tmp_path):
    run, checkpoint = trained
    request = request_of(checkpoint=checkpoint)
    assert "not found beside the set" in find_rebuilder(request, None)
    assert find_rebuilder(request, run).checkpoint == checkpoint
    shutil.copytree(run, tmp_path / "run")
    result = score(request, features=simple).score
    assert result.no_reconstruction == ""
    assert result.reconstruction.system == "dbs_gan"
    assert result.reconstruction.run == "run"
    assert Score.model_validate_json(result.model_dump_json()) == result


def test_a_run_that_does_not_fit_is_refused_if_given_and_left_out_if_found(
    request_of, trained, tmp_path
):
    run, checkpoint = trained
    later = request_of(checkpoint="0000000001")
    with pytest.raises(FlawsmithError, match=f"now at checkpoint {checkpoint}"):
        find_rebuilder(later, run)
    shutil.copytree(run, tmp_path / "run")
    assert f"now at checkpoint {checkpoint}" in find_rebuilder(later, None)
    other = request_of("other", run="another", checkpoint=checkpoint)
    with pytest.raises(FlawsmithError, match="made by the run another"):
        find_rebuilder(other, run)
    with pytest.raises(FlawsmithError, match="no run folder"):
        find_rebuilder(later, tmp_path)


def test_a_run_that_has_seen_the_held_out_parts_is_refused(
    make_set, request_of, trained, pouch_folder, tmp_path
):
    run, _ = trained
    training = [r for r in make_set.dataset if r.labels and r.fold != 0]
    folder = make_set("free", training[:2], fold="none", parents=False)
    unfolded = prepare(folder, pouch_folder, fold=1)
    assert "give it with --run" in find_rebuilder(unfolded, None)
    with pytest.raises(FlawsmithError, match="leaving out fold 0, not fold 1"):
        find_rebuilder(unfolded, run)
    greedy = tmp_path / "run"
    shutil.copytree(run, greedy)
    path = greedy / "config.toml"
    path.write_text(path.read_text().replace("validation_share = 0.2", "validation_share = 0.0"))
    request = prepare(folder, pouch_folder, fold=0, validation=True)
    assert training_records(request.data, module.load_config(greedy).data)[1] == []
    with pytest.raises(FlawsmithError, match="was trained on"):
        find_rebuilder(request, greedy)


def test_systems_that_learn_nothing_are_left_out(request_of, trained, tmp_path):
    run, _ = trained
    pasted = tmp_path / "run"
    shutil.copytree(run, pasted)
    copy_paste = configure("copy_paste", "stable", request_of("first").data.root, fold=0,
                           overrides=[])  # fmt: skip
    copy_paste.save(pasted)
    request = request_of("second", system="copy_paste")
    why = find_rebuilder(request, pasted)
    assert why == "copy_paste does not learn to rebuild real images"
    assert find_rebuilder(request, None) == why


def test_a_score_without_a_run_says_why(request_of, simple):
    result = score(request_of(), features=simple).score
    assert result.reconstruction is None
    assert "its run run was not found" in result.no_reconstruction
    assert json.loads(result.model_dump_json())["reconstruction"] is None
