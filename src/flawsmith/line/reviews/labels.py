"""What a review says of an image as a label: good, a mask, a class somewhere, or nothing usable."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from flawsmith.data.images import LabelArray
from flawsmith.data.schema import IGNORE, Schema
from flawsmith.inspection.regions import Region
from flawsmith.line.results import ImageInspection, Verdict
from flawsmith.line.reviews.reviews import final_verdict
from flawsmith.line.store.part_record import PartRecord, Review

ELSEWHERE = "another view shows the defect of this part; nobody said what this one shows"
SOME_VIEW = "the part is defective; nobody said which of its views shows it"
NO_CLASS = "the part is defective; nobody said of which class"


@dataclass(frozen=True)
class ImageLabel:
    """The label of one image.

    Attributes:
        names: classes it shows.
        outlined: confirmed regions with an outline, to draw with their class.
        unsure: regions that nobody confirmed or denied, or whose outline is not exact: ignored.
        weak: of ``names``, those whose place is not known.
        excluded: why it is neither trained on nor tested.
    """

    names: list[str] = field(default_factory=list)
    outlined: list[Region] = field(default_factory=list)
    unsure: list[Region] = field(default_factory=list)
    weak: list[str] = field(default_factory=list)
    excluded: str | None = None


def label_part(record: PartRecord) -> list[ImageLabel] | None:
    """Return the label of each image of a part; None while no review has decided.

    A person decides on parts, not on regions. What the first stage found is taken as confirmed
    where the person agreed that the part is defective: the regions of the class that was named, or
    without one those that the verdict gives as its reasons.
    """
    decision = final_verdict(record.reviews)
    if decision is None:
        return None
    if decision is Verdict.PASS:
        return [ImageLabel() for _ in record.images]
    confirmed = [_confirmed(record, image) for image in record.images]
    return list(_defective(record, _last(record).defect_class, confirmed))


def draw(label: ImageLabel, height: int, width: int, schema: Schema) -> LabelArray:
    """Return H x W indices: the outlined regions, 255 where nobody knows, 0 elsewhere.

    A region's holes are filled, as its outline is the outer one.
    """
    indices = np.zeros((height, width), np.uint8)
    if label.weak and not label.outlined:
        indices[:] = IGNORE
        return indices
    for region in label.unsure:
        _fill(indices, region, IGNORE)
    for region in label.outlined:
        _fill(indices, region, schema.defect(region.class_name).id)
    return indices


def _last(record: PartRecord) -> Review:
    return next(r for r in reversed(record.reviews) if r.verdict is not Verdict.REVIEW)


def _confirmed(record: PartRecord, image: ImageInspection) -> list[Region]:
    """Return the regions of an image that the person agreed with."""
    if record.verdict.verdict is Verdict.PASS:
        return []
    said = _last(record).defect_class
    if said is not None:
        return [r for r in image.regions if r.class_name.casefold() == said.casefold()]
    positions = {
        position
        for reason in record.verdict.reasons
        if reason.view == image.view
        for position in reason.regions
    }
    return [region for n, region in enumerate(image.regions) if n in positions]


def _defective(
    record: PartRecord, said: str | None, confirmed: list[list[Region]]
) -> Iterator[ImageLabel]:
    shown = [
        [region for region in found if has_outline(region, image)]
        for found, image in zip(confirmed, record.images, strict=True)
    ]
    names = [said] if said else sorted({r.class_name for found in confirmed for r in found})
    for image, found, outlined in zip(record.images, confirmed, shown, strict=True):
        if outlined:
            unsure = [region for region in image.regions if region not in outlined]
            known = {region.class_name for region in outlined}
            weak = sorted({region.class_name for region in found} - known)
            yield ImageLabel([*sorted(known), *weak], outlined, unsure, weak)
        elif any(shown):
            yield ImageLabel(excluded=ELSEWHERE)
        elif not names:
            yield ImageLabel(excluded=NO_CLASS)
        else:
            reason = SOME_VIEW if len(record.images) > 1 else None
            yield ImageLabel(names, weak=names, excluded=reason)


def has_outline(region: Region, image: ImageInspection) -> bool:
    """Tell whether a region can be drawn: it has an outline, and that lies in the image."""
    inside = all(0 <= x < image.width and 0 <= y < image.height for x, y in region.polygon)
    return bool(region.polygon) and not region.polygon_is_hull and inside


def _fill(indices: LabelArray, region: Region, value: int) -> None:
    height, width = indices.shape
    corners = np.array(region.polygon, np.int64).reshape(-1, 2)
    if len(corners) and (corners >= 0).all() and (corners < (width, height)).all():
        cv2.fillPoly(indices, [corners.astype(np.int32)], value)
        return
    x, y, w, h = region.box
    indices[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] = value
