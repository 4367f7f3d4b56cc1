"""A small valid folder in every import format, as file names and bytes, for `fuzz_import`."""

import base64
import io
import json
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 12, 16
SQUARE = [[4, 3], [9, 3], [9, 7], [4, 7]]

Files = dict[str, bytes]
"""Path in the folder, and content."""


def picture(seed: int, suffix: str = ".png", *, colour: bool = False, deep: bool = False) -> bytes:
    """Return a picture of noise as the file type of the suffix."""
    shape = (HEIGHT, WIDTH, 3) if colour else (HEIGHT, WIDTH)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return encoded(pixels.astype(np.uint16) * 16 if deep else pixels, suffix)


def encoded(pixels: np.ndarray, suffix: str = ".png") -> bytes:
    """Return pixels as an image file."""
    stream = io.BytesIO()
    kinds = {".png": "PNG", ".jpg": "JPEG", ".bmp": "BMP", ".tif": "TIFF"}
    Image.fromarray(pixels).save(stream, kinds[suffix.lower()])
    return stream.getvalue()


def mask(value: int = 255, *, palette: bool = False, suffix: str = ".png") -> bytes:
    """Return a mask with a rectangle of one value."""
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[3:7, 4:9] = value
    if not palette:
        return encoded(values, suffix)
    image = Image.fromarray(values, mode="P")
    image.putpalette([7 * i % 256 for i in range(768)])
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def text(content: object) -> bytes:
    """Return a value as JSON."""
    return json.dumps(content).encode()


def voc(*names: str, file: str = "") -> bytes:
    """Return a Pascal VOC file with a box of each class."""
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>3</xmin><ymin>2</ymin><xmax>6</xmax>"
        "<ymax>4</ymax></bndbox></object>"
        for name in names
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>1</depth></size>"
    return f"<annotation><filename>{file}</filename>{size}{objects}</annotation>".encode()


def class_folders() -> Files:
    """Return three classes and four file types, one in an archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("dent/z.png", picture(9))
        archive.writestr("dent/z2.png", picture(8))
    return {
        "OK/a.png": picture(0),
        "OK/b.bmp": picture(1, ".bmp"),
        "scratch/c.jpg": picture(2, ".jpg", colour=True),
        "scratch/d.tif": picture(3, ".tif", deep=True),
        "more.zip": stream.getvalue(),
    }


def index_png() -> Files:
    """Return masks with two classes and an ignored pixel."""
    return {
        "images/a.png": picture(0),
        "images/b.jpg": picture(1, ".jpg"),
        "good/c.png": picture(2),
        "masks/a.png": mask(1, palette=True),
        "masks/b.png": mask(2),
        "classes.txt": b"background\ndent\ncrack\n",
    }


def class_masks() -> Files:
    """Return a mask folder for each class."""
    return {
        "images/a.png": picture(0),
        "images/b.png": picture(1, colour=True),
        "masks/crack/a.png": mask(),
        "masks/dent/b.png": mask(1),
        "masks/dent/a_mask.png": mask(255),
    }


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


def mvtec() -> Files:
    """Return good and defective images with their masks."""
    return {
        "train/good/000.png": picture(0),
        "test/good/000.png": picture(1),
        "test/cut/000.png": picture(2),
        "test/cut/001.png": picture(3),
        "ground_truth/cut/000_mask.png": mask(),
        "ground_truth/cut/001/000.png": mask(40),
    }


def visa() -> Files:
    """Return a normal and an anomalous image."""
    return {
        "pcb/Data/Images/Normal/0.JPG": picture(0, ".jpg"),
        "pcb/Data/Images/Anomaly/1.JPG": picture(1, ".jpg"),
        "pcb/Data/Masks/Anomaly/1.png": mask(3),
    }


def btad() -> Files:
    """Return an ok and a ko image."""
    return {
        "01/train/ok/0.bmp": picture(0, ".bmp"),
        "01/test/ko/1.bmp": picture(1, ".bmp"),
        "01/ground_truth/ko/1.png": mask(),
    }


def kolektor() -> Files:
    """Return two images of a commutator."""
    return {
        "kos01/Part0.jpg": picture(0, ".jpg"),
        "kos01/Part0_label.bmp": mask(suffix=".bmp"),
        "kos01/Part1.jpg": picture(1, ".jpg"),
        "kos01/Part1_label.bmp": mask(0, suffix=".bmp"),
    }


def magnetic_tile() -> Files:
    """Return tiles with a table."""
    table = (
        "image,class,view,part,fold,note\n"
        "MT_Crack/Imgs/exp1_num_1.jpg,crack,exp1,t1,0,\n"
        "MT_Free/Imgs/exp2_num_2.jpg,free,exp2,t2,1,odd\n"
    )
    return {
        "MT_Crack/Imgs/exp1_num_1.jpg": picture(0, ".jpg"),
        "MT_Crack/Imgs/exp1_num_1.png": mask(),
        "MT_Free/Imgs/exp2_num_2.jpg": picture(1, ".jpg"),
        "MT_Free/Imgs/exp2_num_2.png": mask(0),
        "tiles.csv": table.encode(),
    }


def neu() -> Files:
    """Return two classes with boxes."""
    return {
        "IMAGES/crazing_1.jpg": picture(0, ".jpg"),
        "IMAGES/patches_1.jpg": picture(1, ".jpg"),
        "ANNOTATIONS/crazing_1.xml": voc("crazing"),
        "ANNOTATIONS/patches_1.xml": voc("patches"),
    }


def crackforest() -> Files:
    """Return a plain and a compressed label file."""
    from scipy.io import savemat

    values = np.ones((HEIGHT, WIDTH), np.uint8)
    values[3:7, 4:9] = 2
    files = {"image/001.jpg": picture(0, ".jpg"), "image/002.jpg": picture(1, ".jpg")}
    for number, compressed in (("001", False), ("002", True)):
        stream = io.BytesIO()
        content = {"groundTruth": {"Segmentation": values, "Boundaries": values}}
        savemat(stream, content, do_compression=compressed)
        files[f"groundTruth/{number}.mat"] = stream.getvalue()
    return files


def codebrim() -> Files:
    """Return crops with several classes and one of the background."""

    def crop(tag: str, name: str, *on: str) -> str:
        names = ("Background", "Crack", "Spallation", "ExposedBars")
        values = "".join(f"<{n}>{int(n in on)}</{n}>" for n in names)
        return f'<{tag} name="{name}">{values}</{tag}>'

    defects = crop("Defect", "image_0000001_crop_0000001.png", "Crack", "ExposedBars")
    background = crop("Background", "image_0000002_crop_0000001.png", "Background")
    return {
        "defects/image_0000001_crop_0000001.png": picture(0, colour=True),
        "background/image_0000002_crop_0000001.png": picture(1, colour=True),
        "metadata/defects.xml": f"<Annotation>{defects}</Annotation>".encode(),
        "metadata/background.xml": f"<Annotation>{background}</Annotation>".encode(),
    }


def dagm() -> Files:
    """Return a defective and a good image."""
    return {
        "Class1/Train/0576.PNG": picture(0),
        "Class1/Train/0577.PNG": picture(1),
        "Class1/Train/Label/0576_label.PNG": mask(),
        "Class1/Train/Label/Labels.txt": b"1\n576\t1\t0576.PNG\t0\t0576_label.PNG\n",
    }


def elpv() -> Files:
    """Return cells with three probabilities."""
    table = "images/a.png  0.0  mono\nimages/b.png  1.0  poly\nimages/c.png,0.33,mono\n"
    return {
        "images/a.png": picture(0),
        "images/b.png": picture(1),
        "images/c.png": picture(2),
        "labels.csv": table.encode(),
    }


def sd_saliency_900() -> Files:
    """Return the three classes."""
    images = {
        f"Source Images/{n}.bmp": picture(i, ".bmp") for i, n in enumerate(("In_1", "Pa_2", "Sc_3"))
    }
    return {**images, **{f"Ground truth/{n}.png": mask() for n in ("In_1", "Pa_2", "Sc_3")}}


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


SAMPLES: dict[str, list[Callable[[], Files]]] = {
    make.__name__: [make]
    for make in (
        btad, class_folders, class_masks, coco, codebrim, crackforest, cvat, dagm, elpv,
        hugging_face, index_png, kolektor, label_studio, labelme, magnetic_tile, mvtec, neu,
        pascal_voc, sd_saliency_900, supervisely, visa, yolo,
    )
}  # fmt: skip
"""Sample folders of each format; one with several takes turns."""

SAMPLES["cvat"].append(cvat_video)
SAMPLES["hugging_face"] += [hugging_face_csv, hugging_face_parquet]
