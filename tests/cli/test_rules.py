"""``flawsmith rules`` as a user types it."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flawsmith import cli
from flawsmith.data.schema import PixelSize, Schema, make_backgrounds, make_defects
from flawsmith.inspection.exported import ExportedModel, ModelCard
from flawsmith.inspection.regions import Region
from flawsmith.inspection.thresholds import Thresholds
from flawsmith.line.results import ImageInspection, PartVerdict, Reason, Verdict
from flawsmith.line.store import Store
from flawsmith.line.store.part_record import Review

COMMAND = str(Path(sys.executable).with_name("flawsmith"))
RULES = """
name = "tiles"
[part]
views = ["a", "b"]
[[rules]]
name = "long crack"
type = "crack"
length_mm = "> 10"
verdict = "FAIL"
"""
SCHEMA = Schema(
    name="tiles",
    pixel_size_mm=PixelSize(x=0.1, y=0.1),
    backgrounds=make_backgrounds(["tile"]),
    defects=make_defects(["crack", "blowhole"]),
)


def inspection(part, view, mm=None):
    regions = []
    if mm:
        regions.append(
            Region(
                class_id=1, class_name="crack", score=0.9, box=(1, 1, 9, 9), centroid=(5, 5),
                area_px=81, length_px=10 * mm, width_px=5, diameter_px=9, length_mm=mm,
                width_mm=0.5, diameter_mm=0.9, area_mm2=0.8,
            )
        )  # fmt: skip
    return ImageInspection(
        image=f"{part}_{view}.png", sha256=f"{part} {view}", part=part, view=view, model="m",
        width=64, height=64, regions=regions,
    )  # fmt: skip


PARTS = {
    "short": ("FAIL", [inspection("short", "a", 9.0), inspection("short", "b")]),
    "long": ("FAIL", [inspection("long", "a", 11.0), inspection("long", "b")]),
    "good": ("PASS", [inspection("good", "a"), inspection("good", "b")]),
    "half": ("PASS", [inspection("half", "a")]),
}


def verdict_of(part):
    verdict = Verdict(PARTS[part][0])
    found = [Reason(verdict=verdict, rule="any", text="a crack")] if verdict != "PASS" else []
    return PartVerdict(part=part, verdict=verdict, reasons=found, rules="old")


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(RULES)
    return path


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "results.db"
    with Store(str(path)) as store:
        for part, (_, images) in PARTS.items():
            number = store.record(verdict_of(part), images)
            if part == "short":
                said = Review(person="eva", verdict=Verdict.FAIL, reviewed_at=datetime.now(UTC))
                store.add_review(number, said)
    return path


def said(words, monkeypatch, capsys, *, status=0):
    monkeypatch.setattr(sys, "argv", ["flawsmith", "rules", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code or 0) == status
    printed = capsys.readouterr()
    return printed.err if status else printed.out


def test_installed_command_explains(rules):
    done = subprocess.run(
        [COMMAND, "rules", "check", str(rules)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{rules} (tiles): valid, identity ")
    assert "- a part has 2 views: a, b" in lines
    text = "- FAIL by 'long crack': crack, more than 10 mm long; one or more of these in any one "
    assert text + "view" in lines
    assert lines[-1].startswith("Classes are not checked")


def test_errors_name_what_is_meant(rules, tmp_path, monkeypatch, capsys):
    rules.write_text(RULES.replace("length_mm", "lenght_mm"))
    error = said(["check", rules], monkeypatch, capsys, status=2)
    assert error.startswith(f"error: {rules}: [[rules]] number 1 (long crack)")
    assert "did you mean 'length_mm'?" in error
    rules.write_text(RULES)
    error = said(["check", rules, "--model", tmp_path], monkeypatch, capsys, status=2)
    assert "is no exported model" in error
    error = said(["check", rules, "--results", tmp_path / "x.db"], monkeypatch, capsys, status=2)
    assert "there are no results" in error
    assert not (tmp_path / "x.db").exists()


def test_model_decides_what_a_class_is(rules, tmp_path, monkeypatch, capsys):
    SCHEMA.save(tmp_path)
    printed = said(["check", rules, "--model", tmp_path], monkeypatch, capsys)
    assert "- REVIEW: any blowhole, as no rule speaks of it" in printed
    (tmp_path / "thresholds.toml").write_text("pixel = [0.4, 0.6]\nregion = 0.5\n")
    rules.write_text(RULES + "[thresholds]\ncrack = 0.3\n")
    printed = said(["check", rules, "--model", tmp_path], monkeypatch, capsys)
    assert (
        "Note: crack: the rules count from score 0.3, below the model's pixel threshold of 0.400: "
        "at inspection that is lowered too, so regions are larger."
    ) in printed
    assert (
        "Note: blowhole count at any score, as no line in [thresholds] says more than 0 for them; "
        "without a rules file they count from the model's region threshold. To keep that: any = 0.5"
    ) in printed
    (tmp_path / "thresholds.toml").write_text("pixel = [0.4, 0.6]\nregion = 0.99961\n")
    rules.write_text(RULES + "[thresholds]\nany = 0.0\n")
    printed = said(["check", rules, "--model", tmp_path], monkeypatch, capsys)
    assert "To keep that: any = 0.99961" in printed
    rules.write_text(RULES + "[thresholds]\nany = 0.5\n")
    assert "counts at any score" not in said(
        ["check", rules, "--model", tmp_path], monkeypatch, capsys
    )
    SCHEMA.model_copy(update={"defects": make_defects(["krack"])}).save(tmp_path)
    error = said(["check", rules, "--model", tmp_path], monkeypatch, capsys, status=2)
    assert "there is no class 'crack'; did you mean 'krack'?" in error


def test_zones_on_the_part_are_those_of_the_layout(rules, tmp_path, monkeypatch, capsys):
    rules.write_text(RULES + 'zone = "seal"\n[[zones]]\nname = "seal"\nlocated = true\n')
    layout = tmp_path / "part.toml"
    text = 'unit = "px"\n[locate]\nmethod = "edges"\nsize = [20, 10]\n[[zones]]\nname = "seal"\n'
    layout.write_text(text + "polygon = [[0, 0], [9, 0], [9, 9]]\n")
    printed = said(["check", rules], monkeypatch, capsys)
    assert "Zones on the part are not checked (seal): give --part-layout." in printed
    printed = said(["check", rules, "--part-layout", layout], monkeypatch, capsys)
    assert "not checked (seal)" not in printed
    layout.write_text(layout.read_text().replace("seal", "saal"))
    error = said(["check", rules, "--part-layout", layout], monkeypatch, capsys, status=2)
    assert "draws no zone 'seal', which the rules look for; did you mean 'saal'?" in error


def test_exported_model_decides_what_a_class_is(rules, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("network.xml", "network.bin"):
        (folder / name).write_text("only its hash is looked at")
    card = ModelCard(
        name="m", backend="openvino", precision="fp32", defect_schema=SCHEMA, tile=128,
        thresholds=Thresholds(pixel=[0.4, 0.6]), overlap=32, window=(128, 128), multiple=32,
        code_version="0",
    )  # fmt: skip
    ExportedModel.write(folder, card)
    rules.write_text(RULES + "[thresholds]\ncrack = 0.3\n")
    printed = said(["check", rules, "--model", folder], monkeypatch, capsys)
    assert "- REVIEW: any blowhole, as no rule speaks of it" in printed
    assert "below the model's pixel threshold of 0.400" in printed
    (folder / "network.bin").write_text("changed")
    error = said(["check", rules, "--model", folder], monkeypatch, capsys, status=2)
    assert "has been changed or damaged" in error


@pytest.fixture(scope="module")
def run(pouch_folder, tmp_path_factory):
    from flawsmith.experiment.train_model import configure_model, train_model
    from flawsmith.training.loop import Hooks

    run = tmp_path_factory.mktemp("runs") / "real"
    config = configure_model(
        "machine_vision", "tiny", pouch_folder, fold=1, synthetic=[], arm=None, overrides=[]
    )
    train_model(config, run, Hooks(), resume=False)
    return run


def test_tuned_rules_are_written_and_valid(run, tmp_path, monkeypatch, capsys):
    out = tmp_path / "rules.toml"
    printed = said(["tune", run, "--max-escape", 0.9, "--out", out], monkeypatch, capsys)
    assert "the model's own threshold: escape " in printed
    assert "chosen without the part: escape " in printed
    assert "cannot be shown with" in printed or "Shown for escape" in printed
    assert f"Written: {out}" in printed
    checked = said(["check", out, "--model", run], monkeypatch, capsys)
    assert "(tuned on real): valid" in checked
    assert "FAIL by 'any defect': any defect; one or more of these in any one view" in checked
    before = out.read_bytes()
    error = said(["tune", run, "--max-escape", 0.9, "--out", out], monkeypatch, capsys, status=2)
    assert f"{out} exists already" in error
    assert out.read_bytes() == before


def test_tuning_says_what_it_cannot_do(run, tmp_path, monkeypatch, capsys):
    out = tmp_path / "rules.toml"
    error = said(
        ["tune", tmp_path, "--max-escape", 0.1, "--out", out], monkeypatch, capsys, status=2
    )
    assert str(tmp_path) in error
    shutil.copytree(run, tmp_path / "all")
    config = tmp_path / "all" / "config.toml"
    config.write_text(config.read_text().replace("share = 0.34", "share = 0.0"))
    error = said(
        ["tune", tmp_path / "all", "--max-escape", 0.1, "--out", out],
        monkeypatch, capsys, status=2,
    )  # fmt: skip
    assert "kept no parts for inner validation" in error
    assert not out.exists()


def check_table(printed):
    rows = [line.replace("│", "|").replace("┃", "|") for line in printed.splitlines()]
    cells = [[cell.strip() for cell in row.strip("| ").split("|")] for row in rows if "|" in row]
    assert cells[0] == ["before", "now PASS", "now REVIEW", "now FAIL"]
    assert cells[1:] == [["PASS", "1", "1", "0"], ["FAIL", "1", "0", "1"]]
    assert "4 past parts, decided anew:" in printed
    assert "Another verdict: 2 of 4." in printed
    assert "half: PASS -> REVIEW; view b is missing" in printed


def test_results_store_is_decided_anew(rules, store, monkeypatch, capsys):
    before = store.read_bytes()
    printed = said(["check", rules, "--results", store], monkeypatch, capsys)
    check_table(printed)
    assert "1 short: FAIL -> PASS, a person: FAIL; no longer: a crack" in printed
    assert (
        "Of 1 reviewed parts: 1 of 1 that a person failed would pass, 0 of 0 that a person passed "
        "would fail."
    ) in printed
    assert store.read_bytes() == before
    printed = said(["check", rules, "--results", store, "--show", 1], monkeypatch, capsys)
    assert "4 half" not in printed
    assert "... and 1 more; name them all with --show 2" in printed


def test_lines_of_parts_are_decided_anew(rules, store, tmp_path, monkeypatch, capsys):
    lines = tmp_path / "results.jsonl"
    with Store(str(store)) as opened:
        lines.write_text("".join(f"{record.line()}\n" for record in opened.find()))
    printed = said(["check", rules, "--results", lines], monkeypatch, capsys)
    check_table(printed)
    assert "1 short: FAIL -> PASS, a person: FAIL" in printed


def test_parts_that_were_late_are_counted(rules, tmp_path, monkeypatch, capsys):
    late = Reason(verdict=Verdict.REVIEW, rule="timeout", text="late")
    verdict = PartVerdict(part="good", verdict=Verdict.REVIEW, reasons=[late])
    lines = tmp_path / "results.jsonl"
    values = verdict.model_dump(mode="json")
    values["images"] = [image.model_dump(mode="json") for image in PARTS["good"][1]]
    lines.write_text(json.dumps(values))
    printed = said(["check", rules, "--results", lines], monkeypatch, capsys)
    assert "Late then: 1 of 1; nothing says whether they would be now." in printed
    assert "good: REVIEW -> PASS; no longer: late" in printed


def test_lines_of_images_have_no_old_verdict(rules, tmp_path, monkeypatch, capsys):
    lines = tmp_path / "images.jsonl"
    images = [image for _, images in PARTS.values() for image in reversed(images)]
    lines.write_text("\n\n".join(image.model_dump_json() for image in images))
    printed = said(["check", rules, "--results", lines], monkeypatch, capsys)
    assert "4 past parts, decided anew:" in printed
    assert "not known" in printed
    assert "Another verdict" not in printed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]\n", "line 1: no part or image"),
        ('{"image": "x"}\n', "line 1: 'part' is missing"),
        ("\n{" * 2, "line 2: no part or image"),
        ("[" * 100_000, "line 1: no part or image"),
        ('{"part": "p", "verdict": "GOOD", "images": []}\n', "line 1: 'verdict' = 'GOOD'"),
        ('{"part": "p", "verdict": "PASS", "images": [1]}\n', "'images' is no list of images"),
        ('{"part": "p", "verdict": "PASS", "images": [], "reviews": [1]}\n', "no list of reviews"),
        ("\udcff", "cannot read"),
    ],
)
def test_broken_lines_are_refused(rules, tmp_path, monkeypatch, capsys, text, message):
    lines = tmp_path / "results.jsonl"
    lines.write_bytes(text.encode("utf-8", "surrogateescape"))
    error = said(["check", rules, "--results", lines], monkeypatch, capsys, status=2)
    assert message in error
    assert "Traceback" not in error
