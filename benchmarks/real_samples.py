"""Imports every real sample by auto-detection, checks it, and prints the table of docs/data.md.

    python benchmarks/real_samples.py ../shared/data

Anything below the folder that is a folder or an archive is a sample; ``formats`` holds several.
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path

from flawsmith.data.checks import check
from flawsmith.data.dataset import DefectDataset
from flawsmith.data.formats import import_folder
from flawsmith.errors import FlawsmithError


def samples(folder: Path) -> list[Path]:
    """Return the samples: folders and archives; those in ``formats`` are one each."""
    entries = sorted(path for path in folder.iterdir() if path.is_dir())
    inner = sorted((folder / "formats").iterdir()) if (folder / "formats").is_dir() else []
    return [path for path in [*entries, *inner] if path.name != "formats" and is_sample(path)]


def is_sample(path: Path) -> bool:
    """Tell whether it is a folder or an archive."""
    return path.is_dir() or path.suffix == ".zip"


def row(sample: Path, out: Path) -> str:
    """Return a row of the table."""
    try:
        report = import_folder(sample, out)
    except FlawsmithError as error:
        return f"| {sample.name} | refused: {error} | | | | |"
    checked = check(DefectDataset.open(out))
    classes = ", ".join(f"{name} {count}" for name, count in report.classes.items())
    imported = Counter(finding.kind for finding in report.findings)
    found = Counter(finding.kind.replace("_", " ") for finding in checked.findings)
    return " | ".join(
        [
            f"| {sample.name}",
            f"`{report.format}`",
            f"{report.images} ({report.good} good, {report.excluded} excluded), "
            f"{report.parts} parts",
            classes,
            listed(imported),
            f"{listed(found)} |",
        ]
    )


def listed(counts: Counter[str]) -> str:
    """Return kinds and counts, the commonest first."""
    return ", ".join(f"{kind} {count}" for kind, count in counts.most_common()) or "-"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    print("| sample | format | images | images of each class | import found | check found |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        for number, sample in enumerate(samples(folder)):
            print(row(sample, Path(temporary) / str(number)), flush=True)


if __name__ == "__main__":
    main()
