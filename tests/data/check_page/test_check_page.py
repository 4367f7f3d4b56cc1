"""The page of a check: what it shows of each finding, how much, and that nothing breaks it."""

from typing import get_args
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from flawsmith.data.check_page import build as build_module
from flawsmith.data.check_page import build_check_page
from flawsmith.data.check_page.kinds import KIND_TEXTS, ordered
from flawsmith.data.check_page.pictures import (
    UNKNOWN_VALUE,
    closer_window,
    example_window,
    framed,
    largest_box,
)
from flawsmith.data.check_page.sizes import size_histograms
from flawsmith.data.check_report import INFORMATION, Finding, Kind
from flawsmith.data.checks import check
from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError

BAD = "<script>alert(1)</script>\"'\n<img src=x onerror=y>&amp;\U0001f600"


def small_set(folder, names=("dent", "scratch"), set_name="small", masks=()):
    """Write one image a mask; a part each."""
    schema = Schema(name=set_name, backgrounds=make_backgrounds(["body"]), defects=[])
    schema = schema.model_copy(update={"defects": make_defects(list(names))})
    with DatasetWriter(folder, schema) as writer:
        for number, mask in enumerate(masks):
            pixels = np.full(mask.shape, 40 + number, np.uint8)
            label_map = LabelMap(mask, np.zeros_like(mask))
            writer.add(f"i{number}", pixels, label_map, part=f"p{number}")
    return DefectDataset.open(folder)


def test_every_kind_has_words_of_its_own():
    assert set(KIND_TEXTS) == set(get_args(Kind))
    titles = [text.title for text in KIND_TEXTS.values()]
    assert len(set(titles)) == len(titles)
    for text in KIND_TEXTS.values():
        assert 8 < len(text.title) < 60
        assert "_" not in text.title
        assert text.advice.endswith(".")
        assert 20 < len(text.advice) < 200


def test_problems_come_before_information():
    order = ordered(set(get_args(Kind)))
    assert len(order) == len(get_args(Kind))
    first = min(order.index(kind) for kind in INFORMATION)
    assert set(order[first:]) == INFORMATION


def test_page_needs_nothing_else_and_leads_everywhere_it_says(pouch, build):
    record = pouch.records[3]
    page = build(
        pouch,
        Finding(kind="tiny_regions", file=record.file_name, message="m", box=(3, 4, 8, 9)),
        Finding(kind="similar_class_names", file="", message="two names"),
    )
    assert page._open == []
    ids = page.ids()
    assert len(set(ids)) == len(ids)
    links = 0
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "base", "form")
        assert attributes.get("src", "data:image/jpeg;base64,").startswith(
            "data:image/jpeg;base64,"
        )
        target = attributes.get("href")
        if target is None:
            continue
        if target.startswith("#"):
            assert target[1:] in ids
        else:
            assert (pouch.root / unquote(target)).is_file()
            links += 1
    assert links > 10
    for word in ("http", "url(", "@import"):
        assert word not in page.source
    assert "two names" in page.section("similar_class_names")
    assert "tiny_regions" not in page.text


def test_figures_are_those_of_the_report(pouch, build):
    report = check(pouch)
    page = build(pouch)
    assert "45 images of 45 parts" in page.text
    assert "simulated images" in page.text
    assert "Good 9 of 9 parts Defective 36 of 36 parts" in page.section("overview")
    words = page.section("classes")
    for figures in report.classes:
        assert f"{figures.name} {figures.images} {figures.parts} {figures.regions}" in words
    assert "no defect 8 of 9 parts" in page.section("examples")
    assert page.cards["examples"] == 8 + sum(min(8, c.parts) for c in report.classes)


def test_finding_shows_place_closer_look_and_other_files(tmp_path, build):
    mask = np.zeros((480, 480), np.uint8)
    mask[100:106, 200:208] = 1
    dataset = small_set(tmp_path / "set", masks=[mask] * 7)
    names = [record.file_name for record in dataset]
    page = build(
        dataset,
        Finding(
            kind="suggested_part", file=names[0], message="look alike", others=names[1:6],
            box=(200, 100, 208, 106),
        ),
    )  # fmt: skip
    whole, closer, *others = page.pictures["suggested_part"]
    assert len(others) == 2
    assert "and 3 further files" in page.section("suggested_part")
    assert "closer, 5x" in page.section("suggested_part")
    assert closer.shape == (240, 240, 3)
    # Half size: the box is at x 100 to 104, y 50 to 53, its frame 9 pixels outside.
    assert whole[50 - 9, 93:112].min() > 180
    assert whole[51, 100 - 9].min() > 180
    assert whole[51, 130].max() < 80
    others_white = [(other.min(axis=2) > 180).sum() for other in others]
    assert others_white == [0, 0]


def test_frame_stays_in_the_picture():
    shown = np.zeros((50, 60, 3), np.uint8)
    for box in ((0, 0, 60, 50), (-5, -5, 900, 900), (59, 49, 60, 50)):
        drawn = framed(shown, box, 1.0)
        assert drawn.shape == shown.shape
        assert drawn.max() == 255
    assert shown.max() == 0


def test_windows_surround_boxes_and_stay_inside():
    assert closer_window((0, 0, 100, 100), (240, 240), (240, 240)) is None
    assert closer_window((10, 10, 20, 12), (240, 240), (240, 240)) == (0, 0, 48, 48)
    assert closer_window((990, 1990, 1000, 2000), (2000, 1000), (240, 120)) == (
        952,
        1952,
        1000,
        2000,
    )
    assert closer_window((0, 0, 4, 4), (20, 30), (160, 240)) is None
    assert (
        example_window(
            (0, 0, 50, 50),
            (200, 200),
        )
        is None
    )
    assert example_window((500, 500, 520, 540), (1000, 1000)) == (450, 460, 570, 580)
    mask = np.zeros((30, 40), np.uint8)
    mask[2:4, 2:4] = 1
    mask[10:20, 5:30] = 1
    assert largest_box(mask, 1) == (5, 10, 30, 20)
    assert largest_box(mask, 2) is None


def test_damaged_and_missing_files_leave_the_reason(pouch, build):
    a, b, c, d, e = [record for record in pouch if record.mask_file_name][:5]
    pouch.path(a.file_name).write_bytes(pouch.path(a.file_name).read_bytes()[:200])
    pouch.path(b.file_name).unlink()
    pouch.path(c.mask_file_name).unlink()
    values = np.zeros((d.height, d.width), np.uint8)
    values[:20, :20] = 77
    Image.fromarray(values).save(pouch.path(d.mask_file_name))
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(pouch.path(e.mask_file_name))
    Image.fromarray(values).save(pouch.root / "images/new.png")
    (pouch.root / "masks/new.png").write_bytes(b"no image")
    page = build(pouch, report=None)
    assert "No picture" in page.section("unreadable_image")
    assert page.cards["unreadable_image"] == 2
    assert "unreadable_image" not in page.pictures
    assert f"{a.file_name} is damaged" in page.section("unreadable_image")
    assert len(page.pictures["missing_mask"]) == 1  # the image; in place of the mask, the reason
    assert c.file_name in page.section("missing_mask")
    _, mask = page.pictures["mask_value"]
    assert np.abs(mask[5, 5].astype(int) - UNKNOWN_VALUE).max() < 12
    assert mask[-5, -5].max() < 12
    assert "mask, 9 x 9 px" in page.section("mask_size")
    assert len(page.pictures["orphaned_image"]) == 1
    assert "No picture" in page.section("orphaned_mask")
    assert str(pouch.root) not in page.source


def test_files_outside_the_set_are_neither_shown_nor_linked(pouch, build, tmp_path):
    Image.new("L", (9, 9)).save(tmp_path / "secret.png")
    names = ["../secret.png", str(tmp_path / "secret.png"), "javascript:alert(1)", "a\0b", "images"]
    page = build(pouch, *(Finding(kind="out_of_focus", file=n, message="m") for n in names))
    assert page.cards["out_of_focus"] == len(names)
    assert "out_of_focus" not in page.pictures
    assert all("secret" not in (a.get("href") or "") for _, a in page.tags)


def test_hostile_words_stay_words(tmp_path, build):
    mask = np.eye(64, dtype=np.uint8)
    dataset = small_set(tmp_path / "set", (BAD[:60], '"><b>'), f"</title>{BAD[:50]}", [mask])
    long = "images/" + BAD.replace("/", "") * 8 + ".png"
    found = [
        Finding(kind=kind, file=file, message=f"{BAD} in {long}", others=[long])
        for kind in get_args(Kind)
        for file in (long, "", dataset.records[0].file_name)
    ]
    page = build(dataset, *found)
    tags = {tag for tag, _ in page.tags}
    assert "script" not in tags
    assert "b" in tags  # ours
    assert all(not name.startswith("on") for _, a in page.tags for name in a)
    assert "<script>alert(1)</script>" in page.text
    assert page._open == []


def test_pictures_and_names_are_bounded(pouch, build, monkeypatch):
    names = [record.file_name for record in pouch]
    found = [
        Finding(kind=kind, file=names[i % 45], message=f"finding number {i}", box=(1, 1, 5, 5))
        for kind in ("tiny_regions", "misaligned_mask")
        for i in range(500)
    ]
    page = build(pouch, *found)
    for kind in ("tiny_regions", "misaligned_mask"):
        assert page.cards[kind] == build_module.CARDS_A_KIND
        assert "460 further findings of this kind, by name" in page.section(kind)
        shown = [i for i in range(500) if f"finding number {i} " in page.section(kind) + " "]
        assert shown == list(range(500))
    monkeypatch.setattr(build_module, "FINDING_BYTES", 100_000)
    monkeypatch.setattr(build_module, "EXAMPLE_BYTES", 50_000)
    monkeypatch.setattr(build_module, "NAMES", 100)
    page = build(pouch, *found)
    assert 0 < page.cards["tiny_regions"] < 40
    assert 0 < page.cards["misaligned_mask"] < 40
    assert page.cards["examples"] < 20
    assert "50 further findings" in page.section("tiny_regions")
    more = 450 - page.cards["tiny_regions"]
    assert f"{more} findings more in the JSON report" in page.section("tiny_regions")
    assert sum(len(a["src"]) for t, a in page.tags if t == "img") < 160_000


def test_histograms_count_the_regions_of_each_class(tmp_path):
    one, two = np.zeros((2, 64, 64), np.uint8)
    one[0, 0], one[10:15, 10:15], one[30:35, 30:35] = 1, 1, 1  # 1, 25 and 25 pixels
    two[10:60, 10:60] = 2  # 2,500
    dataset = small_set(tmp_path / "set", masks=[one, two])
    found = size_histograms(dataset)
    assert (found.decades, found.masks, found.complete) == (4, 2, True)
    [first, second] = found.bars["dent"]
    assert (first.x, first.height) == (0, 50)
    assert second.height == 100
    assert second.words == "2 of 18 to 32 px"
    [bar] = found.bars["scratch"]
    assert bar.words == "1 of 1,778 to 3,162 px"
    assert bar.x == pytest.approx(13 * 100 / 16, abs=1e-3)
    dataset.path("masks/i1.png").unlink()
    assert set(size_histograms(dataset).bars) == {"dent"}


def test_sets_with_nothing_in_them_have_a_page(tmp_path, build):
    page = build(small_set(tmp_path / "empty", names=()))
    assert "Nothing needs a repair" in page.text
    assert "0 images of 0 parts" in page.text
    clear = np.zeros((8, 8), np.uint8)
    page = build(small_set(tmp_path / "good", names=("dent",), masks=[clear] * 2))
    assert "no defect 2 of 2 parts" in page.section("examples")
    assert "Classes without an image" in page.text


def test_build_tells_its_progress_and_where_it_cannot_write(pouch, tmp_path):
    report = check(pouch)
    calls = []
    build_check_page(pouch, report, tmp_path / "page.html", lambda: calls.append(1))
    page = (tmp_path / "page.html").read_text("utf-8")
    assert len(calls) == page.count("<figure")
    assert 'href="./pouch/images/' in page
    with pytest.raises(FlawsmithError, match="cannot write"):
        build_check_page(pouch, report, tmp_path / "absent" / "page.html")
