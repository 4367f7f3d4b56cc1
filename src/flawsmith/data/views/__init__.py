"""Views of one physical part, found by what the images show and by nothing else.

Other exposures, flips, rotations, crops, scaled and blended copies of one surface would leak
from training into test if they came into different folds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from flawsmith.data.views.features import extract_all
from flawsmith.data.views.grouping import SkippedImage, ViewPair, Views
from flawsmith.data.views.search import pairs_by_points, pairs_by_thumbnail
from flawsmith.data.views.store import FeatureStore
from flawsmith.errors import FlawsmithError

__all__ = ["STEPS_AN_IMAGE", "SkippedImage", "ViewImage", "ViewPair", "Views", "find_views"]

STEPS_AN_IMAGE = 2
"""How often `find_views` reports an image: when it was read, and when it was compared."""


@dataclass(frozen=True)
class ViewImage:
    """An image to compare: a unique name and its file."""

    name: str
    path: Path


def find_views(
    images: Sequence[ViewImage], *, progress: Callable[[int], object] | None = None
) -> Views:
    """Find the pairs of images that show the same surface of the same part.

    The result depends on the files and names alone, not on their order. It needs about 80 kB of
    memory an image, at most about 1 GB.

    Args:
        images: what to compare.
        progress: called with numbers of images that sum up to `STEPS_AN_IMAGE` times ``images``.

    Raises:
        FlawsmithError: if two images have the same name.
    """
    done = progress or (lambda count: None)
    ordered = sorted(images, key=lambda image: image.name)
    for image, following in pairwise(ordered):
        if image.name == following.name:
            raise FlawsmithError(
                f"two images are named {image.name}; views need a unique name for each image"
            )
    store = FeatureStore(len(ordered))
    names: list[str] = []
    seen: dict[bytes, str] = {}
    copies: list[ViewPair] = []
    skipped: list[SkippedImage] = []
    extracted = extract_all([image.path for image in ordered], store.limit, done)
    for image, features in zip(ordered, extracted, strict=True):
        if isinstance(features, str):
            skipped.append(SkippedImage(name=image.name, reason=features))
        elif features.digest in seen:
            copies.append(_copy(seen[features.digest], image.name))
        else:
            if features.digest:
                seen[features.digest] = image.name
            store.add(features)
            names.append(image.name)
    pairs, alike = pairs_by_points(store, names, done)
    done(len(ordered) - len(names))
    known = {(pair.first, pair.second) for pair in pairs}
    small = [p for p in pairs_by_thumbnail(store, names) if (p.first, p.second) not in known]
    everything = sorted(copies + pairs + small, key=lambda pair: (pair.first, pair.second))
    return Views(pairs=everything, skipped=skipped, alike=alike)


def _copy(first: str, second: str) -> ViewPair:
    return ViewPair(
        first=first,
        second=second,
        inliers=0,
        score=1.0,
        overlap=1.0,
        turned_degrees=0.0,
        scale=1.0,
        mirrored=False,
        kind="same file pixels",
    )
