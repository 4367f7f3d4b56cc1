"""What `flawsmith.data.checks.check` reports, as plain data."""

from typing import Literal

from flawsmith.config import StrictModel

SMALL_REGION_PX = 20
"""Regions whose box is shorter on both sides are small: counted, reported, never dropped."""

Kind = Literal[
    "unreadable_image",
    "changed_file",
    "image_size",
    "bit_depth",
    "missing_mask",
    "unreadable_mask",
    "mask_size",
    "mask_value",
    "empty_mask",
    "label_not_in_mask",
    "mask_not_in_labels",
    "unknown_label",
    "orphaned_image",
    "orphaned_mask",
    "duplicate_image",
    "empty_class",
    "several_sizes",
    "several_pixel_types",
    "views_disagree",
    "excluded",
    "misaligned_mask",
    "similar_class_names",
    "views_in_two_parts",
    "suggested_part",
    "view_labels_differ",
    "tiny_regions",
    "out_of_focus",
    "badly_exposed",
    "meaningless_class_name",
]

Box = tuple[int, int, int, int]
"""(x0, y0, x1, y1) in pixels, ends excluded."""

INFORMATION: frozenset[Kind] = frozenset(
    {
        "empty_class",
        "several_sizes",
        "several_pixel_types",
        "views_disagree",
        "excluded",
        "suggested_part",
        "view_labels_differ",
        "tiny_regions",
        "out_of_focus",
        "badly_exposed",
        "meaningless_class_name",
    }
)
"""Kinds that are worth knowing and call for no repair; all others are problems."""


class Finding(StrictModel):
    """Something that a person should know or repair.

    Attributes:
        file: relative to the data set's folder; empty if it concerns the whole set.
        others: further files that it is about, such as the other views of the part.
        box: the place in the image, (x0, y0, x1, y1) in pixels, ends excluded; None for all of it.
    """

    kind: Kind
    file: str
    message: str
    others: list[str] = []
    box: Box | None = None

    @property
    def is_problem(self) -> bool:
        """Whether something should be repaired."""
        return self.kind not in INFORMATION


class Spread(StrictModel):
    """Smallest, middle and largest of some sizes."""

    minimum: float
    median: float
    maximum: float


class SmallestRegion(StrictModel):
    """Where the smallest region of a class is: area in pixels, centre in pixels from top left."""

    file: str
    area_px: int
    x: float
    y: float


class ClassFigures(StrictModel):
    """Figures of one defect class over the images in use.

    Attributes:
        regions: 8-connected components; None in a set that has labels without masks, as are the
            sizes. Sizes are None too if there is no region, and in mm without a pixel size.
        diameter_px: of the circle of equal area.
        small_share: share of regions whose box is under `SMALL_REGION_PX` pixels on both sides.
        small_image_share: of the images with regions of this class, those with only such ones.
    """

    name: str
    images: int
    parts: int
    regions: int | None = None
    area_px: Spread | None = None
    area_mm2: Spread | None = None
    diameter_px: Spread | None = None
    diameter_mm: Spread | None = None
    smallest: SmallestRegion | None = None
    small_share: float | None = None
    small_image_share: float | None = None


class CheckReport(StrictModel):
    """What is in a data set.

    Attributes:
        images: all records: good, defective and excluded.
        views: different names of views, such as exposures or cameras.
        views_per_part: images in use of each part.
        image_level: there are labels and no masks at all.
        imbalance_images: images of the largest class / images of the smallest that has any.
        imbalance_parts: the same for parts.
        sizes: images by "width x height".
        pixel_types: images by "8-bit grey" and the like.
        compared: whether it is known which images look like one piece.
    """

    name: str
    simulated: bool
    images: int
    synthetic_images: int
    excluded_images: int
    parts: int
    views: int
    views_per_part: Spread | None
    good_images: int
    good_parts: int
    defective_images: int
    defective_parts: int
    image_level: bool
    imbalance_images: float | None
    imbalance_parts: float | None
    sizes: dict[str, int]
    pixel_types: dict[str, int]
    compared: bool = True
    classes: list[ClassFigures]
    findings: list[Finding]

    @property
    def problems(self) -> list[Finding]:
        """Findings that call for a repair."""
        return [finding for finding in self.findings if finding.is_problem]
