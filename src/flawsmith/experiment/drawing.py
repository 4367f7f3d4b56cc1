"""What a system is asked for: label maps out of the banks, and the real pixels that it needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from flawsmith.data.background_bank import BackgroundBank, DrawnBackground
from flawsmith.data.dataset import DefectDataset, ImageRecord, LabelMap
from flawsmith.data.mask_bank import MaskBank
from flawsmith.data.mask_bank.appearance import Exemplar, Surface
from flawsmith.data.mask_bank.bank import Seat
from flawsmith.data.mask_bank.sizes import SizeRange
from flawsmith.errors import FlawsmithError
from flawsmith.systems.base import SampleRequest, System


@dataclass(frozen=True)
class Drawn:
    """What one image is made of.

    Attributes:
        parents: file names of the images that mask, layout, exemplar and background come from.
        background: the real surface, if the system needs one.
        exemplar: the real defects, if the system needs them.
    """

    label_map: LabelMap
    parents: tuple[str, ...]
    background: DrawnBackground | None
    exemplar: Exemplar | None


@dataclass(frozen=True)
class Banks:
    """Where the requests come from; made of training images alone.

    Attributes:
        backgrounds: None if the system paints its own.
    """

    masks: MaskBank
    backgrounds: BackgroundBank | None = None

    @classmethod
    def from_dataset(
        cls, dataset: DefectDataset, records: Sequence[ImageRecord], needs: frozenset[str]
    ) -> Self:
        """Collect what a system with these needs is asked with."""
        masks = MaskBank.from_dataset(dataset, records, appearance="exemplars" in needs)
        backgrounds = None
        if "background_images" in needs:
            backgrounds = BackgroundBank.from_dataset(dataset, records)
        return cls(masks, backgrounds)

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
        """Return what an image of size x size pixels is made of; it follows from the seed."""
        rng = np.random.default_rng(seed)
        background, seat = None, None
        if self.backgrounds is not None and self.masks.habits[class_id].keeps_edge:
            background, seat = self._at_the_edge(rng, class_id, size, sizes)
        elif self.backgrounds is not None:
            background = self._background(rng, class_id, size)
        drawn = self.masks.draw(
            rng,
            class_id,
            size,
            size,
            background_map=None if background is None else background.backgrounds,
            max_defects=max_defects,
            sizes=sizes,
            surface=None if background is None else Surface.of(background.image),
            seat=seat,
            new_shapes=new_shapes,
        )
        names = [*drawn.parents, *([] if background is None else [background.file_name])]
        return Drawn(drawn.label_map, tuple(dict.fromkeys(names)), background, drawn.exemplar)

    def require_masks(self, plan: dict[str, int]) -> None:
        """Refuse a plan, images by class, for classes without a mask.

        Raises:
            FlawsmithError: with those that have one.
        """
        schema = self.masks.schema
        known = {schema.defects[class_id - 1].name for class_id in self.masks.classes}
        missing = [n for n, c in plan.items() if c and schema.defect(n).name not in known]
        if missing:
            raise FlawsmithError(
                f"no training image has a mask of {', '.join(missing)} (there are masks of: "
                f"{', '.join(sorted(known)) or 'none'}); label some, or leave the class out"
            )

    def _at_the_edge(
        self, rng: np.random.Generator, class_id: int, size: int, sizes: SizeRange | None
    ) -> tuple[DrawnBackground, Seat | None]:
        """Return a region at the edge of an image, and the defect that was so in its own."""
        assert self.backgrounds is not None
        instance = self.masks.choose(rng, class_id, sizes=sizes)
        try:
            background = self.backgrounds.draw(
                rng, size, size, needed=instance.covers, edges=instance.edges
            )
        except FlawsmithError:
            return self._background(rng, class_id, size), None
        assert background.anchor is not None
        return background, Seat(instance, background.anchor)

    def _background(self, rng: np.random.Generator, class_id: int, size: int) -> DrawnBackground:
        """Return a region on which the class occurs: like its mask's, or at least of a kind."""
        assert self.backgrounds is not None
        needed = self.masks.draw_needed(rng, class_id)
        try:
            return self.backgrounds.draw(rng, size, size, needed=needed)
        except FlawsmithError:
            home = {instance.background for instance in self.masks.instances[class_id]}
            for background in sorted(home):
                try:
                    return self.backgrounds.draw(rng, size, size, needed=frozenset({background}))
                except FlawsmithError as error:
                    last = error
            raise last from None


def require_whole_masks(system: System, name: str, sizes: SizeRange | None) -> None:
    """Refuse sizes where a system would not keep them.

    Raises:
        FlawsmithError: with how to have them.
    """
    if sizes is not None and system.cuts_masks_unless is not None:
        raise FlawsmithError(
            f"{name} cuts patches out of the drawn masks, so it cannot make defects of a given "
            "size: leave out --size-px or --size-mm, or train a run that keeps whole masks, with "
            f"--set {system.cuts_masks_unless}"
        )


def make_request(drawn: Sequence[Drawn]) -> SampleRequest:
    """Return what was drawn as a request: images from [0, 1] to [-1, 1], channels first."""
    images = [d.background.image for d in drawn if d.background is not None]
    exemplars = [d.exemplar for d in drawn if d.exemplar is not None]
    return SampleRequest(
        defects=_indices([d.label_map.defects for d in drawn]),
        backgrounds=_indices([d.label_map.backgrounds for d in drawn]),
        background_images=_pictures(images) if images else None,
        exemplars=_pictures([e.image for e in exemplars]) if exemplars else None,
        exemplar_known=torch.from_numpy(np.stack([e.known for e in exemplars]))
        if exemplars
        else None,
    )


def _indices(maps: list[np.typing.NDArray[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.stack(maps)).long()


def _pictures(images: list[np.typing.NDArray[np.float32]]) -> Tensor:
    stacked = np.stack(images).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(stacked * np.float32(2) - np.float32(1)))
