"""Synthesis where labels are for whole images: requests for a class, without a mask.

There is no mask bank and no place of a defect: an image is asked for by its class, and a system
that translates gets a whole good image to do it in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from flawsmith.data.background_bank import DrawnBackground
from flawsmith.data.dataset import DefectDataset, ImageRecord, LabelMap
from flawsmith.data.images import to_unit
from flawsmith.data.mask_bank.sizes import SizeRange
from flawsmith.data.schema import Schema
from flawsmith.data.whole_images import fit
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.balance import Balance, balance
from flawsmith.experiment.drawing import Drawn
from flawsmith.systems import SYSTEMS
from flawsmith.systems.dcgan import GOOD_NAME
from flawsmith.training.config import RunConfig


@dataclass(frozen=True)
class WholeImages:
    """Where the requests come from; made of training images alone.

    Attributes:
        surfaces: good images to turn into defective ones; empty if the system paints its own.
    """

    dataset: DefectDataset
    surfaces: Sequence[ImageRecord] = ()

    @classmethod
    def from_dataset(
        cls, dataset: DefectDataset, records: Sequence[ImageRecord], needs: frozenset[str]
    ) -> Self:
        """Find what a system with these needs is asked with; nothing is decoded yet.

        Raises:
            FlawsmithError: if it needs good images and there is none.
        """
        if "background_images" not in needs:
            return cls(dataset)
        good = [record for record in records if record.is_good and record.excluded is None]
        if not good:
            raise FlawsmithError(
                f"{dataset.root}: no training image is good, and this system turns good images "
                "into defective ones; add good images"
            )
        return cls(dataset, good)

    def draw(
        self,
        seed: int,
        class_id: int,
        size: int,
        *,
        max_defects: int = 1,
        sizes: SizeRange | None = None,
        new_shapes: float = 0.0,
    ) -> Drawn:
        """Return what an image of size x size pixels is made of; it follows from the seed.

        The label map is of the class all over. The further options are those of `Banks.draw` and
        have no meaning here: `require_no_places` has refused them.
        """
        nothing = np.zeros((size, size), np.uint8)
        label_map = LabelMap(np.full((size, size), class_id, np.uint8), nothing)
        if not self.surfaces:
            return Drawn(label_map, (), None, None)
        record = self.surfaces[int(np.random.default_rng(seed).integers(len(self.surfaces)))]
        surface = DrawnBackground(
            image=fit(to_unit(self.dataset.image(record), self.dataset.schema), size),
            backgrounds=nothing,
            file_name=record.file_name,
            part=record.part,
            is_continued=False,
        )
        return Drawn(label_map, (record.file_name,), surface, None)


def require_no_places(
    max_defects: int, sizes: SizeRange | None, new_shapes: float | None, *, run: str
) -> None:
    """Refuse what only a mask could tell.

    Raises:
        FlawsmithError: if number, size or shape of the defects was asked for.
    """
    asked = {
        "--max-defects": max_defects != 1,
        "--size-px or --size-mm": sizes is not None,
        "--new-shapes": new_shapes is not None,
    }
    given = [option for option, is_given in asked.items() if is_given]
    if given:
        raise FlawsmithError(
            f"{run} learned from labels of whole images, so it knows neither place nor size of a "
            f"defect; leave out {', '.join(given)}"
        )


def askable(config: RunConfig, schema: Schema, records: Sequence[ImageRecord]) -> list[str]:
    """Return the defects of which a run can make images, knowing that they show them.

    An image of a system that takes no class shows any of those that trained it, and without a mask
    nobody knows which.

    Raises:
        FlawsmithError: if the one class that is to train it has no image.
    """
    labels = {label for record in records for label in record.labels}
    shown = [name for name in schema.defect_names if name in labels]
    if SYSTEMS.get(config.system).conditional:
        return shown
    only = getattr(config, "only", None)
    if only is not None:
        name = GOOD_NAME if only == GOOD_NAME else schema.defect(only).name
        if not any(name in (record.labels or [GOOD_NAME]) for record in records):
            raise FlawsmithError(
                f"only = {only} would train {config.system} on nothing: no training image shows "
                f"it; there are {', '.join(shown) or 'no defects'}"
            )
        return [] if only == GOOD_NAME else [name]
    with_good = config.data.good_share > 0 and any(record.is_good for record in records)
    return shown if len(shown) == 1 and not with_good else []


def unlabelled(config: RunConfig, schema: Schema, records: Sequence[ImageRecord]) -> str | None:
    """Return why no image of a run can be labelled, and what to do; None if some can."""
    if askable(config, schema, records):
        return None
    if getattr(config, "only", None) == GOOD_NAME:
        return (
            f"this run of {config.system} makes good images alone, and only defects are asked for: "
            "train one run a class, with --set only=NAME"
        )
    advice = f"train one run a class, on a data set of that class alone ({_FILTER})"
    if hasattr(config, "only"):
        advice = "train one run a class, with --set only=NAME"
    return (
        f"{config.system} makes images of all that trained it and takes no class, and no mask says "
        f"which class one shows, so none can be labelled: {advice}; or take a system that takes a "
        "class, such as bagan_gp"
    )


_FILTER = "flawsmith data filter, data.good_share = 0"


def require_askable(
    plan: dict[str, int], config: RunConfig, schema: Schema, records: Sequence[ImageRecord]
) -> None:
    """Refuse a plan with classes that a run cannot make.

    Raises:
        FlawsmithError: with what it can.
    """
    reason = unlabelled(config, schema, records)
    if reason is not None:
        raise FlawsmithError(reason)
    known = askable(config, schema, records)
    missing = [name for name, count in plan.items() if count and name not in known]
    if missing:
        raise FlawsmithError(
            f"this run of {config.system} was trained on no image of {', '.join(missing)}; it "
            f"makes {', '.join(known)}"
        )


def plan_for(
    config: RunConfig, schema: Schema, records: Sequence[ImageRecord], per_class: int | None
) -> Balance:
    """Return what the training records lack and a run can make, whatever its labels say.

    Raises:
        FlawsmithError: if no image of the run can be labelled.
    """
    found = balance(records, schema, per_class, labels=config.data.labels)
    if config.data.labels == "pixel":
        return found
    require_askable({}, config, schema, records)
    known = askable(config, schema, records)
    return replace(found, added={n: count for n, count in found.added.items() if n in known})
