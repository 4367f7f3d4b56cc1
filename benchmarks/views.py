"""How well and how fast views of one part are found, with the pairs that are wrong.

    python benchmarks/views.py magnetic-tile FOLDER     against the column `part` of tiles.csv
    python benchmarks/views.py sd-saliency FOLDER       900 strips: prints the groups
    python benchmarks/views.py augmented --bases 200    fourteen altered copies of each surface
    python benchmarks/views.py many --images 10000      distinct images of 400 x 300, pairs hidden

With --show FOLDER it writes wrong (or all found) pairs side by side, matched points joined.
"""

import argparse
import csv
import resource
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from view_copies import CHANGES, base, grain

from flawsmith.cli.console import progress
from flawsmith.data.images import read_image, write_image
from flawsmith.data.views import STEPS_AN_IMAGE, ViewImage, Views, find_views
from flawsmith.data.views.features import extract, normalise
from flawsmith.data.views.verification import View, agree

Pair = tuple[str, str]

LISTED = 40


def search(images: Sequence[ViewImage]) -> Views:
    """Find the views and print how long it took."""
    start = time.perf_counter()
    with progress("Comparing", STEPS_AN_IMAGE * len(images), unit="steps") as bar:
        views = find_views(images, progress=bar)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{len(images)} images in {seconds:.1f} s, {len(images) / seconds:.1f} images/s")
    print(f"peak memory of the whole process {peak:.2f} GiB")
    print(f"{len(views.pairs)} pairs {dict(Counter(pair.kind for pair in views.pairs))}")
    print(f"{len(views.skipped)} skipped, {len(views.alike)} look like many others")
    return views


def pairs_of(groups: Iterable[Sequence[str]]) -> set[Pair]:
    """Return all pairs of names within the groups."""
    return {pair for names in groups for pair in combinations(sorted(names), 2)}


def compare(views: Views, part_of: Mapping[str, str]) -> tuple[set[Pair], set[Pair]]:
    """Print precision and recall over pairs; return the pairs found wrongly and the missed."""
    parts = defaultdict(list)
    for name, part in part_of.items():
        parts[part].append(name)
    true, found = pairs_of(parts.values()), pairs_of(views.groups())
    right = len(true & found)
    print(f"{len(views.groups())} groups; {len(found)} pairs in a group, {len(true)} of one part")
    print(f"precision {right / max(len(found), 1):.4f}, recall {right / max(len(true), 1):.4f}")
    return found - true, true - found


def list_pairs(title: str, pairs: set[Pair], part_of: Mapping[str, str]) -> None:
    """Print the pairs, and between which parts they are."""
    print(f"{title}: {len(pairs)}")
    between = Counter(tuple(sorted({part_of[a], part_of[b]})) for a, b in pairs)
    for parts, count in sorted(between.items()):
        print(f"  {count} pairs: {' and '.join(parts)}")
    for a, b in sorted(pairs)[:LISTED]:
        print(f"    {a}  {b}")


def show(pairs: Iterable[Pair], root: Path, out: Path) -> None:
    """Write each pair side by side, with lines between the points that agree."""
    out.mkdir(parents=True, exist_ok=True)
    for number, (first, second) in enumerate(sorted(pairs)[:LISTED]):
        pixels = [read_image(root / name) for name in (first, second)]
        features = [extract(image) for image in pixels]
        second_view = View.of(features[1].points, features[1].descriptors, features[1].shape)
        ways = [
            agree(View.of(f.points, f.descriptors, f.shape, mirrored=mirrored), second_view)
            for f in features[:1]
            for mirrored in (False, True)
        ]
        best = max((way for way in ways if way is not None), key=len, default=None)
        left, right = (normalise(image) for image in pixels)
        canvas = np.zeros((max(len(left), len(right)), left.shape[1] + right.shape[1], 3), np.uint8)
        canvas[: len(left), : left.shape[1]] = left[..., None]
        canvas[: len(right), left.shape[1] :] = right[..., None]
        for i, j in zip(best.first, best.second, strict=True) if best else ():
            start = np.rint(features[0].points[i, :2] / features[0].zoom).astype(int)
            end = np.rint(features[1].points[j, :2] / features[1].zoom).astype(int)
            end += [left.shape[1], 0]
            cv2.line(canvas, start.tolist(), end.tolist(), (255, 200, 0), 1, cv2.LINE_AA)
        write_image(out / f"{number:03d}.png", canvas)
        print(f"  {number:03d}.png {first} | {second} | {len(best) if best else 0} points")


def magnetic_tile(root: Path, out: Path | None) -> None:
    """Compare with tiles.csv: precision at least 0.95 and recall at least 0.85 are wanted."""
    with (root / "tiles.csv").open(newline="") as stream:
        part_of = {row["image"]: row["part"] for row in csv.DictReader(stream)}
    images = [ViewImage(str(p.relative_to(root)), p) for p in sorted(root.rglob("*.jpg"))]
    views = search(images)
    extra, missed = compare(views, part_of)
    list_pairs("found, but not in the file", extra, part_of)
    list_pairs("in the file, but not found", missed, part_of)
    if out:
        show(extra, root, out / "extra")
        show(missed, root, out / "missed")


def sd_saliency(root: Path, out: Path | None) -> None:
    """Print the groups: two near-duplicate pairs are known."""
    images = [ViewImage(str(p.relative_to(root)), p) for p in sorted(root.rglob("*.bmp"))]
    views = search(images)
    for pair in views.pairs:
        print(f"  {pair}")
    print(f"groups: {views.groups()}")
    if out:
        show({(pair.first, pair.second) for pair in views.pairs}, root, out)


def augmented(bases: int, out: Path | None) -> None:
    """Make altered copies of simulated surfaces: all have to be found, none joined to another."""
    with tempfile.TemporaryDirectory() as folder:
        root, part_of = Path(folder), {}
        for number in range(bases):
            image = base(number)
            rng = np.random.default_rng([11, number])
            copies = {"base": image} | {change.__name__: change(image, rng) for change in CHANGES}
            for name, pixels in copies.items():
                file = f"{number:04d}_{name}.png"
                write_image(root / file, pixels)
                part_of[file] = f"base {number}"
        views = search([ViewImage(name, root / name) for name in part_of])
        extra, missed = compare(views, part_of)
        list_pairs("joined wrongly", extra, part_of)
        lost = {b if a.endswith("_base.png") else a for a, b in missed if "_base.png" in a + b}
        print(f"copies not with their base: {len(lost)} of {bases * len(CHANGES)}")
        for kind, count in Counter(name[5:-4] for name in lost).items():
            print(f"  {kind}: {count}")
        print("  " + ", ".join(sorted(lost)[:LISTED]))
        if out:
            wrong = {
                (p.first, p.second) for p in views.pairs if part_of[p.first] != part_of[p.second]
            }
            show(wrong, root, out / "wrong")
            show({(f"{name[:4]}_base.png", name) for name in lost}, root, out / "lost")


def many(count: int) -> None:
    """Time a large set: every tenth image is a changed copy of the one before."""
    with tempfile.TemporaryDirectory() as folder:
        root, part_of = Path(folder), {}
        image = np.zeros((0, 0), np.uint8)
        for number in range(count):
            rng = np.random.default_rng([13, number])
            file = f"{number:06d}.png"
            if number % 10 == 9:
                image = CHANGES[(number // 10) % len(CHANGES)](image, rng)
            else:
                image = grain(rng, 300, 400)
            write_image(root / file, image)
            part_of[file] = f"base {number - (number % 10 == 9)}"
        views = search([ViewImage(name, root / name) for name in part_of])
        extra, missed = compare(views, part_of)
        list_pairs("joined wrongly", extra, part_of)
        lost = Counter(CHANGES[(int(b[:6]) // 10) % len(CHANGES)].__name__ for _, b in missed)
        print(f"missed: {len(missed)} {dict(lost)}")


def main() -> None:
    """Run one of the four."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["magnetic-tile", "sd-saliency", "augmented", "many"])
    parser.add_argument("folder", type=Path, nargs="?", help="of the public images")
    parser.add_argument("--bases", type=int, default=200)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--show", type=Path, help="folder for pictures of pairs")
    arguments = parser.parse_args()
    if arguments.what in ("magnetic-tile", "sd-saliency") and arguments.folder is None:
        parser.error(f"{arguments.what} needs the folder of its images")
    if arguments.what == "magnetic-tile":
        magnetic_tile(arguments.folder, arguments.show)
    elif arguments.what == "sd-saliency":
        sd_saliency(arguments.folder, arguments.show)
    elif arguments.what == "augmented":
        augmented(arguments.bases, arguments.show)
    else:
        many(arguments.images)


if __name__ == "__main__":
    main()
