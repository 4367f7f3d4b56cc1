"""The figures of one class from the features of its synthetic, training and held-out defects."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.schema import Defect
from flawsmith.experiment.score.facts import (
    ClassScore,
    ClosestPair,
    CopyCheck,
    Estimate,
    Memorisation,
    VariantFigures,
)
from flawsmith.experiment.score.table import CropTable
from flawsmith.metrics.evaluation import Interval
from flawsmith.metrics.generation import (
    Copies,
    CopyThreshold,
    FloatArray,
    KernelSums,
    Looks,
    excess_probability,
    find_copies,
    frechet_distance,
    mean_pairwise_distance,
    neighbour_figures,
)
from flawsmith.metrics.generation.features import Variant
from flawsmith.metrics.intervals import rate

VARIANTS: tuple[Variant, ...] = ("in_mask", "pooled", "whole_tile")
WHOLE: tuple[Variant, ...] = ("pooled", "whole_tile")
"""What a network gives that knows nothing of masks."""

IMAGE: tuple[Variant, ...] = ("pooled",)
"""Where labels are for whole images: of those there are no masks, and no tile is cut."""

RESAMPLES = 1000
HALVES = 200
CLOSEST = 4
FEWEST = 2


@dataclass
class Sides:
    """The three tables of one class: made, trained on, held out."""

    synthetic: CropTable
    training: CropTable
    held_out: CropTable

    def of_class(self, class_id: int) -> "Sides":
        """Return what belongs to one class."""
        return Sides(*(t.of_class(class_id) for t in self._tables()))

    def copies(self) -> Copies:
        """Return how near the made ones are to those of the training; none may be empty."""
        return find_copies(*(Looks(t.features[self.main], t.signatures) for t in self._tables()))

    @property
    def main(self) -> Variant:
        """The features that a verdict is from: of the inside of masks, where there are masks."""
        return "in_mask" if "in_mask" in self.synthetic.features else "pooled"

    def _tables(self) -> tuple[CropTable, CropTable, CropTable]:
        return self.synthetic, self.training, self.held_out


@dataclass(frozen=True)
class Measured:
    """The same defects in the eyes of one network.

    Attributes:
        name: of the network.
        variants: which of its features are compared.
    """

    name: str
    sides: Sides
    variants: tuple[Variant, ...] = VARIANTS

    @property
    def names(self) -> list[str]:
        """Full names of its figures."""
        return [f"{self.name}/{variant}" for variant in self.variants]

    def of_class(self, class_id: int) -> "Measured":
        """Return what belongs to one class."""
        return Measured(self.name, self.sides.of_class(class_id), self.variants)


@dataclass
class Replicates:
    """Bootstrap estimates of one class by full name, kept to average them over the classes."""

    kid: dict[str, FloatArray] = field(default_factory=dict)
    floor: dict[str, FloatArray] = field(default_factory=dict)


def score_class(
    defect: Defect, measured: Sequence[Measured], parents: dict[str, list[str]], seed: int
) -> tuple[ClassScore, Replicates]:
    """Return the figures of one class, and the bootstrap behind its intervals.

    Args:
        defect: the class.
        measured: its defects by network; the first one looks for copies.
        parents: of each synthetic image, to say whether a closest pair descends.
        seed: of the resampling.
    """
    replicates = Replicates()
    sides = measured[0].sides
    figures = [
        _compare(m.sides, variant, f"{m.name}/{variant}", replicates, seed)
        for m in measured
        for variant in m.variants
    ]
    counts = [len(t.places) for t in (sides.synthetic, sides.training, sides.held_out)]
    score = ClassScore(
        name=defect.name,
        colour=defect.colour,
        synthetic=counts[0],
        training=counts[1],
        training_parts=len(set(sides.training.parts("pooled"))),
        held_out=counts[2],
        held_out_parts=len(set(sides.held_out.parts("pooled"))),
        note=_note(counts, len(set(sides.held_out.parts("pooled")))),
        figures=figures,
        memorisation=_memorisation(sides, parents) if all(counts) else None,
    )
    return score, replicates


def average(
    scores: Sequence[ClassScore], replicates: Sequence[Replicates], names: Sequence[str]
) -> ClassScore:
    """Return the row of all classes: each class counts the same, however many defects it has.

    Args:
        scores: of the classes.
        replicates: behind them.
        names: of the figures of each, in their order.
    """
    figures = []
    for index, name in enumerate(names):
        own = [score.figures[index] for score in scores]
        values: dict[str, object] = {
            field_name: _mean([getattr(f, field_name) for f in own])
            for field_name, info in VariantFigures.model_fields.items()
            if info.annotation == float | None
        }
        values["kid"] = averaged([f.kid for f in own], [r.kid.get(name) for r in replicates])
        floors = [r.floor.get(name) for r in replicates]
        values["kid_floor"] = averaged([f.kid_floor for f in own], floors)
        values["kid_floor_halves"] = averaged([f.kid_floor_halves for f in own], [])
        small = any(f.frechet_small for f in own)
        figures.append(VariantFigures(name=name, frechet_small=small, **values))
    without = [score.name for score in scores if score.figures[0].kid is None]
    return ClassScore(
        name="all classes",
        synthetic=sum(s.synthetic for s in scores),
        training=sum(s.training for s in scores),
        training_parts=sum(s.training_parts for s in scores),
        held_out=sum(s.held_out for s in scores),
        held_out_parts=sum(s.held_out_parts for s in scores),
        note=f"without {', '.join(without)}" if without else "",
        figures=figures,
        memorisation=_joined(scores),
    )


def _compare(
    sides: Sides, variant: Variant, name: str, replicates: Replicates, seed: int
) -> VariantFigures:
    made, known, unseen = (
        t.features[variant].astype(np.float64)
        for t in (sides.synthetic, sides.training, sides.held_out)
    )
    known_parts, unseen_parts = sides.training.parts(variant), sides.held_out.parts(variant)
    values: dict[str, object] = {"kid_floor_halves": _halves(sides, variant, seed)}
    if len(made) >= FEWEST and len(unseen) >= FEWEST:
        sums = KernelSums.of(made, unseen, None, unseen_parts)
        values["kid"], replicates.kid[name] = _estimate(sums, seed)
        values["kid_all_pairs"] = float(KernelSums.of(made, unseen).distance()[0])
        values["frechet"] = frechet_distance(made, unseen)
        values["frechet_small"] = min(len(made), len(unseen)) <= made.shape[1]
        if len(set(unseen_parts)) >= FEWEST:
            near = neighbour_figures(unseen, made, groups=unseen_parts)
            for figure in ("precision", "recall", "density", "coverage"):
                values[figure] = getattr(near, figure)
    if len(known) >= FEWEST and len(unseen) >= FEWEST:
        sums = KernelSums.of(known, unseen, known_parts, unseen_parts)
        values["kid_floor"], replicates.floor[name] = _estimate(sums, seed)
        values["frechet_floor"] = frechet_distance(known, unseen)
        if len(set(unseen_parts)) >= FEWEST:
            near = neighbour_figures(unseen, known, groups=unseen_parts)
            values["density_floor"], values["coverage_floor"] = near.density, near.coverage
    own = mean_pairwise_distance(made) if len(made) else None
    real = mean_pairwise_distance(known, known_parts) if len(known) else None
    ratio = own / real if own is not None and real else None
    return VariantFigures.model_validate(
        {"name": name, "diversity": own, "diversity_real": real, "diversity_ratio": ratio} | values
    )


def _estimate(sums: KernelSums, seed: int) -> tuple[Estimate | None, FloatArray]:
    """Return the estimate with its interval over parts; None with fewer than two parts a side."""
    value = float(sums.distance()[0])
    if np.isnan(value):
        return None, np.empty(0)
    drawn = sums.bootstrap(RESAMPLES, seed)
    return Estimate(value=value, interval=percentiles(drawn)), drawn


def percentiles(drawn: FloatArray) -> Interval | None:
    """Return the 95 % interval of bootstrap estimates; None where none is defined."""
    defined = drawn[~np.isnan(drawn)]
    if not defined.size:
        return None
    low, high = np.quantile(defined, [0.025, 0.975])
    return Interval(low=float(low), high=float(high))


def _halves(sides: Sides, variant: Variant, seed: int) -> Estimate | None:
    """Return the distance of the real parts to each other, dealt at random into two halves."""
    tables = (sides.training, sides.held_out)
    if not all(len(t.features[variant]) for t in tables):
        return None
    real = np.concatenate([t.features[variant] for t in tables])
    parts = [part for t in tables for part in t.parts(variant)]
    sums = KernelSums.of(real, real, parts, parts)
    count = len(sums.sizes_x)
    if count < 2 * FEWEST:
        return None
    rng = np.random.default_rng(seed)
    first = np.stack([rng.permutation(count) < count // 2 for _ in range(HALVES)]).astype(float)
    drawn = sums.distance(first, 1.0 - first)
    return Estimate(value=float(drawn.mean()), interval=percentiles(drawn))


def _memorisation(sides: Sides, parents: dict[str, list[str]]) -> Memorisation:
    copies = sides.copies()
    flags, pixel_flags = copies.near_in_features, copies.near_in_pixels
    parts = len(set(sides.held_out.parts("pooled")))
    closest = []
    for index in np.argsort(copies.distances, kind="stable")[:CLOSEST].tolist():
        made_place = sides.synthetic.places[index]
        real_place = sides.training.places[copies.nearest[index]]
        closest.append(
            ClosestPair(
                synthetic=made_place.file_name,
                synthetic_centre=made_place.centre,
                real=real_place.file_name,
                real_centre=real_place.centre,
                ratio=float(copies.ratios[index]),
                correlation=float(copies.correlation[index]),
                flagged=bool(flags[index]),
                pixels_flagged=bool(pixel_flags[index]),
                descends=real_place.file_name in parents.get(made_place.file_name, []),
            )
        )
    return Memorisation(
        ratio=float(np.median(copies.ratios)),
        features=_check(flags, copies.limit, copies.limit.value, parts),
        pixels=_check(pixel_flags, copies.pixel_limit, -copies.pixel_limit.value, parts),
        closest=closest,
    )


def _check(
    flags: NDArray[np.bool_], limit: CopyThreshold, threshold: float, parts: int
) -> CopyCheck:
    flagged, total = int(flags.sum()), len(flags)
    share = rate(flagged, total)
    assert share is not None  # a class without a synthetic defect is not checked
    chance = excess_probability(flagged, total, limit.expected_share, parts)
    return CopyCheck(
        flagged=share,
        expected_share=limit.expected_share,
        threshold=threshold,
        chance=chance if parts >= FEWEST else 1.0,  # one part says nothing of others
    )


def _joined(scores: Sequence[ClassScore]) -> Memorisation | None:
    """Return the check over all classes whose threshold rests on more than one part."""
    judged = [s for s in scores if s.memorisation and s.held_out_parts >= FEWEST]
    found = [s.memorisation for s in judged if s.memorisation]
    parts = sum(s.held_out_parts for s in judged)
    if not found:
        return None

    def join(checks: Sequence[CopyCheck]) -> CopyCheck:
        total = sum(check.flagged.total for check in checks)
        share = rate(sum(check.flagged.count for check in checks), total)
        assert share is not None  # see `_check`
        expected = sum(check.expected_share * check.flagged.total for check in checks) / total
        # One class may be copied, or all a little; Bonferroni for looking at both.
        one = len(checks) * min(check.chance for check in checks)
        together = excess_probability(share.count, total, expected, parts)
        return CopyCheck(
            flagged=share,
            expected_share=expected,
            threshold=float(np.mean([check.threshold for check in checks])),
            chance=min(1.0, 2.0 * min(one, together)),
        )

    return Memorisation(
        ratio=float(np.mean([m.ratio for m in found])),
        features=join([m.features for m in found]),
        pixels=join([m.pixels for m in found]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def averaged(
    estimates: Sequence[Estimate | None], drawn: Sequence[FloatArray | None]
) -> Estimate | None:
    """Return the mean of the classes that have an estimate, with an interval if all have one."""
    known = [estimate.value for estimate in estimates if estimate is not None]
    if not known:
        return None
    usable = [values for values in drawn if values is not None and values.size]
    interval = percentiles(np.mean(usable, axis=0)) if len(usable) == len(known) else None
    return Estimate(value=float(np.mean(known)), interval=interval)


def _note(counts: Sequence[int], held_out_parts: int) -> str:
    names = ("synthetic", "real training", "real held-out")
    few = [f"{count} {name}" for count, name in zip(counts, names, strict=True) if count < FEWEST]
    if few:
        return f"too few: {', '.join(few)}"
    return "too few: 1 held-out part" if held_out_parts < FEWEST else ""
