"""Views of magnetic tiles, told nothing but the images."""

import csv
from collections import defaultdict
from itertools import combinations

import pytest

from flawsmith.data.views import ViewImage, find_views


def pairs_of(groups) -> set[tuple[str, str]]:
    return {pair for names in groups for pair in combinations(sorted(names), 2)}


@pytest.mark.real_data
def test_tiles_of_all_classes_are_grouped_as_in_the_file(real_data):
    root = real_data / "magnetic-tile"
    parts = defaultdict(list)
    classes = defaultdict(set)
    with (root / "tiles.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            parts[row["part"]].append(row["image"])
            classes[row["part"]].add(row["class"])
    chosen = []
    for wanted in ("blowhole", "break", "crack", "fray", "uneven", "free"):
        chosen += [part for part in parts if wanted in classes[part] and len(parts[part]) < 9][:3]
    groups = [parts[part] for part in sorted(set(chosen))]
    assert len(groups) >= 15
    views = find_views([ViewImage(name, root / name) for names in groups for name in names])
    found, true = pairs_of(views.groups()), pairs_of(groups)
    assert len(found & true) / len(found) >= 0.98
    assert len(found & true) / len(true) >= 0.98
