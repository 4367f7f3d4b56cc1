"""``flawsmith serve`` and ``flawsmith sinks`` as a user types them."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

from flawsmith.cli import serve
from flawsmith.data.images import encode_png
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.exported import ExportedModel, ModelCard
from flawsmith.inspection.thresholds import Thresholds

COMMAND = str(Path(sys.executable).with_name("flawsmith"))
TOKEN = "0123456789abcdef"
RULES = """
[part]
views = ["top", "bottom"]
[[rules]]
name = "any defect"
verdict = "FAIL"
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model that calls dark pixels class 1 and bright ones class 2."""
    path = Path(__file__).parents[1] / "inspection" / "conftest.py"
    spec = importlib.util.spec_from_file_location("made_by_hand", path)
    by_hand = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(by_hand)
    folder = tmp_path_factory.mktemp("exported")
    card = ModelCard(
        name="threshold", backend="openvino", precision="fp32", defect_schema=by_hand.schema(),
        thresholds=Thresholds(pixel=[0.5, 0.5], region=0.6), tile=64, overlap=32,
        window=(128, 128), multiple=32, code_version="0",
    )  # fmt: skip
    by_hand.write_network(folder, card.defect_schema)
    ExportedModel.write(folder, card)
    return folder


def flawsmith(*arguments, cwd, status=0):
    done = subprocess.run(
        [COMMAND, *map(str, arguments)],
        capture_output=True, text=True, timeout=120, cwd=cwd, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def grey(dark: bool = False) -> bytes:
    pixels = np.full((100, 120), 127, np.uint8)
    pixels[40:60, 50:90] = 0 if dark else 127
    return encode_png(pixels)


def test_parts_are_inspected_over_http_and_told_to_a_sink(model, tmp_path):
    (tmp_path / "rules.toml").write_text(RULES)
    (tmp_path / "token").write_text(TOKEN)
    process = subprocess.Popen(
        [COMMAND, "serve", "--model", model, "--rules", "rules.toml", "--port", "0",
         "--token-file", "token", "--sink", "file:told.jsonl", "--max-megapixels", "0.02",
         "--keep-images", "kept"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    try:
        assert "views of a part: top, bottom" in process.stdout.readline()
        url = process.stdout.readline().split()[2]
        client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60
        )
        assert httpx.get(f"{url}/parts/a").status_code == 401
        assert httpx.get(f"{url}/health").json()["ready"] is True
        assert client.post("/parts/a/views/top", content=grey()).status_code == 202
        answer = client.post("/parts/a/views/bottom", content=grey(dark=True)).json()
        assert answer["verdict"] == "FAIL"
        (region,) = answer["images"][1]["regions"] or answer["images"][0]["regions"]
        assert (region["class_name"], region["box"]) == ("dark", [50, 40, 40, 20])
        for view in ("top", "bottom"):
            good = client.post(f"/parts/b/views/{view}", content=grey())
        # One and the same image as both views: a camera that is stuck, and no PASS.
        assert good.json()["verdict"] == "REVIEW"
        large = client.post(
            "/parts/c/views/top", content=encode_png(np.zeros((150, 150), np.uint8))
        )
        assert large.status_code == 413
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, process.stderr.read()
    told = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    assert [(m["sequence"], m["part"], m["verdict"]) for m in told] == [
        (1, "a", "FAIL"), (2, "b", "REVIEW"), (3, "c", "REVIEW"),
    ]  # fmt: skip
    state = json.loads(flawsmith("sinks", "status", "--json", cwd=tmp_path).stdout)
    assert (state["delivered"], state["pending"]) == (3, 0)
    assert "0 messages" in flawsmith("sinks", "retry", cwd=tmp_path).stdout
    wrong = flawsmith("sinks", "retry", "file:///told", cwd=tmp_path, status=2)
    assert "no sink file:///told in this store" in wrong.stderr
    result = next(n for n, record in enumerate(told, 1) if record["verdict"] == "FAIL")
    again = ["replay", result, "--model", model, "--rules", "rules.toml"]
    assert "the same answer" in flawsmith(*again, cwd=tmp_path).stdout
    lost_image = next((tmp_path / "kept").glob("??/*")).with_name(f"x_{'0' * 32}.png")
    lost_image.write_bytes(grey())
    os.utime(lost_image, (0, 0))
    went = flawsmith("results", "retain", "--keep-days", 1, "--kept-images", "kept", cwd=tmp_path)
    assert "1 kept images (0.0 MB) that no result names removed" in " ".join(went.stdout.split())
    assert not lost_image.exists()
    lost = ["results", "retain", "--keep-days", 1, "--kept-images", "absent"]
    assert "absent has no kept images" in flawsmith(*lost, cwd=tmp_path, status=2).stderr


def test_inspect_tells_sinks_too_and_keeps_what_they_do_not_take(model, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(grey(dark=True))
    sinks = ["--sink", "file:told.jsonl", "--sink", "http://127.0.0.1:9/nobody"]
    flawsmith("inspect", "in", "--model", model, *sinks, cwd=tmp_path)
    (told,) = (json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines())
    assert (told["sequence"], told["verdict"]) == (1, "FAIL")
    shown = flawsmith("sinks", "status", "--json", cwd=tmp_path, status=1).stdout.splitlines()
    states = {s["sink"]: s for s in map(json.loads, shown)}
    assert states[f"file://{tmp_path}/told.jsonl"]["delivered"] == 1
    assert "refused" in states["http://127.0.0.1:9/nobody"]["error"]
    skip = ["sinks", "skip", "http://127.0.0.1:9/nobody", "--reason", "nobody is there"]
    wrong = flawsmith(*skip, "--message", 7, cwd=tmp_path, status=2)
    assert "the oldest is 1" in " ".join(wrong.stderr.split())
    text = flawsmith("sinks", "status", cwd=tmp_path, status=1).stdout
    assert "http://127.0.0.1:9/nobody: 0 delivered, 1 waiting for" in text
    assert "the oldest is 1, after 1 try: " in text
    done = flawsmith(*skip, "--message", 1, cwd=tmp_path)
    assert "will not be told of result 1" in " ".join(done.stdout.split())
    text = flawsmith("sinks", "status", cwd=tmp_path).stdout
    assert "http://127.0.0.1:9/nobody: 0 delivered, 1 skipped, nothing waits\n" in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "lets other machines in: give --token-file"),
        (["--sink", "mqt://host/topic"], "there is no sink 'mqt'; did you mean 'mqtt'"),
        (["--port", "{taken}"], "cannot listen at 127.0.0.1 port"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_served(model, tmp_path, options, said):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        options = [o.format(taken=taken.getsockname()[1]) for o in options]
        done = flawsmith("serve", "--model", model, *options, cwd=tmp_path, status=2)
    assert said in done.stderr
    assert "serving" not in done.stdout


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    done = flawsmith("serve", "--model", tmp_path, cwd=tmp_path, status=2)
    assert "is no exported model" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr("flawsmith.line.sinks.base.find_spec", lambda _: None)
    with pytest.raises(FlawsmithError, match=r"pip install 'flawsmith\[serve\]'"):
        serve.serve(model=Path("model"))
