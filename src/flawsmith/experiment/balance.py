"""How many images of each class to add, so that all classes are equally frequent (Table 3).

The unit is an image that shows the class: one with two kinds of defect counts once for each. Only
real images count that a run trains on; the test fold and the validation parts do not.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from flawsmith.data.dataset import ImageRecord
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError


@dataclass(frozen=True)
class Balance:
    """The composition of a training set and what it lacks, by the name of the defect.

    Attributes:
        before: images that show the class.
        added: images to synthesize for it.
        without_masks: classes that no training image has a mask of, so none can be synthesized;
            where labels are for whole images, those that no training image shows.
    """

    before: dict[str, int]
    added: dict[str, int]
    without_masks: list[str]

    @property
    def after(self) -> dict[str, int]:
        """Images that show the class, real and synthetic."""
        return {name: count + self.added.get(name, 0) for name, count in self.before.items()}

    @property
    def total(self) -> int:
        """All images to synthesize."""
        return sum(self.added.values())


def plan_balance(
    counts: dict[str, int], per_class: int | None = None, good: int = 0
) -> dict[str, int]:
    """Return the images to add to each class.

    Args:
        counts: images that show each class.
        good: images without a defect, if they are a class like the others.
        per_class: what to fill every class to; by default the count of the largest. A class that
            has more keeps them and gets none.

    Raises:
        FlawsmithError: if ``per_class`` is below 1.

    Example:
        >>> plan_balance({"groove": 2200, "spore": 200, "leakage": 4600})
        {'groove': 2400, 'spore': 4400, 'leakage': 0}
    """
    if per_class is not None and per_class < 1:
        raise FlawsmithError(f"--per-class {per_class}: expected the images of a class, 1 or more")
    target = max(good, *counts.values(), 0) if per_class is None else per_class
    return {name: max(0, target - count) for name, count in counts.items()}


def balance(
    records: Iterable[ImageRecord],
    schema: Schema,
    per_class: int | None,
    *,
    labels: Literal["pixel", "image"] | None = None,
) -> Balance:
    """Return what the training records lack; classes without any mask are left out of the plan.

    Args:
        records: of the training images.
        schema: names the classes.
        per_class: see `plan_balance`.
        labels: what they say, see `DataConfig`. None: image if there is no mask at all. For whole
            images those classes are left out that none shows; of one class alone there are as many
            then as good images, as nothing else could be out of balance.
    """
    good = 0
    shown: Counter[str] = Counter()
    masked: Counter[str] = Counter()
    for record in records:
        if record.source != "real" or record.excluded is not None:
            continue
        good += record.is_good
        shown.update(set(record.labels))
        masked.update(set(record.labels) if record.mask_file_name else ())
    if labels == "image" or (labels is None and not masked):
        masked = shown
    before = {name: shown[name] for name in schema.defect_names}
    against_good = masked is shown and schema.num_defects == 1
    added = plan_balance(before, per_class, good if against_good else 0)
    without = [name for name in schema.defect_names if not masked[name]]
    return Balance(before, {n: c for n, c in added.items() if n not in without}, without)
