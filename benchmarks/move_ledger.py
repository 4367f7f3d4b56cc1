"""Finished runs of the benefit test under the keys of code that computes the same.

A key changes with the code behind a figure, also where that code was only rearranged. Instead of
training for hours again: name the keys with the old code and with the new one, repeat some runs
with the new code into the same ledger, and move the others. A line is moved only if every repeated
run has the very counts of the old one, for every part; it keeps its old keys in ``moved_from``.

    PYTHONPATH=OLD/src python benchmarks/move_ledger.py keys DATA --arm copy_paste > old.json
    python benchmarks/move_ledger.py keys DATA --arm copy_paste > new.json
    python benchmarks/move_ledger.py move LEDGER old.json new.json

Another kind of processor rounds differently, so that a repeat there differs whatever the code is.
There, run the same with the old code and with the new one into a ledger of its own, and give it:

    python benchmarks/move_ledger.py move LEDGER old.json new.json --repeats BOTH.jsonl

What follows DATA are options of ``flawsmith benefit`` besides those of the plan that the scripts
of the benefit test share. A ledger of several data sets, as of random draws, takes a pair of files
for each.
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
    """Print the key of every model of a benefit test, by what the plan calls it, and the data's."""

    def note(test: BenefitTest) -> None:
        steps = (step for step in test.steps if step.kind in TRAINED)
        keys = {s.title: test.identity.model_key(s, test.step_mix(s)) for s in steps}
        print(json.dumps({"data": test.identity.fingerprint, "keys": keys}, indent=1))

    command._print_plan = note
    sys.argv = ["flawsmith", *benefit_words(data, data, "unused", more), "--plan"]
    flawsmith()


def moved(
    lines: list[Line],
    pairs: dict[str, str],
    repeats: list[Line] | None = None,
    data: dict[str, str] | None = None,
) -> list[Line]:
    """Return the lines with new keys; one that was repeated stands once, as repeated.

    Args:
        lines: of a ledger.
        pairs: old key -> new key.
        data: old fingerprint -> new one, of data sets that are the same.
        repeats: lines of runs with both codes on one machine; without, the ledger has them.

    Raises:
        SystemExit: if no run was repeated, or a repeated one differs.
    """
    found = _by_key(lines)
    pairs = {old: new for old, new in pairs.items() if old != new}
    if len(set(pairs.values())) < len(pairs):
        raise SystemExit("two old keys have the same new one; move their lines one by one")
    require_equal(found if repeats is None else _by_key(repeats), pairs)
    if repeats is not None and any(old in found and new in found for old, new in pairs.items()):
        require_equal(found, pairs)
    again = {new for old, new in pairs.items() if old in found}
    kept = []
    for line in lines:
        key = line.get("key")
        if key in again:
            continue
        if key in pairs:
            moved_line = {**line, "key": pairs[key]}
            if data and line.get("data") in data:
                moved_line["data"] = data[line["data"]]
            moved_line["moved_from"] = [*line.get("moved_from", []), key]
            line = found.get(pairs[key], moved_line)
        kept.append(line)
    return kept


def require_equal(found: dict[str, Line], pairs: dict[str, str]) -> None:
    """Raise SystemExit unless some run was done with both codes, and each gave the very counts."""
    repeated = {old: new for old, new in pairs.items() if old in found and new in found}
    if not repeated:
        raise SystemExit("no run was repeated with the new code; repeat at least one of each arm")
    for old, new in repeated.items():
        if found[old].get("parts") != found[new].get("parts"):
            raise SystemExit(f"{old} and its repetition {new} differ; nothing was moved")
    print(f"{len(repeated)} repeated runs are equal in every part: {_arms(found, repeated)}")


def _by_key(lines: list[Line]) -> dict[str, Line]:
    return {line["key"]: line for line in lines if "key" in line}


def _same_runs(files: list[Path]) -> tuple[dict[str, str], dict[str, str]]:
    """Return old key -> new key of what the files call the same, and so of their data."""
    pairs: dict[str, str] = {}
    data: dict[str, str] = {}
    for old, new in zip(files[::2], files[1::2], strict=True):
        before, now = (json.loads(path.read_text(encoding="utf-8")) for path in (old, new))
        data[before["data"]] = now["data"]
        titles = before["keys"].keys() & now["keys"].keys()
        pairs |= {before["keys"][title]: now["keys"][title] for title in titles}
    return pairs, data


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
    parser.add_argument("keys", type=Path, nargs="+", help="old and new, in turn")
    parser.add_argument("--repeats", type=Path, help="ledger of runs with both codes")
    arguments = parser.parse_args()
    if len(arguments.keys) % 2:
        parser.error(f"{len(arguments.keys)} files of keys: expected old and new in turn")
    repeats = None if arguments.repeats is None else read_lines(arguments.repeats)
    pairs, data = _same_runs(arguments.keys)
    lines = moved(read_lines(arguments.ledger), pairs, repeats, data)
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    write_text(arguments.ledger, text)
    print(f"{sum('moved_from' in line for line in lines)} of {len(lines)} lines were moved")


if __name__ == "__main__":
    main()
