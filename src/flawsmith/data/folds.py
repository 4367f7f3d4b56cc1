"""Folds by part: what trains, what validates, what tests, and which claim that allows.

How parts are dealt: strata are the defect classes and the good parts. The stratum with the fewest
parts comes first; of its parts, those with several classes come first, then the order of a hash of
seed and part name. Each part goes to the fold with the fewest parts of this stratum, then the
fewest of its other classes, then the fewest images. Single-class parts of a class therefore differ
by at most one between folds, and neither the order of the records nor the platform matters.
The idea is iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML PKDD 2011).
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.fold_csv import FoldRow, read_fold_rows
from flawsmith.errors import FlawsmithError, listed

FEWEST_TEST_PARTS = 10
"""With fewer test parts the figures of a class describe what was seen and prove nothing."""

TEST_FOLD = 0
"""The fold that `split_holdout` sets aside."""

Strata = dict[str, frozenset[str]]
"""Names of the defects of each part; empty for a good part."""


def part_defects(records: Iterable[ImageRecord]) -> Strata:
    """Return the defects of each part with a real image in use, parts sorted by name.

    A part has every defect that any of its views shows; excluded views do not speak.
    """
    found: dict[str, set[str]] = {}
    for record in records:
        if record.excluded is None and record.source == "real":
            found.setdefault(record.part, set()).update(record.labels)
    return {part: frozenset(found[part]) for part in sorted(found)}


def split_folds(dataset: DefectDataset, k: int = 5, seed: int = 0) -> list[ImageRecord]:
    """Return the records with fold 0 to ``k - 1``, for cross-validation.

    All views of a part share its fold, excluded ones too. Synthetic images get no fold: they only
    ever train.

    Raises:
        FlawsmithError: if ``k`` is below 2 or above the number of parts.
    """
    strata = part_defects(dataset.records)
    if k < 2:
        raise FlawsmithError(
            f"{k} folds were asked for; expected at least 2 (one tests, one trains)"
        )
    if k > len(strata):
        raise FlawsmithError(
            f"{k} folds were asked for, but the data set has {len(strata)} parts in use; "
            f"ask for at most {len(strata)}, or check that the parts are told apart"
        )
    sizes = Counter(r.part for r in dataset.records if r.excluded is None and r.source == "real")
    parts: Counter[tuple[int, str]] = Counter()
    images = [0] * k
    fold_of: dict[str, int] = {}

    def emptiest(part: str, stratum: str) -> int:
        return min(
            range(k),
            key=lambda fold: (
                parts[fold, stratum],
                sum(parts[fold, other] for other in strata[part]),
                images[fold],
                _draw(seed, part, fold),
            ),
        )

    def deal(part: str, stratum: str) -> None:
        fold_of[part] = fold = emptiest(part, stratum)
        images[fold] += sizes[part]
        parts.update((fold, name) for name in strata[part] or {stratum})

    for stratum, members in _rarest_first(strata):
        waiting = [part for part in members if part not in fold_of]
        for part in sorted(waiting, key=lambda p: (-len(strata[p]), _draw(seed, p))):
            deal(part, stratum)
    return _with_folds(dataset.records, fold_of, _unused_parts(dataset.records, strata, k, seed))


def split_holdout(
    dataset: DefectDataset, test_share: float = 0.2, seed: int = 0
) -> list[ImageRecord]:
    """Return the records with fold 0 (test) or 1 (training).

    Of every class about ``test_share`` of its parts are tested: at least one where it has two,
    and never its last one. A class with a single part stays in training.

    Raises:
        FlawsmithError: if the share is not between 0 and 1, or no class has two parts.
    """
    strata = part_defects(dataset.records)
    tested = _hold_out(strata, test_share, seed)
    if not tested:
        raise FlawsmithError(
            f"no class of {dataset.root} has two parts, so none can be tested and trained; "
            "collect more parts, or check that the parts are told apart"
        )
    fold_of = {part: TEST_FOLD if part in tested else 1 - TEST_FOLD for part in strata}
    unused = {r.part: 1 - TEST_FOLD for r in dataset.records if r.part not in strata}
    return _with_folds(dataset.records, fold_of, unused)


def inner_validation(
    records: Sequence[ImageRecord], fold: int, seed: int, share: float = 0.2
) -> tuple[list[ImageRecord], list[ImageRecord]]:
    """Return the training and the validation records of the parts outside the test fold.

    Thresholds and checkpoints are chosen on the validation parts. Of every class with two or more
    training parts at least one is in validation, unless that would take the last training part of
    another class. Synthetic images always train and do not change the choice of parts. Excluded
    images are in neither list. With one part a class the validation list is empty.

    Args:
        records: of the whole data set, and synthetic ones beside them.
        fold: the test fold.
        seed: draws the validation parts.
        share: of the parts of each class that validate.

    Raises:
        FlawsmithError: if a real image has no fold, a part is in two folds, the test fold does not
            exist, or a synthetic image descends from a part in the test fold.
    """
    real = [r for r in records if r.source == "real"]
    _require_folds(real, fold)
    check_parts_together(real)
    tested = {r.file_name: r.part for r in real if r.fold == fold}
    for record in records:
        leaks = [name for name in record.parents if name in tested]
        if record.source == "synthetic" and leaks:
            raise FlawsmithError(
                f"{record.file_name} was made from {leaks[0]}, whose part {tested[leaks[0]]} is in "
                f"test fold {fold}; synthesize again from the parts outside fold {fold}"
            )
    chosen = _hold_out(part_defects(r for r in real if r.fold != fold), share, seed)
    train: list[ImageRecord] = []
    validation: list[ImageRecord] = []
    for record in records:
        is_real = record.source == "real"
        if record.excluded is not None or (is_real and record.fold == fold):
            continue
        (validation if is_real and record.part in chosen else train).append(record)
    return train, validation


def check_parts_together(records: Iterable[ImageRecord]) -> None:
    """Raise a `FlawsmithError` if the real views of a part are in two folds."""
    first: dict[str, ImageRecord] = {}
    for record in records:
        if record.source != "real":
            continue
        other = first.setdefault(record.part, record)
        if other.fold != record.fold:
            raise FlawsmithError(
                f"part {record.part} is in two folds: {_name(other)} in {_fold(other)}, "
                f"{_name(record)} in {_fold(record)}; all views of a part must share a fold"
            )


def folds_from_csv(dataset: DefectDataset, csv_path: Path) -> list[ImageRecord]:
    """Return the records with parts and folds of a table with the columns image, part, fold, note.

    ``image`` is the path in the imported folder (`ImageRecord.original`) or in the data set.
    ``part`` may be absent: the parts then stay as imported. A ``note`` excludes its image; an image
    that the import excluded stays so. Other columns are not read.

    Raises:
        FlawsmithError: if the table cannot be read, leaves images out, names images that are not
            in the data set, or spreads a part over two folds.
    """
    rows = read_fold_rows(csv_path)
    known = {r.file_name: r.file_name for r in dataset.records}
    known |= {r.original: r.file_name for r in dataset.records if r.original}
    strangers = [name for name in rows if name not in known]
    if strangers:
        raise FlawsmithError(
            f"{csv_path}: {_some(strangers)} not in the data set {dataset.root}; "
            "correct the paths (as in the imported folder) or remove the rows"
        )
    row_of = {known[name]: row for name, row in rows.items()}
    real = [r for r in dataset.records if r.source == "real"]
    missing = [_name(r) for r in real if r.file_name not in row_of]
    if missing:
        raise FlawsmithError(
            f"{csv_path} has no row for {_some(missing)} of the data set; "
            "give every image a part and a fold (a note excludes it)"
        )
    folds = sorted({row.fold for row in rows.values()})
    if len(folds) < 2 or folds != list(range(len(folds))):
        raise FlawsmithError(
            f"{csv_path} has the folds {', '.join(map(str, folds))}; expected 0, 1, 2, ... "
            "without a gap and at least two of them"
        )
    records = [
        _updated(record, row_of[record.file_name]) if record.file_name in row_of else record
        for record in dataset.records
    ]
    check_parts_together(records)
    return records


def composition(records: Iterable[ImageRecord]) -> dict[int, dict[str | None, tuple[int, int]]]:
    """Return (parts, images) in use by fold and defect class; None stands for good.

    A part counts under each of its classes and as good only if none of its views is defective; an
    image counts as good if it shows no defect.
    """
    used = [r for r in records if r.excluded is None and r.source == "real" and r.fold is not None]
    parts: dict[int, Counter[str | None]] = {r.fold: Counter() for r in used if r.fold is not None}
    images: dict[int, Counter[str | None]] = {fold: Counter() for fold in parts}
    for fold in parts:
        mine = [r for r in used if r.fold == fold]
        for defects in part_defects(mine).values():
            parts[fold].update(defects or [None])
        for record in mine:
            images[fold].update(set(record.labels) or [None])
    return {
        fold: {name: (parts[fold][name], images[fold][name]) for name in images[fold]}
        for fold in sorted(parts)
    }


def limit_without_a_miss(parts: int) -> float:
    """Return the upper end of the exact two-sided 95 % interval of a rate seen 0 times of n.

    Clopper and Pearson (1934): 1 - 0.025^(1/n); 25 parts without a miss still allow 13.7 %.
    """
    return float(1.0 - 0.025 ** (1.0 / parts))


def claims(dataset: DefectDataset, test_fold: int | None = None) -> list[str]:
    """Return what the number of parts of each class, of all defects and of good allows to say.

    Args:
        dataset: with folds, if they are drawn already.
        test_fold: the only fold that is tested; None for cross-validation.
    """
    fold_of = {r.part: r.fold for r in dataset.records if r.source == "real"}
    strata = part_defects(dataset.records)
    lines = []
    for name in dataset.schema.defect_names:
        members = [part for part, defects in strata.items() if name in defects]
        lines.append(f"{name}: {_claim([fold_of[p] for p in members], fold_of, test_fold)}")
    defective = [fold_of[part] for part, defects in strata.items() if defects]
    good = [fold_of[part] for part, defects in strata.items() if not defects]
    for title, folds, rate, event in (
        ("all defects", defective, "escape rate", "missed"),
        ("good", good, "overkill", "rejected"),
    ):
        tested = [fold for fold in folds if test_fold in (None, fold)]
        what = f"{title}: {_parts(len(folds))}, {len(tested)} tested"
        bound = f"with none {event} the {rate} could still be up to"
        limit = f"; {bound} {_percent(limit_without_a_miss(len(tested)))}" if tested else ""
        lines.append(what + (limit or f"; the {rate} cannot be measured"))
    return lines


def _claim(
    folds: list[int | None], fold_of: Mapping[str, int | None], test_fold: int | None
) -> str:
    """Return what the parts of one class, given by their folds, allow to say."""
    count = len(folds)
    if count == 0:
        return "no part; it can be neither trained nor tested"
    if count == 1:
        return "1 part; it cannot be tested and trained at once"
    tested = sum(test_fold in (None, fold) for fold in folds)
    if tested == 0:
        return f"{_parts(count)}, none in the test fold; it is not tested"
    if None not in folds and len(set(folds)) == 1:
        return f"{_parts(count)}, all in fold {folds[0]}; no other fold can train it"
    text = f"{_parts(count)}; "
    text += "cross-validation tests each once" if test_fold is None else f"{tested} tested"
    limit = _percent(limit_without_a_miss(tested))
    text += f"; with none missed the escape rate could still be up to {limit}"
    if tested < FEWEST_TEST_PARTS:
        text += f"; fewer than {FEWEST_TEST_PARTS} test parts: a description, no significance"
    num_folds = len({fold for fold in fold_of.values() if fold is not None})
    if test_fold is None and count < num_folds:
        text += f"; fewer parts than the {num_folds} folds: some folds do not test it"
    return text


def _hold_out(strata: Strata, share: float, seed: int) -> set[str]:
    """Return the parts to set aside: of every stratum its share, never its last part."""
    if not 0.0 < share < 1.0:
        raise FlawsmithError(f"a share of {share} was asked for; expected more than 0, less than 1")
    ordered = _rarest_first(strata)
    left = {stratum: len(members) for stratum, members in ordered}
    wanted = {
        stratum: min(max(1, math.floor(share * count + 0.5)), count - 1)
        for stratum, count in left.items()
    }
    chosen: set[str] = set()

    def spare(part: str) -> int:
        return sum(wanted[name] <= 0 for name in strata[part])

    for stratum, members in ordered:
        waiting = [part for part in members if part not in chosen]
        # A part whose other classes have their share already is taken last.
        for part in sorted(waiting, key=lambda p: (spare(p), _draw(seed, p))):
            names = strata[part] or {stratum}
            if wanted[stratum] > 0 and all(left[name] > 1 for name in names):
                chosen.add(part)
                for name in names:
                    left[name] -= 1
                    wanted[name] -= 1
    return chosen


def _rarest_first(strata: Strata) -> list[tuple[str, list[str]]]:
    """Return each defect class, and "" for good, with its parts; the fewest parts first."""
    members: dict[str, list[str]] = {}
    for part, defects in strata.items():
        for name in defects or {""}:
            members.setdefault(name, []).append(part)
    return sorted(members.items(), key=lambda item: (len(item[1]), item[0]))


def _unused_parts(
    records: Iterable[ImageRecord], strata: Strata, k: int, seed: int
) -> dict[str, int]:
    """Return a fold for each part whose views are all excluded: any will do, by its hash."""
    return {
        record.part: int.from_bytes(_draw(seed, record.part)[:8]) % k
        for record in records
        if record.part not in strata
    }


def _draw(seed: int, *what: object) -> bytes:
    """Return a sort key that depends on seed and name only: the same on every machine."""
    return hashlib.sha256("\0".join(map(str, (seed, *what))).encode()).digest()


def _with_folds(
    records: Iterable[ImageRecord], fold_of: Mapping[str, int], unused: Mapping[str, int]
) -> list[ImageRecord]:
    folds = {**unused, **fold_of}
    return [
        r.model_copy(update={"fold": folds[r.part] if r.source == "real" else None})
        for r in records
    ]


def _require_folds(real: Sequence[ImageRecord], fold: int) -> None:
    without = [r for r in real if r.fold is None]
    if without:
        raise FlawsmithError(
            f"{_some([r.file_name for r in without])} without a fold; "
            "draw folds with: flawsmith data split DATA"
        )
    known = sorted({r.fold for r in real if r.fold is not None})
    if fold not in known:
        raise FlawsmithError(
            f"there is no fold {fold}; the data set has {', '.join(map(str, known)) or 'none'}"
        )


def _updated(record: ImageRecord, row: FoldRow) -> ImageRecord:
    part = record.part if row.part is None else row.part
    excluded = row.note or record.excluded
    return record.model_copy(update={"part": part, "fold": row.fold, "excluded": excluded})


def _some(names: Sequence[str]) -> str:
    noun = "image" if len(names) == 1 else "images"
    return f"{len(names)} {noun} ({listed(names)})"


def _name(record: ImageRecord) -> str:
    return record.original or record.file_name


def _fold(record: ImageRecord) -> str:
    return "no fold" if record.fold is None else f"fold {record.fold}"


def _parts(count: int) -> str:
    return "1 part" if count == 1 else f"{count} parts"


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %") if share >= 0.2 else f"{100 * share:.1f} %"
