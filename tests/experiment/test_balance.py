"""How many images to add: Table 3 of the paper, and what counts."""

import pytest

from flawsmith.data.dataset import ImageRecord
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.balance import balance, plan_balance

TABLE_3 = {
    "groove": 2200, "spore": 200, "folding": 2300, "leakage": 4600, "white dot": 400,
    "black dot": 300,
}  # fmt: skip


def test_plan_is_table_3_of_the_paper() -> None:
    plan = plan_balance(TABLE_3, 10_000)
    assert list(plan.values()) == [7800, 9800, 7700, 5400, 9600, 9700]
    assert sum(plan.values()) == 50_000


def test_plan_fills_to_the_largest_class_by_default() -> None:
    assert plan_balance(TABLE_3)["leakage"] == 0
    assert all(plan_balance(TABLE_3)[name] + count == 4600 for name, count in TABLE_3.items())
    assert plan_balance({}) == {}


def test_one_class_of_whole_images_is_filled_to_the_good_ones() -> None:
    """Good parts against bad ones: of the bad ones alone nothing could be out of balance."""
    bad, good = ([record(labels, mask_file_name=None)] for labels in (["bad"], []))
    one, two = (
        Schema(
            name="x",
            backgrounds=[{"id": 0, "name": "s", "colour": "#000000"}],
            defects=[{"id": i, "name": n, "colour": "#ffffff"} for i, n in enumerate(names, 1)],
        )
        for names in (["bad"], ["bad", "worse"])
    )
    assert balance(bad * 8 + good * 20, one, None, labels="image").added == {"bad": 12}
    assert balance(bad * 8 + good * 20, one, 10, labels="image").added == {"bad": 2}
    assert balance(bad * 20 + good * 8, one, None, labels="image").added == {"bad": 0}
    assert balance(bad * 8 + good * 20, two, None, labels="image").added == {"bad": 0}
    assert balance([record(["bad"])] * 8 + good * 20, one, None).added == {"bad": 0}


def test_plan_never_removes_images() -> None:
    assert plan_balance({"a": 5, "b": 1}, 3) == {"a": 0, "b": 2}
    with pytest.raises(FlawsmithError, match="--per-class 0: expected"):
        plan_balance({"a": 5}, 0)


def record(labels: list[str], **fields: object) -> ImageRecord:
    values = {"file_name": "a.png", "mask_file_name": "m.png", "part": "p", "sha256": "0"}
    return ImageRecord(labels=labels, height=1, width=1, **(values | fields))  # type: ignore[arg-type]


def test_images_count_once_for_each_class_that_they_show() -> None:
    schema = Schema(
        name="x",
        backgrounds=[{"id": 0, "name": "s", "colour": "#000000"}],
        defects=[{"id": i, "name": n, "colour": "#ffffff"} for i, n in enumerate("abcd", start=1)],
    )
    records = [
        record(["a"]),
        record(["a", "b"]),
        record(["a", "a"]),
        record([]),
        record(["b"], source="synthetic"),
        record(["b"], excluded="blurred"),
        record(["c"], mask_file_name=None),
    ]
    plan = balance(records, schema, None)
    assert plan.before == {"a": 3, "b": 1, "c": 1, "d": 0}
    assert plan.added == {"a": 0, "b": 2}
    assert plan.after == {"a": 3, "b": 3, "c": 1, "d": 0}
    assert plan.total == 2
    assert plan.without_masks == ["c", "d"]
