"""One verdict a part, from views that come shuffled and twice; a missing view never passes.

The views of a part are its exposures. The parts of one fold that have all of them are written into
a watched folder in random order, every image of some parts twice, and one view of ten parts never.
In the end the store must hold one verdict of each part, and none of the ten may be PASS; each has
to name the view that it lacks. Escape and overkill of the others are printed with their parts.

    python benchmarks/part_verdicts.py IMPORTED_MAGNETIC_TILES --model EXPORTED [--fold 0]
        [--missing 10] [--copied 10] [--seed 0]
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.inspection.exported import ExportedModel
from flawsmith.line.results import Verdict
from flawsmith.line.store import Store
from flawsmith.line.store.part_record import PartRecord
from flawsmith.metrics.intervals import clopper_pearson

VIEWS = tuple(f"exp{number}" for number in range(1, 7))
RULES = """[part]
views = [{views}]
timeout_seconds = {timeout}
[thresholds]
any = {region}
[[rules]]
name = "any defect"
verdict = "FAIL"
"""
SECONDS_BETWEEN = 0.05
TIMEOUT_SECONDS = 120
MARGIN_SECONDS = 30

Parts = dict[str, dict[str, ImageRecord]]
"""One image of each view of each part."""


def whole_parts(dataset: DefectDataset, fold: int) -> Parts:
    """Return the parts of a fold that have every view; of a view with several images the first."""
    parts: Parts = {}
    for record in sorted(dataset.usable(), key=lambda r: r.file_name):
        if record.fold == fold and record.view in VIEWS:
            parts.setdefault(record.part, {}).setdefault(record.view, record)
    return {part: views for part, views in parts.items() if len(views) == len(VIEWS)}


def arrivals(
    parts: Parts, missing: dict[str, str], copied: set[str], draw: random.Random
) -> list[tuple[ImageRecord, str]]:
    """Return images and the names under which they come, in order."""
    given = [
        (record, f"{part}_{view}_{copy}{Path(record.file_name).suffix}")
        for part, views in parts.items()
        for view, record in views.items()
        for copy in range(2 if part in copied else 1)
        if missing.get(part) != view
    ]
    draw.shuffle(given)
    return given


def deliver(dataset: DefectDataset, given: list[tuple[ImageRecord, str]], folder: Path) -> None:
    """Write the images into the watched folder one after the other."""
    for record, name in given:
        shutil.copyfile(dataset.root / record.file_name, folder / name)
        time.sleep(SECONDS_BETWEEN)


def wait_for_late_verdicts(process: subprocess.Popen[bytes]) -> None:
    """Wait as long as any part may, and a little; a copy that opened its part again shows by then.

    Raises:
        SystemExit: if the command ends by itself.
    """
    end = time.monotonic() + TIMEOUT_SECONDS + MARGIN_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"flawsmith inspect has ended with status {process.returncode}")
        time.sleep(0.5)


def faults(records: list[PartRecord], parts: Parts, missing: dict[str, str]) -> list[str]:
    """Return what must not be."""
    verdicts = [record.verdict for record in records]
    counts = {part: sum(v.part == part for v in verdicts) for part in parts}
    wrong = [f"{part} has {count} verdicts" for part, count in counts.items() if count != 1]
    wrong += [f"{v.part} is no part of these" for v in verdicts if v.part not in parts]
    for verdict in (v for v in verdicts if v.part in missing):
        if verdict.verdict is Verdict.PASS:
            wrong.append(f"{verdict.part} passed without {missing[verdict.part]}")
        if not any(missing[verdict.part] in reason.text for reason in verdict.reasons):
            wrong.append(f"no reason of {verdict.part} names {missing[verdict.part]}")
    return wrong


def share(count: int, of: int) -> str:
    """Return a count, its denominator and the exact interval."""
    low, high = clopper_pearson(count, of)
    return f"{count} of {of} ({100 * low:.0f} to {100 * high:.0f} %)"


def main() -> None:
    """Run it; status 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--missing", type=int, default=10)
    parser.add_argument("--copied", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dataset, draw = DefectDataset.open(options.data), random.Random(options.seed)
    parts = whole_parts(dataset, options.fold)
    missing = {part: draw.choice(VIEWS) for part in draw.sample(sorted(parts), options.missing)}
    copied = set(draw.sample(sorted(parts), options.copied))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        watched, url = root / "in", str(root / "results.db")
        watched.mkdir()
        region = ExportedModel.load(options.model).thresholds.region
        views = ", ".join(f'"{view}"' for view in VIEWS)
        (root / "rules.toml").write_text(
            RULES.format(views=views, region=region, timeout=TIMEOUT_SECONDS)
        )
        command = [sys.executable, "-m", "flawsmith", "inspect", "--watch", str(watched),
                   "--model", str(options.model), "--rules", str(root / "rules.toml"),
                   "--part-pattern", "{part}_{view}_*.*", "--store", url]  # fmt: skip
        given = arrivals(parts, missing, copied, draw)
        with (root / "said").open("wb") as said:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
            try:
                deliver(dataset, given, watched)
                wait_for_late_verdicts(process)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait()
                print((root / "said").read_text("utf-8") if process.returncode else "", end="")
        with Store(url) as store:
            records = list(store.find())
    wrong = faults(records, parts, missing)
    whole = {r.verdict.part: r.verdict.verdict for r in records if r.verdict.part not in missing}
    defective = {part for part in whole if any(not r.is_good for r in parts[part].values())}
    escaped = sum(whole[part] is Verdict.PASS for part in defective)
    failed = sum(whole[part] is not Verdict.PASS for part in whole.keys() - defective)
    lacking = [r.verdict.verdict.value for r in records if r.verdict.part in missing]
    print(f"{len(given)} images of {len(parts)} parts, {len(copied)} parts twice, shuffled: "
          f"{len(records)} verdicts, {len(wrong)} wrong")  # fmt: skip
    print(f"without a view: {', '.join(f'{lacking.count(v)} {v}' for v in sorted(set(lacking)))}")
    print(f"with all views: defective parts passed {share(escaped, len(defective))}, good parts "
          f"not passed {share(failed, len(whole) - len(defective))}")  # fmt: skip
    print("\n".join(wrong[:20]))
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
