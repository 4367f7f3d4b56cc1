"""From tested classification models to everything that their report shows."""

from collections.abc import Sequence
from pathlib import Path

from flawsmith import __version__
from flawsmith.data.dataset import DefectDataset
from flawsmith.experiment.plant import PlantAssumptions
from flawsmith.experiment.report.facts import Role
from flawsmith.experiment.report.front import data_facts, tested_on
from flawsmith.experiment.report.runs import TrainingLog, read_training_log
from flawsmith.experiment.report.tables import change_words, make_composition, make_parts
from flawsmith.experiment.report.whole_images import words
from flawsmith.experiment.report.whole_images.examples import (
    TestedClassifier,
    class_examples,
    missed_examples,
    wrong_examples,
)
from flawsmith.experiment.report.whole_images.facts import ImageArm, ImagePaired, ImageReportFacts
from flawsmith.experiment.report.whole_images.tables import (
    is_single_label,
    make_confusion,
    make_image_arms,
    make_image_classes,
    make_image_paired,
)
from flawsmith.experiment.report.words import (
    MISSED,
    REJECTED,
    Comparison,
    Verdict,
    compare_scores,
    describe,
    judge,
    paired_words,
    power_words,
)
from flawsmith.metrics.evaluation import Evaluation

VALIDATION_KEY = "val/macro_average_precision"


def collect_images(
    runs: Sequence[Path],
    evaluations: Sequence[Evaluation],
    dataset: DefectDataset | None,
    note: str,
    assumptions: PlantAssumptions,
    title: str | None,
) -> ImageReportFacts:
    """Return the facts of a report on whole images, without synthetic ones."""
    data = data_facts(evaluations[0], dataset, note)
    has_good = data.good_parts > 0
    arms = make_image_arms(runs, evaluations, assumptions if has_good else None)
    roles = [arm.role for arm in arms]
    after, before = roles.index("after"), roles.index("before") if "before" in roles else None
    last, first = evaluations[after], None if before is None else evaluations[before]
    pair = _Pair(arms, before, after, last, has_good)
    colours = {d.name: d.colour for d in dataset.schema.defects} if dataset else {}
    tested = TestedClassifier(runs[after], last, dataset)
    compared = [after] if before is None else [before, after]
    confusions = [make_confusion(index, evaluations[index]) for index in compared]
    paired = make_image_paired(first, last) if first else None
    return ImageReportFacts(
        title=title or f"Inspection of {data.name}",
        tested_on=tested_on(runs[after]),
        version=__version__,
        data=data,
        has_good=has_good,
        single_label=is_single_label(last),
        assumptions=assumptions if has_good else None,
        arms=arms,
        before=before,
        after=after,
        role_words=pair.role_words(),
        subject="this model" if first is None else pair.names[1],
        verdict=pair.verdict(),
        power=power_words(data.defective_parts, data.good_parts)
        if has_good
        else words.power_without_good(data.test_parts),
        paired=paired,
        paired_text=pair.paired_text(paired) if paired else "",
        macro=_compare_macro(first, last),
        composition=make_composition(first, last),
        classes=make_image_classes(evaluations, colours),
        confusions=[table for table in confusions if table],
        parts=make_parts(evaluations, last),
        worst=missed_examples(tested) if has_good else wrong_examples(tested),
        examples=class_examples(tested),
        synthetic=None,
        training=_logs(runs, arms),
        reproduce=[],
    )


def _compare_macro(first: Evaluation | None, last: Evaluation) -> Comparison:
    """Compare the mean F1; an interval without width, of parts that all agree, proves nothing."""
    if first is None:
        return words.UNKNOWN
    intervals = [first.macro_f1_interval, last.macro_f1_interval]
    old, new = (i if i is not None and i.high > i.low else None for i in intervals)
    return compare_scores(first.macro_f1, old, last.macro_f1, new)


def _logs(runs: Sequence[Path], arms: Sequence[ImageArm]) -> list[TrainingLog]:
    """Read the logs; the losses of the one network do without its prefix."""
    logs = []
    for run, arm in zip(runs, arms, strict=True):
        log = read_training_log(run, label=arm.label, colour=arm.colour, validation=VALIDATION_KEY)
        losses = [s.model_copy(update={"name": s.name.rpartition("/")[2]}) for s in log.losses]
        logs.append(log.model_copy(update={"losses": losses}))
    return logs


class _Pair:
    """The model that the report is about, and the one before it, in words."""

    def __init__(
        self, arms: list[ImageArm], before: int | None, after: int, last: Evaluation, has_good: bool
    ) -> None:
        self.new = arms[after]
        self.old = None if before is None else arms[before]
        self.has_good = has_good
        self.alike = len({tuple(part.labels) for part in last.parts}) == 1
        same_network = self.old is None or self.old.model == self.new.model
        change = "training again" if last.arm == "real" else change_words(last)
        self.change = change if same_network else None
        self.names = ("the first model", "the second model")
        if self.old is not None and not same_network:
            self.names = (f"the {self.old.short}", f"the {self.new.short}")
        elif last.arm != "real":
            self.names = ("the model of real images only", f"the model with {change}")

    def role_words(self) -> dict[Role, str]:
        """Return the heads of the columns: before and after only where one thing was changed."""
        heads: dict[Role, str] = {"old way": "the old way", "other": "also tested"}
        if self.old is None:
            return heads | {"after": "this model"}
        if self.change is None:
            return heads | {"before": "compared with", "after": "this model"}
        return heads | {"before": "before", "after": "after"}

    def verdict(self) -> Verdict:
        """Return what page one says first."""
        old, new = self.old, self.new
        if not self.has_good:
            verdict = words.describe_wrong(new.label, new.wrong)
            if old is not None:
                measure = words.Measure(words.WRONG, old.wrong, new.wrong)
                verdict = words.compare_models(*self.names, [measure])
            known = [*verdict.sentences, words.NO_GOOD, *[words.ALL_ALIKE] * self.alike]
            return verdict.model_copy(update={"sentences": known})
        if old is None:
            return describe(new.label, new.escape, new.overkill)
        if self.change is not None:
            rates = (old.escape, old.overkill), (new.escape, new.overkill)
            return judge(*rates, self.change)
        measures = [
            words.Measure(MISSED, old.escape, new.escape),
            words.Measure(REJECTED, old.overkill, new.overkill),
        ]
        return words.compare_models(*self.names, measures)

    def paired_text(self, paired: ImagePaired) -> str:
        """Say what changed part by part."""
        counts = (
            len(paired.newly_found), len(paired.newly_missed),
            len(paired.newly_passed), len(paired.newly_rejected),
        )  # fmt: skip
        if not self.has_good:
            right = (len(paired.newly_right), len(paired.newly_wrong))
            return words.paired_models(*self.names, {"right": right})
        if self.change is not None:
            return paired_words(*counts)
        pairs = {"defective parts found": counts[:2], "good parts passed": counts[2:]}
        return words.paired_models(*self.names, pairs)
