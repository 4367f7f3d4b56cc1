"""Acceptance rules: from what was found in the views of a part to its verdict.

Two kinds of reasons make a verdict: rules, which the user writes (`rule_file`), and checks, which
no rule can switch off (`part_checks`). A part passes only if neither has anything to say.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.regions import Region
from flawsmith.inspection.thresholds import Thresholds
from flawsmith.inspection.zones import PartLayout
from flawsmith.line.results import ImageInspection, PartVerdict, Reason, Verdict
from flawsmith.line.rules import words as words
from flawsmith.line.rules.binding import require_consistent
from flawsmith.line.rules.checks import CALIBRATION, MODEL, NO_RULE, check_part, without_copies
from flawsmith.line.rules.rule_file import ANY, Rule, RuleFile, Selection, load_rule_file
from flawsmith.registry import nearest_name


@dataclass
class _View:
    """One image and which of its regions count.

    Attributes:
        counted: positions in ``seen.regions``, in their order.
        caught: those of ``counted`` that a reason is about.
        hidden: (class, cause) -> regions that make no difference.
    """

    seen: ImageInspection
    counted: list[int] = field(default_factory=list)
    caught: set[int] = field(default_factory=set)
    hidden: dict[tuple[str, str], list[Region]] = field(default_factory=dict)

    def reason(self, verdict: Verdict, rule: str, text: str, found: list[int]) -> Reason:
        self.caught.update(found)
        return Reason(verdict=verdict, rule=rule, text=text, view=self.seen.view, regions=found)

    def hide(self, region: Region, cause: str) -> None:
        self.hidden.setdefault((region.class_name, cause), []).append(region)


class AcceptanceRules:
    """Decides PASS, REVIEW or FAIL for parts.

    Attributes:
        content: the rules as written.
        identity: 16 hex digits of the sha256 of the content.
        classes: names of the classes they know; empty if nobody has said.
    """

    def __init__(
        self, content: RuleFile, schema: Schema | None = None, *, source: str = "acceptance rules"
    ) -> None:
        """Check rules against themselves and, if given, the model's schema.

        Raises:
            FlawsmithError: for an unknown class, zone or view (with the nearest name), rules in mm
                without a calibration, or rules for other classes than the model's.
        """
        require_consistent(content, schema, source)
        self.content = content
        self.identity = content.identity
        self.classes = schema.defect_names if schema else list(content.classes)
        self._names = {name.casefold(): name for name in self.classes}
        if schema:
            for defect in schema.defects:
                self._names |= {alias.casefold(): defect.name for alias in defect.aliases}

    @classmethod
    def load(cls, path: Path, schema: Schema | None = None) -> Self:
        """Read a rules file, for a model with this schema if one is given.

        Raises:
            FlawsmithError: as `load_rule_file` and the constructor.
        """
        return cls(load_rule_file(path), schema, source=str(path))

    @classmethod
    def default(cls, schema: Schema, thresholds: Thresholds) -> Self:
        """Return the rules where no file is given: as in the test of the model.

        Any region whose score reaches the model's region threshold fails the part.
        """
        rule = Rule(name="any defect", verdict="FAIL")
        content = RuleFile(
            name="default",
            classes=schema.defect_names,
            thresholds={ANY: thresholds.region},
            rules=[rule],
        )
        return cls(content, schema)

    @property
    def expected_views(self) -> tuple[str, ...]:
        """Names of the views of every part; empty where the rules do not say."""
        return tuple(self.content.part.views)

    @property
    def timeout_seconds(self) -> float | None:
        """How long a part waits for its views after the first; None: for ever."""
        return self.content.part.timeout_seconds

    @property
    def located_zones(self) -> tuple[str, ...]:
        """Names of the zones that have to be found with the part in each image."""
        return tuple(dict.fromkeys(z.name for z in self.content.zones if z.located))

    def require_layout(self, path: Path) -> None:
        """Raise unless a part layout has every zone that is to be found with the part.

        A zone that nobody draws holds nothing: the rules for it would never fail a part. (Without
        any layout no part is located, and `decide` makes REVIEW of every region.)

        Raises:
            FlawsmithError: if a zone is missing, or the layout is wrong.
        """
        drawn = sorted({zone.name for zone in PartLayout.load(path).zones})
        for name in self.located_zones:
            if name not in drawn:
                raise FlawsmithError(
                    f"{path} draws no zone '{name}', which the rules look for"
                    f"{nearest_name(name, drawn)} (it draws: {', '.join(drawn) or 'none'})"
                )

    def explain(self) -> list[str]:
        """Return everything that the rules decide, a sentence each."""
        return words.explain(self.content, self.classes)

    def decide(
        self,
        part: str,
        views: Sequence[ImageInspection],
        *,
        missing_ok: bool = False,
        waited_seconds: float | None = None,
    ) -> PartVerdict:
        """Return the verdict of a part; the order of its views does not matter.

        A rule that speaks of a class makes regions of it acceptable that it does not catch: what is
        let pass so is told in ``hidden``, as is what is ignored.

        Args:
            part: name of the part.
            views: what was found in its images; an exact copy counts once.
            missing_ok: views are still awaited: a missing one is then REVIEW, not yet FAIL.
            waited_seconds: from the first to the last image by a monotonic clock, if measured.
        """
        kept = without_copies(views)
        reasons = check_part(
            self.content, part, kept, missing_ok=missing_ok, waited_seconds=waited_seconds
        )
        judged = [self._view(seen) for seen in kept if not seen.problem]
        for view in judged:
            reasons += self._unknown(view)
            reasons += self._unmeasured(view)
        for rule in self.content.rules:
            reasons += self._apply(rule, judged)
        reasons.sort(key=lambda reason: -reason.verdict.severity)
        return PartVerdict(
            part=part,
            verdict=reasons[0].verdict if reasons else Verdict.PASS,
            reasons=reasons,
            hidden=[line for view in judged for line in _hidden_lines(view)],
            rules=self.identity,
        )

    def _view(self, seen: ImageInspection) -> _View:
        view = _View(seen)
        for position, region in enumerate(seen.regions):
            known = not self.classes or region.class_name in self.classes
            cause = self._cause_to_hide(region, seen.view) if known else ""
            if cause:
                view.hide(region, cause)
            else:
                view.counted.append(position)
        return view

    def _cause_to_hide(self, region: Region, view: str) -> str:
        """Return why a region does not count, or an empty string."""
        if region.masked_share >= 1:
            return "in a do-not-inspect mask"
        for name in self.content.part.do_not_inspect:
            if self._in_zone(region, name, view, wholly=True):
                return f"do not inspect zone {name}"
        for rule in self.content.ignore:
            inside = rule.zone is None or self._in_zone(region, rule.zone, view, wholly=True)
            small = rule.sizes_hold(region, largest=True)
            if inside and small and self._speaks_of(rule, region, view):
                return f"ignored by '{rule.name}'"
        threshold = self.threshold(region.class_name)
        if region.score < threshold:
            return f"below the first-stage threshold {words.number(threshold)}"
        return ""

    def threshold(self, class_name: str) -> float:
        """Return the score from which regions of a class count (first stage)."""
        for name, value in self.content.thresholds.items():
            if name != ANY and self._known(name) == class_name:
                return value
        return self.content.thresholds.get(ANY, 0.0)

    def first_stage(self, thresholds: Thresholds) -> Thresholds:
        """Return a model's thresholds with pixel thresholds no higher than those of the rules.

        Otherwise a region that the rules would count might never be reported.
        """
        asked = [self.threshold(name) for name in self.classes]
        pixel = [min(p, t) if t else p for p, t in zip(thresholds.pixel, asked, strict=True)]
        return thresholds.model_copy(update={"pixel": pixel})

    def _known(self, name: str) -> str:
        return self._names.get(name.casefold(), name)

    def _speaks_of(self, rule: Selection, region: Region, view: str) -> bool:
        of_type = rule.type == ANY or self._known(rule.type) == region.class_name
        return of_type and (rule.views is None or view in rule.views)

    def _in_zone(self, region: Region, name: str, view: str, *, wholly: bool = False) -> bool:
        for zone in self.content.zones:
            if zone.name != name or zone.view not in (None, view):
                continue
            if zone.located:
                share = region.zone_shares.get(name, 0.0)
                inside = share >= 1 if wholly else share > 0
            else:
                inside = zone.covers(region.box) if wholly else zone.touches(region.box)
            if inside:
                return True
        return False

    def _unknown(self, view: _View) -> Iterator[Reason]:
        """Yield a reason for each class that the model must not have, or that has no rule."""
        types = {self._known(rule.type) for rule in self.content.rules}
        positions: dict[str, list[int]] = {}
        for position in view.counted:
            positions.setdefault(view.seen.regions[position].class_name, []).append(position)
        for name, found in positions.items():
            if self.classes and name not in self.classes:
                check, text = MODEL, f"the rules are for {', '.join(self.classes)}"
            elif ANY not in types and name not in types:
                check, text = NO_RULE, f"no rule says what {name} means"
            else:
                continue
            regions = [view.seen.regions[position] for position in found]
            text = f"{words.several(regions, view.seen.view)}: {text}"
            yield view.reason(Verdict.REVIEW, check, text, found)

    def _unmeasured(self, view: _View) -> Iterator[Reason]:
        """Yield a reason where a rule in mm meets a region without mm."""
        for rule in (*self.content.rules, *self.content.ignore):
            found = [
                position
                for position in view.counted
                if self._speaks_of(rule, (region := view.seen.regions[position]), view.seen.view)
                and any(getattr(region, name) is None for name in rule.limits)
            ]
            if found:
                where = words.place(None, view.seen.view)
                text = f"'{rule.name}' needs mm, and the regions{where} have none: no calibration"
                yield view.reason(Verdict.REVIEW, CALIBRATION, text, found)

    def _apply(self, rule: Rule, views: list[_View]) -> list[Reason]:
        """Return a reason for each view in which a rule is broken, if it is in enough of them.

        Where it is broken only if the sizes in mm are at the upper ends of their intervals, nobody
        can tell, and the part is for a person.
        """
        for largest in (False, True) if rule.needs_mm else (False,):
            hits = []
            for view in views:
                found = self._caught(rule, view, largest=largest)
                if found and (rule.count is None or rule.count.holds(len(found))):
                    hits.append((view, found))
            names = {view.seen.view for view, _ in hits}
            if names and len(names) >= self._views_needed(rule):
                verdict = Verdict.REVIEW if largest else Verdict(rule.verdict)
                return [_reason(rule, verdict, view, found, len(names)) for view, found in hits]
        return []

    def _caught(self, rule: Rule, view: _View, *, largest: bool) -> list[int]:
        return [
            position
            for position in view.counted
            if self._speaks_of(rule, (region := view.seen.regions[position]), view.seen.view)
            and rule.sizes_hold(region, largest=largest)
            and (rule.zone is None or self._in_zone(region, rule.zone, view.seen.view))
        ]

    def _views_needed(self, rule: Rule) -> int:
        if rule.over_views == ANY:
            return 1
        if rule.over_views == "all":
            return len(rule.views or self.content.part.views)
        return int(rule.over_views.split()[0])


def _reason(rule: Rule, verdict: Verdict, view: _View, found: list[int], views: int) -> Reason:
    """Return the reason that a rule gives for these positions in one of ``views`` views."""
    regions = [view.seen.regions[position] for position in found]
    # The largest by what the rule limits first tells most about it.
    measure = next(iter(rule.limits), "score")
    worst = max(regions, key=lambda region: float(getattr(region, measure)))
    text = words.found(worst, rule) + words.place(rule.zone, view.seen.view)
    if len(regions) > 1:
        text = (
            f"{len(regions)} regions, the {'surest' if measure == 'score' else 'largest'}: {text}"
        )
    text += f"; {words.allowed(rule)}"
    if rule.over_views != ANY:
        text += f" (in {views} views; the rule needs {rule.over_views})"
    if verdict is not Verdict(rule.verdict):
        text += ": too near to the limit to tell"
    return view.reason(verdict, rule.name, text, found)


def _hidden_lines(view: _View) -> Iterator[str]:
    """Yield what of a view has made no difference, a line for each class and cause."""
    for position in view.counted:
        if position not in view.caught:
            view.hide(view.seen.regions[position], "within what the rules allow")
    for (_, cause), regions in view.hidden.items():
        yield f"{words.several(regions, view.seen.view)}: {cause}"
