"""The page at 50,000 images, whose pictures do not exist."""

from pathlib import Path
from urllib.parse import urlencode

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.gallery import build_gallery
from flawsmith.data.gallery.columns import page_data, to_script
from flawsmith.data.gallery.tiles import GalleryImage, Tile


def many_images(images: int, root: Path) -> dict:
    """What a page of so many images is told; no picture of them exists."""
    schema = DefectDataset.open(root).schema
    names = schema.defect_names
    records, shown = [], []
    for i in range(images):
        labels = [names[i % len(names)]] if i % 3 else []
        records.append(
            ImageRecord.model_construct(
                file_name=f"images/part-{i // 2:06d}_{i % 2}.png",
                labels=labels,
                part=f"part-{i // 2:06d}",
                view=f"side {i % 2}",
                fold=i // 2 % 5,
                sha256=f"{i:064x}",
                height=256,
                width=256,
            )
        )
        regions = [(1 + i % len(names), 5 + i % 900, i % 256, 9)] if labels else []
        tile = Tile.model_construct(
            key="", width=160, height=160, regions=regions, region_count=len(regions)
        )
        shown.append(GalleryImage(sheet=f"{i // 25}.jpg", cell=i % 25, tile=tile))
    dataset = DefectDataset(root, schema, records)
    return page_data(dataset, shown, {}, out=root / ".gallery")


def test_fifty_thousand_images_filter_in_the_time_of_few(pouch: DefectDataset, browse) -> None:
    page = build_gallery(pouch)
    first = pouch.schema.defect_names[0]
    words = urlencode([("class", first), ("class", ":good"), ("fold", 1), ("fold", 2)])
    few = float(browse(page, words).root["data-filter-ms"] or "nan")
    data = many_images(50_000, pouch.root)
    (page.parent / "data.js").write_text(to_script(data))
    dom = browse(page, words)
    facet = next(f for f in data["facets"] if f["name"] == "class")
    wanted = {k for k, o in enumerate(facet["options"]) if o["key"] in (first, ":good")}
    expected = sum(
        bool(wanted & set(facet["sets"][s])) and i // 2 % 5 in (1, 2)
        for i, s in enumerate(facet["of"])
    )
    assert dom.text("count").startswith(f"{expected:,} of 50,000 images")
    assert len(dom.having("tile")) < 100
    # A thousand times the images; most of the time goes into the few tiles that are in sight.
    assert float(dom.root["data-filter-ms"] or "nan") < 20 * few
    dom = browse(page, f"{words}&group=part&sort=size")
    assert dom.text("count").startswith(f"{expected:,} of 50,000 images")
    assert len(dom.having("tile")) < 100
