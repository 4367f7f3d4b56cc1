"""Whether acceptance rules fit themselves and the model that they are for."""

from collections.abc import Iterable, Iterator, Sequence

from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.line.rules.checks import CHECKS
from flawsmith.line.rules.rule_file import ANY, Rule, RuleFile, Selection
from flawsmith.registry import nearest_name


def require_consistent(content: RuleFile, schema: Schema | None, source: str) -> None:
    """Raise unless every name in the rules means something.

    Args:
        content: of the rules file.
        schema: of the model that the rules are for, if it is known.
        source: where the rules came from, for the message.

    Raises:
        FlawsmithError: naming everything that is wrong, a line each.
    """
    problems = [
        *_duplicates("view", content.part.views),
        *_duplicates("class", content.classes),
        *_duplicates("rule", [rule.name for rule in (*content.ignore, *content.rules)]),
        *_of_part(content),
        *_of_classes(content, schema),
    ]
    for rule in (*content.ignore, *content.rules):
        problems += [f"rule '{rule.name}': {text}" for text in _of_rule(rule, content, schema)]
    if problems:
        raise FlawsmithError("\n".join(f"{source}: {text}" for text in problems))


def _duplicates(what: str, names: Sequence[str]) -> Iterator[str]:
    folded = [name.casefold() for name in names]
    for name in dict.fromkeys(folded):
        if folded.count(name) > 1:
            yield f"two {what}s are called '{name}'; give each a name of its own"


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(set(known))
    listing = ", ".join(repr(n) for n in names) if names else "none"
    return f"there is no {what} '{name}'{nearest_name(name, names)} (known: {listing})"


def _of_part(content: RuleFile) -> Iterator[str]:
    zones = {zone.name for zone in content.zones}
    for name in content.part.do_not_inspect:
        if name not in zones:
            yield f"do_not_inspect: {_unknown('zone', name, zones)}"
    views = content.part.views
    for zone in content.zones:
        if zone.view is not None and views and zone.view not in views:
            yield f"zone '{zone.name}': {_unknown('view', zone.view, views)}"


def _of_classes(content: RuleFile, schema: Schema | None) -> Iterator[str]:
    known = _class_names(content, schema)
    if ANY in known:
        yield f"a class called '{ANY}' cannot be told from all classes; rename it in the schema"
    if schema and content.classes:
        given = {name.casefold() for name in content.classes}
        if given != {name.casefold() for name in schema.defect_names}:
            yield (
                f"the rules are for a model with the classes {', '.join(content.classes)}; this "
                f"one has {', '.join(schema.defect_names)}: use other rules, or adapt 'classes'"
            )
    if schema or content.classes:
        for name in content.thresholds:
            if name != ANY and name.casefold() not in known:
                yield f"thresholds: {_unknown('class', name, known)}"
    mentioned = [_canonical(name, schema) for name in content.thresholds]
    yield from _duplicates("threshold", mentioned)


def _canonical(name: str, schema: Schema | None) -> str:
    """Return a class's own name for an alias."""
    for defect in schema.defects if schema else []:
        if name.casefold() in {alias.casefold() for alias in defect.aliases}:
            return defect.name
    return name


def _class_names(content: RuleFile, schema: Schema | None) -> set[str]:
    if schema is None:
        return {name.casefold() for name in content.classes}
    return {n.casefold() for d in schema.defects for n in (d.name, *d.aliases)}


def _of_rule(rule: Selection, content: RuleFile, schema: Schema | None) -> Iterator[str]:
    if rule.name in CHECKS:
        yield "this is the name of a check that is always made; choose another"
    known = _class_names(content, schema)
    if (schema or content.classes) and rule.type != ANY and rule.type.casefold() not in known:
        yield _unknown("class", rule.type, known)
    zones = {zone.name for zone in content.zones}
    if rule.zone is not None and rule.zone not in zones:
        yield _unknown("zone", rule.zone, zones)
    views = content.part.views
    for name in rule.views or []:
        if name not in views:
            yield _unknown("view", name, views)
    if schema and schema.pixel_size_mm is None and rule.needs_mm:
        yield (
            f"it needs mm, and {schema.name} has no calibration; give its pixel size in mm, or "
            "write the limit in px"
        )
    if isinstance(rule, Rule):
        yield from _of_views_needed(rule, content)


def _of_views_needed(rule: Rule, content: RuleFile) -> Iterator[str]:
    views = rule.views or content.part.views
    if rule.count is not None and rule.count.sign == ">=" and rule.count.value < 1:
        yield "count: a rule needs at least one region"
    if rule.over_views == ANY:
        return
    if not views:
        yield f"over_views = '{rule.over_views}' needs the views of a part: [part] views = [...]"
    if " of " in rule.over_views:
        needed, total = (int(text) for text in rule.over_views.split(" of "))
        if views and (total != len(views) or needed > total):
            yield f"over_views = '{rule.over_views}', but it looks at {len(views)} views"
