"""Finished runs of the benefit test under the keys of code that computes the same.

A key changes with the code behind a figure, also where that code was only rearranged. Instead of
training for hours again: name the keys with the old code and with the new one, repeat some runs
with the new code into the same ledger, and move the others. A line is moved only if every repeated
run has the very counts of the old one, for every part; it keeps its old keys in ``moved_from``.

    PYTHONPATH=OLD/src python benchmarks/move_ledger.py keys DATA --arm copy_paste > old.json
    python benchmarks/move_ledger.py keys DATA --arm copy_paste > new.json
    python benchmarks/move_ledger.py move LEDGER old.json new.json

What follows DATA are options of ``flawsmith benefit`` besides those of the plan that the scripts
of the benefit test share.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benefit_command import benefit_words

from flawsmith.cli import benefit as command
from flawsmith.cli import main as flawsmith
from flawsmith.experiment.benefit import BenefitTest
from flawsmith.experiment.ledger import read_lines
from flawsmith.storage import write_text

Line = dict[str, Any]
TRAINED = ("model", "screen")


def print_keys(data: Path, more: list[str]) -> None:
    """Print the key of every model of a benefit test, by what the plan calls it."""

    def note(test: BenefitTest) -> None:
        steps = (step for step in test.steps if step.kind in TRAINED)
        keys = {s.title: test.identity.model_key(s, test.step_mix(s)) for s in steps}
        print(json.dumps(keys, indent=1))

    command._print_plan = note
    sys.argv = ["flawsmith", *benefit_words(data, data, "unused", more), "--plan"]
    flawsmith()


def moved(lines: list[Line], old: dict[str, str], new: dict[str, str]) -> list[Line]:
    """Return the lines with new keys; one that was repeated stands once, as repeated.

    Raises:
        SystemExit: if no run was repeated, or a repeated one differs.
    """
    found = {line["key"]: line for line in lines if "key" in line}
    pairs = {old[title]: new[title] for title in old.keys() & new.keys() if old[title] in found}
    repeated = {before: now for before, now in pairs.items() if before != now and now in found}
    if not repeated:
        raise SystemExit("no run was repeated with the new code; repeat at least one of each arm")
    for before, now in repeated.items():
        if found[before].get("parts") != found[now].get("parts"):
            raise SystemExit(f"{before} and its repetition {now} differ; nothing was moved")
    print(f"{len(repeated)} repeated runs are equal in every part: {_arms(found, repeated)}")
    kept = []
    for line in lines:
        key = line.get("key")
        if key in repeated:
            continue
        if key in pairs and pairs[key] != key:
            line = {**line, "key": pairs[key], "moved_from": [*line.get("moved_from", []), key]}
        kept.append(line)
    return kept


def _arms(found: dict[str, Line], repeated: dict[str, str]) -> str:
    return ", ".join(
        sorted({f"{found[key]['arm']} (fold {found[key]['fold']})" for key in repeated})
    )


def main() -> None:
    """Print keys, or move lines."""
    if sys.argv[1:2] == ["keys"]:
        print_keys(Path(sys.argv[2]), sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["move"])
    parser.add_argument("ledger", type=Path)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    arguments = parser.parse_args()
    old, new = (json.loads(path.read_text()) for path in (arguments.old, arguments.new))
    lines = moved(read_lines(arguments.ledger), old, new)
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    write_text(arguments.ledger, text)
    print(f"{sum('moved_from' in line for line in lines)} of {len(lines)} lines were moved")


if __name__ == "__main__":
    main()
