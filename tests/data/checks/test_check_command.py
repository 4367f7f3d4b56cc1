"""``flawsmith data check``: tables, JSON, exit codes."""

import json
import subprocess
import sys
from pathlib import Path

from flawsmith.data.check_report import CheckReport
from flawsmith.data.checks import check
from flawsmith.data.schema import PixelSize


def run(*arguments):
    command = [Path(sys.executable).with_name("flawsmith"), "data", "check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_prints_tables_and_writes_json(tmp_path, sound):
    dataset = sound(tmp_path / "set", pixel_size_mm=PixelSize(x=0.5, y=0.5), simulated=True)
    done = run(tmp_path / "set", "--json", tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    assert "tiny (simulated images)" in done.stdout
    assert "area, mm2" in done.stdout
    assert "Nothing needs a repair." in done.stdout
    report = CheckReport.model_validate_json((tmp_path / "report.json").read_text())
    assert report == check(dataset)
    assert json.loads((tmp_path / "report.json").read_text())["classes"][0]["regions"] == 1


def test_strict_fails_on_problems_and_not_on_information(tmp_path, mask, build):
    build(tmp_path, [("a", "p1", mask((1, 1, 1, 2, 2)), {}), ("b", "p1", mask(), {})])
    informed = run(tmp_path, "--strict")
    assert informed.returncode == 0
    assert "views disagree (1)" in informed.stdout
    for number in range(7):
        (tmp_path / f"masks/old{number}.png").write_bytes(b"")
    assert run(tmp_path).returncode == 0
    failed = run(tmp_path, "--strict")
    assert failed.returncode == 1
    assert "To repair (7):" in failed.stdout
    assert "masks/old4.png: no line of metadata.jsonl" in failed.stdout
    assert "... and 2 more" in failed.stdout


def test_the_command_explains_a_wrong_folder_in_one_line(tmp_path, sound):
    refused = run(tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: {tmp_path} is no defect data set")
    assert refused.stderr.count("\n") == 1
    sound(tmp_path / "set")
    refused = run(tmp_path / "set", "--json", tmp_path / "absent" / "report.json")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: cannot write")
    assert refused.stderr.count("\n") == 1


def test_the_comparison_is_run_on_request_and_kept(tmp_path, sound):
    sound(tmp_path)
    assert "Not compared: whether images of several parts" in run(tmp_path).stdout
    compared = run(tmp_path, "--compare")
    assert compared.returncode == 0, compared.stderr
    assert "Not compared" not in compared.stdout
    assert (tmp_path / "views.json").is_file()
    assert "Not compared" not in run(tmp_path).stdout
