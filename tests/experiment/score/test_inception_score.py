"""Inception's figures in a score: beside the others, in nobody's way."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from flawsmith.errors import FlawsmithError
from flawsmith.experiment.score import prepare, score, words, write_score
from flawsmith.experiment.score import scoring as module
from flawsmith.experiment.score.facts import InceptionFigure, Score
from flawsmith.metrics.generation import inception_score
from flawsmith.metrics.generation.features import CropFeatures

from .conftest import noise

NAME = "inception_v3_fid_tf1_bilinear_299"


class SmallInception(SimpleNamespace):
    """Features and class probabilities from means and contrasts of patches; no masks."""

    def __call__(self, crops, masks):
        mean = torch.nn.functional.avg_pool2d(crops, 32)
        contrast = torch.nn.functional.avg_pool2d(crops**2, 32) - mean**2
        pooled = torch.cat([mean, 5 * contrast], dim=1).flatten(1)
        chances = (8 * pooled[:, :6]).softmax(dim=1)
        return CropFeatures(pooled.numpy(), probabilities=chances.numpy())


@pytest.fixture
def scored(make_set, pouch_folder, simple, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "load_inception", lambda _: SmallInception(sha256="ab12"))
    records = [r for r in make_set.dataset if r.labels and r.fold != 0]
    request = prepare(make_set("made", records, change=noise), pouch_folder)
    return request, score(request, features=simple, inception=tmp_path / "w.pth")


def test_its_figures_stand_beside_the_others_and_change_none(scored, simple):
    request, (result, _, _) = scored
    names = [f.name for f in result.overall.figures]
    assert names == ["simple/in_mask", "simple/pooled", "simple/whole_tile",
                     f"{NAME}/pooled", f"{NAME}/whole_tile"]  # fmt: skip
    alone = score(request, features=simple).score
    assert alone.inception is None
    for with_it, without in zip(
        (*result.classes, result.overall), (*alone.classes, alone.overall), strict=True
    ):
        assert with_it.figures[:3] == without.figures
        assert with_it.memorisation == without.memorisation
        assert without.inception is None
        assert with_it.variant("pooled") == without.variant("pooled")
        if with_it.figures:
            assert with_it.variant("pooled", NAME).name == f"{NAME}/pooled"
    whole = result.overall.variant("whole_tile", NAME)
    assert whole.kid.value > whole.kid_floor.value
    assert result.inception.sha256 == "ab12"
    assert Score.model_validate_json(result.model_dump_json()) == result


def test_the_score_is_that_of_all_whole_tiles(scored, monkeypatch):
    request, (result, _, _) = scored
    assert result.overall.inception.images == len(request.made)
    assert result.overall.inception.splits == 1
    assert result.overall.inception.spread == 0.0
    real = len(request.training) + len(request.held_out)
    assert result.overall.inception_real.images == real
    for item in result.classes:
        assert (item.inception is None) == (item.synthetic == 0)
        if item.inception:
            assert 1.0 <= item.inception.value <= 6.0
    chances = np.random.default_rng(0).dirichlet(np.ones(4), 40)
    monkeypatch.setattr(module, "FEWEST_SPLIT", 40)
    found = module._inception_score(chances)
    value, spread = inception_score(chances, splits=10)
    assert found == InceptionFigure(value=value, spread=spread, images=40, splits=10)
    assert module._inception_score(chances[:39]).splits == 1


def test_page_tells_network_number_and_that_it_knows_no_real_image(scored, tmp_path):
    request, result = scored
    text = write_score(request, result, tmp_path / "out").read_text()
    for expected in (f"{NAME}/whole_tile", "knows no real image", "SHA-256 ab12", "--inception",
                     f"N = {len(request.made)}"):  # fmt: skip
        assert expected in text, expected
    assert words.inception(None) == words.MISSING


def test_wrong_weights_are_told_before_any_image_is_read(make_set, pouch_folder, simple, tmp_path):
    records = [r for r in make_set.dataset if r.labels and r.fold != 0]
    request = prepare(make_set("made", records[:2]), pouch_folder)

    def advance(count=1, *, note=""):
        raise AssertionError("read something")

    path = tmp_path / "weights.pth"
    torch.save({"fc.bias": torch.zeros(3)}, path)
    with pytest.raises(FlawsmithError, match="does not fit the Inception network"):
        score(request, features=simple, inception=path, advance=advance)
