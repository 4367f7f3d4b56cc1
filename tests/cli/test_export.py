"""``flawsmith export`` as a user types it: what it refuses before it loads anything."""

import subprocess
import sys
from pathlib import Path

import pytest

from flawsmith import cli
from flawsmith.cli.export import _calibration
from flawsmith.errors import FlawsmithError

COMMAND = str(Path(sys.executable).with_name("flawsmith"))


def said(words, monkeypatch, capsys, *, status):
    monkeypatch.setattr(sys, "argv", ["flawsmith", "export", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == status
    return capsys.readouterr()


def test_help_names_every_option():
    done = subprocess.run(
        [COMMAND, "export", "--help"], capture_output=True, text=True, timeout=120, check=True,
        env={"COLUMNS": "200", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    for word in ("--to", "--int8", "--fp32", "--out", "--window", "--mm-per-pixel",
                 "--uncertainty", "--calibrated", "--valid-until", "--max-flips"):  # fmt: skip
        assert word in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "torch"], "--to torch: expected openvino or onnx"),
        (["--to", "onnx", "--int8", "--fp32"], "exclude each other"),
        (["--to", "openvino"], "is no run folder"),
        (
            ["--to", "openvino", "--mm-per-pixel", "0.1", "0.2"],
            "--uncertainty, --calibrated, --valid-until is missing",
        ),
    ],
)
def test_wrong_words_end_with_one_message(tmp_path, words, message, monkeypatch, capsys):
    printed = said([tmp_path / "run", *words], monkeypatch, capsys, status=2)
    assert message in " ".join(printed.err.split())
    assert "Traceback" not in printed.err
    assert list(tmp_path.iterdir()) == []


def test_calibration_is_whole_or_absent():
    import datetime

    day = datetime.datetime(2024, 5, 1)
    later = datetime.datetime(2025, 5, 1)
    assert _calibration(None, None, None, None) is None
    record = _calibration((0.1, 0.2), 1.5, day, later)
    assert (record.mm_per_pixel.x, record.mm_per_pixel.y) == (0.1, 0.2)
    assert record.relative_uncertainty == pytest.approx(0.015)
    assert record.holds(datetime.date(2024, 5, 1))
    assert record.holds(datetime.date(2025, 5, 1))
    assert not record.holds(datetime.date(2025, 5, 2))
    assert not record.holds(datetime.date(2024, 4, 30))  # a clock that was set back
    for wrong, message in (
        (((0.0, 0.2), 1.5, day, later), "mm_per_pixel.x"),
        (((0.1, 0.2), 100, day, later), "relative_uncertainty"),
        (((0.1, 0.2), 1.5, later, day), "before the date"),
    ):
        with pytest.raises(FlawsmithError, match=message):
            _calibration(*wrong)
