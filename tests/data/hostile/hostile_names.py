"""File names that other systems, terminals and pages do not like."""

import os
from pathlib import Path

from fuzz_files import picture
from hostile_registry import Case, add, imported, put, refused

NAMES = {
    "a new line": "a\nb",
    "an emoji": "😀",
    "Chinese": "裂纹",
    "a leading dash": "-rf",
    "a trailing dot": "a.",
    "spaces around": " a ",
    "an escape sequence": "\x1b[2J\x1b[31m",
    "HTML": "<img src=x onerror=alert(1)>",
    "quotes": "a'\"`$(id)",
    "a reserved name": "CON",
    "a percent sign": "a%2Fb%00",
    "a bracket": "[red]a[/red]",
    "a backslash": "a\\b",
    "240 characters": "a" * 240,
    "80 Chinese characters": "裂" * 80,
    "right-to-left override": "a\u202egnp",
    "many dots": "a....b",
    "a split of Hugging Face": "train",
    "a word for masks": "mask",
    "a lone asterisk": "*?|",
}  # fmt: skip
for what, name in NAMES.items():

    def make(folder: Path, name: str = name) -> None:
        put(folder, {f"OK/{name}.png": picture(0), f"{name[:200]}x/b.png": picture(1)})

    add(Case(f"names with {what}", make, images=2))


@imported("long Chinese names in two folders", {}, images=2)
def long_names(folder: Path) -> None:
    put(folder, {f"{c}{'裂' * 60}/{'纹' * 80}.png": picture(i) for i, c in enumerate("ab")})


@imported("names in GBK", {}, images=2)
def gbk(folder: Path) -> None:
    for i, name in enumerate(("裂纹", "良品")):
        parent = os.path.join(os.fsencode(folder), name.encode("gbk"))
        os.mkdir(parent)
        with open(os.path.join(parent, "图.png".encode("gbk")), "wb") as stream:
            stream.write(picture(i))


@imported("names that differ in case only", {}, images=3)
def case(folder: Path) -> None:
    put(folder, {"OK/A.png": picture(0), "OK/a.png": picture(1), "dent/b.png": picture(2)})


@imported("classes that differ in case only", {}, images=3, labels=("Dent",))
def class_case(folder: Path) -> None:
    files = {"Dent/a.png": picture(0), "dent/b.png": picture(1), "good/c.png": picture(2)}
    put(folder, files)


@imported("composed and decomposed names", {}, images=3)
def composed(folder: Path) -> None:
    put(folder, {"OK/\u00e9.png": picture(0), "OK/e\u0301.png": picture(1)})
    put(folder, {"dent/b.png": picture(2)})


@imported("hidden files", {}, images=2)
def hidden(folder: Path) -> None:
    put(folder, {"OK/a.png": picture(0), "dent/b.png": picture(1), ".git/c.png": b"x"})
    put(folder, {"OK/._a.png": b"Mac OS X", "OK/.DS_Store": b"x"})


@refused("hidden files only", "has no files", "give the folder")
def hidden_only(folder: Path) -> None:
    put(folder, {".a.png": picture(0)})


@imported("class called good in capitals", {}, images=2, labels=())
def capitals(folder: Path) -> None:
    put(folder, {"GOOD/a.png": picture(0), "x/b.png": picture(1)})


@imported("class called ignore", {"class without images": 0}, images=2, labels=())
def ignore(folder: Path) -> None:
    put(folder, {"ignore/a.png": picture(0), "OK/b.png": picture(1)})


@imported("data set called with new lines", {}, images=2, options={"name": "a\nb\x1b[2J" * 50})
def data_set_name(folder: Path) -> None:
    put(folder, {"OK/a.png": picture(0), "dent/b.png": picture(1)})
