"""Acceptance rules and regions in the words of a person."""

from collections.abc import Sequence

from flawsmith.inspection.regions import Region
from flawsmith.line.rules.rule_file import ANY, MEASURES, Ignore, Limit, Rule, RuleFile, Selection

_MORE = {">": "more than ", ">=": "", "<": "less than ", "<=": "at most "}


def number(value: float, apart_from: float | None = None) -> str:
    """Return a number with about three digits, more where it would look like another one.

    10.04 is "10", but "10.04" where 10 is allowed: a reason has to show why.
    """
    for digits in range(_decimals(value), 10):
        text = f"{value:.{digits}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        if apart_from is None or value == apart_from or float(text) != apart_from:
            return text
    return repr(value)


def _decimals(value: float) -> int:
    return 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3


def found(region: Region, selection: Selection) -> str:
    """Return what a region is by the measures that a rule limits: "crack 12.3 mm long"."""
    texts = []
    for name, limit in selection.limits.items():
        value = getattr(region, name)
        if value is not None and name != "score":
            u95 = getattr(region, f"{name}_u95", None)
            margin = f" ± {number(u95)}" if u95 else ""
            unit, word = MEASURES[name]
            texts.append(f"{number(value, limit.value)}{margin}{unit} {word}")
    if not texts or "score" in selection.limits:
        of_score = selection.limits.get("score")
        texts.append(f"with score {number(region.score, of_score.value if of_score else None)}")
    return f"{region.class_name} {', '.join(texts)}"


def allowed(rule: Rule) -> str:
    """Return what a rule would have let pass: "10 mm allowed", "none allowed"."""
    if rule.count is not None:
        fewer = "" if rule.count.sign == ">" else "fewer than "
        return f"{fewer}{number(rule.count.value)} {_such(rule)}allowed".replace("  ", " ")
    texts = [_most(name, limit) for name, limit in rule.limits.items() if name != "score"]
    if not texts:
        return "none allowed"
    return f"{' or '.join(texts)} allowed"


def _such(rule: Rule) -> str:
    return "such " if rule.limits else ""


def _most(name: str, limit: Limit) -> str:
    less = "" if limit.sign == ">" else "less than "
    word = "" if name.startswith("length") else f" {MEASURES[name].word}"
    return f"{less}{number(limit.value)}{MEASURES[name].unit}{word}"


def place(zone: str | None, view: str) -> str:
    """Return " in zone edge of view top", or as much of it as there is."""
    texts = [f"zone {zone}"] if zone else []
    texts += [f"view {view}"] if view else []
    return f" in {' of '.join(texts)}" if texts else ""


def several(regions: Sequence[Region], view: str) -> str:
    """Return regions of one class in one view: "3 x crack in view top, up to 9.1 mm long"."""
    longest = max(regions, key=lambda region: region.length_px)
    mm = longest.length_mm
    length = f"{number(mm)} mm" if mm is not None else f"{number(longest.length_px)} px"
    score = number(max(region.score for region in regions))
    return (
        f"{len(regions)} x {regions[0].class_name}{place(None, view)}, up to {length} long, "
        f"score up to {score}"
    )


def selected(selection: Selection) -> str:
    """Return which regions a rule speaks of: "crack of more than 10 mm (length) in zone edge"."""
    texts = [
        f"{_sign(limit, MEASURES[name].unit)} {MEASURES[name].word}"
        for name, limit in selection.limits.items()
    ]
    text = "any defect" if selection.type == ANY else selection.type
    text += f", {' and '.join(texts)}" if texts else ""
    text += f", in zone {selection.zone}" if selection.zone else ""
    views = selection.views
    return text + (f", in view {' or '.join(views)}" if views else "")


def _sign(limit: Limit, unit: str = "") -> str:
    after = " or more" if limit.sign == ">=" else ""
    return f"{_MORE[limit.sign]}{number(limit.value)}{unit}{after}"


def explain_rule(rule: Rule) -> str:
    """Return one rule as a sentence."""
    if rule.count is None:
        many = "one or more of these"
    else:
        many = f"{_sign(rule.count)} of these"
    if rule.over_views == ANY:
        where = "in any one view"
    elif rule.over_views == "all":
        where = "in every one of the views"
    else:
        where = f"in each of {rule.over_views} views"
    return f"{rule.verdict} by '{rule.name}': {selected(rule)}; {many} {where}"


def explain_ignore(rule: Ignore) -> str:
    """Return one tolerance as a sentence."""
    wholly = " wholly" if rule.zone else ""
    return f"ignored by '{rule.name}', but logged: {selected(rule)}{wholly}"


def explain(content: RuleFile, classes: Sequence[str] = ()) -> list[str]:
    """Return everything that a rules file decides, a sentence each.

    Args:
        content: the rules.
        classes: of the model, if they are known: those without a rule are named.
    """
    lines = [*_explain_part(content), *_explain_thresholds(content)]
    for name in content.part.do_not_inspect:
        lines.append(f"nothing counts that lies wholly in zone {name}; it is logged")
    lines += [explain_ignore(rule) for rule in content.ignore]
    if not any(set(rule.limits) - {"score"} for rule in content.ignore):
        lines.append("no size limit: no region is too small to count")
    lines += [explain_rule(rule) for rule in content.rules]
    types = {rule.type.casefold() for rule in content.rules}
    if ANY not in types:
        lost = [name for name in classes if name.casefold() not in types]
        lines += [f"REVIEW: any {name}, as no rule speaks of it" for name in lost]
    lines.append(
        "never PASS, whatever the rules: a missing or unexpected view, a view that came late or "
        "could not be inspected, another part's image, an expired or missing calibration where "
        "a rule needs mm, a class that the rules do not know, novelty above its limit"
    )
    return lines


def _explain_part(content: RuleFile) -> list[str]:
    part = content.part
    if not part.views:
        first = "a part is whatever images of it come, at least one: a missing one goes unnoticed"
    elif part.views == [""]:
        first = "a part has one view, without a name"
    else:
        first = f"a part has {len(part.views)} views: {', '.join(part.views)}"
    lines = [first, f"{part.not_inspected}: a view is missing, late or could not be inspected"]
    if part.timeout_seconds is None:
        return [*lines, "no timeout: the rules do not say when a view is late"]
    return [*lines, f"a part waits {number(part.timeout_seconds)} s for its views"]


def _explain_thresholds(content: RuleFile) -> list[str]:
    lines = [
        f"{name} counts from score {number(value)}"
        for name, value in content.thresholds.items()
        if name != ANY
    ]
    others = "every other class" if lines else "every region"
    if ANY in content.thresholds:
        lines.append(f"{others} counts from score {number(content.thresholds[ANY])}")
    else:
        lines.append(f"{others} counts at any score that the model reports")
    return lines
