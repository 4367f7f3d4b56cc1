"""``flawsmith inspect``, ``results`` and ``replay`` as a line PC runs them."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flawsmith.cli import build_app
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.exported import ExportedModel, ModelCard
from flawsmith.inspection.thresholds import Thresholds
from flawsmith.line.results import Verdict
from flawsmith.line.store import Store

from ..inspection.conftest import NOTHING_THAT_TRAINS, schema, write_network

COMMAND = str(Path(sys.executable).with_name("flawsmith"))
RULES = """
[part]
views = ["left", "right"]
timeout_seconds = 2
[[rules]]
name = "no bright spot"
type = "bright"
verdict = "FAIL"
[[rules]]
name = "dark spots"
type = "dark"
verdict = "REVIEW"
"""


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """An exported model that calls dark and bright pixels defects."""
    folder = tmp_path_factory.mktemp("models") / "spots"
    folder.mkdir()
    card = ModelCard(
        name="spots", backend="openvino", precision="fp32", defect_schema=schema(),
        thresholds=Thresholds(pixel=[0.5, 0.5], region=0.6), tile=64, overlap=32,
        window=(64, 64), multiple=32, code_version="0",
    )  # fmt: skip
    write_network(folder, card.defect_schema)
    ExportedModel.write(folder, card)
    return folder


def picture(path, seed=0, *, bright=False, dark=False):
    pixels = np.random.default_rng(seed).integers(100, 150, (48, 80), np.uint8)
    if bright:
        pixels[10:20, 30:45] = 250
    if dark:
        pixels[30:33, 5:60] = 3
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "rules.toml").write_text(RULES)
    return tmp_path


def flawsmith(place, *arguments, status=0, **options):
    done = subprocess.run(
        [COMMAND, *map(str, arguments)],
        capture_output=True, timeout=120, cwd=place, check=False, **options,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    assert b"Traceback" not in done.stderr
    return done


def here(*arguments, status=0):
    """Run a command in this process, in which libraries are loaded once; return what it prints."""
    done = CliRunner().invoke(build_app(), [str(a) for a in arguments])
    if isinstance(done.exception, FlawsmithError):
        assert status == done.exception.exit_status, done.exception
        return str(done.exception)
    assert done.exit_code == status, done.output
    return done.output


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_folder_of_parts_with_views(place, model, monkeypatch):
    monkeypatch.chdir(place)
    picture(place / "in" / "a_left.png", 1)
    picture(place / "in" / "a_right.png", 2)
    picture(place / "in" / "b_left.png", 3, bright=True)
    picture(place / "in" / "b_right.png", 4)
    picture(place / "in" / "c_left.png", 5)
    (place / "in" / "d_left.png").write_bytes((place / "in" / "a_left.png").read_bytes()[:-500])
    picture(place / "in" / "d_right.png", 7, dark=True)
    picture(place / "in" / "stray.png", 8)
    given = [
        "in", "--model", model, "--rules", "rules.toml", "--part-pattern", "{part}_{view}.png",
    ]  # fmt: skip
    done = flawsmith(place, "inspect", *given, "--out", "out", "--overlays", "--heartbeat", "beat")
    found = {line["part"]: line for line in lines(done)}
    stray = str(place / "in" / "stray.png")
    assert {name: line["verdict"] for name, line in found.items()} == {
        "a": "PASS", "b": "FAIL", "c": "REVIEW", "d": "REVIEW", stray: "REVIEW",
    }  # fmt: skip
    assert [line["id"] for line in lines(done)] == [1, 2, 3, 4, 5]
    assert found["c"]["reasons"][0]["text"] == "view right is missing"
    assert {r["rule"] for r in found["d"]["reasons"]} == {"unreadable image", "dark spots"}
    (region,) = found["b"]["images"][0]["regions"]
    assert (region["class_name"], region["box"]) == ("bright", [30, 10, 15, 10])
    assert done.stderr == b""  # it is no terminal
    assert (place / "out" / "results.jsonl").read_bytes() == done.stdout
    names = sorted(path.name for path in (place / "out" / "overlays").iterdir())
    assert names == [
        "000001_a_left.png", "000001_a_right.png", "000002_b_left.png", "000002_b_right.png",
        "000003_c_left.png", "000004_d_right.png",
    ]  # fmt: skip
    beat = json.loads((place / "beat").read_text())
    assert (beat["state"], beat["parts"], beat["last_result"]) == ("stopped", 5, 5)
    # The same images again are the same results, not new ones.
    again = here("inspect", *given)
    assert again.encode() == done.stdout
    check_results()
    check_replay(place, model)


def test_rules_lower_the_pixel_threshold_of_the_model(place, model, monkeypatch):
    """First stage as in the paper: catch more, let a person decide."""
    monkeypatch.chdir(place)
    picture(place / "in" / "faint.png", 1)
    pixels = np.asarray(Image.open(place / "in" / "faint.png")).copy()
    pixels[10:20, 30:45] = 178  # scores 0.4; the model's pixel threshold is 0.5
    Image.fromarray(pixels).save(place / "in" / "faint.png")
    rules = RULES.split("[[rules]]", 1)[1]
    for name, threshold, verdict in (("high", 0.5, "PASS"), ("low", 0.3, "FAIL")):
        path = place / f"{name}.toml"
        path.write_text(f"[thresholds]\nany = {threshold}\n[[rules]]{rules}")
        given = ["inspect", "in", "--model", model, "--rules", path, "--store", f"{name}.db"]
        (line,) = [json.loads(text) for text in here(*given).splitlines()]
        assert line["verdict"] == verdict
        regions = line["images"][0]["regions"]
        assert [r["box"] for r in regions] == ([[30, 10, 15, 10]] if name == "low" else [])
        replayed = ["replay", 1, "--model", model, "--rules", path, "--store", f"{name}.db"]
        assert "the same answer" in here(*replayed)


def test_the_commands_of_a_line_pc_need_nothing_that_trains(place, model):
    picture(place / "in" / "a_left.png", 1)
    picture(place / "in" / "a_right.png", 2)
    program = f"{NOTHING_THAT_TRAINS}\nfrom flawsmith.cli import main\nmain()"
    same = ["--model", model, "--rules", "rules.toml"]
    commands = [
        ["inspect", "in", *same, "--part-pattern", "{part}_{view}.png", "--audit", 1],
        ["results"], ["replay", 1, *same], ["rules", "check", "rules.toml", "--model", model],
        ["review", "list"], ["review", "report"], ["results", "retain", "--keep-days", 30],
    ]  # fmt: skip
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, command)],
            capture_output=True, text=True, timeout=120, cwd=place, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stdout, done.stderr)


def test_a_reader_that_went_away_is_told_and_nothing_is_lost(place, model):
    picture(place / "in" / "a.png", 1)
    picture(place / "in" / "b.png", 2)
    given = [COMMAND, "inspect", "in", "--model", model]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        given, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120, cwd=place, check=False
    )
    os.close(writer)
    assert done.returncode == 2
    (said,) = done.stderr.splitlines()
    assert said.startswith("error: nobody reads the lines any more; result 1 is in the results")
    with Store(str(place / "results.db")) as store:
        assert [record.verdict.part for record in store.find()] == ["a"]


def check_results():
    listed = here("results")
    assert "5 parts: 1 PASS, 3 REVIEW, 1 FAIL" in listed
    assert "view right is missing" in listed
    only = here("results", "--class", "bright", "--export", "jsonl")
    assert [json.loads(line)["part"] for line in only.splitlines()] == ["b"]
    text = here("results", "--verdict", "review", "--export", "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["id"] for row in rows] == ["3", "4", "5"]
    assert rows[1]["defects"] == "1 dark"
    assert here("results", "--until", "2001-01-01", "--export", "jsonl") == ""
    assert "0 passed parts" in here("results", "retain", "--keep-days", 30)
    assert "expected PASS" in here("results", "--verdict", "x", status=2)
    assert "no results store" in here("results", "--store", "absent.db", status=2)


def check_replay(place, model):
    same = ["--model", model, "--rules", "rules.toml"]
    assert "the same answer, FAIL with 1 regions" in here("replay", 2, *same)
    milder = place / "milder.toml"
    milder.write_text(RULES.replace('"FAIL"', '"REVIEW"'))
    other = here("replay", 2, "--model", model, "--rules", milder, status=1)
    assert "FAIL then, REVIEW now" in other
    assert "rules " in other
    picture(place / "in" / "b_left.png", 9)
    assert "another image now" in here("replay", 2, *same, status=2)
    (place / "in" / "b_left.png").unlink()
    assert "put the image back" in here("replay", 2, *same, status=2)
    assert "no result 99" in here("replay", 99, *same, status=2)


def test_frames_as_csv(place, model):
    def frame(part, view, path):
        data = path.read_bytes()
        head = json.dumps({"part": part, "view": view, "bytes": len(data)}).encode()
        return len(head).to_bytes(4, "big") + head + data

    picture(place / "1.png", 1)
    picture(place / "2.png", 2)
    stream = frame("=a", "left", place / "1.png") + frame("=a", "right", place / "2.png")
    stream += frame("b", "left", place / "2.png")[:-10]  # the camera's program dies
    model_and_rules = ["--model", model, "--rules", "rules.toml"]
    given = ["inspect", "--stdin", *model_and_rules, "--format", "csv", "--keep-images", "kept"]
    done = flawsmith(place, *given, input=stream, status=2)
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode())))
    assert [(r["part"], r["verdict"]) for r in rows] == [("'=a", "PASS"), ("b", "REVIEW")]
    assert "the stream ended after" in rows[1]["problems"]
    assert b"the stream ended after" in done.stderr
    again = flawsmith(place, "replay", 1, *model_and_rules).stdout.decode()
    assert "the same answer, PASS" in again
    assert len(list((place / "kept").glob("??/-a-*.png"))) == 0
    assert len(list((place / "kept").glob("??/a-*.png"))) == 2


def test_an_audit_without_pictures_is_warned_of(place, model):
    given = ["inspect", "--stdin", "--model", model, "--rules", "rules.toml"]
    warning = b"--audit draws parts for a person, who will have no picture"
    assert warning in flawsmith(place, *given, "--audit", 0.5, input=b"").stderr
    kept = [*given, "--audit", 0.5, "--keep-images", "kept"]
    for arguments in (given, kept):
        assert warning not in flawsmith(place, *arguments, input=b"").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give images, or --watch"),
        (["in", "--stdin"], "one of the three"),
        (["in", "--keep-images", "kept"], "all other images are files already"),
        (["nothing*.png"], "there is no image at nothing*.png"),
        (["in"], "which model"),
        (["in", "--model", "in"], "is no exported model"),
        (["in", "--model", "MODEL", "--overlays"], "give --out"),
        (["in", "--model", "MODEL", "--format", "xml"], "expected json or csv"),
        (["in", "--model", "MODEL", "--part-pattern", "{view}"], "it needs {part} once"),
        (["in", "--model", "MODEL", "--rules", "absent.toml"], "cannot read the rules"),
        (["in", "--model", "MODEL", "--store", "no/where.db"], "there is no folder"),
        (["in", "--model", "MODEL", "--audit", "2"], "no share"),
        (["in", "--model", "MODEL", "--rules", "rules.toml"], "the views left, right"),
        (["--watch", "absent", "--model", "MODEL"], "no folder absent to watch"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(place, model, arguments, said, monkeypatch):
    picture(place / "in" / "a.png")
    monkeypatch.chdir(place)
    arguments = [model if a == "MODEL" else a for a in arguments]
    assert said in here("inspect", *arguments, status=2)


def test_ctrl_c_ends_a_watch_after_the_current_part(place, model):
    (place / "in").mkdir()
    command = [COMMAND, "inspect", "--watch", "in", "--model", str(model), "--heartbeat", "beat"]
    process = subprocess.Popen(
        command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        picture(place / "in" / "a.png", 1)
        assert json.loads(process.stdout.readline())["verdict"] == "PASS"
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
        assert (process.returncode, rest, errors) == (0, "", "")
        assert json.loads((place / "beat").read_text())["state"] == "stopped"
    finally:
        process.kill()


def test_ctrl_c_ends_a_stream_with_every_part_concluded(place, model):
    picture(place / "1.png", 1)
    data = (place / "1.png").read_bytes()
    head = json.dumps({"part": "a", "view": "left", "bytes": len(data)}).encode()
    rules = (place / "rules.toml").read_text().replace("timeout_seconds = 2", "")
    (place / "patient.toml").write_text(rules)
    command = [
        COMMAND, "inspect", "--stdin", "--model", str(model), "--rules", "patient.toml",
        "--heartbeat", "beat",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        process.stdin.write(len(head).to_bytes(4, "big") + head + data)
        process.stdin.flush()  # and the stream stays open, so that a thread waits in it
        while (
            not (place / "beat").exists() or not json.loads((place / "beat").read_text())["waiting"]
        ):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        line = json.loads(process.stdout.read())
        assert (process.returncode, process.stderr.read()) == (0, b"")
        assert (line["verdict"], line["reasons"][0]["text"]) == ("REVIEW", "view right is missing")
    finally:
        process.kill()


def test_a_full_disk_announces_nothing(place, model, monkeypatch):
    for number in range(40):
        picture(place / "in" / f"{number}.png", number, bright=True)

    def small_files():
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

    command = [COMMAND, "inspect", "in", "--model", str(model)]
    done = subprocess.run(
        command, cwd=place, capture_output=True, preexec_fn=small_files, timeout=120, check=False
    )
    assert done.returncode == 2
    assert b"results store results.db: " in done.stderr
    assert b"Traceback" not in done.stderr
    told = [line["id"] for line in lines(done)]
    assert 0 < len(told) < 40
    with Store(str(place / "results.db")) as store:
        stored = {record.id for record in store.find()}
    assert set(told) <= stored
    # With room again, the rest is done, and nothing twice.
    monkeypatch.chdir(place)
    assert len(here("inspect", "in", "--model", model).splitlines()) == 40
    with Store(str(place / "results.db")) as store:
        assert store.count() == {Verdict.PASS: 0, Verdict.REVIEW: 0, Verdict.FAIL: 40}


def test_a_watch_that_is_killed_stores_every_image_once(place, model):
    """The same with 20 kills and 500 images: benchmarks/watch_kill.py."""
    (place / "in").mkdir()
    command = [COMMAND, "inspect", "--watch", "in", "--model", str(model)]
    images, kills = 24, 3
    random = np.random.default_rng(0)
    process = None
    for number in range(images):
        if number % (images // kills) == 0:
            if process is not None:
                process.send_signal(signal.SIGKILL)
                process.wait()
            process = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL)
        picture(place / "new.png", number, bright=number % 2 == 0)
        os.replace(place / "new.png", place / "in" / f"{number}.png")
        time.sleep(random.uniform(0, 0.5))
    for _ in range(600):
        with Store(str(place / "results.db")) as store:
            if sum(store.count().values()) >= images:
                break
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with Store(str(place / "results.db")) as store:
        found = sorted(int(Path(i.image).stem) for r in store.find() for i in r.images)
        assert found == list(range(images))
        assert store.count() == {Verdict.PASS: 12, Verdict.REVIEW: 0, Verdict.FAIL: 12}
        assert [r.id for r in store.find()] == list(range(1, images + 1))
