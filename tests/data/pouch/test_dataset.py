"""Simulated data sets: the ratio of the paper, written as rendered."""

from collections import Counter

import numpy as np
import pytest

from flawsmith.config import validate
from flawsmith.data.pouch import (
    TABLE_3,
    PouchSettings,
    defect_sequence,
    render_tile,
    schema,
    write_pouch,
)
from flawsmith.data.schema import IGNORE
from flawsmith.errors import FlawsmithError


def test_ratio_is_table_3_and_longer_lists_begin_with_shorter_ones():
    hundred = defect_sequence(PouchSettings(defective_parts=100))
    assert Counter(hundred) == {name: int(share) for name, share in TABLE_3.items()}
    assert defect_sequence(PouchSettings(defective_parts=37)) == hundred[:37]
    few = PouchSettings(defective_parts=100, min_parts_per_class=6)
    counts = Counter(defect_sequence(few))
    assert min(counts.values()) == 6
    assert sum(counts.values()) == 100
    assert counts["leakage"] > counts["folding"] >= counts["groove"] > 15


def test_impossible_settings_are_explained():
    with pytest.raises(FlawsmithError, match="needs 30 defective parts"):
        validate(PouchSettings, {"defective_parts": 10, "min_parts_per_class": 5}, source="demo")
    with pytest.raises(FlawsmithError, match="crack"):
        validate(PouchSettings, {"ratio": {"crack": 1.0}}, source="demo")


def test_written_data_set_is_what_was_rendered(tmp_path):
    settings = PouchSettings(good_parts=3, defective_parts=8, min_parts_per_class=1, seed=5)
    calls = []
    data = write_pouch(tmp_path / "pouch", settings, progress=lambda *done: calls.append(done))
    assert calls[-1] == (22, 22)
    assert len(data) == len(calls) == 22
    assert data.schema == schema()
    parts = data.parts()
    assert len(parts) == 11
    assert sum(views[0].is_good for views in parts.values()) == 3
    for name, views in parts.items():
        assert [record.view for record in views] == ["left-light", "right-light"]
        assert views[0].labels == views[1].labels
        defect = views[0].labels[0] if views[0].labels else None
        for number, record in enumerate(views):
            image, found = render_tile(5, int(name.removeprefix("cell-")), number, defect)
            np.testing.assert_array_equal(data.image(record), image)
            stored = data.label_map(record)
            np.testing.assert_array_equal(stored.defects, found.defects)
            np.testing.assert_array_equal(stored.backgrounds, found.backgrounds)
            assert not (stored.defects == IGNORE).any()


def test_larger_data_set_contains_the_smaller_one(tmp_path):
    sizes = [(1, 2), (2, 3)]
    sets = [
        write_pouch(tmp_path / str(g), PouchSettings(good_parts=g, defective_parts=d, views=1))
        for g, d in sizes
    ]
    small, large = ({r.file_name: r.sha256 for r in data} for data in sets)
    assert small.items() < large.items()
