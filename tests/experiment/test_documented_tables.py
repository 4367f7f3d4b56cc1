"""The tables of docs/results against the committed ledgers that they are printed from."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
AGAINST = ["--against", "copy_paste"]
PAGE = "\n".join(p.read_text() for p in sorted((ROOT / "docs" / "results").glob("*.md")))


def script(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def printed(module, monkeypatch, capsys, *words) -> list[str]:
    monkeypatch.setattr("sys.argv", ["script", *map(str, words)])
    module.main()
    return capsys.readouterr().out.splitlines()


def table(head: str, after: str) -> list[str]:
    """Return the lines of the first table with such a first line after some words of the page."""
    lines = PAGE[PAGE.index(head, PAGE.index(after)) :].splitlines()
    end = next(i for i, line in enumerate(lines) if not line.startswith("|"))
    return lines[:end]


@pytest.mark.parametrize(
    ("name", "ledger", "words"),
    [
        ("score_table", "score_magnetic_tile.jsonl", []),
        ("benefit_table", "own_thresholds/benefit_magnetic_tile_fold0.jsonl", []),
        ("benefit_table", "own_thresholds/benefit_magnetic_tile.jsonl", []),
        ("benefit_table", "own_thresholds/benefit_sd_saliency_900.jsonl", []),
        ("benefit_differences", "own_thresholds/benefit_sd_saliency_900.jsonl", []),
        ("benefit_table", "own_thresholds/benefit_crackforest_10.jsonl", []),
        ("benefit_differences", "own_thresholds/benefit_crackforest_10.jsonl", []),
        ("benefit_table", "own_thresholds/benefit_crackforest_40.jsonl", []),
        ("benefit_differences", "own_thresholds/benefit_crackforest_40.jsonl", []),
        ("benefit_table", "kept_direction/benefit_crackforest_40.jsonl", []),
        ("benefit_differences", "kept_direction/benefit_crackforest_40.jsonl", []),
        ("benefit_differences", "own_thresholds/benefit_sd_saliency_900.jsonl", AGAINST),
        ("benefit_differences", "first_painter/benefit_magnetic_tile.jsonl", []),
        ("benefit_differences", "first_painter/benefit_magnetic_tile.jsonl", AGAINST),
        ("benefit_differences", "first_painter/benefit_sd_saliency_900.jsonl", []),
        ("benefit_differences", "first_painter/benefit_crackforest_10.jsonl", []),
        ("benefit_table", "benefit_magnetic_tile_fc_hardnet70.jsonl", []),
        ("benefit_table", "benefit_magnetic_tile_frozen.jsonl", []),
        ("benefit_differences", "benefit_magnetic_tile_frozen.jsonl", []),
        ("benefit_table", "first_painter/benefit_magnetic_tile_fc_hardnet70.jsonl", []),
        ("benefit_table", "own_thresholds/benefit_sd_saliency_900_each_class.jsonl", []),
        ("benefit_table", "like_surfaces/benefit_magnetic_tile.jsonl", []),
        ("benefit_table", "like_surfaces/benefit_sd_saliency_900.jsonl", []),
        ("benefit_table", "benefit_image_xray_weld.jsonl", []),
        ("benefit_differences", "benefit_image_xray_weld.jsonl", []),
        ("benefit_differences", "own_thresholds/benefit_magnetic_tile.jsonl", []),
        ("benefit_differences", "own_thresholds/benefit_magnetic_tile.jsonl", AGAINST),
        ("benefit_differences", "benefit_sd_saliency_900.jsonl", []),
        ("benefit_differences", "benefit_sd_saliency_900.jsonl", ["--share", "0.5"]),
        ("benefit_differences", "benefit_sd_saliency_900.jsonl", ["--share", "0.25"]),
        ("benefit_differences", "benefit_magnetic_tile.jsonl", []),
        ("benefit_differences", "benefit_magnetic_tile.jsonl", AGAINST),
        ("benefit_table", "benefit_magnetic_tile.jsonl", []),
        ("benefit_differences", "three_times_as_long/benefit_magnetic_tile.jsonl", []),
        ("benefit_table", "three_times_as_long/benefit_magnetic_tile.jsonl", []),
    ],
)
def test_every_row_of_the_page_is_printed_from_the_ledger(name, ledger, words, monkeypatch, capsys):
    lines = printed(script(name), monkeypatch, capsys, BENCHMARKS / "ledger" / ledger, *words)
    head = next(line for line in lines if line.startswith("|"))
    shown = table(head, after=" ".join([f"{name}.py benchmarks/ledger/{ledger}", *words]))
    assert len(shown) > 2
    assert [line for line in shown if line not in lines] == []


@pytest.mark.parametrize(
    "ledger",
    [
        "benefit_magnetic_tile.jsonl",
        "benefit_magnetic_tile_frozen.jsonl",
        "own_thresholds/benefit_magnetic_tile.jsonl",
    ],
)
def test_areas_of_parts_are_printed_from_the_ledger(ledger, monkeypatch, capsys):
    lines = printed(
        script("benefit_differences"), monkeypatch, capsys, BENCHMARKS / "ledger" / ledger
    )
    head = next(line for line in lines if "AUROC of parts" in line)
    shown = table(head, after=f"benefit_differences.py benchmarks/ledger/{ledger}")
    assert shown == lines[lines.index(head) :]


def test_the_scores_of_welds_are_printed_from_the_ledger(monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    lines = printed(script("image_level"), monkeypatch, capsys, "xray_weld", "--table")
    assert table(lines[0], after="image_level.py xray_weld --table") == lines


def test_the_tables_of_robustness_are_printed_from_the_ledger(monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    lines = printed(script("robustness_magnetic_tile"), monkeypatch, capsys, "--table")
    middle = lines.index("")
    for rows in (lines[:middle], lines[middle + 1 :]):
        assert table(rows[0], after="robustness_magnetic_tile.py --table") == rows


def test_what_8_bits_cost_is_printed_from_the_ledger(monkeypatch, capsys):
    page = (ROOT / "docs" / "export.md").read_text()
    pouch = ["--ledger", str(BENCHMARKS / "ledger" / "int8_pouch.jsonl")]
    for words in ([], pouch, [*pouch, "--to", "onnx"]):
        lines = printed(script("int8_cost"), monkeypatch, capsys, *words)
        for line in lines if not words else lines[:3]:
            assert line in page


def test_the_table_of_unseen_defects_is_printed_from_the_ledger(monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    lines = printed(script("novelty_magnetic_tile"), monkeypatch, capsys, "--table")
    assert table(lines[0], after="novelty_magnetic_tile.py --table") == lines
    totals = [sum(int(row.split(" | ")[i].split(" of ")[0]) for row in lines[2:]) for i in (1, 2)]
    assert f"{totals[1]} instead of {totals[0]} of 70 in all" in PAGE


def score(value: float, count: int = 40) -> dict:
    figures = {"kid": {"value": value, "interval": {"low": value - 0.1, "high": value + 0.1}}}
    figures |= {"kid_floor": {"value": 0.001, "interval": None}, "density": 0.5, "coverage": 0.75}
    figures |= {"density_floor": 1.0, "coverage_floor": 0.9, "diversity_ratio": 0.8}
    check = {"flagged": {"count": 5, "total": count}, "expected_share": 0.05}
    one = {"name": "crack", "synthetic": count, "training": 9, "training_parts": 3, "held_out": 6}
    one |= {"held_out_parts": 2, "note": ""}
    one["figures"] = [{"name": f"net/{kind}", **figures} for kind in ("in_mask", "pooled")]
    one["memorisation"] = {"ratio": 1.1, "features": check, "pixels": check}
    other = one | {"name": "pore", "synthetic": count + 10, "figures": [], "memorisation": None}
    whole = {"classes": [one, other], "overall": one, "system": "copy_paste", "fold": 0, "seed": 0}
    whole |= {"against": "test", "features": "net", "crop_size": 128, "tile": 128, "limit": 1000}
    return whole | {"data_fingerprint": "abc", "version": "0.1.0"}


def test_scores_are_added_once_and_printed(tmp_path, monkeypatch, capsys):
    module, ledger = script("score_table"), tmp_path / "ledger.jsonl"
    for name, value in (("first", 0.2), ("second", 1.5)):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(score(value)))
        for _ in range(2):
            printed(module, monkeypatch, capsys, ledger, "--add", path, "--name", name)
    assert len(ledger.read_text().splitlines()) == 2
    lines = printed(module, monkeypatch, capsys, ledger)
    assert lines[2:] == [
        "| real training defects (9) |  | 1 | 1 | 1.00 | 0.90 |  |  |",
        "| `first` | 40 to 50 | 200 (100 to 300) | 200 (100 to 300) | 0.50 | 0.75 | 0.80 "
        "| 12 % (5 %) |",
        "| `second` | 40 to 50 | 1,500 (1,400 to 1,600) | 1,500 (1,400 to 1,600) | 0.50 | 0.75 "
        "| 0.80 | 12 % (5 %) |",
    ]
    path.write_text(json.dumps(score(0.7)))
    with pytest.raises(module.FlawsmithError, match="other figures under second"):
        printed(module, monkeypatch, capsys, ledger, "--add", path, "--name", "second")
    with pytest.raises(SystemExit):
        printed(module, monkeypatch, capsys, ledger, "--add", path)
    assert len(ledger.read_text().splitlines()) == 2
