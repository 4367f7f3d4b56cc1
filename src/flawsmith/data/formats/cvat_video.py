"""CVAT for video 1.1: tracks of shapes over numbered frames, brought into the form "for images".

The export has every frame of a track between its key frames (CVAT, ``dump_as_cvat_interpolation``).
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from flawsmith.data.formats.base import Source
from flawsmith.data.formats.folder import SourceFolder

FRAME = re.compile(r"(?:.*?[_\-. ])?(\d+)")


@dataclass(frozen=True)
class Frame:
    """An image of a video, with its shapes as CVAT writes them for images."""

    image: str
    entry: Element
    part: str


def is_video(root: Element) -> bool:
    """Tell whether it is "for video": it has tracks, or says so and has none."""
    if root.tag != "annotations" or root.find("image") is not None:
        return False
    modes = [root.findtext(f"meta/{kind}/mode", "") for kind in ("task", "job")]
    return root.find("track") is not None or "interpolation" in modes


def read_frames(folder: SourceFolder, file: str, root: Element, source: Source) -> Iterator[Frame]:
    """Yield the frames of a file that lie in the folder; the others are findings.

    Frames between the first and the last of the task without a shape are good.
    """
    part = _name(root) or posixpath.splitext(file)[0]
    shapes = _shapes_by_frame(root, file, source)
    images = _numbered_images(folder, file, source)
    first, last = _extent(root)
    width = root.findtext("meta/*/original_size/width") or root.findtext("meta/original_size/width")
    height = root.findtext("meta/*/original_size/height")
    for number in sorted({*shapes, *(n for n in images if first <= n <= last)}):
        entry = Element("image", {"width": width or "", "height": height or ""})
        entry.extend(shapes.get(number, []))
        if number in images:
            yield Frame(images[number], entry, part)
        elif shapes.get(number):
            source.find("missing image", file, f"has labels for frame {number}, which is not there")
    source.notes.append(
        f"All frames of {file} are views of one part, '{part}', and stay in one fold. If the video "
        "shows several pieces, say with --part-pattern which frames belong together."
    )


def _shapes_by_frame(root: Element, file: str, source: Source) -> dict[int, list[Element]]:
    """Return the visible shapes of each frame, with the label of their track."""
    found: dict[int, list[Element]] = {}
    for track in root.iterfind("track"):
        for shape in track:
            try:
                number = int(shape.get("frame", ""))
            except ValueError:
                reason = f"track {track.get('id')} has a {shape.tag} without a frame number"
                source.find("unreadable labels", file, f"{reason}; skipped")
                continue
            if shape.get("outside") == "1":
                continue
            drawn = Element(shape.tag, {**shape.attrib, "label": track.get("label", "")})
            found.setdefault(number, []).append(drawn)
    return found


def _numbered_images(folder: SourceFolder, file: str, source: Source) -> dict[int, str]:
    """Return the frames beside the file or in images/ by the number at the end of their names."""
    home = posixpath.dirname(file)
    near = [image for image in folder.images if image.startswith(f"{home}/" if home else "")]
    found: dict[int, str] = {}
    for image in near:
        match = FRAME.fullmatch(posixpath.splitext(posixpath.basename(image))[0])
        if match is None:
            continue
        if int(match[1]) in found:
            reason = f"{found[int(match[1])]} has the same frame number; that one is taken"
            source.find("listed twice", image, reason)
            continue
        found[int(match[1])] = image
    return found


def _name(root: Element) -> str:
    names = (root.findtext(f"meta/{kind}/name", "").strip() for kind in ("task", "job"))
    return next((name for name in names if name), "")


def _extent(root: Element) -> tuple[float, float]:
    """Return the first and the last frame; from 0 on, without end, where nobody says."""
    ends: list[float] = []
    for key, otherwise in (("start_frame", 0.0), ("stop_frame", float("inf"))):
        text = root.findtext(f"meta/task/{key}") or root.findtext(f"meta/job/{key}") or ""
        ends.append(float(text) if text.strip().isdecimal() else otherwise)
    return ends[0], ends[1]
