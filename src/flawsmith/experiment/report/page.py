"""The report: tested inspection models as one self-contained page, and its numbers as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flawsmith import __version__
from flawsmith.data.dataset import DefectDataset
from flawsmith.data.templates import render as fill
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.plant import PlantAssumptions
from flawsmith.experiment.report import charts, words
from flawsmith.experiment.report.examples import (
    FALSE_ALARMS_SHOWN,
    FOUND_SHOWN,
    MISSED_SHOWN,
    Kind,
    TestedRun,
    make_examples,
)
from flawsmith.experiment.report.facts import Arm, Example, ReportFacts
from flawsmith.experiment.report.front import (
    data_facts,
    open_data,
    report_commands,
    synthesizer_log,
    tested_on,
)
from flawsmith.experiment.report.runs import read_training_log
from flawsmith.experiment.report.synthetic import SyntheticPages
from flawsmith.experiment.report.tables import (
    change_words,
    compare_macro,
    make_arms,
    make_classes,
    make_composition,
    make_paired,
    make_parts,
    require_comparable,
)
from flawsmith.experiment.report.whole_images import (
    ImageReportFacts,
    WholeImagePages,
    collect_images,
)
from flawsmith.experiment.report.whole_images import charts as image_charts
from flawsmith.experiment.report.words import Verdict, describe, judge
from flawsmith.metrics.evaluation import Evaluation
from flawsmith.storage import write_text


@dataclass(frozen=True)
class ReportResult:
    """What was written, and what it says first."""

    html: Path
    json: Path
    facts: ReportFacts | ImageReportFacts

    @property
    def verdict(self) -> Verdict:
        """The verdict of page one."""
        return self.facts.verdict


def build_report(
    runs: Sequence[Path],
    out: Path,
    *,
    synthesizer: Path | None = None,
    synthetic: Path | None = None,
    plant: PlantAssumptions | None = None,
    title: str | None = None,
) -> ReportResult:
    """Write ``out`` (.html) and the same name with .json from tested runs.

    Args:
        runs: run folders with ``evaluation.json``, in the order of the columns; the first learned
            ``real`` arm is "before", the last learned one "after".
        out: the page to write; an older one is replaced.
        synthesizer: run folder of the synthesizer, for its samples and training curves.
        synthetic: synthetic data set, for sheets of its images beside real ones.
        plant: volume, defect rate and shifts; the defaults are printed on the page.
        title: heading of the page; by default it names the data set.

    Raises:
        FlawsmithError: if a run was not tested, on other parts than the first, or by labels of
            another level.
    """
    _require_inputs(runs, out, synthesizer)
    evaluations = [Evaluation.load(run) for run in runs]
    _require_one_level(runs, evaluations)
    require_comparable(runs, evaluations)
    dataset, note = open_data(evaluations[0])
    made = DefectDataset.open(synthetic) if synthetic else None
    of_images = evaluations[0].level == "image"
    collect = collect_images if of_images else _collect
    assumptions = plant or PlantAssumptions()
    facts = collect(runs, evaluations, dataset, note, assumptions, title)
    schema = dataset.schema if dataset else made.schema if made else None
    kind = WholeImagePages if of_images else SyntheticPages
    pages = kind(dataset, evaluations[0].fold, schema)
    facts = facts.model_copy(
        update={
            "synthetic": pages.build(synthesizer, made) if synthesizer or made else None,
            "training": facts.training + synthesizer_log(synthesizer),
            "reproduce": report_commands(runs, out, synthesizer, synthetic, assumptions),
        }
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    numbers = out.with_suffix(".json")
    write_text(out, render(facts))
    write_text(numbers, facts.model_dump_json(indent=1))
    return ReportResult(html=out, json=numbers, facts=facts)


def render(facts: ReportFacts | ImageReportFacts) -> str:
    """Return the page; every text in it is escaped."""
    of_images = isinstance(facts, ImageReportFacts)
    return fill(
        "flawsmith.experiment.report",
        "image_report.html.j2" if of_images else "report.html.j2",
        page=facts,
        charts=image_charts if of_images else charts,
        words=words,
    )


def _require_inputs(runs: Sequence[Path], out: Path, synthesizer: Path | None) -> None:
    if not runs:
        raise FlawsmithError("no run was given; expected at least one tested run folder")
    if out.suffix.lower() not in (".html", ".htm"):
        raise FlawsmithError(f"--out {out}: expected a name that ends with .html")
    if synthesizer is not None and not synthesizer.is_dir():
        raise FlawsmithError(f"--synthesizer {synthesizer}: there is no such run folder")


def _require_one_level(runs: Sequence[Path], evaluations: Sequence[Evaluation]) -> None:
    """Refuse runs of which some were tested pixel by pixel and others on whole images."""
    words_of = {"pixel": "by its pixels", "image": "on labels of whole images"}
    for run, other in zip(runs[1:], evaluations[1:], strict=True):
        if other.level != evaluations[0].level:
            raise FlawsmithError(
                f"{run} was tested {words_of[other.level]}, {runs[0]} "
                f"{words_of[evaluations[0].level]}; a report compares figures of one kind. "
                "Make one report of each kind"
            )


def _collect(
    runs: Sequence[Path],
    evaluations: Sequence[Evaluation],
    dataset: DefectDataset | None,
    note: str,
    assumptions: PlantAssumptions,
    title: str | None,
) -> ReportFacts:
    arms = make_arms(runs, evaluations, assumptions)
    tested = [TestedRun(*t) for t in zip(runs, evaluations, arms, strict=True)]
    roles = [arm.role for arm in arms]
    after = roles.index("after")
    before = roles.index("before") if "before" in roles else None
    old_way = roles.index("old way") if "old way" in roles else None
    last, first = evaluations[after], None if before is None else evaluations[before]
    data = data_facts(last, dataset, note)
    colours = {d.name: d.colour for d in dataset.schema.defects} if dataset else {}

    def examples(kind: Kind, limit: int) -> list[Example]:
        earlier = None if before is None else tested[before]
        return make_examples(kind, limit, dataset, tested[after], earlier)

    return ReportFacts(
        title=title or f"Inspection of {data.name}",
        tested_on=tested_on(runs[after]),
        version=__version__,
        data=data,
        assumptions=assumptions,
        arms=arms,
        before=before,
        after=after,
        old_way=old_way,
        verdict=_verdict(arms, before, after, last),
        power=words.power_words(data.defective_parts, data.good_parts),
        paired=make_paired(first, last) if first else None,
        macro=compare_macro(first, last),
        composition=make_composition(first, last),
        classes=make_classes(evaluations, colours),
        parts=make_parts(evaluations, last),
        missed=examples("missed", MISSED_SHOWN),
        found=examples("found", FOUND_SHOWN),
        false_alarms=examples("false alarm", FALSE_ALARMS_SHOWN),
        synthetic=None,
        training=[
            read_training_log(run, label=arm.label, colour=arm.colour)
            for run, arm in zip(runs, arms, strict=True)
        ],
        reproduce=[],
    )


def _verdict(arms: list[Arm], before: int | None, after: int, last: Evaluation) -> Verdict:
    new = arms[after]
    if before is None:
        rules = next((arm for arm in arms if arm.role == "old way"), None)
        beside = (rules.escape, rules.overkill) if rules else None
        return describe(new.label, new.escape, new.overkill, beside)
    old = arms[before]
    change = "training again" if last.arm == "real" else change_words(last)
    return judge((old.escape, old.overkill), (new.escape, new.overkill), change)
