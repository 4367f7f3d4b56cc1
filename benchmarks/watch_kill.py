"""Kills `flawsmith inspect --watch` at random moments while images arrive; each is stored once.

Images are written slowly and in pieces, as a camera's computer does over a network. The command is
killed with SIGKILL, while it starts as well as while it inspects, and started again. In the end the
store must hold every image exactly once, with the answer of an undisturbed inspection and numbers
without a gap, and every line that was ever printed must be in it, once.

    python benchmarks/watch_kill.py --model EXPORTED --source FOLDER_OF_IMAGES
        [--kills 20] [--images 500] [--views left,right] [--seed 0] [--store URL]
"""

import argparse
import itertools
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from flawsmith.data.images import is_image_file
from flawsmith.line.store import Store
from flawsmith.line.store.part_record import PartRecord

PATTERN = "{part}_{view}.*"
RULES = (
    '[part]\nviews = [{views}]\ntimeout_seconds = 3600\n[[rules]]\nname = "any"\nverdict = "FAIL"\n'
)
KILL_WHILE_STARTING = 0.25
QUIET_SECONDS = 600.0


class Camera(threading.Thread):
    """Writes images into the watched folder, each in two pieces with a pause between them."""

    def __init__(self, source: Path, folder: Path, options: argparse.Namespace) -> None:
        super().__init__(daemon=True)
        paths = sorted(path for path in source.rglob("*") if is_image_file(path))
        if not paths:
            raise SystemExit(f"{source} has no images")
        self._paths = itertools.islice(itertools.cycle(paths), options.images)
        self._folder = folder
        self._views = options.views.split(",")
        self._seconds = options.seconds / options.images

    def run(self) -> None:
        """Write all of them."""
        for number, path in enumerate(self._paths):
            part, view = divmod(number, len(self._views))
            target = self._folder / f"{part:05d}_{self._views[view]}{path.suffix}"
            # Its name behind it: an image that another part had goes to review.
            data = path.read_bytes() + target.name.encode()
            with target.open("wb") as stream:
                stream.write(data[: len(data) // 2])
                stream.flush()
                time.sleep(self._seconds / 2)
                stream.write(data[len(data) // 2 :])
            time.sleep(self._seconds / 2)


class Watch:
    """One run of the command, and the lines that it printed."""

    def __init__(self, arguments: list[str], told: Path) -> None:
        self.told = told
        with told.open("wb") as stream:
            command = [sys.executable, "-m", "flawsmith", "inspect", *arguments]
            self.process = subprocess.Popen(command, stdout=stream, stderr=subprocess.PIPE)

    def wait_for_a_line(self) -> None:
        """Return when the first part was told, or the command has ended."""
        while self.process.poll() is None and not self.told.stat().st_size:
            time.sleep(0.02)

    def kill(self) -> None:
        """End the command as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        _, errors = self.process.communicate()
        if self.process.returncode != -signal.SIGKILL:
            raise SystemExit(f"the command ended by itself:\n{errors.decode()}")

    def lines(self) -> list[dict[str, object]]:
        """Return the lines that were printed to their end."""
        whole, _, _ = self.told.read_text("utf-8").rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]


def run_under_kills(
    arguments: list[str], root: Path, camera: Camera, options: argparse.Namespace
) -> list[dict[str, object]]:
    """Start, kill and start again while the camera writes; return all lines that were printed."""
    random_moment = random.Random(options.seed)
    parts = -(-options.images // len(options.views.split(",")))
    lines = []
    camera.start()
    for number in range(options.kills + 1):
        began = time.monotonic()
        watch = Watch(arguments, root / f"told-{number}")
        if number == options.kills:
            camera.join()
            wait_until_stored(options.store or str(root / "results.db"), parts)
        elif random_moment.random() < KILL_WHILE_STARTING:
            time.sleep(random_moment.uniform(0, 2.0))
        else:
            watch.wait_for_a_line()
            time.sleep(random_moment.uniform(0, 1.5))
        watch.kill()
        lines += watch.lines()
        print(f"run {number}: killed after {time.monotonic() - began:.1f} s, "
              f"{len(watch.lines())} lines", flush=True)  # fmt: skip
    return lines


def wait_until_stored(url: str, parts: int) -> None:
    """Wait until the store has so many parts, or gets no more of them."""
    last, since = -1, time.monotonic()
    with Store(url) as store:
        while (count := sum(store.count().values())) < parts:
            if count != last:
                last, since = count, time.monotonic()
            if time.monotonic() - since > QUIET_SECONDS:
                return  # the check says what is missing
            time.sleep(0.2)


def answers(url: str) -> dict[str, list[str]]:
    """Return what the store says of each image: verdict of its part, regions, content."""
    with Store(url) as store:
        found: dict[str, list[str]] = {}
        for record in store.find():
            for image in record.images:
                regions = [region.model_dump_json() for region in image.regions]
                answer = [record.verdict.verdict, image.sha256, image.problem, regions]
                found.setdefault(Path(image.image).name, []).append(json.dumps(answer))
        return found


def check(lines: list[dict[str, object]], records: list[PartRecord]) -> list[str]:
    """Return what is wrong with what was printed and numbered."""
    stored = {record.id: record.verdict.verdict.value for record in records}
    wrong = [] if list(stored) == list(range(1, len(stored) + 1)) else ["the numbers have gaps"]
    told = Counter(line["id"] for line in lines)
    wrong += [f"result {number} was printed {n} times" for number, n in told.items() if n > 1]
    wrong += [
        f"result {line['id']} was printed as {line['verdict']}, but that is not stored"
        for line in lines
        if stored.get(int(str(line["id"]))) != line["verdict"]
    ]
    return wrong


def main() -> None:
    """Run it and say what was found; status 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--views", default="top")
    parser.add_argument("--seconds", type=float, default=90.0, help="while images arrive")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", help="of the killed runs; default: an SQLite file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "in").mkdir()
        views = ", ".join(f'"{view}"' for view in options.views.split(","))
        (root / "rules.toml").write_text(RULES.format(views=views))
        common = ["--model", str(options.model), "--rules", str(root / "rules.toml"),
                  "--part-pattern", PATTERN]  # fmt: skip
        url = options.store or str(root / "results.db")
        arguments = ["--watch", str(root / "in"), "--store", url, *common]
        camera = Camera(options.source, root / "in", options)
        lines = run_under_kills(arguments, root, camera, options)
        with Store(url) as store:
            wrong = check(lines, list(store.find()))
        calm = str(root / "calm.db")
        subprocess.run(
            [sys.executable, "-m", "flawsmith", "inspect", str(root / "in"), "--store", calm,
             *common],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        found, expected = answers(url), answers(calm)
        wrong += [f"{name} is stored {len(a)} times" for name, a in found.items() if len(a) != 1]
        wrong += [f"{name}: another answer than undisturbed, or none" for name in expected
                  if found.get(name, [])[:1] != expected[name]]  # fmt: skip
        print(f"{options.kills} kills, {len(expected)} images, {len(lines)} lines printed: "
              f"{len(found)} images stored, {len(wrong)} wrong")  # fmt: skip
        print("\n".join(wrong[:20]))
    raise SystemExit(1 if wrong or len(expected) != options.images else 0)


if __name__ == "__main__":
    main()
