"""Folds by part: invariants over random data sets, tables, claims, the command."""

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from flawsmith.data.dataset import DatasetWriter, DefectDataset, ImageRecord, LabelMap
from flawsmith.data.folds import (
    check_parts_together,
    claims,
    composition,
    folds_from_csv,
    inner_validation,
    limit_without_a_miss,
    part_defects,
    split_folds,
    split_holdout,
)
from flawsmith.data.schema import DEFECT_COLOURS, Background, Defect, Schema
from flawsmith.errors import FlawsmithError

NAMES = ("scratch", "dent", "pore")


def schema(names=NAMES):
    return Schema(
        name="tiny",
        backgrounds=[Background(id=0, name="body", colour="#202020")],
        defects=[
            Defect(id=i, name=n, colour=DEFECT_COLOURS[i - 1]) for i, n in enumerate(names, start=1)
        ],
    )


def record(part, view=0, labels=(), **fields):
    name = f"images/{part}_{view}.png"
    values = {"file_name": name, "part": part, "labels": list(labels), "sha256": name}
    return ImageRecord(**{**values, "height": 8, "width": 8, **fields})


def dataset(records, names=NAMES):
    return DefectDataset(Path("somewhere"), schema(names), records)


def from_counts(views=2, **counts):
    """A data set with this many single-class parts; ``good`` parts have no label."""
    return dataset(
        [
            record(f"{name}{part}", view, () if name == "good" else (name,))
            for name, count in counts.items()
            for part in range(count)
            for view in range(views)
        ]
    )


def fold_of_part(records):
    return {r.part: r.fold for r in records}


# Parts given by their set of defects (empty: good) and number of views.
part_lists = st.lists(
    st.tuples(st.sets(st.sampled_from(NAMES), max_size=2), st.integers(1, 4)),
    min_size=2,
    max_size=40,
)
single_class_lists = st.lists(
    st.tuples(st.sets(st.sampled_from(NAMES), max_size=1), st.integers(1, 4)),
    min_size=2,
    max_size=40,
)


def from_parts(parts):
    # The first view alone shows the defects: the class of a part is that of any view.
    return dataset(
        [
            record(f"p{i}", view, sorted(labels) if view == 0 else ())
            for i, (labels, views) in enumerate(parts)
            for view in range(views)
        ]
    )


@settings(max_examples=60, deadline=None)
@given(parts=part_lists, k=st.integers(2, 6), seed=st.integers(0, 5))
def test_every_part_is_in_exactly_one_fold_and_no_fold_is_empty(parts, k, seed):
    k = min(k, len(parts))
    data = from_parts(parts)
    records = split_folds(data, k, seed)
    assert [r.file_name for r in records] == [r.file_name for r in data]
    assert {r.fold for r in records} == set(range(k))
    check_parts_together(records)


@settings(max_examples=60, deadline=None)
@given(parts=single_class_lists, k=st.integers(2, 6), seed=st.integers(0, 5))
def test_single_class_parts_differ_by_at_most_one_between_folds(parts, k, seed):
    k = min(k, len(parts))
    records = split_folds(from_parts(parts), k, seed)
    folds = fold_of_part(records)
    for name in (*NAMES, None):
        counts = Counter(
            folds[f"p{i}"] for i, (labels, _) in enumerate(parts) if (labels or {None}) == {name}
        )
        held = [counts[fold] for fold in range(k)]
        assert max(held) - min(held) <= 1


@settings(max_examples=30, deadline=None)
@given(parts=part_lists, order=st.randoms(use_true_random=False))
def test_folds_depend_on_the_seed_and_not_on_the_order_of_records(parts, order):
    data = from_parts(parts)
    shuffled = list(data.records)
    order.shuffle(shuffled)
    again = split_folds(dataset(shuffled), 2, seed=3)
    assert fold_of_part(again) == fold_of_part(split_folds(data, 2, seed=3))


def test_another_seed_gives_other_folds():
    data = from_counts(scratch=10, good=20)
    drawn = [fold_of_part(split_folds(data, 5, seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    held_out = [fold_of_part(split_holdout(data, 0.2, seed)) for seed in (0, 0, 1)]
    assert held_out[0] == held_out[1] != held_out[2]


def test_parts_with_several_classes_are_spread_in_each_class():
    labels = [("scratch", "dent")] * 4 + [("scratch",)] * 6 + [("dent",)] * 6
    records = split_folds(dataset([record(f"p{i}", 0, ls) for i, ls in enumerate(labels)]), 2)
    for counts in composition(records).values():
        assert counts["scratch"] == (5, 5)
        assert counts["dent"] == (5, 5)


def test_excluded_views_share_the_fold_and_do_not_speak_for_the_class():
    records = [
        record("a", 0, ["dent"], excluded="blurred"),
        record("a", 1),
        record("b", 0, ["dent"]),
        record("c", 0, ["dent"]),
        record("d", 0, excluded="wrong product"),
    ]
    assert part_defects(records) == {"a": set(), "b": {"dent"}, "c": {"dent"}}
    split = split_folds(dataset(records), 2)
    folds = fold_of_part(split)
    assert split[0].fold == split[1].fold
    assert folds["b"] != folds["c"]
    assert folds["d"] in (0, 1)
    assert fold_of_part(split_holdout(dataset(records), 0.5))["d"] == 1


def test_synthetic_images_get_no_fold():
    data = from_counts(scratch=4)
    made = record("made", labels=["scratch"], source="synthetic", fold=1)
    split = split_folds(dataset([*data.records, made]), 2)
    assert split[-1].fold is None
    assert split[:-1] == split_folds(data, 2)


@pytest.mark.parametrize(
    ("k", "message"), [(1, "expected at least 2"), (0, "at least 2"), (5, "has 4 parts in use")]
)
def test_impossible_numbers_of_folds_are_refused(k, message):
    with pytest.raises(FlawsmithError, match=message):
        split_folds(from_counts(scratch=4), k)


@settings(max_examples=60, deadline=None)
@given(
    counts=st.fixed_dictionaries({name: st.integers(0, 12) for name in (*NAMES, "good")}),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 3),
)
def test_holdout_takes_the_share_of_every_class_and_never_its_last_part(counts, share, seed):
    data = from_counts(**counts)
    if max(counts.values()) < 2:
        with pytest.raises(FlawsmithError, match="no class of somewhere has two parts"):
            split_holdout(data, share, seed)
        return
    records = split_holdout(data, share, seed)
    check_parts_together(records)
    folds = fold_of_part(records)
    for name, count in counts.items():
        tested = sum(folds[f"{name}{i}"] == 0 for i in range(count))
        if count < 2:
            assert tested == 0
        else:
            assert tested == np.clip(np.floor(share * count + 0.5), 1, count - 1)


@settings(max_examples=60, deadline=None)
@given(parts=part_lists, share=st.floats(0.05, 0.95))
def test_holdout_leaves_every_class_in_training(parts, share):
    data = from_parts(parts)
    try:
        records = split_holdout(data, share)
    except FlawsmithError:
        return
    training = part_defects(r for r in records if r.fold == 1)
    everything = part_defects(data.records)
    assert set().union(*training.values()) == set().union(*everything.values())
    if frozenset() in everything.values():
        assert frozenset() in training.values()


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2, 5.0])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(FlawsmithError, match=f"share of {share}"):
        split_holdout(from_counts(scratch=4), share)


@settings(max_examples=60, deadline=None)
@given(parts=single_class_lists, fold=st.integers(0, 1), seed=st.integers(0, 3))
def test_inner_validation_parts_are_apart_and_cover_the_classes(parts, fold, seed):
    records = split_folds(from_parts(parts), 2)
    train, validation = inner_validation(records, fold, seed)
    outside = [r for r in records if r.fold != fold]
    assert sorted(r.file_name for r in train + validation) == sorted(r.file_name for r in outside)
    assert not {r.part for r in train} & {r.part for r in validation}
    per_class = Counter(defects for defects in part_defects(outside).values())
    held = Counter(defects for defects in part_defects(validation).values())
    for defects, count in per_class.items():
        expected = 0 if count < 2 else min(max(1, np.floor(0.2 * count + 0.5)), count - 1)
        assert held[defects] == expected
    assert (train, validation) == inner_validation(records, fold, seed)


def test_inner_validation_keeps_synthetic_images_in_training_and_drops_excluded_ones():
    real = split_folds(from_counts(scratch=10, good=10), 5)
    train, validation = inner_validation(real, 0, seed=1)
    parent = train[0].file_name
    made = record("made", labels=["scratch"], source="synthetic", parents=[parent])
    bad = record("made2", source="synthetic", excluded="filtered")
    with_made = inner_validation([made, *real, bad], 0, seed=1)
    assert with_made == ([made, *train], validation)
    hidden = [r.model_copy(update={"excluded": "x"}) if r == validation[0] else r for r in real]
    assert validation[0].file_name not in {
        r.file_name for rs in inner_validation(hidden, 0, seed=1) for r in rs
    }


def test_inner_validation_refuses_synthetic_images_of_test_parts():
    real = split_folds(from_counts(scratch=10), 5)
    tested = next(r for r in real if r.fold == 2)
    made = record("made", source="synthetic", parents=[tested.file_name])
    with pytest.raises(FlawsmithError, match=f"part {tested.part} is in test fold 2"):
        inner_validation([*real, made], 2, seed=0)
    assert made in inner_validation([*real, made], 3, seed=0)[0]


def test_inner_validation_with_one_part_a_class_has_no_validation():
    real = [record("a", fold=0), record("b", fold=1), record("c", 0, ["dent"], fold=1)]
    train, validation = inner_validation(real, 0, seed=0)
    assert (train, validation) == (real[1:], [])


def test_inner_validation_needs_folds():
    with pytest.raises(FlawsmithError, match=r"6 images .*and 3 more.* without a fold"):
        inner_validation(from_counts(scratch=3).records, 0, seed=0)
    with pytest.raises(FlawsmithError, match="there is no fold 7; the data set has 0, 1"):
        inner_validation(split_folds(from_counts(scratch=3), 2), 7, seed=0)


def test_a_part_in_two_folds_is_refused_by_name():
    records = [record("p1", 0, fold=0), record("p1", 1, fold=3, original="raw/x.bmp")]
    message = r"part p1 is in two folds: images/p1_0.png in fold 0, raw/x.bmp in fold 3"
    with pytest.raises(FlawsmithError, match=message):
        check_parts_together(records)
    with pytest.raises(FlawsmithError, match=r"in fold 0, images/p1_1\.png in no fold"):
        check_parts_together([records[0], record("p1", 1)])


def write_table(path, rows, header="image,part,fold,note", separator=","):
    lines = [header.replace(",", separator)]
    lines += [separator.join(str(cell) for cell in row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_sets_parts_folds_and_exclusions(tmp_path, separator):
    data = dataset(
        [
            record("x", 0, original="raw/1.bmp"),
            record("y", 0, excluded="damaged"),
            record("z", 0, source="synthetic"),
        ]
    )
    rows = [("raw\\1.bmp", "tile-1", 1, "blurred"), ("images/y_0.png", "tile-2", 0, "")]
    table = write_table(tmp_path / "folds.csv", rows, separator=separator)
    first, second, made = folds_from_csv(data, table)
    assert (first.part, first.fold, first.excluded) == ("tile-1", 1, "blurred")
    assert (second.part, second.fold, second.excluded) == ("tile-2", 0, "damaged")
    assert made == data.records[2]


def test_a_table_without_parts_keeps_them(tmp_path):
    data = from_counts(views=1, good=2)
    rows = [("images/good0_0.png", 0), ("images/good1_0.png", 1)]
    table = write_table(tmp_path / "folds.csv", rows, header="image,fold")
    assert fold_of_part(folds_from_csv(data, table)) == {"good0": 0, "good1": 1}


ROW_A, ROW_B = ("images/a_0.png", "a", 0, ""), ("images/b_0.png", "b", 1, "")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROW_A], r"no row for 1 image \(images/b_0.png\)"),
        ([ROW_A, ROW_B, ("c.png", "c", 1, "")], r"1 image \(c.png\) not in the data set"),
        (
            [("images/a_0.png", "p", 0, ""), ("images/b_0.png", "p", 1, "")],
            "part p is in two folds: images/a_0.png in fold 0, images/b_0.png in fold 1",
        ),
        ([ROW_A, ("images/b_0.png", "b", "x", "")], r"row 3: 'fold' = 'x'"),
        ([ROW_A, ("images/b_0.png", "b", "-1", "")], r"row 3: 'fold' = '-1'"),
        ([ROW_A, ("images/b_0.png", "", 1, "")], r"row 3: 'part' = ''"),
        ([ROW_A, ROW_A, ("images/a_0.png", "a", 1, "")], "row 4: images/a_0.png has a second"),
        ([ROW_A, ("images/b_0.png", "b", 2, "")], "has the folds 0, 2; expected 0, 1, 2"),
        ([ROW_A, ("images/b_0.png", "b", 0, "")], "has the folds 0; expected"),
        ([], "has no rows"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path, rows, message):
    data = dataset([record("a"), record("b")])
    with pytest.raises(FlawsmithError, match=message):
        folds_from_csv(data, write_table(tmp_path / "folds.csv", rows))


def test_a_table_that_is_none_is_refused(tmp_path):
    data = dataset([record("a"), record("b")])
    with pytest.raises(FlawsmithError, match="cannot read"):
        folds_from_csv(data, tmp_path / "absent.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00image")
    with pytest.raises(FlawsmithError, match="cannot read"):
        folds_from_csv(data, tmp_path / "binary.csv")
    (tmp_path / "short.csv").write_text("image,fold\nimages/a_0.png\n")
    with pytest.raises(FlawsmithError, match=r"row 2: 'fold' = ''"):
        folds_from_csv(data, tmp_path / "short.csv")
    (tmp_path / "other.csv").write_text("file,group\na,b\n")
    with pytest.raises(FlawsmithError, match="columns file, group; expected image, part, fold"):
        folds_from_csv(data, tmp_path / "other.csv")


def test_the_frozen_folds_of_the_magnetic_tiles_are_read(real_data):
    table = real_data / "magnetic-tile" / "tiles.csv"
    rows = list(csv.DictReader(table.open()))
    names = sorted({row["class"] for row in rows} - {"free"})
    records = [
        record(f"unknown{i}", 0, [row["class"]] if row["class"] != "free" else []).model_copy(
            update={"original": row["image"]}
        )
        for i, row in enumerate(rows)
    ]
    data = dataset(records, names)
    split = folds_from_csv(data, table)
    assert [(r.part, str(r.fold)) for r in split] == [(row["part"], row["fold"]) for row in rows]
    assert sum(r.excluded is not None for r in split) == 28
    counts = composition(split)
    parts = {name: sum(fold[name][0] for fold in counts.values()) for name in (*names, None)}
    assert parts == {
        "blowhole": 20, "break": 17, "crack": 9, "fray": 7, "uneven": 17, None: 148
    }  # fmt: skip
    drawn = composition(split_folds(dataset(split, names), 5))
    for name in names:
        held = [fold.get(name, (0, 0))[0] for fold in drawn.values()]
        assert max(held) - min(held) <= 1


@pytest.mark.parametrize("parts", [1, 7, 25, 148])
def test_the_limit_is_the_clopper_pearson_bound(parts):
    exact = binomtest(0, parts).proportion_ci(0.95, method="exact").high
    assert limit_without_a_miss(parts) == pytest.approx(exact, rel=1e-9)


def test_claims_say_what_the_parts_allow():
    names = ("scratch", "dent", "pore", "stain", "burr")
    counts = {"scratch": 7, "dent": 1, "pore": 25, "burr": 3, "good": 4}
    records = split_folds(from_counts(**counts), 5)
    lines = dict(line.split(": ", 1) for line in claims(dataset(records, names)))
    assert list(lines) == [*names, "all defects", "good"]
    assert lines["scratch"].startswith(
        "7 parts; cross-validation tests each once; with none missed the escape rate could still "
        "be up to 41 %; fewer than 10 test parts"
    )
    assert lines["pore"].endswith("be up to 13.7 %")
    assert "fewer parts than the 5 folds" in lines["burr"]
    assert "fewer parts than" not in lines["scratch"]
    assert lines["dent"] == "1 part; it cannot be tested and trained at once"
    assert lines["stain"].startswith("no part")
    assert lines["all defects"].startswith("36 parts, 36 tested; with none missed")
    assert lines["good"].endswith("overkill could still be up to 60 %")


def test_claims_of_one_split_count_only_its_test_parts():
    records = split_holdout(from_counts(scratch=20, dent=1), 0.5)
    lines = dict(line.split(": ", 1) for line in claims(dataset(records), test_fold=0))
    assert lines["scratch"] == (
        "20 parts; 10 tested; with none missed the escape rate could still be up to 31 %"
    )
    assert lines["good"] == "0 parts, 0 tested; the overkill cannot be measured"
    absent = [record(f"s{i}", 0, ["scratch"], fold=1) for i in range(3)]
    lines = dict(line.split(": ", 1) for line in claims(dataset(absent), test_fold=0))
    assert lines["scratch"] == "3 parts, none in the test fold; it is not tested"


def test_claims_name_a_class_that_only_one_fold_has():
    records = [record(f"s{i}", 0, ["scratch"], fold=0) for i in range(3)] + [record("g", fold=1)]
    assert claims(dataset(records))[0] == (
        "scratch: 3 parts, all in fold 0; no other fold can train it"
    )


@pytest.fixture
def folder(tmp_path):
    """Six good parts and four with a scratch, two views each."""
    with DatasetWriter(tmp_path / "set", schema()) as writer:
        for part in range(10):
            for view in range(2):
                defects = np.zeros((4, 4), np.uint8)
                defects[1, 1] = part < 4
                image = np.full((4, 4), 10 * part + view, np.uint8)
                label_map = LabelMap(defects, np.zeros_like(defects))
                writer.add(f"{part}_{view}", image, label_map, part=f"p{part}", view=str(view))
    return tmp_path / "set"


def run(*arguments):
    command = [Path(sys.executable).with_name("flawsmith"), "data", "split", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_writes_and_freezes_folds(folder):
    done = run(folder, "--folds", "2", "--seed", "4")
    assert done.returncode == 0, done.stderr
    written = DefectDataset.open(folder).records
    untouched = [r.model_copy(update={"fold": None}) for r in written]
    assert written == split_folds(DefectDataset(folder, schema(), untouched), 2, 4)
    assert "2 / 4" in done.stdout
    assert "3 / 6" in done.stdout
    assert "scratch: 4 parts; cross-validation tests each once" in done.stdout

    before = (folder / "metadata.jsonl").read_bytes()
    refused = run(folder, "--test", "0.25")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ")
    assert refused.stderr.count("\n") == 1
    assert "has 2 folds already" in refused.stderr
    assert "--again" in refused.stderr
    assert (folder / "metadata.jsonl").read_bytes() == before

    again = run(folder, "--test", "0.25", "--again")
    assert again.returncode == 0, again.stderr
    assert "0 (test)" in again.stdout
    assert {r.fold for r in DefectDataset.open(folder)} == {0, 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--folds", "2", "--test", "0.2"], "exclude each other"),
        (["--csv", "absent.csv"], "cannot read absent.csv"),
        (["--folds", "40"], "40 folds were asked for, but the data set has 10 parts"),
    ],
)
def test_the_command_explains_a_wrong_call_in_one_line(folder, arguments, message):
    before = (folder / "metadata.jsonl").read_bytes()
    refused = run(folder, *arguments)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ")
    assert refused.stderr.count("\n") == 1
    assert message in refused.stderr
    assert (folder / "metadata.jsonl").read_bytes() == before
