"""Label files that are broken as a whole: JSON, XML, tables, masks and MAT-files."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_files import HEIGHT, WIDTH, encoded, mask, picture, text, voc
from fuzz_samples import SAMPLES
from hostile_registry import Case, add, imported, put

NO_LABELS = "no labels"
JSON_FORMATS = {
    "coco": "labels.json",
    "labelme": "a.json",
    "label_studio": "export.json",
    "supervisely": "ds/ann/a.png.json",
}


def sample(name: str, changes: dict[str, bytes], number: int = 0) -> Callable[[Path], None]:
    """Return what writes the valid sample of a format with some files replaced."""
    return lambda folder: put(folder, {**SAMPLES[name][number](), **changes})


def broken_json(what: str, data: bytes, findings: dict[str, dict[str, int]], **more: Any) -> None:
    """Register a broken label file for every format that has JSON."""
    for name, file in JSON_FORMATS.items():
        images, excluded = {"coco": (2, 2), "labelme": (2, 1), "label_studio": (2, 2)}.get(
            name, (2, 1)
        )
        add(Case(f"{name}: {what}", sample(name, {file: data}), findings=findings[name],
                 images=images, excluded=excluded, options={"format": name}, **more))  # fmt: skip


UNREADABLE = {
    "coco": {"unreadable labels": 1, NO_LABELS: 2},
    "labelme": {"unreadable labels": 1, NO_LABELS: 1},
    "label_studio": {"unreadable labels": 1, NO_LABELS: 2},
    "supervisely": {"unreadable labels": 1},
}
OTHER = {name: {"no label file" if kind[0] == "u" else kind: count for kind, count in f.items()}
         for name, f in UNREADABLE.items()} | {"supervisely": {"unreadable labels": 1}}  # fmt: skip
broken_json("100,000 brackets", b"[" * 100_000, UNREADABLE)
broken_json("truncated JSON", b'{"images": [{"id": 1', UNREADABLE)
broken_json("empty file", b"", UNREADABLE)
broken_json("a number of 5,000 digits", b"1" * 5000, UNREADABLE)
broken_json("zero bytes", bytes(100), UNREADABLE)
broken_json("null", b"null", OTHER)
broken_json("a list of lists", b"[[1], [2]]", {**OTHER, "label_studio": OTHER["label_studio"]})
broken_json("NaN", b"NaN", OTHER)
broken_json("tables that are numbers", b'{"images": 1, "annotations": 2, "categories": 3, '
            b'"shapes": 4, "objects": 5, "data": 6}', OTHER)  # fmt: skip


def rewritten(change: Callable[[str], bytes], name: str = "coco") -> Callable[[Path], None]:
    """Return what writes a sample with its JSON in another encoding."""
    file = JSON_FORMATS[name]
    return sample(name, {file: change(SAMPLES[name][0]()[file].decode())})


KNOWN = {"box only": 1, "unreadable labels": 1}
more = {"images": 2, "options": {"format": "coco"}}
add(Case("JSON with a byte order mark", rewritten(lambda t: t.encode("utf-8-sig")),
         findings=KNOWN, **more))  # fmt: skip
add(Case("JSON in UTF-16", rewritten(lambda t: t.encode("utf-16")), findings=KNOWN, **more))
add(Case("lone surrogate in a class", rewritten(lambda t: t.replace("dent", "\\ud800").encode()),
         findings=KNOWN, **more))  # fmt: skip
add(Case("lone surrogate in a file name", rewritten(
    lambda t: t.replace('"a.png"', '"\\ud800.png"').encode()),
    findings={"missing image": 1, NO_LABELS: 1, "unreadable labels": 1},
    excluded=1, **more))  # fmt: skip
TWICE = '"images": [], "images": ['
add(Case("duplicate keys", rewritten(lambda t: t.replace('"images": [', TWICE).encode()),
         findings=KNOWN, **more))  # fmt: skip
add(Case("two images with one id", rewritten(lambda t: t.replace('{"id": 2,', '{"id": 1,', 1)
         .encode()), excluded=1, **more,
         findings={"box only": 1, "duplicate id": 1, "orphaned labels": 1,
                   NO_LABELS: 1}))  # fmt: skip


@imported("an image listed in a folder that is a file", {"missing image": 1, NO_LABELS: 1},
          excluded=1)  # fmt: skip
def file_as_folder(folder: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.png/b.png"}],
        "annotations": [],
        "categories": [],
    }
    put(folder, {"a.png": picture(0), "labels.json": text(content)})


BOMB = b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    f'<!ENTITY a{i} "{f"&a{i - 1 or str()};" * 10}">'.encode() for i in range(1, 9)
)
XML = {
    "billion laughs": BOMB + b"]><annotation>&a8;</annotation>",
    "external entity": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b"<annotation><segmented>&x;</segmented></annotation>",
    "truncated": b"<annotation><object>",
    "empty": b"",
    "unknown encoding": b'<?xml version="1.0" encoding="nonsense"?>' + voc("dent"),
    "control characters": b"<annotation>\x00\x01</annotation>",
}
for what, data in XML.items():
    files = {"a.jpg": picture(0, ".jpg"), "a.xml": data}
    add(Case(f"XML: {what}", lambda folder, files=files: put(folder, files), excluded=1,
             findings={"unreadable labels": 1, NO_LABELS: 1},
             options={"format": "pascal_voc"}))  # fmt: skip
WRONG_ROOT = {"a.jpg": picture(0, ".jpg"), "a.xml": b"<svg/>"}
add(Case("XML: wrong root", lambda folder: put(folder, WRONG_ROOT), excluded=1,
         findings={"no label file": 1, NO_LABELS: 1},
         options={"format": "pascal_voc"}))  # fmt: skip
deep = b"<x>" * 100_000 + b"</x>" * 100_000
add(Case("XML: 100,000 elements deep", sample("pascal_voc", {
    "Annotations/a.xml": voc("dent").replace(b"<object>", deep + b"<object>")}),
    images=3, findings={"box only": 1}))  # fmt: skip
add(Case("XML: no XML at all for CVAT", sample("cvat", {"annotations.xml": b"{}"}), images=2,
         excluded=2, findings={"unreadable labels": 1, NO_LABELS: 2},
         options={"format": "cvat"}))  # fmt: skip


def outside(name: str) -> Callable[[Path], None]:
    """Return what writes a COCO file that names a path which leads out."""

    def make(folder: Path) -> None:
        rows = [{"id": 1, "file_name": name}, {"id": 2, "file_name": "a.png"}]
        content = {"images": rows, "annotations": [], "categories": []}
        put(folder, {"a.png": picture(0), "labels.json": text(content)})
        put(folder.parent, {"secret.png": picture(1)})

    return make


for where in ("../secret.png", "/etc/passwd", "C:\\secret.png", "\\\\host\\secret.png",
              "http://host/secret.png", "x/../../secret.png"):  # fmt: skip
    add(Case(f"label file names {where}", outside(where), findings={"path outside the folder": 1}))
for where in ("", ".", "labels.json", "a" * 5000, "a\x00b.png", "gone.png"):
    add(Case(f"label file names {where[:20]!r}", outside(where), findings={"missing image": 1}))

SMALL = encoded(np.ones((5, 7), np.uint8))
add(Case("mask of another size", sample("index_png", {"masks/a.png": SMALL}),
         images=3, excluded=1,
         findings={"mis-sized mask": 1, "class without images": 1}))  # fmt: skip
add(Case("mask in colours", sample("index_png", {"masks/a.png": picture(0, colour=True)}),
         images=3, excluded=1, findings={"unreadable labels": 1}))  # fmt: skip
add(Case("mask of zero bytes", sample("index_png", {"masks/a.png": b""}),
         images=3, excluded=1, findings={"unreadable labels": 1}))  # fmt: skip
add(Case("no mask is readable", sample("index_png", {"masks/a.png": b"", "masks/b.png": b"x"}),
         refused=("masks/", "not a readable image")))  # fmt: skip
add(Case("masks are photographs", sample("index_png", {"masks/a.png": picture(5)}),
         refused=("different values", "save them as PNG")))  # fmt: skip
add(Case("VOC palette value out of range", sample("pascal_voc", {
    "SegmentationClass/b.png": mask(200, palette=True)}), images=3,
    findings={"box only": 2}))  # fmt: skip
add(Case("names without a class in classes.txt", sample("index_png", {"classes.txt": b"\n\n"}),
         images=3, findings={}))  # fmt: skip
add(Case("300 classes", lambda folder: put(folder, {
    f"class{i:03d}/a.png": picture(0) for i in range(300)}),
    refused=("300 classes", "at most 254")))  # fmt: skip
add(Case("a class with one image", lambda folder: put(folder, {
    "good/a.png": picture(0), "good/b.png": picture(1), "dent/c.png": picture(2)}),
    images=3, findings={}, labels=("dent",)))  # fmt: skip
NO_CUTS = {"test/cut/000.png": b"", "test/cut/001.png": b""}
add(Case("a class without images", sample("mvtec", NO_CUTS), images=2,
         findings={"unreadable image": 2, "class without images": 1}))  # fmt: skip

for what, data in {
    "damaged": b"MATLAB 5.0 MAT-file" + bytes(107) + b"\x00\x01IM" + b"\x0e\x00\x00\x00\xff\xff",
    "a pickle": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
    "version 7.3": b"MATLAB 7.3 MAT-file" + bytes(105) + b"\x00\x02IM",
}.items():
    add(Case(f"MAT-file: {what}", sample("crackforest", {"groundTruth/001.mat": data}), images=2,
             excluded=1, findings={"unreadable labels": 1}))  # fmt: skip

TAG = struct.pack("<II", 2, HEIGHT * WIDTH)
for what, new in (("unknown", 8), ("an array in an array of numbers", 14)):  # scipy reads NULL
    data = SAMPLES["crackforest"][0]()["groundTruth/001.mat"]
    data = data.replace(TAG, struct.pack("<II", new, HEIGHT * WIDTH))
    add(Case(f"MAT-file: type of values is {what}",
             sample("crackforest", {"groundTruth/001.mat": data}), images=2, excluded=1,
             findings={"unreadable labels": 1}))  # fmt: skip

FLAGS, COMPLEX = (struct.pack("<IIII", 6, 8, flags, 0) for flags in (9, 0x809))
add(Case("MAT-file: complex numbers without an imaginary part", sample("crackforest", {
    "groundTruth/001.mat": SAMPLES["crackforest"][0]()["groundTruth/001.mat"].replace(
        FLAGS, COMPLEX)}), images=2, excluded=1, findings={"unreadable labels": 1}))  # fmt: skip

for what, row in {
    "short row": b"MT_Crack/Imgs/exp1_num_1.jpg,crack",
    "fold is a superscript": "MT_Crack/Imgs/exp1_num_1.jpg,crack,v,p,²,".encode(),
    "fold of 5,000 digits": b"MT_Crack/Imgs/exp1_num_1.jpg,crack,v,p," + b"1" * 5000 + b",",
    "long row": b"MT_Crack/Imgs/exp1_num_1.jpg,crack,v,p,0,,more,and,more",
}.items():
    data = b"image,class,view,part,fold,note\n" + row + b"\n"
    add(Case(f"tiles.csv: {what}", sample("magnetic_tile", {"tiles.csv": data}), images=2,
             findings={"no part": 1, "class without images": 4}, labels=("crack",)))  # fmt: skip
add(Case("tiles.csv: a cell of 200,000 characters", sample("magnetic_tile", {
    "tiles.csv": b"image,class\n" + b"x" * 200_000}),
    refused=("tiles.csv", "no CSV table", "field limit")))  # fmt: skip
