import math

import pytest

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.folds import part_defects
from flawsmith.data.tiles import DataConfig
from flawsmith.experiment.training_data import drawn_parts, training_records


@pytest.fixture
def records(pouch_folder):
    return DefectDataset.open(pouch_folder).usable().records


def test_a_smaller_share_lies_within_a_larger_one(records):
    kept = [drawn_parts(records, 0, share, 3) for share in (0.25, 0.5, 1.0)]
    assert kept[0] < kept[1] < kept[2]
    assert kept[2] == {r.part for r in records if r.fold != 0}
    assert kept[1] != drawn_parts(records, 0, 0.5, 4)


def test_share_holds_for_every_class_and_good_parts_stay(records):
    strata = part_defects(r for r in records if r.fold != 0)
    kept = drawn_parts(records, 0, 0.25, 0)
    assert {part for part, names in strata.items() if not names} <= kept
    for name in {n for names in strata.values() for n in names}:
        parts = [part for part, names in strata.items() if names == {name}]
        assert len(kept & set(parts)) == math.ceil(0.25 * len(parts))


def test_training_and_validation_come_from_the_drawn_parts(pouch_folder, records):
    dataset = DefectDataset.open(pouch_folder)
    data = DataConfig(path="", fold=0, validation_share=0.34, part_share=0.5, part_draw=1)
    training, validation = training_records(dataset, data)
    assert training
    assert validation
    seen = {record.part for record in (*training, *validation)}
    assert seen == drawn_parts(records, 0, 0.5, 1)
