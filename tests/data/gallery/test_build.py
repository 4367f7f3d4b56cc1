"""Building the page: what it says of the images, and what a second build reads again."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.gallery import build_gallery
from flawsmith.data.gallery.tiles import TILE, find_regions
from flawsmith.data.images import encode_index_mask, read_image, read_index_mask
from flawsmith.data.schema import Schema, make_backgrounds, make_defects, rgb
from flawsmith.errors import FlawsmithError


def make_set(folder: Path, images: dict[str, np.ndarray | Path], **fields) -> DefectDataset:
    schema = Schema(
        name="set", backgrounds=make_backgrounds(["body"]), defects=make_defects(["pit"]), **fields
    )
    with DatasetWriter(folder, schema) as writer:
        for name, image in images.items():
            shape = read_image(image).shape[:2] if isinstance(image, Path) else image.shape[:2]
            defects = np.zeros(shape, np.uint8)
            defects[4:8, 4:8] = 1
            writer.add(name, image, LabelMap(defects, np.zeros_like(defects)), part=name)
    return DefectDataset.open(folder)


def states(folder: Path) -> dict[str, tuple[int, int]]:
    found = sorted((folder / "sheets").iterdir())
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in found}


def touch_pixels(dataset: DefectDataset, place: int) -> None:
    """Change one image's file, as somebody does with a paint program."""
    path = dataset.path(dataset.records[place].file_name)
    pixels = read_image(path).copy()
    pixels[:8, :8] = 255
    cv2.imwrite(str(path), pixels)
    os.utime(path, ns=(1, 1))


def thumbnail_of(page: Path, data: dict, i: int) -> np.ndarray:
    thumbnails = data["thumbnails"]
    sheet = read_image(page.parent / "sheets" / thumbnails["sheets"][thumbnails["sheet"][i]])
    row, column = divmod(thumbnails["cell"][i], data["sheetColumns"])
    top, left = row * data["tile"], column * data["tile"]
    height, width = thumbnails["height"][i], thumbnails["width"][i]
    return sheet[top : top + height, left : left + width]


def test_page_has_every_image_with_its_regions(pouch: DefectDataset, read_data) -> None:
    page = build_gallery(pouch)
    assert page == pouch.root / ".gallery" / "index.html"
    data = read_data(page)
    assert data["images"]["file"] == [record.file_name for record in pouch]
    assert [data["parts"][p] for p in data["part"]] == [record.part for record in pouch]
    assert data["simulated"] is True
    for i, record in enumerate(pouch):
        mask = pouch.label_map(record).defects
        total, areas = 0, {}
        for value in range(1, pouch.schema.num_defects + 1):
            count, _, stats, _ = cv2.connectedComponentsWithStats((mask == value).astype(np.uint8))
            total += count - 1
            if count > 1:
                areas[value - 1] = int(stats[1:, cv2.CC_STAT_AREA].max())
        assert data["thumbnails"]["regionCount"][i] == total
        regions = data["thumbnails"]["regions"][i] or []
        largest = {}
        for k in range(0, len(regions), 4):
            defect, area, x, y = regions[k : k + 4]
            largest.setdefault(defect, area)
            assert mask[max(0, y - 20) : y + 21, max(0, x - 20) : x + 21].any()
        assert largest == areas


def test_thumbnails_are_the_images(pouch: DefectDataset, read_data) -> None:
    page = build_gallery(pouch)
    data = read_data(page)
    good = [i for i, record in enumerate(pouch) if record.is_good]
    for i in good:
        image = read_image(pouch.path(pouch.records[i].file_name)).astype(float)
        shown = thumbnail_of(page, data, i)
        assert shown.shape[0] == 2 * image.shape[0]
        assert np.abs(shown[::2, ::2, 0] - image).mean() < 6


def test_second_build_reads_nothing(pouch: DefectDataset, monkeypatch) -> None:
    page = build_gallery(pouch)
    before, script = states(page.parent), (page.parent / "data.js").read_bytes()
    monkeypatch.setattr(DefectDataset, "image", lambda *_: pytest.fail("an image was read"))
    seen = []
    assert build_gallery(pouch, progress=seen.append) == page
    assert states(page.parent) == before
    assert (page.parent / "data.js").read_bytes() == script
    assert seen == [len(pouch)]


@pytest.mark.parametrize("changed", ["image", "mask"])
def test_only_what_changed_is_read_again(
    pouch: DefectDataset, monkeypatch, changed: str, read_data
) -> None:
    page = build_gallery(pouch)
    before = states(page.parent)
    place = next(i for i, record in enumerate(pouch) if record.mask_file_name)
    if changed == "image":
        touch_pixels(pouch, place)
    else:
        path = pouch.path(pouch.records[place].mask_file_name or "")
        mask = read_index_mask(path)
        mask[-9:, -9:] = 2
        path.write_bytes(encode_index_mask(mask, pouch.schema.palette()))
        os.utime(path, ns=(1, 1))
    read = []
    original = DefectDataset.image
    monkeypatch.setattr(DefectDataset, "image", lambda s, r: read.append(r) or original(s, r))
    data = read_data(build_gallery(pouch))
    assert read == [pouch.records[place]]
    after = states(page.parent)
    assert before.items() <= after.items()
    assert len(after) == len(before) + 1
    shown = thumbnail_of(page, data, place)
    corner = shown[:14, :14].mean() if changed == "image" else None
    assert corner is None or corner > 235
    if changed == "mask":
        assert 1 in data["thumbnails"]["regions"][place][::4]


def test_new_and_dropped_images_leave_the_others(pouch: DefectDataset, read_data) -> None:
    build_gallery(pouch.with_records(pouch.records[:30]))
    page = build_gallery(pouch)
    before = states(page.parent)
    assert len(before) == 3  # 25 + 5, then 15
    few = pouch.with_records(pouch.records[:25])
    data = read_data(build_gallery(few))
    assert states(page.parent).keys() == set(data["thumbnails"]["sheets"])
    assert states(page.parent).items() <= before.items()
    assert len(data["images"]["file"]) == 25


def test_colours_of_the_schema_make_thumbnails_anew(pouch: DefectDataset) -> None:
    page = build_gallery(pouch)
    before = states(page.parent)
    recoloured = [d.model_copy(update={"colour": "#ff0000"}) for d in pouch.schema.defects]
    schema = pouch.schema.model_copy(update={"defects": recoloured})
    build_gallery(DefectDataset(pouch.root, schema, pouch.records))
    assert not before.keys() & states(page.parent).keys()
    assert len(list((page.parent / "masks").iterdir())) == 36


def test_killed_build_goes_on(pouch: DefectDataset, monkeypatch) -> None:
    calls = []

    def stop(count: int) -> None:
        calls.append(count)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_gallery(pouch, progress=stop, workers=1)
    out = pouch.root / ".gallery"
    assert not (out / "index.html").exists()
    done = states(out)
    assert len(done) == 1
    with (out / "tiles.jsonl").open("a") as stream:
        stream.write('{"sheet": "torn')
    seen: list[int] = []
    build_gallery(pouch, progress=seen.append)
    assert seen == [25, 20]
    assert done.items() <= states(out).items()


def test_lost_sheet_is_made_again(pouch: DefectDataset) -> None:
    page = build_gallery(pouch)
    before = states(page.parent)
    lost = sorted(before)[0]
    (page.parent / "sheets" / lost).unlink()
    build_gallery(pouch)
    assert states(page.parent).keys() == before.keys()


def test_unreadable_images_say_why_and_stop_nothing(pouch: DefectDataset, read_data) -> None:
    for place, damage in ((0, b""), (1, b"no image"), (2, None), (3, "cut")):
        path = pouch.path(pouch.records[place].file_name)
        data = path.read_bytes()
        path.unlink()
        if damage is not None:
            path.write_bytes(data[: len(data) // 2] if damage == "cut" else damage)
    data = read_data(build_gallery(pouch))
    problems = data["thumbnails"]["problem"]
    assert sorted(problems) == ["0", "1", "2", "3"]
    assert problems["2"] == "there is no such file"
    assert "not a readable image" in problems["1"]
    assert "truncated" in problems["3"]
    assert not any(str(pouch.root) in text for text in problems.values())
    assert data["thumbnails"]["width"][4] > 0


def test_unusable_mask_is_told_and_the_image_shown(pouch: DefectDataset, read_data) -> None:
    place = next(i for i, record in enumerate(pouch) if record.mask_file_name)
    path = pouch.path(pouch.records[place].mask_file_name or "")
    path.write_bytes(encode_index_mask(np.ones((3, 5), np.uint8), pouch.schema.palette()))
    data = read_data(build_gallery(pouch))
    assert "is 5 x 3 pixels, its image is 64 x 64" in data["thumbnails"]["maskProblem"][str(place)]
    assert data["thumbnails"]["width"][place] == 128
    path.unlink()
    data = read_data(build_gallery(pouch))
    assert "there is no image" in data["thumbnails"]["maskProblem"][str(place)]


def test_sixteen_bits_get_a_preview_between_the_levels(tmp_path: Path, read_data) -> None:
    image = np.full((40, 3000), 1000, np.uint16)
    image[20:] = 3000
    levels = {"bit_depth": 16, "black_level": 1000, "white_level": 3000}
    dataset = make_set(tmp_path / "set", {"a": image, "b": image.copy()}, **levels)
    page = build_gallery(dataset)
    data = read_data(page)
    key = data["thumbnails"]["preview"]["0"]
    preview = read_image(page.parent / "previews" / f"{key}.jpg")
    assert preview.shape == (17, 1280, 3)
    assert preview[:6].max() < 8
    assert preview[-6:].min() > 247
    assert thumbnail_of(page, data, 0)[-1, 40:].min() > 240
    build_gallery(dataset.with_records(dataset.records[:1]))
    assert [p.stem for p in (page.parent / "previews").iterdir()] == [key]


@pytest.mark.parametrize(("suffix", "preview"), [(".bmp", False), (".jpg", False), (".tif", True)])
def test_files_that_browsers_cannot_show_get_a_preview(
    tmp_path: Path, read_data, suffix: str, preview: bool
) -> None:
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), np.full((30, 50), 77, np.uint8))
    data = read_data(build_gallery(make_set(tmp_path / "set", {"a": path})))
    assert bool(data["thumbnails"]["preview"]) == preview


def test_mask_without_the_colours_gets_a_coloured_copy(tmp_path: Path, read_data) -> None:
    dataset = make_set(tmp_path / "set", {"a": np.zeros((9, 9), np.uint8)})
    path = tmp_path / "set" / "masks" / "a.png"
    assert read_data(build_gallery(dataset))["thumbnails"]["ownMask"] == {}
    cv2.imwrite(str(path), read_index_mask(path))
    os.utime(path, ns=(1, 1))
    page = build_gallery(dataset)
    key = read_data(page)["thumbnails"]["ownMask"]["0"]
    shown = read_image(page.parent / "masks" / f"{key}.png")
    assert tuple(shown[5, 5]) == rgb(dataset.schema.defects[0].colour)
    assert tuple(shown[0, 0]) == (0, 0, 0)


def test_regions_are_eight_connected_and_largest_first() -> None:
    mask = np.zeros((10, 10), np.uint8)
    mask[0, 0] = mask[1, 1] = 2  # one region over the corner
    mask[5:8, 2:8] = 1
    mask[9, 9] = 255
    assert find_regions(mask, 2) == [(1, 18, 4, 6), (2, 2, 0, 0)]
    assert find_regions(np.full((4, 4), 255, np.uint8), 2) == []


def test_many_regions_are_counted_and_each_class_is_listed(tmp_path: Path, read_data) -> None:
    schema = Schema(
        name="set", backgrounds=make_backgrounds(["b"]), defects=make_defects(["pit", "speck"])
    )
    mask = np.zeros((200, 200), np.uint8)
    for k in range(40):
        mask[5 * k : 5 * k + 3, 5:8] = 1
    mask[100, 100] = 2
    with DatasetWriter(tmp_path / "set", schema) as writer:
        writer.add("a", mask, LabelMap(mask, np.zeros_like(mask)), part="p")
    data = read_data(build_gallery(DefectDataset.open(tmp_path / "set")))
    assert data["thumbnails"]["regionCount"] == [41]
    assert data["thumbnails"]["regions"][0][0::4] == [0] * 24 + [1]
    assert data["thumbnails"]["regions"][0][-3:] == [1, 100, 100]


def test_page_elsewhere_finds_the_images(pouch: DefectDataset, tmp_path: Path, read_data) -> None:
    out = tmp_path / "a page %20" / "here"
    page = build_gallery(pouch, out)
    assert page == out / "index.html"
    assert read_data(page)["root"] == "../../pouch/"
    other = tmp_path / "pouch #1 ü"
    shutil.copytree(pouch.root, other)
    moved = DefectDataset.open(other)
    assert read_data(build_gallery(moved, tmp_path / "p"))["root"] == "../pouch%20%231%20%C3%BC/"
    assert not (pouch.root / ".gallery").exists()


def test_folder_of_something_else_is_refused(pouch: DefectDataset, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "index.html").write_text("mine")
    with pytest.raises(FlawsmithError, match=r"mine exists and holds no gallery; give another"):
        build_gallery(pouch, out)
    with pytest.raises(FlawsmithError, match=r"pouch exists and holds no gallery"):
        build_gallery(pouch, pouch.root)
    assert [p.name for p in out.iterdir()] == ["index.html"]
    with pytest.raises(FlawsmithError, match="cannot write the gallery"):
        build_gallery(pouch, out / "index.html")


def test_set_is_unchanged_and_an_empty_one_is_shown(pouch: DefectDataset, read_data) -> None:
    def files() -> set[tuple[Path, int]]:
        own = (p for p in pouch.root.rglob("*") if ".gallery" not in p.parts and p.is_file())
        return {(p, p.stat().st_mtime_ns) for p in own}

    before = files()
    data = read_data(build_gallery(pouch.with_records([])))
    assert data["images"]["file"] == []
    build_gallery(pouch)
    assert files() == before
    assert TILE == data["tile"]
