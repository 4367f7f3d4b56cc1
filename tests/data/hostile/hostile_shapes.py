"""Shapes that are none: corners, boxes and run lengths in the formats of annotation tools."""

from pathlib import Path
from typing import Any

from fuzz_files import HEIGHT, SQUARE, WIDTH, picture, text, voc
from hostile_registry import Case, add, put

BAD, BARE, BOX = "unreadable labels", "shape without area", "box only"
HUGE = 10**12


def labelme(folder: Path, **changes: Any) -> None:
    """Write a picture with one polygon and its changes."""
    shape = {"label": "dent", "points": SQUARE, "shape_type": "polygon", **changes}
    size = {"imageHeight": HEIGHT, "imageWidth": WIDTH}
    content = {"shapes": [shape], "imagePath": "a.png", "imageData": None, **size}
    put(folder, {"a.png": picture(0), "a.json": text(content)})


def labelme_case(name: str, findings: dict[str, int], **changes: Any) -> None:
    """Register a shape of Labelme."""
    more = {key: changes.pop(key) for key in ("labels", "excluded") if key in changes}
    add(Case(f"labelme: {name}", lambda folder: labelme(folder, **changes), findings=findings,
             **{"labels": ("dent",), **more}))  # fmt: skip


labelme_case("self-crossing polygon", {}, points=[[1, 1], [9, 9], [9, 1], [1, 9]])
labelme_case("polygon with 2 points", {BARE: 1}, points=SQUARE[:2])
labelme_case("polygon without points", {BARE: 1}, points=[])
labelme_case("1-D polygon", {BAD: 1}, points=[1, 2, 3, 4, 5, 6])
labelme_case("points with 3 numbers", {BAD: 1}, points=[[1, 2, 3]] * 4)
labelme_case("NaN corner", {BAD: 1}, points=[[float("nan"), 1], [2, 2], [3, 1]])
labelme_case("infinite corner", {BAD: 1}, points=[[float("inf"), 1], [2, 2], [3, 1]])
labelme_case("huge corner", {BAD: 1}, points=[[HUGE, 1], [2, 2], [3, 1]])
labelme_case("corner of 400 digits", {BAD: 1}, points=[[10**400, 1], [2, 2], [3, 1]])
labelme_case("polygon outside", {BARE: 1}, points=[[20, 20], [25, 20], [25, 25]])
labelme_case("negative corner", {}, points=[[-3, -3], [5, -3], [5, 5]])
labelme_case("numbers as strings", {}, points=[["1", "1"], ["5", "1"], ["5", "5"]])
labelme_case("words as corners", {BAD: 1}, points=[["left", "top"]] * 3)
labelme_case("points missing", {BAD: 1}, points=None)
labelme_case("unknown shape", {BARE: 1}, shape_type="spline")
labelme_case("damaged pasted mask", {BARE: 1}, shape_type="mask", mask="AAAA")
labelme_case(
    "line as wide as the world", {}, shape_type="line", line_width=1e300, points=SQUARE[:2]
)
labelme_case("class None", {}, label=None, labels=("None",))
labelme_case("class called ignore", {}, label="ignore", labels=())
labelme_case("class called like a path", {}, label="../../etc", labels=("../../etc",))
labelme_case("class of 500 characters", {}, label="x" * 500, labels=("x" * 80,))
labelme_case("class with HTML", {}, label="<b>", labels=("<b>",))
labelme_case("class with a new line", {}, label="a\nb", labels=("a b",))
labelme_case("class of control characters", {}, label="a\x1b[31m", labels=("a␛[31m",))
labelme_case("class called surface", {}, label="surface", labels=("surface",))


def coco(folder: Path, **changes: Any) -> None:
    """Write a picture with one annotation and its changes."""
    flat = [v for point in SQUARE for v in point]
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [flat], **changes}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "dent"}],
    }
    put(folder, {"a.png": picture(0), "labels.json": text(content)})


def coco_case(name: str, findings: dict[str, int], *, labels: Any = ("dent",), **changes: Any):
    """Register an annotation of COCO."""
    add(Case(f"coco: {name}", lambda folder: coco(folder, **changes), findings=findings,
             labels=labels))  # fmt: skip


def rle(counts: Any, size: Any = (HEIGHT, WIDTH)) -> dict[str, Any]:
    """Return run lengths."""
    return {"size": size, "counts": counts}


coco_case("1-D polygon", {BAD: 1}, segmentation=[1, 2, 3, 4, 5, 6])
coco_case("2 points", {}, segmentation=[[1, 1, 5, 5]])
coco_case("odd number of coordinates", {}, segmentation=[[1, 1, 5, 1, 5, 5, 1]])
coco_case("NaN corner", {BAD: 1}, segmentation=[[float("nan"), 1, 5, 1, 5, 5]])
coco_case("huge corner", {BAD: 1}, segmentation=[[HUGE, 1, 5, 1, 5, 5]])
coco_case("polygon is text", {BAD: 1}, segmentation="everywhere")
coco_case("nested too deep", {BAD: 1}, segmentation=[[[[1, 1, 5, 1, 5, 5]]]])
coco_case("RLE too short", {BAD: 1}, segmentation=rle([10, 10]))
coco_case("RLE too long", {BAD: 1}, segmentation=rle([10, 10_000]))
coco_case("RLE negative", {BAD: 1}, segmentation=rle([300, -108]))
coco_case("RLE huge", {BAD: 1}, segmentation=rle([2**62, 2**62, 2**62, 2**62 + 192]))
coco_case("RLE of 30 digits", {BAD: 1}, segmentation=rle([10**30]))
coco_case("RLE of text", {BAD: 1}, segmentation=rle("💥"))
coco_case("RLE cut off", {BAD: 1}, segmentation=rle("d0"))
coco_case("RLE of another size", {BAD: 1}, segmentation=rle([4], (2, 2)))
coco_case("RLE without size", {BAD: 1}, segmentation={"counts": [192]})
coco_case("no shape and no box", {BARE: 1}, segmentation=[])
coco_case("box of NaN", {BARE: 1}, segmentation=[], bbox=[float("nan")] * 4)
coco_case("box outside", {BARE: 1}, segmentation=[], bbox=[50, 50, 2, 2])
coco_case("box with 3 numbers", {BARE: 1}, segmentation=[], bbox=[1, 2, 3])
coco_case("negative box", {BARE: 1}, segmentation=[], bbox=[5, 5, -2, -2])
coco_case("unknown category", {"unknown class": 1}, category_id=7, labels=("unknown",))
coco_case("annotation of no image", {"orphaned labels": 1}, image_id=[1], labels=())


def yolo_case(name: str, findings: dict[str, int], lines: str, **more: Any) -> None:
    """Register a label file of YOLO."""

    def make(folder: Path) -> None:
        names = b"names: [dent, crack]\n"
        files = {"images/a.png": picture(0), "labels/a.txt": lines.encode(), "data.yaml": names}
        put(folder, files)

    more = {"labels": ("dent",), "options": {"format": "yolo"}, **more}
    add(Case(f"yolo: {name}", make, findings=findings, **more))


yolo_case("class out of range", {"unknown class": 1, BOX: 1}, "7 .5 .5 .2 .2", labels=("class_7",))
yolo_case("negative class", {BAD: 1}, "-1 .5 .5 .2 .2", excluded=1, labels=())
yolo_case("class is a word", {BAD: 1}, "dent .5 .5 .2 .2", excluded=1, labels=())
yolo_case("class is NaN", {BAD: 1}, "nan .5 .5 .2 .2", excluded=1, labels=())
yolo_case("number is no number", {BAD: 1}, "0 .5 .5 wide .2")
yolo_case("NaN corner", {BAD: 1}, "0 nan .5 .2 .2")
yolo_case("pixels instead of shares", {BAD: 1}, "0 120 80 40 40")
yolo_case("polygon with 2 points", {BOX: 1}, "0 .1 .1 .5 .5")
yolo_case("odd number of coordinates", {BAD: 1}, "0 .1 .1 .5 .5 .1 .5 .7")
yolo_case("class only", {BAD: 1}, "0")
yolo_case("20,000 corners in a line", {}, "0" + " 0.1 0.1 0.5 0.1 0.5 0.5" * 3333)
yolo_case("binary label file", {BAD: 1}, "\x00\x01\x02", excluded=1, labels=())


def voc_case(name: str, findings: dict[str, int], old: bytes, new: bytes, **more: Any) -> None:
    """Register a Pascal VOC file with something replaced."""

    def make(folder: Path) -> None:
        put(folder, {"a.jpg": picture(0, ".jpg"), "a.xml": voc("dent").replace(old, new)})

    more = {"labels": ("dent",), **more}
    add(Case(f"pascal_voc: {name}", make, findings=findings, **more))


voc_case("box of words", {BAD: 1}, b"<xmin>3", b"<xmin>left")
voc_case("box upside down", {BAD: 1}, b"<xmin>3", b"<xmin>9")
voc_case("NaN in a box", {BAD: 1}, b"<xmin>3", b"<xmin>nan")
voc_case("huge box", {BOX: 1}, b"<xmax>6", b"<xmax>1e300")
voc_case("box outside", {BARE: 1}, b"<xmin>3</xmin>", b"<xmin>-9</xmin><xmax>-5</xmax>")
voc_case("no name", {BOX: 1}, b"dent", b"", labels=("unnamed",))
MISSIZED = {"mis-sized labels": 1, "class without images": 1}
voc_case("another image size", MISSIZED, b"<width>16", b"<width>99",
         excluded=1, labels=())  # fmt: skip
