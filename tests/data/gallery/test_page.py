"""The page in a browser: what it shows and what its address does."""

from pathlib import Path
from urllib.parse import urlencode

import numpy as np

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.gallery import build_gallery
from flawsmith.data.images import read_image


def test_page_names_the_set_and_counts_it(pouch: DefectDataset, browse) -> None:
    dom = browse(build_gallery(pouch))
    assert dom.text("name") == "simulated pouch cells"
    assert dom.text("count") == "45 of 45 images, 45 parts"
    assert 10 < len(dom.having("tile")) <= 45
    [badge] = [a for _, a, _ in dom.elements if a.get("id") == "simulated"]
    assert "hidden" not in badge
    assert dom.root["data-ready-ms"]


def test_address_filters_by_class_fold_part_and_text(pouch: DefectDataset, browse) -> None:
    page = build_gallery(pouch)
    name = pouch.schema.defect_names[0]
    expected = [r for r in pouch if name in r.labels and r.fold in (0, 2)]
    assert 0 < len(expected) < 36
    dom = browse(page, urlencode([("class", name), ("fold", 0), ("fold", 2)]))
    assert dom.text("count").startswith(f"{len(expected)} of 45 images")
    titles = [(tile["title"] or "").split("\n")[0] for tile in dom.having("tile")]
    assert titles == sorted(record.file_name for record in expected)
    part = pouch.records[7].part
    dom = browse(page, urlencode({"part": f"={part}"}))
    assert dom.text("count") == "1 of 45 images, 1 part"
    stem = Path(pouch.records[3].file_name).stem.upper()
    dom = browse(page, urlencode({"q": stem, "class": "no such class", "sort": "nonsense"}))
    assert dom.text("count") == "1 of 45 images, 1 part"
    dom = browse(page, "q=nowhere")
    assert dom.text("count") == "0 of 45 images, 0 parts"
    assert dom.having("tile") == []


def test_defect_size_is_filtered_in_millimetres(pouch: DefectDataset, browse, read_data) -> None:
    page = build_gallery(pouch)
    data = read_data(page)
    x, y = data["pixelSize"]
    regions = data["thumbnails"]["regions"]
    sizes = [np.sqrt(4 * own[1] * x * y / np.pi) if own else None for own in regions]
    low = float(np.median([size for size in sizes if size]))
    expected = sum(size is not None and size >= low for size in sizes)
    assert 0 < expected < 36
    dom = browse(page, f"min={low}&unit=mm")
    assert dom.text("count").startswith(f"{expected} of 45 images")


def test_counts_of_a_list_ignore_its_own_choice(pouch: DefectDataset, browse) -> None:
    name = pouch.schema.defect_names[0]
    dom = browse(build_gallery(pouch), urlencode([("class", name), ("fold", 1)]))
    numbers = [int(text) for text in dom.texts("number")]
    in_fold = [r for r in pouch if r.fold == 1]
    by_class = [sum(n in r.labels for r in in_fold) for n in pouch.schema.defect_names]
    assert numbers[: len(by_class)] == by_class
    good = sum(record.is_good for record in in_fold)
    assert numbers[len(by_class) : len(by_class) + 2] == [good, 0]
    folds = [sum(name in r.labels and r.fold == fold for r in pouch) for fold in range(3)]
    assert numbers[-3:] == folds


def test_open_image_shows_file_labels_and_facts(pouch: DefectDataset, browse) -> None:
    record = next(record for record in pouch if record.mask_file_name)
    dom = browse(build_gallery(pouch), urlencode({"open": record.file_name}))
    [image] = dom.having("image")
    [mask] = dom.having("mask")
    assert image["src"] == f"../{record.file_name}"
    assert mask["src"] == f"../{record.mask_file_name}"
    assert dom.text("viewer-name") == record.file_name
    assert record.sha256 in dom.source
    assert "1 region" in dom.source


def test_hostile_names_are_text(pouch: DefectDataset, browse, read_data) -> None:
    bad = "</script><img src=x onerror=\"document.title='broken'\">'&lt;"
    changes = {"part": bad, "view": bad, "excluded": bad, "original": bad}
    records = [pouch.records[0].model_copy(update=changes), *pouch.records[1:]]
    schema = pouch.schema.model_copy(update={"name": bad})
    dataset = DefectDataset(pouch.root, schema, records)
    findings = {records[0].file_name: [(bad, bad)], "": [(bad, bad)]}
    page = build_gallery(dataset, findings=findings)
    dom = browse(page, urlencode({"open": records[0].file_name, "group": "part"}))
    assert dom.text("name") == bad
    assert not any(a.get("src") == "x" or "onerror" in a for _, a, _ in dom.elements)
    assert sum(tag == "script" for tag, *_ in dom.elements) == 5
    assert dom.texts("reason")[0].startswith(f"excluded: {bad}")


def test_excluded_and_unreadable_images_are_shown_as_such(pouch: DefectDataset, browse) -> None:
    pouch.path(pouch.records[1].file_name).write_bytes(b"nothing")
    records = [pouch.records[0].model_copy(update={"excluded": "a double"}), *pouch.records[1:]]
    dom = browse(build_gallery(pouch.with_records(records)))
    assert len(dom.having("excluded")) == 1
    assert dom.texts("reason")[0] == "excluded: a double"
    assert "not a readable image" in dom.texts("problem")[0]


def test_thumbnails_are_drawn(pouch: DefectDataset, browse, tmp_path: Path) -> None:
    shot = tmp_path / "shot.png"
    browse(build_gallery(pouch), screenshot=shot)
    pixels = read_image(shot)[..., :3].astype(int)
    grid = pixels[60:, 280:]
    assert grid.std() > 30
    for defect in pouch.schema.defects[:2]:
        colour = [int(defect.colour[k : k + 2], 16) for k in (1, 3, 5)]
        assert (np.abs(grid - colour).max(axis=2) < 50).sum() > 50


def test_page_asks_for_nothing_from_elsewhere(pouch: DefectDataset, browse) -> None:
    page = build_gallery(pouch)
    dom = browse(page)
    for tag, attributes, _ in dom.elements:
        for name in ("src", "href"):
            value = attributes.get(name) or ""
            assert "//" not in value, (tag, value)
    for path in page.parent.glob("*.*"):
        if path.suffix in (".js", ".css", ".html") and path.name != "data.js":
            assert "http" not in path.read_text()
