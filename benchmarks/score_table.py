"""Keeps what ``flawsmith score`` found in a ledger, and prints the table of docs/results.

    python benchmarks/score_table.py LEDGER
    python benchmarks/score_table.py LEDGER --add synthetic/score/score.json --name dbs_gan_real

A line holds the means over all classes and the figures of each class; kernel distances are in
thousandths.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flawsmith.errors import FlawsmithError
from flawsmith.experiment.ledger import append_line, read_lines

FIGURES = ("density", "coverage", "density_floor", "coverage_floor", "diversity_ratio")
HEAD = (
    "set", "synthetic defects a class", "KID in the mask", "KID whole crops", "density", "coverage",
    "diversity ratio", "nearer to a training defect than unseen real ones (chance)",
)  # fmt: skip


def ledger_line(name: str, score: dict[str, Any]) -> dict[str, Any]:
    """Return the line of a scored set.

    Args:
        name: of the set in the table.
        score: the content of ``score.json``.
    """
    same = ("system", "fold", "against", "features", "crop_size", "tile", "limit", "seed")
    return {
        "kind": "score",
        "name": name,
        **{key: score[key] for key in same},
        "data": score["data_fingerprint"],
        "version": score["version"],
        "all": figures(score["overall"]),
        "classes": {item["name"]: figures(item) for item in score["classes"]},
    }


def figures(score: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a class, or of all: counts, then a table for each kind of features."""
    line: dict[str, Any] = {
        "synthetic": score["synthetic"],
        "training": [score["training"], score["training_parts"]],
        "held_out": [score["held_out"], score["held_out_parts"]],
    }
    if score["note"]:
        line["note"] = score["note"]
    for found in score["figures"]:
        values: dict[str, Any] = {k: in_thousandths(found[k]) for k in ("kid", "kid_floor")}
        values |= {key: rounded(found[key]) for key in FIGURES}
        variant = found["name"].rpartition("/")[2]
        line[found["name"] if variant in line else variant] = values  # a second network: in full
    if memory := score["memorisation"]:
        line["nearest_real_ratio"] = rounded(memory["ratio"])
        line["copies_by_features"] = copies(memory["features"])
        line["copies_by_pixels"] = copies(memory["pixels"])
    return line


def in_thousandths(estimate: dict[str, Any] | None) -> list[float] | None:
    """Return value, lower and upper end; the value alone where there is no interval."""
    if estimate is None:
        return None
    ends = estimate["interval"]
    values = [estimate["value"], *((ends["low"], ends["high"]) if ends else ())]
    return [round(1000 * value, 3) for value in values]


def copies(check: dict[str, Any]) -> list[float]:
    """Return how many are flagged, of how many, and the share that chance flags."""
    flagged = check["flagged"]
    return [flagged["count"], flagged["total"], round(check["expected_share"], 4)]


def rounded(value: float | None) -> float | None:
    """Return a figure as the ledger has it."""
    return None if value is None else round(value, 4)


def rows(lines: list[dict[str, Any]]) -> list[list[str]]:
    """Return the rows of the table: real training defects where their figures change, then sets."""
    found: list[list[str]] = []
    for line in lines:
        floor = floor_row(line)
        if floor not in found:
            found.append(floor)
        found.append(set_row(line))
    return found


def set_row(line: dict[str, Any]) -> list[str]:
    """Return the cells of a synthetic set."""
    whole = line["all"]
    mask, crop = whole["in_mask"], whole["pooled"]
    flagged, total, chance = whole["copies_by_features"]
    return [
        f"`{line['name']}`",
        span(item["synthetic"] for item in line["classes"].values()),
        distance(mask["kid"]),
        distance(crop["kid"]),
        *(f"{mask[name]:.2f}" for name in ("density", "coverage", "diversity_ratio")),
        f"{flagged / total:.0%} ({chance:.0%})".replace("%", " %"),
    ]


def floor_row(line: dict[str, Any]) -> list[str]:
    """Return the cells of the real training defects that a set was compared with."""
    mask, crop = line["all"]["in_mask"], line["all"]["pooled"]
    return [
        f"real training defects ({span(c['training'][0] for c in line['classes'].values())})",
        "",
        distance(mask["kid_floor"]),
        distance(crop["kid_floor"]),
        f"{mask['density_floor']:.2f}",
        f"{mask['coverage_floor']:.2f}",
        "",
        "",
    ]


def span(counts: Iterable[int]) -> str:
    """Return the least and the largest of some counts."""
    values = list(counts)
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def distance(values: list[float]) -> str:
    """Return a kernel distance in thousandths with its interval."""
    value, *ends = (f"{number:,.0f}" for number in values)
    return f"{value} ({ends[0]} to {ends[1]})" if ends else value


def main() -> None:
    """Add a line, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--add", type=Path, metavar="SCORE_JSON")
    parser.add_argument("--name", help="of the set that --add adds")
    arguments = parser.parse_args()
    lines = read_lines(arguments.ledger)
    if arguments.add:
        if not arguments.name:
            parser.error("--add needs --name")
        line = ledger_line(arguments.name, json.loads(arguments.add.read_text("utf-8")))
        if any(other["name"] == line["name"] and other != line for other in lines):
            raise FlawsmithError(
                f"{arguments.ledger} has other figures under {line['name']}; choose another --name"
            )
        if line not in lines:
            append_line(arguments.ledger, line)
        return
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
    for cells in rows(lines):
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
