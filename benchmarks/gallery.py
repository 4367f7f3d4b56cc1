"""The gallery at 50,000 images: how fast it is built, how large it is, how fast it filters.

Simulated images are linked under many names; nothing is shared between them, so each is read and
drawn. Times of the page are taken in Chromium by the page's clock, in a copy of the page with a
script that works its controls: the median over several turns, and the slowest (the first use of an
order sorts it). A filter's time has the counts of all options and the layout of what it shows.
"ready" is from the start of navigation until the first thumbnails are laid out.

    python benchmarks/gallery.py [--images 50000] [--keep FOLDER]
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from flawsmith.data.dataset import DefectDataset, write_metadata
from flawsmith.data.folds import split_folds
from flawsmith.data.gallery import build_gallery
from flawsmith.data.pouch import PouchSettings, write_pouch

TURNS = 7

FILTERS = {
    "one class on, off": ("#facets input", "click"),
    "largest defect, from": ("#min", ["5", ""]),
    "text in file names": ("#text", ["7", "7_left", ""]),
    "text in parts": ("#part", ["00", "0012", ""]),
    "sort by part, file": ("#sort", ["part", "file"]),
    "sort by size, random": ("#sort", ["size", "random"]),
    "group by part, not": ("#group", "click"),
}

WORK_THE_CONTROLS = """
const times = {};
for (const [title, [which, values]] of Object.entries(FILTERS)) {
  const control = document.querySelector(which);
  times[title] = [];
  for (let turn = 0; turn < TURNS; turn++)
    for (const value of values === "click" ? ["", ""] : values) {
      if (values === "click") control.click();
      else {
        control.value = value;
        control.dispatchEvent(new Event("input"));
      }
      times[title].push(Number(document.documentElement.dataset.filterMs));
    }
}
document.body.textContent = JSON.stringify(times);
"""


def write_large_set(folder: Path, images: int) -> DefectDataset:
    """Write a set of so many images, a few simulated ones linked again and again."""
    settings = PouchSettings(
        good_parts=30, defective_parts=120, min_parts_per_class=10, views=2, tile_size=256
    )
    few = write_pouch(folder / "few", settings)
    root = folder / "many"
    for name in ("images", "masks", "backgrounds"):
        (root / name).mkdir(parents=True)
    few.schema.save(root)
    records = []
    for copy in range(-(-images // len(few))):
        for record in few.records[: images - copy * len(few)]:
            changes: dict[str, object] = {"part": f"{record.part}-{copy:04d}"}
            for field in ("file_name", "mask_file_name", "background_file_name"):
                name = getattr(record, field)
                if name is not None:
                    path = Path(name)
                    changes[field] = f"{path.parent}/{copy:04d}_{path.name}"
                    os.link(few.path(name), root / str(changes[field]))
            records.append(record.model_copy(update=changes))
    write_metadata(root / "metadata.jsonl", split_folds(DefectDataset(root, few.schema, records)))
    return DefectDataset.open(root)


def load_page(page: Path, browser: str) -> str:
    """Return the page's document after its scripts ran in Chromium."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={profile}", "--window-size=1366,900", "--dump-dom",
            page.resolve().as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return done.stdout


def measure_page(page: Path, browser: str) -> None:
    """Print how long the page takes to be ready and to filter."""
    found = [re.search(r'data-ready-ms="([0-9.]+)"', load_page(page, browser)) for _ in range(5)]
    ready = statistics.median(float(match[1]) for match in found if match)
    print(f"{'ready':28}{ready:9.0f} ms")
    script = f"const FILTERS = {json.dumps(FILTERS)}, TURNS = {TURNS};{WORK_THE_CONTROLS}"
    copy = page.with_name("measured.html")
    copy.write_text(page.read_text("utf-8").replace("</body>", f"<script>{script}</script></body>"))
    text = load_page(copy, browser).split("<body>")[1].split("</body>")[0]
    copy.unlink()
    for title, times in json.loads(text).items():
        print(f"{title:28}{statistics.median(times):9.0f} ms, slowest {max(times):.0f} ms")


def folder_size(folder: Path) -> float:
    """Return the size of a folder's files in MB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--keep", type=Path, help="where to leave the set and its page")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="flawsmith-gallery-"))
    try:
        dataset = write_large_set(folder, options.images)
        for title in ("first build", "second build"):
            start = time.perf_counter()
            page = build_gallery(dataset)
            seconds = time.perf_counter() - start
            print(f"{title:28}{seconds:9.1f} s {len(dataset) / seconds:9.0f} images/s")
        print(f"{'size on disk':28}{folder_size(page.parent):9.1f} MB")
        print(f"{'of which data.js':28}{(page.parent / 'data.js').stat().st_size / 1e6:9.1f} MB")
        browser = shutil.which("chromium") or shutil.which("chromium-browser")
        if browser is None:
            print("chromium is not installed: the page was not measured")
            return
        measure_page(page, browser)
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
