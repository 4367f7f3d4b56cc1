"""``flawsmith review`` as a user types it."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flawsmith.cli import build_app
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.regions import Region
from flawsmith.line.results import ImageInspection, PartVerdict, Reason, Verdict
from flawsmith.line.store import Store

COMMAND = str(Path(sys.executable).with_name("flawsmith"))


def region(name="crack"):
    return Region(
        class_id=1, class_name=name, score=0.9, box=(2, 2, 3, 3), centroid=(3, 3), area_px=9,
        length_px=3, width_px=3, diameter_px=3.4, polygon=[(2, 2), (4, 2), (4, 4), (2, 4)],
    )  # fmt: skip


@pytest.fixture
def results(tmp_path):
    """A store with a failed, a doubtful and twenty passed parts."""
    path = tmp_path / "results.db"
    with Store(str(path)) as store:
        for n in range(22):
            value = (Verdict.FAIL, Verdict.REVIEW, Verdict.PASS)[min(n, 2)]
            reasons = [Reason(verdict=value, rule="r", text="9 mm [long]")] if n < 2 else []
            image = ImageInspection(
                image=f"in/{n}.png", sha256=str(n), part=f"p{n}", model="m", width=9, height=9,
                regions=[region()] if n < 2 else [],
            )  # fmt: skip
            store.record(PartVerdict(part=f"p{n}", verdict=value, reasons=reasons), [image])
    return path


def run(*arguments, status=0):
    done = CliRunner().invoke(build_app(), ["review", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == status, done.output
    return done.output


def test_list_confirm_overturn_and_list_again(results):
    said = run("list", "--store", results)
    assert "p0  FAIL (9 mm [long])  in/0.png" in said
    assert said.endswith("2 parts due for review\n")
    assert "FAIL" not in run("list", "--store", results, "--blind")
    said = run("confirm", 1, "--by", "Kim", "--class", "Crack", "--store", results)
    assert said == "1: the first stage said FAIL, Kim says defective (crack)\n"
    said = run("overturn", 1, "--by", "Lee", "--reason", "dust", "--store", results)
    assert "1: the first stage said FAIL, Lee says good\nbefore, Kim decided" in said
    assert run("list", "--store", results).endswith("1 part due for review\n")
    said = run("list", "--store", results, "--reviewed")
    assert "Lee: good: dust\n    they disagree; the last one counts" in said
    line = json.loads(run("list", "--store", results, "--json"))
    assert (line["id"], line["verdict"]) == (2, "REVIEW")


def test_sample_and_report(results, tmp_path):
    assert "20 of 20 passed parts are drawn, 20 of them now" in run(
        "sample", "--rate", 1, "--store", results
    )
    for number in range(3, 23):
        run("confirm", number, "--by", "Kim", "--store", results)
    run("overturn", 22, "--by", "Kim", "--class", "crack", "--reason", "m", "--store", results)
    run("confirm", 1, "--by", "Kim", "--store", results)
    page = tmp_path / "out" / "report.html"
    page.parent.mkdir()
    said = run("report", "--store", results, "--out", page)
    assert "passed 20 (90.9 %) and sent 2 to a person" in said
    assert "overturned 0 and confirmed 1; 1 wait." in said
    assert "in the end: 19 good, 2 defective, 1 not yet reviewed" in said
    numbers = json.loads(page.with_suffix(".json").read_text())
    assert numbers["stages"]["escape"]["low"] == pytest.approx(1 / 3)  # the waiting one is bad
    assert numbers["stages"]["escape"]["high"] == pytest.approx(1 / 2)
    assert "<script" not in page.read_text()


def test_the_page_has_what_the_numbers_have_and_escapes_names(results, tmp_path, chromium):
    with Store(str(results)) as store:
        verdict = PartVerdict(part="<b>x</b>", verdict=Verdict.FAIL)
        store.record(
            verdict, [ImageInspection(image="a", part="<b>x</b>", regions=[region("<i>")])]
        )
    for call in (("confirm",), ("overturn", "--reason", "<u>dust</u>")):
        run(call[0], 23, "--by", "<s>Kim</s>", *call[1:], "--store", results)
    page = tmp_path / "report.html"
    run("report", "--store", results, "--out", page)
    text = chromium(page, "--dump-dom", "--window-size=1366,900")
    for tag in ("<b>x", "<i>", "<u>dust", "<s>Kim"):
        assert tag not in text
        assert tag.replace("<", "&lt;").replace(">", "&gt;") in text
    assert "Persons disagree on 1 part" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "--store", "absent.db"], "there is no results store absent.db"),
        (["list", "--store", "mysql://x"], "no results store"),
        (["list", "--since", "soon"], "--since 'soon' is no time"),
        (["list", "--since", "2024-02-01", "--until", "2024-01-01"], "ends at 2024-01-01"),
        (["list", "--blind", "--json"], "leave one of them out"),
        (["sample", "--rate", "3"], "3.0 is no share"),
        (["confirm", "77", "--by", "Kim"], "has no result 77"),
        (["report", "--out", "nowhere/page.html"], "in a folder there is"),
        (["report", "--out", "page.txt"], "expected a file ending in .html"),
        (["report", "--since", "2030-01-01"], "no part in this period"),
    ],
)
def test_wrong_input_is_told(results, monkeypatch, arguments, message):
    monkeypatch.chdir(results.parent)
    with pytest.raises(FlawsmithError, match=message):
        CliRunner().invoke(build_app(), ["review", *arguments], catch_exceptions=False)
    assert not Path("absent.db").exists()


def test_the_installed_command_ends_with_status_2_and_no_traceback(results):
    arguments = ["review", "overturn", "3", "--by", "Kim", "--reason", "x", "--store", str(results)]
    done = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: part p2 passed; say with --class which defect was missed\n"


def test_times_of_a_period_are_utc(results):
    with Store(str(results)) as store:
        first = store.get(1).finished_at
    assert first < datetime.now(UTC)
    until = f"{first:%Y-%m-%dT%H:%M:%S.%f}+00:00"
    assert run("list", "--store", results, "--until", until).startswith("0 parts due")
    assert run("list", "--store", results, "--since", until).endswith("2 parts due for review\n")


def test_drift_prints_alarms_and_writes_the_page(results, tmp_path):
    with Store(str(results)) as store:
        for n in range(22, 100):
            value = Verdict.PASS if n < 90 else Verdict.FAIL
            image = ImageInspection(image=f"in/{n}.png", sha256=str(n), part=f"p{n}", mean=0.5)
            store.record(PartVerdict(part=f"p{n}", verdict=value), [image])
        until = store.get(81).finished_at.isoformat()
    page = tmp_path / "drift.html"
    watched = ["drift", "--store", results, "--reference-until", until, "--every", 2]
    said = run(*watched, "--out", page, status=1)
    assert "Share of failed parts (p-chart): 1 is above 0.5" in said
    assert "1 alarm: Share of failed parts." in said
    assert "the parts themselves first" in page.read_text()
    numbers = json.loads(page.with_suffix(".json").read_text())
    assert numbers["alarms"][0]["figure"] == "fail"
    with pytest.raises(FlawsmithError, match="20 subgroups of 50 are needed"):
        run("drift", "--store", results, "--reference-until", until)


def test_export_makes_a_data_set_that_data_check_accepts(results, tmp_path):
    import hashlib

    import numpy as np

    from flawsmith.data.images import write_image

    path = tmp_path / "x.png"
    write_image(path, np.full((9, 9), 7, np.uint8))
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    image = ImageInspection(
        image=str(path), sha256=content, part="x", width=9, height=9, regions=[region()]
    )
    with Store(str(results)) as store:
        store.record(PartVerdict(part="x", verdict=Verdict.FAIL), [image])
    run("confirm", 23, "--by", "Kim", "--class", "crack", "--store", results)
    run("confirm", 1, "--by", "Kim", "--store", results)
    out = tmp_path / "set"
    said = run("export", out, "--store", results)
    assert f"{out}: 1 images: 0 good, 1 with confirmed outlines" in said
    assert "left out: result 1, in/0.png: " in said
    checked = subprocess.run([COMMAND, "data", "check", out], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with pytest.raises(FlawsmithError, match="exists already"):
        run("export", out, "--store", results)
