"""Imports damaged folders of every format; each must be imported or refused with one message.

Every input is a small valid folder with one to six mutations: flipped, cut and spliced bytes,
values of JSON and XML replaced, renamed, removed and swapped files, links. It is imported with
``--format auto`` and with its own format. Allowed is a report, or a `FlawsmithError` of one
paragraph; nothing else may be raised, hang, be left behind, be written outside, or change the
source, and a data set that is returned must be consistent by `flawsmith.data.checks.check`.

    python benchmarks/fuzz_import.py [--inputs 10000] [--seed 0] [--format NAME] [--only NUMBER]
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from fuzz_files import Files
from fuzz_mutations import mutate
from fuzz_samples import SAMPLES

from flawsmith.data.checks import check
from flawsmith.data.dataset import DefectDataset
from flawsmith.data.formats import FORMATS, import_folder
from flawsmith.data.schema import IGNORE
from flawsmith.errors import FlawsmithError

SECONDS = 10  # for one import; a tiny folder takes milliseconds
LONGEST_MESSAGE = 3000
FEWEST = 400  # inputs for each format
INCONSISTENT = frozenset(
    "unreadable_image changed_file image_size bit_depth missing_mask unreadable_mask mask_size "
    "mask_value unknown_label orphaned_image orphaned_mask".split()
)
"""Findings of `check` that an import must not leave in its own data set."""


class HangError(BaseException):
    """An import took too long; no code under test catches it."""


@contextmanager
def time_limit(seconds: int):
    """Raise a `HangError` in the block after some seconds."""

    def stop(*_: object) -> None:
        raise HangError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def digest(folder: Path) -> dict[str, str]:
    """Return what every file and link below a folder holds."""
    found = {}
    for parent, folders, names in os.walk(os.fsencode(folder)):
        for name in [*folders, *names]:
            path = os.path.join(parent, name)
            if os.path.islink(path):
                found[os.fsdecode(path)] = os.fsdecode(os.readlink(path))
            elif os.path.isfile(path):
                with open(path, "rb") as stream:
                    found[os.fsdecode(path)] = hashlib.sha256(stream.read()).hexdigest()
            else:
                found[os.fsdecode(path)] = "folder"
    return found


def write(folder: Path, files: Files, links: dict[str, str]) -> None:
    """Write a mutated folder; names that the file system refuses are left out."""
    folder.mkdir()
    for name, data in files.items():
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as stream:
                stream.write(data)
        except (OSError, ValueError):
            continue
    for name, target in links.items():
        try:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(target)
        except (OSError, ValueError):
            continue


def problem_with(error: BaseException) -> str | None:
    """Return what is wrong with how an import failed, or None."""
    if not isinstance(error, FlawsmithError):
        return f"{type(error).__name__} instead of FlawsmithError"
    message = str(error)
    if not message.strip() or len(message) > LONGEST_MESSAGE:
        return f"a message of {len(message)} characters"
    if len(message.splitlines()) > 1:
        return "a message of several lines"
    return None


def inspect(out: Path, images: int) -> str | None:
    """Return what is wrong with an imported data set, or None."""
    dataset = DefectDataset.open(out)
    names = {defect.id: defect.name for defect in dataset.schema.defects}
    used = set()
    for record in dataset:
        values = set(np.unique(dataset.label_map(record).defects).tolist())
        painted = {names[value] for value in values - {0, IGNORE}}
        sure = set(record.labels) - set(record.weak_labels)
        if not sure <= painted <= set(record.labels):
            return f"{record.file_name} is labelled {record.labels} and shows {sorted(painted)}"
        if record.excluded is None:
            used.add(record.file_name)
    for finding in check(dataset).findings:
        # An image of another bit depth is kept, but excluded.
        if finding.kind in INCONSISTENT and (finding.kind != "bit_depth" or finding.file in used):
            return f"check finds {finding.kind} in {finding.file}: {finding.message}"
    return None if len(dataset) == images > 0 else f"{len(dataset)} records, {images} reported"


def attempt(sandbox: Path, files: Files, links: dict[str, str], chosen: str) -> tuple[str, str]:
    """Import a folder once; return the outcome ("imported", "refused", "FAILED") and details."""
    shutil.rmtree(sandbox, ignore_errors=True)
    (sandbox / "outside").mkdir(parents=True)
    (sandbox / "outside/secret.png").write_bytes(b"secret")
    source, out = sandbox / "source", sandbox / "work/out"
    write(source, files, links)
    (sandbox / "work").mkdir()
    before = digest(sandbox)
    wrong: str | None = None
    outcome, details = "imported", ""
    try:
        with time_limit(SECONDS):
            report = import_folder(source, out, format=chosen)
            report.model_dump_json()
            wrong = inspect(out, report.images)
    except (Exception, HangError) as error:
        outcome, details = "refused", str(error)
        wrong = problem_with(error)
        if wrong:
            details = traceback.format_exc()
        if out.exists():
            wrong = wrong or "a half-written data set, or one that cannot be opened"
    after = digest(sandbox)
    stray = [p for p in after.items() - before.items() if not p[0].startswith(str(out))]
    if stray or before.items() - after.items():
        wrong = wrong or f"changed outside of the data set: {sorted(p for p, _ in stray)[:3]}"
    return ("FAILED", f"{wrong}\n{details}") if wrong else (outcome, details)


def run_input(sandbox: Path, name: str, seed: int, number: int) -> list[tuple[str, str, str]]:
    """Make and import one input; return (format given, outcome, details) of both imports."""
    chance = random.Random(f"{name} {seed} {number}")
    samples = SAMPLES[name]
    files, links = mutate(samples[number % len(samples)](), chance)
    return [(chosen, *attempt(sandbox, files, links, chosen)) for chosen in ("auto", name)]


def fuzz(names: list[str], inputs: int, seed: int, sandbox: Path, *, show: bool = True):
    """Return the outcomes of each format, and the failures as (format, number, details)."""
    counts = {name: Counter() for name in names}
    failures: list[tuple[str, int, str]] = []
    start = time.perf_counter()
    shown = start
    for done in range(inputs):
        name, number = names[done % len(names)], done // len(names)
        for _, outcome, details in run_input(sandbox, name, seed, number):
            counts[name][outcome] += 1
            if outcome == "FAILED":
                failures.append((name, number, details))
                if show:
                    print(f"\nFAILED: --format {name} --seed {seed} --only {number}\n{details}")
        if show and time.perf_counter() - shown > 10:
            shown = time.perf_counter()
            rate = (done + 1) / (shown - start)
            left = (inputs - done - 1) / rate
            print(f"{done + 1} of {inputs} inputs, {rate:.0f}/s, {left:.0f} s left, "
                  f"{len(failures)} failures", flush=True)  # fmt: skip
    return counts, failures


def main() -> int:
    """Run the fuzzer and print the outcomes; the status is 1 after a failure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=sorted(SAMPLES), help="this one only")
    parser.add_argument("--only", type=int, help="repeat this input of --format")
    settings = parser.parse_args()
    missing = set(FORMATS.names()) - set(SAMPLES)
    if missing:
        print(f"no sample folder for {', '.join(sorted(missing))}; add it to fuzz_samples.py")
        return 1
    names = [settings.format] if settings.format else sorted(SAMPLES)
    inputs = max(settings.inputs, FEWEST * len(names)) if settings.only is None else 1
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        sandbox = Path(folder) / "sandbox"
        if settings.only is not None:
            for chosen, outcome, details in run_input(
                sandbox, names[0], settings.seed, settings.only
            ):
                print(f"--format {chosen}: {outcome}\n{details}")
            return 0
        counts, failures = fuzz(names, inputs, settings.seed, sandbox)
    for name in names:
        figures = ", ".join(f"{count} {what}" for what, count in sorted(counts[name].items()))
        print(f"{name}: {counts[name].total() // 2} inputs imported twice: {figures}")
    total = sum(counts.values(), Counter())
    print(f"all: {inputs} inputs, {dict(total)}, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
