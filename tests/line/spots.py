"""A model that finds bright spots, rules for it, and pictures with and without them."""

import io

import numpy as np
from PIL import Image

from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.findings import Findings
from flawsmith.inspection.regions import find_regions
from flawsmith.line.rules import AcceptanceRules
from flawsmith.line.rules.rule_file import parse_rules

SCHEMA = Schema(
    name="spots", backgrounds=make_backgrounds(["plate"]), defects=make_defects(["spot"])
)
IDENTITY = "0" * 64


class SpotModel:
    """Calls every pixel above 200 a spot, with the measuring code of production."""

    def __init__(self):
        self.calls = 0

    def inspect(self, image):
        self.calls += 1
        if image.ndim != 2 or image.dtype != np.uint8:
            raise FlawsmithError(f"an image of {image.dtype} {image.shape}; expected 8-bit grey")
        found = (image > 200).astype(np.uint8)
        scores = np.stack([1 - found, found]).astype(np.float32)
        regions = find_regions(found, scores, SCHEMA)
        return Findings(regions=regions, width=image.shape[1], height=image.shape[0])


def rules(*views, timeout=None, **values):
    """Return rules that fail a part with any spot."""
    part = {"views": list(views)} | ({"timeout_seconds": timeout} if timeout else {})
    every = [{"name": "any spot", "type": "spot", "verdict": "FAIL"}]
    return AcceptanceRules(parse_rules({"part": part, "rules": every, **values}, source="test"))


def pixels(seed=0, *, spot=False):
    """Return 24 x 32 grey pixels that no other seed has."""
    image = np.random.default_rng(seed).integers(20, 90, (24, 32), np.uint8)
    if spot:
        image[8:12, 10:16] = 250
    return image


def png(seed=0, *, spot=False, form="PNG"):
    """Return an encoded image."""
    stream = io.BytesIO()
    Image.fromarray(pixels(seed, spot=spot)).save(stream, format=form)
    return stream.getvalue()
