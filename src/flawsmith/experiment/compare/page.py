"""The page of a comparison: ``compare.json`` and a self-contained ``compare.html``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from flawsmith.data.templates import render as fill
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.benefit import verdict
from flawsmith.experiment.benefit.settings import REAL
from flawsmith.experiment.benefit.statistics import CLASS_PARTS
from flawsmith.experiment.compare import printed, words
from flawsmith.experiment.compare.facts import PAGE_FILE, CompareFacts, Method, SystemFacts
from flawsmith.experiment.compare.gathering import gather
from flawsmith.experiment.compare.pictures import Figure, figure_12, figure_14
from flawsmith.experiment.compare.runs import SystemComparison
from flawsmith.experiment.report.figures import Axis, Mark, dot_chart
from flawsmith.experiment.report.words import duration
from flawsmith.storage import write_text

CHART_MARGIN = 0.02


@dataclass(frozen=True)
class DataSetRow:
    """One row of Table 9.

    Attributes:
        methods: by name; a method that this data set does not have is absent.
    """

    facts: CompareFacts
    methods: dict[str, Method]


def write_page(test: SystemComparison, start_with: Sequence[str]) -> tuple[CompareFacts, Path]:
    """Write ``compare.json`` and ``compare.html``; return what they say and where the page is.

    Args:
        test: the comparison.
        start_with: systems that a factory should begin with, best first.
    """
    facts = gather(test, start_with)
    test.out.mkdir(parents=True, exist_ok=True)
    facts.save(test.out)
    sources = {s.name: s.balanced.mask_source for s in facts.systems if s.balanced is not None}
    page = test.out / PAGE_FILE
    write_text(page, render(facts, figure_12(test, sources), figure_14(test)))
    return facts, page


def render(facts: CompareFacts, made: Figure | None, found: tuple[Figure | None, list[str]]) -> str:
    """Return the page.

    Args:
        facts: everything that is known.
        made: Figure 12.
        found: Figure 14, and the models that have no pictures here.
    """
    methods = {method.name: method for method in facts.methods}
    return fill(
        "flawsmith.experiment.report",
        "compare.html.j2",
        page=facts,
        by_name={system.name: system for system in facts.systems},
        changes={comparison.arm: comparison for comparison in facts.comparisons},
        chart=_chart(facts),
        figure_12=made,
        figure_14=found[0],
        absent=found[1],
        rows=[DataSetRow(facts, methods)],
        columns=[name for name in methods if name != REAL],
        **_shared(),
    )


def join(places: Sequence[Path], out: Path) -> Path:
    """Write Table 9 of several comparisons into ``out``; return the page.

    Args:
        places: files ``compare.json`` of different data sets, or their folders.
        out: folder of the page.

    Raises:
        FlawsmithError: if one is no comparison, or two are of the same data.
    """
    known = [CompareFacts.load(place) for place in places]
    seen: dict[str, Path] = {}
    for facts, place in zip(known, places, strict=True):
        if facts.data_fingerprint in seen:
            raise FlawsmithError(
                f"{seen[facts.data_fingerprint]} and {place} are of the same data; expected "
                "one comparison a data set"
            )
        seen[facts.data_fingerprint] = place
    rows = [DataSetRow(facts, {m.name: m for m in facts.methods}) for facts in known]
    names = dict.fromkeys(m.name for facts in known for m in facts.methods if m.name != REAL)
    text = fill(
        "flawsmith.experiment.report",
        "compare_join.html.j2",
        rows=rows,
        columns=list(names),
        version=known[0].version,
        **_shared(),
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FlawsmithError(f"cannot make {out}: {error.strerror or error}") from error
    page = out / PAGE_FILE
    write_text(page, text)
    return page


def _shared() -> dict[str, object]:
    return {
        "words": words,
        "rule": verdict,
        "printed": printed.TABLES,
        "mark": printed.MARK,
        "few": CLASS_PARTS,
        "duration": duration,
        "size": _size,
        "sampling": _sampling,
    }


def _size(system: SystemFacts) -> tuple[int, float]:
    """Return parameters and MiB of all networks of a system."""
    networks = system.training.networks if system.training else []
    return sum(n.parameters for n in networks), sum(n.mib for n in networks)


def _sampling(system: SystemFacts) -> tuple[int, float]:
    """Return parameters and MiB of the networks that make images."""
    networks = [n for n in (system.training.networks if system.training else []) if n.samples]
    return sum(n.parameters for n in networks), sum(n.mib for n in networks)


def _chart(facts: CompareFacts) -> Markup | None:
    """Return the difference of every system to real images alone, with its interval."""
    colours = {system.name: system.colour for system in facts.systems}
    known = [c for c in facts.comparisons if c.change is not None]
    if not known:
        return None
    rows, values = [], [0.0]
    for item in known:
        assert item.change is not None
        ends = [item.change.value, item.change.low, item.change.high]
        values += [value for value in ends if value is not None]
        mark = Mark(item.change.value, item.change.low, item.change.high, colours[item.arm])
        rows.append((item.arm, [mark]))
    reach = max(map(abs, values)) + CHART_MARGIN
    title = "macro IoU minus that of real images alone, with its 95 % interval"
    return dot_chart(rows, title, axis=Axis(-reach, reach, title))
