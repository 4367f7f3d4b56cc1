"""A small valid folder in every import format, as file names and bytes, for `fuzz_import`."""

import io
import zipfile
from collections.abc import Callable

import numpy as np
from fuzz_files import HEIGHT, WIDTH, Files, mask, picture, voc
from fuzz_tools import (
    coco,
    cvat,
    cvat_video,
    hugging_face,
    hugging_face_csv,
    hugging_face_parquet,
    label_studio,
    labelme,
    pascal_voc,
    supervisely,
    yolo,
)


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
