"""The figures of a score as text: cells of the table, and the sentences above it."""

from dataclasses import dataclass

from flawsmith.experiment.score.facts import (
    ClassReconstruction,
    ClassScore,
    CopyCheck,
    Estimate,
    InceptionFigure,
    Score,
    VariantFigures,
)

MISSING = "-"
KID_SCALE = 1000
"""Kernel distances are told in thousandths, as usual."""

FAR = 2.0
"""So many times its floor a kernel distance is called far above it."""


@dataclass(frozen=True)
class Verdict:
    """What the page says first; tone as in the report: better, worse or open."""

    headline: str
    sentences: list[str]
    tone: str


def kid(estimate: Estimate | None) -> str:
    """Return a kernel distance in thousandths with its interval."""
    if estimate is None:
        return MISSING
    value = thousandths(estimate.value)
    if estimate.interval is None:
        return value
    interval = estimate.interval
    return f"{value} ({thousandths(interval.low)} to {thousandths(interval.high)})"


def thousandths(value: float) -> str:
    """Return a value in thousandths with about three digits."""
    scaled = KID_SCALE * value
    digits = 0 if abs(scaled) >= 100 else 1 if abs(scaled) >= 10 else 2
    text = f"{scaled:,.{digits}f}"
    return text if float(text.replace(",", "")) else text.lstrip("-")


def figure(value: float | None, digits: int = 2) -> str:
    """Return a figure, or a dash."""
    return MISSING if value is None else f"{value:.{digits}f}"


def beside(value: float | None, floor: float | None, digits: int = 2) -> str:
    """Return a figure with that of real images in brackets."""
    if value is None:
        return MISSING
    return figure(value, digits) + (f" ({figure(floor, digits)})" if floor is not None else "")


def copies(check: CopyCheck | None) -> str:
    """Return how many are flagged, and how many chance would flag."""
    if check is None:
        return MISSING
    share = check.flagged.count / check.flagged.total
    return (
        f"{check.flagged.count} of {check.flagged.total}, {share:.0%} ({check.expected_share:.0%})"
    )


def row(score: ClassScore, figures: VariantFigures | None) -> list[str]:
    """Return the cells of one class for one kind of features, after its name."""
    f = figures or VariantFigures(name="")
    memory = score.memorisation
    return [
        str(score.synthetic),
        f"{score.training} ({score.training_parts})",
        f"{score.held_out} ({score.held_out_parts})",
        kid(f.kid),
        kid(f.kid_floor),
        beside(f.frechet, f.frechet_floor, 1) + ("*" if f.frechet_small and f.frechet else ""),
        beside(f.density, f.density_floor),
        beside(f.coverage, f.coverage_floor),
        figure(f.diversity_ratio),
        figure(memory.ratio if memory else None),
        copies(memory.features if memory else None),
        copies(memory.pixels if memory else None),
    ]


HEADINGS = (
    "synthetic", "real train (parts)", "real held-out (parts)", "KID", "KID of real",
    "Fréchet (real)", "density (real)", "coverage (real)", "diversity ratio",
    "nearest-real ratio", "copies by features (chance)", "copies by pixels (chance)",
)  # fmt: skip


REBUILT_HEADINGS = (
    "tiles (parts)", "PSNR near, dB", "before", "SSIM near", "before", "PSNR tile, dB", "before",
    "SSIM tile", "before",
)  # fmt: skip


def rebuilt_row(item: ClassReconstruction) -> list[str]:
    """Return the cells of one class after its name; with a dash where nothing was given."""
    cells = [f"{item.tiles} ({item.parts})"]
    for area in (item.near, item.whole):
        cells += [ranged(area.psnr, 1), ranged(area.psnr_before, 1)]
        cells += [ranged(area.ssim, 3), ranged(area.ssim_before, 3)]
    return cells


def ranged(estimate: Estimate | None, digits: int) -> str:
    """Return a figure with its interval, or a dash."""
    if estimate is None:
        return MISSING
    text = f"{estimate.value:.{digits}f}"
    if estimate.interval is None:
        return text
    return f"{text} ({estimate.interval.low:.{digits}f} to {estimate.interval.high:.{digits}f})"


def rebuilt_sentence(score: Score) -> str:
    """Return what was rebuilt and from what, or why nothing was."""
    found = score.reconstruction
    if found is None:
        return f"Not rebuilt, so no PSNR and SSIM: {score.no_reconstruction}."
    text = (
        f"{found.system} (run {found.run}, checkpoint {found.checkpoint}) rebuilt "
        f"{found.overall.tiles} held-out tiles of {found.tile} px. It was told {found.shown}."
    )
    if found.before:
        text += f' "Before" is {found.before}: what no painting at all would score.'
    return text


INCEPTION_SENTENCE = (
    "The Inception score knows no real image: it tells whether a network of photographs sees many "
    "things clearly. The score of real tiles stands beside it; it rises with their number."
)


def inception(figure: InceptionFigure | None) -> str:
    """Return an Inception score with the number of tiles behind it."""
    if figure is None:
        return MISSING
    spread = f" ± {figure.spread:.2f}" if figure.splits > 1 else ""
    splits = f"{figure.splits} splits" if figure.splits > 1 else "1 split"
    return f"{figure.value:.2f}{spread} (N = {figure.images:,}, {splits})"


def verdict(score: Score) -> Verdict:
    """Return what the score says in plain words."""
    return Verdict(
        headline=_distance_headline(score),
        sentences=[_distance_sentence(score), _copy_sentence(score), *_few_sentence(score)],
        tone="worse" if _copied(score) or _is_far(score) else "open",
    )


def _main(score: Score) -> VariantFigures:
    return score.overall.variant(score.main) or VariantFigures(name="")


def _is_far(score: Score) -> bool:
    f = _main(score)
    if f.kid is None or f.kid_floor is None:
        return False
    if f.kid.interval is None or f.kid_floor.interval is None:
        return False
    return f.kid.interval.low > f.kid_floor.interval.high


def _copied(score: Score) -> bool:
    memory = score.overall.memorisation
    return memory is not None and (memory.features.too_many or memory.pixels.too_many)


def _distance_headline(score: Score) -> str:
    f = _main(score)
    if f.kid is None:
        return f"Too few real or synthetic {score.things} for a judgement"
    if _copied(score):
        return f"Some synthetic {score.things} are copies of training {score.things}"
    if _is_far(score):
        return f"The synthetic {score.things} differ from real ones by more than chance"
    return f"The synthetic {score.things} cannot be told from real ones by these figures"


def _distance_sentence(score: Score) -> str:
    f = _main(score)
    if f.kid is None:
        return f"No class has two held-out parts and two synthetic {score.things}."
    where = "inside the mask" if score.level == "pixel" else "of whole images"
    text = f"Kernel distance {where}, thousandths: {kid(f.kid)}"
    if f.kid_floor is None:
        return f"{text}. There are too few real parts for the same figure of real {score.things}."
    text += f"; real training {score.things} against the same held-out ones: {kid(f.kid_floor)}"
    if f.kid_floor.value > 0 and f.kid.value > FAR * f.kid_floor.value:
        text += f", {f.kid.value / f.kid_floor.value:.0f} times less"
    return f"{text}."


def _copy_sentence(score: Score) -> str:
    memory = score.overall.memorisation
    if memory is None:
        return f"Whether {score.things} are copies cannot be told without real ones of their class."
    names = [
        s.name
        for s in score.classes
        if s.memorisation and (s.memorisation.features.too_many or s.memorisation.pixels.too_many)
    ]
    text = (
        f"Nearer to a training {score.things[:-1]} than unseen real ones are: "
        f"{copies(memory.features)} by features, {copies(memory.pixels)} by pixels; "
        "in brackets what chance would give."
    )
    if not _copied(score):
        return f"{text} That is no sign of copying."
    where = f"in: {', '.join(names)}" if names else "over all classes"
    return (
        f"{text} More than chance {where}. Copy-paste and exemplars reuse real "
        "appearance by design; a generator that should not has remembered its training images."
    )


def _few_sentence(score: Score) -> list[str]:
    few = [f"{s.name} ({s.note})" for s in score.classes if s.note]
    return [f"Not judged or hardly: {', '.join(few)}."] if few else []
