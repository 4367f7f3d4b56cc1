"""Folds, parts and exclusions from a table."""

import csv

import pytest

from flawsmith.data.folds import composition, folds_from_csv, split_folds
from flawsmith.errors import FlawsmithError


def write_table(path, rows, header="image,part,fold,note", separator=","):
    lines = [header.replace(",", separator)]
    lines += [separator.join(str(cell) for cell in row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_sets_parts_folds_and_exclusions(tmp_path, separator, record, dataset):
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


def test_a_table_without_parts_keeps_them(tmp_path, from_counts, fold_of_part):
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
def test_a_wrong_table_is_refused(tmp_path, rows, message, record, dataset):
    data = dataset([record("a"), record("b")])
    with pytest.raises(FlawsmithError, match=message):
        folds_from_csv(data, write_table(tmp_path / "folds.csv", rows))


def test_a_table_that_is_none_is_refused(tmp_path, record, dataset):
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


def test_the_frozen_folds_of_the_magnetic_tiles_are_read(real_data, record, dataset):
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
