"""Sources and outputs in the wrong place, links, and patterns that are wrong or never end."""

from pathlib import Path

from fuzz_files import picture
from hostile_registry import Case, add, imported, put, refused

GOOD = {"OK/a.png": picture(0), "dent/b.png": picture(1)}


def good(folder: Path) -> None:
    """Fill a folder with two classes."""
    put(folder, GOOD)


@refused("source is missing", "there is no folder", "gone")
def gone(folder: Path) -> Path:
    return folder / "gone"


@refused("source is a file", "is a file", "zip archive")
def file(folder: Path) -> Path:
    put(folder, {"a.txt": b"x"})
    return folder / "a.txt"


@refused("source is empty", "has no files", "give the folder")
def empty(folder: Path) -> None:
    (folder / "in/side").mkdir(parents=True)


@refused("source without pictures", "no known format", "1 .pdf", "--format")
def no_pictures(folder: Path) -> None:
    put(folder, {"a.pdf": b"%PDF"})


@refused("source is a data set already", "already", "data check")
def data_set(folder: Path) -> None:
    put(folder, {**GOOD, "dataset.toml": b"name = 'x'"})


@refused("several formats at once", "could be 2 formats", "--format")
def ambiguous(folder: Path) -> None:
    coco = b'{"images": [], "annotations": [], "categories": []}'
    put(folder, {"a.png": picture(0), "a.json": b'{"shapes": [], "imagePath": "a.png"}'})
    put(folder, {"b.json": coco})


@imported("links in a circle", {"linked twice": 1}, images=2)
def circle(folder: Path) -> None:
    put(folder, GOOD)
    (folder / "dent/loop").symlink_to(folder)


@imported("broken link", {"no file": 1}, images=2)
def broken(folder: Path) -> None:
    put(folder, GOOD)
    (folder / "OK/x.png").symlink_to("gone.png")


@imported("link to itself", {"no file": 1}, images=2)
def itself(folder: Path) -> None:
    put(folder, GOOD)
    (folder / "OK/x.png").symlink_to("x.png")


@imported("link to a text file outside", {"unreadable image": 1}, images=2)
def secret(folder: Path) -> None:
    put(folder, GOOD)
    (folder / "OK/x.png").symlink_to("/etc/passwd")


add(
    Case(
        "output is a file", good, refused=("exists already", "another place"), out="source/OK/a.png"
    )
)
add(Case("output is the source", good, refused=("exists already", "another place"), out="source"))
add(Case("output holds the source", good, refused=("exists already", "another place"), out="."))
add(
    Case(
        "output below a file", good, refused=("cannot write the data set",), out="source/OK/a.png/x"
    )
)
add(Case("unknown format", good, refused=("yolo", "did you mean"), options={"format": "yolo5"}))
add(Case("white level over the depth", good, refused=("--white-level 4095", "1 to 255"),
         options={"white_level": 4095}))  # fmt: skip

for what, pattern, words in (
    ("is no regular expression", "(a", ("no regular expression", "(a")),
    ("has no group", "OK", ("has no group", "parentheses")),
    ("matches nothing", "(zzz)", ("matches none of 2 images", "OK/a.png")),
    ("matches nothing but emptiness", "(z*)$", ("matches none of 2 images",)),
    ("never ends", r"^(([a-zA-Z/]+)+)\d$", ("did not end", "repeats")),
):
    long = {**GOOD, "OK/" + "a" * 100 + ".png": picture(2)} if what == "never ends" else GOOD
    add(Case(f"part pattern {what}", lambda folder, files=long: put(folder, files), refused=words,
             options={"part_pattern": pattern}))  # fmt: skip
    if what == "never ends":
        add(Case("class pattern never ends", lambda folder, files=long: put(folder, files),
                 refused=words, options={"class_pattern": pattern}))  # fmt: skip
