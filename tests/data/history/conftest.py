"""Small data sets, what tells whether one is unchanged, and a child process that is stopped."""

import hashlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flawsmith.data.dataset import DatasetWriter, LabelMap
from flawsmith.data.history import HISTORY_FOLDER
from flawsmith.data.schema import Schema, make_backgrounds, make_defects

FILE_EVENTS = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.utime"}
DONE, REFUSED, FAILED = 0, 3, 4


def _make(
    root: Path,
    count: int = 6,
    classes: tuple[str, ...] = ("crack", "pore", "dent"),
    seed: int = 0,
    backgrounds: tuple[str, ...] = ("metal",),
    **schema: Any,
) -> Path:
    """Each third image is good; the others show two classes and an ignored pixel."""
    rng = np.random.default_rng(seed)
    meaning = Schema(
        name=root.name,
        backgrounds=make_backgrounds(list(backgrounds)),
        defects=make_defects(list(classes)),
        **schema,
    )
    with DatasetWriter(root, meaning) as writer:
        for i in range(count):
            defects = np.zeros((6, 7), np.uint8)
            if i % 3:
                defects[1:3, 1:4] = i % len(classes) + 1
                defects[4, 5] = (i + 1) % len(classes) + 1
                defects[0, 0] = 255
            pixels = rng.integers(0, 256, defects.shape, dtype=np.uint8)
            maps = LabelMap(defects, np.full_like(defects, i % len(backgrounds)))
            writer.add(f"img{i}", pixels, maps, part=f"part{i // 2}", view=f"v{i % 2}", fold=i % 2)
    return root


@pytest.fixture(autouse=True)
def no_flushing(monkeypatch):
    """A kill of a process loses nothing that was written; waiting for the disk shows nothing."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture(scope="session")
def make_set() -> Callable[..., Path]:
    return _make


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, str]]:
    """Return a hash of every file of a data set outside its history."""

    def read(root: Path) -> dict[str, str]:
        return {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.rglob("*"))
            if path.is_file() and path.relative_to(root).parts[0] != HISTORY_FOLDER
        }

    return read


@pytest.fixture(scope="session")
def in_child() -> Callable[..., int]:
    """Run something in a child that is stopped, or hit by an error, at its n-th file operation."""

    def run(
        root: Path,
        work: Callable[[], object],
        at: int,
        error: OSError | None = None,
        hit: Callable[[str, str, int], bool] = lambda event, path, number: False,
    ) -> int:
        child = os.fork()
        if child == 0:
            number = 0

            def watch(event: str, arguments: tuple[Any, ...]) -> None:
                nonlocal number
                if event not in FILE_EVENTS or not str(arguments[0]).startswith(str(root)):
                    return
                if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
                    return
                path = str(arguments[0])
                number += 1
                if error is None and number == at:
                    os.kill(os.getpid(), signal.SIGKILL)
                if error is not None and (number == at or hit(event, path, number)):
                    raise error

            _work_and_exit(watch, work)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    return run


def _work_and_exit(watch: Callable[..., None], work: Callable[[], object]) -> None:
    from flawsmith.errors import FlawsmithError

    status = FAILED
    try:
        sys.addaudithook(watch)
        work()
        status = DONE
    except FlawsmithError:
        status = REFUSED
    finally:
        os._exit(status)
