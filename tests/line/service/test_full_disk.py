"""A real volume that fills up under the service: it says so, lives on, and loses nothing."""

import subprocess
from pathlib import Path

import httpx
import numpy as np
import pytest
from services import Process, until

from flawsmith.data.images import encode_png
from flawsmith.line.results import Verdict
from flawsmith.line.store import Store


@pytest.fixture
def volume(tmp_path: Path):
    """A file system of 3 MB."""
    folder = tmp_path / "volume"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def noise(seed: int) -> bytes:
    """An image of 64 kB that does not compress; the fake model finds a scratch where 255 is."""
    values = np.random.default_rng(seed).integers(0, 255, (256, 256), dtype=np.uint8)
    return encode_png(values)


@pytest.mark.parametrize("kept", [True, False])
def test_a_full_volume_loses_nothing_that_was_answered(volume: Path, kept: bool) -> None:
    filler = volume / "filler"
    keep = {"keep": str(volume / "kept")} if kept else {}
    service = Process(volume / "r.db", **keep)
    try:
        if not kept:  # the store alone grows slowly: little is left for it
            free = int(subprocess.check_output(["df", "--output=avail", "-k", volume]).split()[-1])
            filler.write_bytes(b"\0" * 1024 * max(0, free - 600))
        answers: list[httpx.Response] = []
        refused = 0
        while refused < 3 and len(answers) < 400:
            answers.append(service.post(f"p{len(answers)}", "top", noise(len(answers))))
            refused += answers[-1].status_code == 503
        assert refused == 3
        assert {answer.status_code for answer in answers} == {200, 503}
        last = answers[-1]
        assert last.json()["result"] is None
        words = ("No space left", "is full", "disk I/O error")
        assert any(word in last.json()["detail"] for word in words), last.json()
        assert httpx.get(f"{service.url}/health").status_code in (200, 503)  # it still answers
        make_room(volume, filler)
        for n, answer in enumerate(answers):
            if answer.status_code == 503:
                until(
                    lambda n=n: service.post(f"p{n}", "top", noise(n)).status_code == 200,
                    "verdict once there is room",
                )
    finally:
        service.end()
    with Store(str(volume / "r.db")) as store:
        found = [(r.verdict.part, r.verdict.verdict) for r in store.find()]
    assert sorted(found) == sorted((f"p{n}", Verdict.PASS) for n in range(len(answers)))


def make_room(volume: Path, filler: Path) -> None:
    """Free what is not the store's."""
    if filler.exists():
        filler.unlink()
        return
    images = sorted((volume / "kept").glob("*/*"))
    for path in images[: len(images) // 2]:
        path.unlink()
