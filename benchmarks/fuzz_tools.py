"""A small valid export of every annotation tool, as file names and bytes."""

import base64
import io
import zlib

import numpy as np
from fuzz_files import HEIGHT, SQUARE, WIDTH, Files, encoded, mask, picture, text, voc


def coco() -> Files:
    """Return polygons, both kinds of run lengths, a crowd and a box."""
    common = {"height": HEIGHT, "width": WIDTH}
    flat = [float(v) for point in SQUARE for v in point]
    full = HEIGHT * WIDTH
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [flat], "iscrowd": 0,
         "bbox": [4, 3, 5, 4], "area": 20.0},
        {"id": 2, "image_id": 2, "category_id": 2, "iscrowd": 1,
         "segmentation": {"size": [HEIGHT, WIDTH], "counts": [20, 10, full - 30]}},
        {"id": 3, "image_id": 2, "category_id": 2, "iscrowd": 0,
         "segmentation": {"size": [HEIGHT, WIDTH], "counts": "d0:b5"}},
        {"id": 4, "image_id": 1, "category_id": 2, "bbox": [1, 1, 3, 3]},
    ]  # fmt: skip
    content = {
        "images": [
            {"id": 1, "file_name": "a.png", **common},
            {"id": 2, "file_name": "b.jpg", **common},
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "dent"}, {"id": 2, "name": "crack"}],
    }
    return {
        "images/a.png": picture(0),
        "images/b.jpg": picture(1, ".jpg"),
        "labels.json": text(content),
    }


def yolo() -> Files:
    """Return a polygon, a box, a detector's box and a good image."""
    return {
        "images/a.png": picture(0),
        "images/b.png": picture(1),
        "images/c.png": picture(2),
        "labels/a.txt": b"0 0.25 0.25 0.5 0.25 0.5 0.5\n1 0.5 0.5 0.25 0.25\n",
        "labels/b.txt": b"1.0 0.5 0.5 0.25 0.25 0.9\n",
        "labels/c.txt": b"",
        "data.yaml": b"path: .\nnc: 2\nnames:\n  0: dent\n  1: 'crack'\n",
    }


def labelme() -> Files:
    """Return every kind of shape, and an embedded image."""
    tiny = base64.b64encode(encoded(np.full((3, 3), 255, np.uint8))).decode()
    kinds = [
        ("polygon", SQUARE, {}),
        ("rectangle", SQUARE[::2], {}),
        ("circle", SQUARE[:2], {}),
        ("linestrip", SQUARE[:3], {"line_width": 2}),
        ("point", SQUARE[:1], {}),
        ("mask", [[2, 2], [4, 4]], {"mask": tiny}),
    ]
    shapes = [
        {"label": f"c{i}", "points": points, "shape_type": kind, **more}
        for i, (kind, points, more) in enumerate(kinds)
    ]
    common = {"version": "5.0", "imageHeight": HEIGHT, "imageWidth": WIDTH}
    data = base64.b64encode(picture(5)).decode()
    return {
        "a.png": picture(0),
        "a.json": text({**common, "shapes": shapes, "imagePath": "a.png", "imageData": None}),
        "b.json": text({**common, "shapes": [], "imagePath": "b.png", "imageData": data}),
    }


def pascal_voc() -> Files:
    """Return boxes, an index mask and a mask in colours."""
    return {
        "JPEGImages/a.jpg": picture(0, ".jpg"),
        "JPEGImages/b.png": picture(1),
        "JPEGImages/c.png": picture(2),
        "Annotations/a.xml": voc("dent", "crack", file="a.jpg"),
        "Annotations/c.xml": voc(file="c.png"),
        "SegmentationClass/b.png": mask(1, palette=True),
        "labelmap.txt": b"background:0,0,0::\ndent:128,0,0::\ncrack:0,128,0::\n",
    }


def cvat() -> Files:
    """Return every kind of shape in CVAT's XML for images."""
    items = (
        '<polygon label="dent" points="4,3;8,3;8,6" z_order="1"/>'
        '<box label="crack" xtl="1" ytl="1" xbr="5" ybr="4" rotation="30"/>'
        '<polyline label="dent" points="0,0;9,9"/><points label="crack" points="3,3"/>'
        '<ellipse label="dent" cx="6" cy="6" rx="3" ry="2" rotation="10"/>'
        '<mask label="crack" rle="2, 2" left="1" top="1" width="2" height="2"/><tag label="ok"/>'
    )
    size = f'width="{WIDTH}" height="{HEIGHT}"'
    images = f'<image id="0" name="a.png" {size}>{items}</image><image id="1" name="b.png" {size}/>'
    xml = f"<annotations><version>1.1</version>{images}</annotations>"
    return {
        "images/a.png": picture(0),
        "images/b.png": picture(1),
        "annotations.xml": xml.encode(),
    }


def cvat_video() -> Files:
    """Return two frames with tracks in CVAT's XML for video."""
    box = '<box frame="{0}" outside="{1}" keyframe="1" xtl="1" ytl="1" xbr="5" ybr="4"/>'
    polygon = '<polygon frame="1" outside="0" keyframe="1" points="4,3;8,3;8,6"/>'
    tracks = (
        f'<track id="0" label="dent">{box.format(0, 0)}{box.format(1, 1)}</track>'
        f'<track id="1" label="crack">{polygon}</track>'
    )
    size = f"<original_size><width>{WIDTH}</width><height>{HEIGHT}</height></original_size>"
    meta = f"<meta><task><size>2</size><mode>interpolation</mode>{size}</task></meta>"
    xml = f"<annotations><version>1.1</version>{meta}{tracks}</annotations>"
    frames = {f"images/frame_00000{i}.png": picture(i) for i in range(2)}
    return {**frames, "annotations.xml": xml.encode()}


def label_studio() -> Files:
    """Return a polygon, a rectangle, an ellipse, a choice and a brush stroke."""
    common = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    bits = f"{HEIGHT * WIDTH * 4:032b}" + "00111" + "1111" * 4 + "1" + "00"
    bits += f"{HEIGHT * WIDTH * 4 - 1:016b}" + "11111111"
    bits += "0" * (-len(bits) % 8)
    stroke = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    values = [
        ("polygonlabels", {"points": [[20, 20], [60, 20], [60, 60]]}),
        ("rectanglelabels", {"x": 10, "y": 10, "width": 30, "height": 20, "rotation": 10}),
        ("ellipselabels", {"x": 50, "y": 50, "radiusX": 20, "radiusY": 10, "rotation": 0}),
        ("brushlabels", {"format": "rle", "rle": stroke}),
        ("choices", {}),
    ]
    results = [
        {"id": f"r{i}", "type": kind, **common, "value": {**value, kind: ["dent"]}}
        for i, (kind, value) in enumerate(values)
    ]
    tasks = [
        {
            "id": i,
            "data": {"image": f"/data/upload/1/{name}"},
            "annotations": [{"id": i, "result": rows, "was_cancelled": False}],
        }
        for i, (name, rows) in enumerate([("a.png", results[:4]), ("b.png", results[4:])])
    ]
    return {"a.png": picture(0), "b.png": picture(1), "export.json": text(tasks)}


def supervisely() -> Files:
    """Return a polygon with a hole, a bitmap, a line, a rectangle and a point."""
    bitmap = np.zeros((4, 5, 4), np.uint8)
    bitmap[1:3, 1:3] = 255
    data = base64.b64encode(zlib.compress(encoded(bitmap))).decode()
    hole = [[[5, 4], [7, 4], [7, 6]]]

    def thing(kind: str, exterior: list[list[int]], interior: list[list[list[int]]]) -> object:
        points = {"exterior": exterior, "interior": interior}
        return {"classTitle": "dent", "geometryType": kind, "points": points}

    objects = [
        thing("polygon", SQUARE, hole),
        thing("line", SQUARE[:3], []),
        thing("rectangle", SQUARE[::2], []),
        thing("point", SQUARE[:1], []),
        {
            "classTitle": "crack",
            "geometryType": "bitmap",
            "bitmap": {"data": data, "origin": [2, 3]},
        },
    ]
    size = {"height": HEIGHT, "width": WIDTH}
    return {
        "ds/img/a.png": picture(0),
        "ds/img/b.png": picture(1),
        "ds/ann/a.png.json": text({"size": size, "objects": objects}),
        "ds/ann/b.png.json": text({"size": size, "objects": []}),
        "meta.json": text({"classes": [{"title": "dent"}, {"title": "crack"}]}),
    }


def hugging_face() -> Files:
    """Return an imagefolder with labels, masks and boxes."""
    rows = [
        {"file_name": "a.png", "mask_file_name": "masks/a.png", "label": "dent",
         "objects": {"bbox": [[1, 1, 3, 3]], "categories": [0]}},
        {"file_name": "b.jpg", "mask_file_name": None, "label": "good",
         "objects": {"bbox": [], "categories": []}},
    ]  # fmt: skip
    return {
        "train/a.png": picture(0),
        "train/b.jpg": picture(1, ".jpg"),
        "train/masks/a.png": mask(),
        "train/metadata.jsonl": b"\n".join(text(row) for row in rows) + b"\n",
    }


def hugging_face_csv() -> Files:
    """Return an imagefolder with a table of labels."""
    table = b"file_name,label\na.png,dent\nb.png,good\n"
    return {"a.png": picture(0), "b.png": picture(1), "metadata.csv": table}


def hugging_face_parquet() -> Files:
    """Return a shard with pictures, masks and labels."""
    import pyarrow
    import pyarrow.parquet

    def cell(data: bytes, path: str) -> dict[str, object]:
        return {"bytes": data, "path": path}

    table = pyarrow.table(
        {
            "image": [cell(picture(0), "a.png"), cell(picture(1, ".jpg"), "b.jpg")],
            "mask": [cell(mask(), "a_mask.png"), None],
            "label": [1, 0],
        }
    )
    stream = io.BytesIO()
    pyarrow.parquet.write_table(table, stream)
    return {"data/train-00000-of-00001.parquet": stream.getvalue()}
