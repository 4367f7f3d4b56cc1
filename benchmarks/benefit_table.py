"""Prints the tables of docs/results from a ledger of the benefit test.

    python benchmarks/benefit_table.py benchmarks/ledger/benefit_magnetic_tile.jsonl

One row a finished training; folds and seeds are never averaged silently. Beside it stand the
synthetic images that it could draw from: least and most of a class. A class has its IoU, or, where
whole images were classified, its F1 and in brackets its recall.

An arm that chose no synthetic image for any class is in the ledger as ``real`` and not by itself.
"""

import argparse
import json
from pathlib import Path
from typing import Any


def rows(ledger: Path) -> list[dict[str, Any]]:
    """Return the inspection models of a ledger in the order of arm, fold and seed."""
    lines = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    models = [line for line in lines if line.get("kind") == "model"]
    order = list(dict.fromkeys(line["arm"] for line in models))
    return sorted(models, key=lambda m: (order.index(m["arm"]), m["fold"], m["seed"]))


def overlap(counts: list[int]) -> str:
    """Return the IoU of true positives, false positives and false negatives."""
    hit, false, missed, _ = counts
    union = hit + false + missed
    return f"{hit / union:.2f}" if union else "-"


def f1_and_recall(counts: list[int]) -> str:
    """Return F1 and recall of images: true positives, false positives and false negatives."""
    hit, false, missed, _ = counts
    if not hit + missed:
        return "-"
    return f"{2 * hit / (2 * hit + false + missed):.2f} ({hit / (hit + missed):.2f})"


def synthetic(model: dict[str, Any]) -> str:
    """Return how many synthetic images of a class a training could draw from."""
    counts = model["training_images"].get("synthetic", {}).values()
    if not counts:
        return "-"
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low} to {high}"


def share(counts: list[int] | None) -> str:
    """Return missed or rejected parts; a data set may have no good ones."""
    return "-" if counts is None else "{} of {}".format(*counts)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ledger", type=Path)
    models = rows(parser.parse_args().ledger)
    classes = list(models[0]["tp_fp_fn_parts"])
    whole = models[0].get("level") == "image"
    figure, value, of_class = (
        ("macro F1", "macro_f1", f1_and_recall) if whole else ("macro IoU", "macro_iou", overlap)
    )
    head = ["arm", "synthetic images a class", "fold", "seed", figure, *classes]
    head += ["missed", "rejected", "AUROC, parts"]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for model in models:
        cells = [
            f"`{model['arm']}`",
            synthetic(model),
            model["fold"],
            model["seed"],
            f"**{model[value]:.3f}**",
            *(of_class(model["tp_fp_fn_parts"][name]) for name in classes),
            *(share(model[name]) for name in ("escape", "overkill")),
            "-" if model["part_auroc"] is None else f"{model['part_auroc']:.2f}",
        ]
        print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
