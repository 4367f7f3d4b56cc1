"""The file of acceptance rules: what may stand in it, and the identity of its content."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, field_validator, model_serializer, model_validator

from flawsmith.config import StrictModel, load_toml, validate
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.regions import Region
from flawsmith.line.rules.zones import Zone

ANY = "any"
MAX_BYTES = 1 << 20
"""A rules file is written by a person; a larger one is something else."""


class Measure(NamedTuple):
    """How a measure of a region is told: "12.3 mm long"."""

    unit: str
    word: str


MEASURES: dict[str, Measure] = {
    "length_mm": Measure(" mm", "long"),
    "width_mm": Measure(" mm", "wide"),
    "diameter_mm": Measure(" mm", "in equivalent diameter"),
    "area_mm2": Measure(" mm²", "in area"),
    "length_px": Measure(" px", "long"),
    "width_px": Measure(" px", "wide"),
    "diameter_px": Measure(" px", "in equivalent diameter"),
    "area_px": Measure(" px", "in area"),
    "score": Measure("", "in score"),
}
"""What of a region a rule can limit; the names are attributes of `Region`."""

LIMIT = re.compile(r"(>=|<=|>|<) *(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)")


class Limit(StrictModel):
    """A sign and a number, written ``"> 10"``."""

    sign: Literal[">", ">=", "<", "<="]
    value: float

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: object) -> object:
        if isinstance(given, dict | Limit):
            return given
        match = LIMIT.fullmatch(given.strip()) if isinstance(given, str) else None
        if match is None or not math.isfinite(float(match[2])):
            raise ValueError("expected a sign and a number in quotes, such as '> 10' or '>= 0.3'")
        return {"sign": match[1], "value": float(match[2])}

    @model_serializer
    def _to_text(self) -> str:
        return f"{self.sign} {self.value!r}"

    def holds(self, value: float) -> bool:
        """Whether a value keeps to it."""
        return {
            ">": value > self.value,
            ">=": value >= self.value,
            "<": value < self.value,
            "<=": value <= self.value,
        }[self.sign]


class Selection(StrictModel):
    """Which regions a rule speaks of; every condition must hold.

    Attributes:
        type: class of the defect, or ``any``.
        zone: a named zone; None for any place.
        views: names of views; None for all.
    """

    SIGNS: ClassVar[str] = "<>"
    ADVICE: ClassVar[str] = ""

    name: str = Field(min_length=1, max_length=80)
    type: str = ANY
    zone: str | None = None
    views: list[str] | None = Field(default=None, min_length=1)
    length_mm: Limit | None = None
    width_mm: Limit | None = None
    diameter_mm: Limit | None = None
    area_mm2: Limit | None = None
    length_px: Limit | None = None
    width_px: Limit | None = None
    diameter_px: Limit | None = None
    area_px: Limit | None = None
    score: Limit | None = None

    @field_validator(*MEASURES, "count", check_fields=False)
    @classmethod
    def _sign_fits(cls, limit: Limit | None) -> Limit | None:
        if limit is not None and limit.sign[0] not in cls.SIGNS:
            raise ValueError(cls.ADVICE)
        return limit

    @cached_property
    def limits(self) -> dict[str, Limit]:
        """The limits that are given, by the name of their measure."""
        values = {name: getattr(self, name) for name in MEASURES}
        return {name: limit for name, limit in values.items() if limit is not None}

    @property
    def needs_mm(self) -> bool:
        """Whether it speaks of sizes that need a calibration."""
        return any("_mm" in name for name in self.limits)

    def sizes_hold(self, region: Region, *, largest: bool) -> bool:
        """Whether all limits hold; one in mm does not without a calibration.

        Args:
            region: whose measures are compared.
            largest: take the upper ends of the 95 % intervals of sizes in mm.
        """
        for name, limit in self.limits.items():
            value = getattr(region, name)
            margin = getattr(region, f"{name}_u95", None) or 0.0
            if value is None or not limit.holds(value + margin * largest):
                return False
        return True


class Rule(Selection):
    """What makes a part FAIL or go to REVIEW. Limits are lower ones: more is never milder.

    Attributes:
        count: how many such regions one view has to show; None for one or more.
        over_views: ``any``, ``all``, or ``k of n``: in how many of its views.
    """

    SIGNS: ClassVar[str] = ">"
    ADVICE: ClassVar[str] = (
        "a rule says what is too much: write '> ...' or '>= ...'; what is too small to count "
        "stands under [[ignore]]"
    )

    count: Limit | None = None
    over_views: str = Field(default=ANY, pattern=r"^(any|all|[1-9]\d? of [1-9]\d?)$")
    verdict: Literal["FAIL", "REVIEW"]


class Ignore(Selection):
    """What does not count. It only hides regions that lie wholly in its zone; each is logged."""

    SIGNS: ClassVar[str] = "<"
    ADVICE: ClassVar[str] = "what is ignored lies below a limit: write '< ...' or '<= ...'"

    @model_validator(mode="after")
    def _not_everything(self) -> Self:
        if self.type == ANY and self.zone is None and not self.limits:
            raise ValueError("it would ignore every defect: give a type, a zone or a limit")
        return self


class PartSettings(StrictModel):
    """What belongs to a part.

    Attributes:
        views: names of the expected views, ``""`` for one without a name; empty where parts differ:
            then one image is enough, and nobody notices a missing one.
        timeout_seconds: how long after its first image a part may wait for the others; None: ever.
        not_inspected: what a missing, late or unreadable view makes of the part.
        do_not_inspect: zones in which nothing counts.
    """

    views: list[str] = Field(default=[], max_length=99)
    timeout_seconds: float | None = Field(default=None, gt=0, le=86_400)
    not_inspected: Literal["FAIL", "REVIEW"] = "REVIEW"
    do_not_inspect: list[str] = []


class RuleFile(StrictModel):
    """Everything in a rules file.

    Attributes:
        classes: those of the model that the rules are for; empty: whatever the model has.
        thresholds: class (or ``any``) -> score from which a region counts (first stage).
    """

    format_version: Literal[1] = 1
    name: str = Field(default="", max_length=200)
    classes: list[str] = []
    part: PartSettings = PartSettings()
    thresholds: dict[str, float] = {}
    zones: list[Zone] = []
    ignore: list[Ignore] = []
    rules: list[Rule] = Field(min_length=1)

    @field_validator("thresholds")
    @classmethod
    def _scores(cls, values: dict[str, float]) -> dict[str, float]:
        for name, value in values.items():
            if not 0 <= value <= 1:
                raise ValueError(f"the score {value} of {name} is not between 0 and 1")
        return values

    @property
    def identity(self) -> str:
        """16 hex digits of the sha256 of the content; comments and order of keys do not matter."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


_TABLES: dict[str, type[StrictModel]] = {"zones": Zone, "ignore": Ignore, "rules": Rule}


def load_rule_file(path: Path) -> RuleFile:
    """Read a rules file.

    Raises:
        FlawsmithError: if it is missing, too large, no TOML, or a key or value is wrong; it names
            every rule with a wrong one, and the nearest known key.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise FlawsmithError(f"cannot read the rules {path}: {error.strerror or error}") from None
    if not path.is_file() or size > MAX_BYTES:
        raise FlawsmithError(
            f"{path} is no rules file ({size} bytes); expected a TOML file of at most {MAX_BYTES}"
        )
    return parse_rules(load_toml(path), source=str(path))


def parse_rules(values: Mapping[str, Any], *, source: str) -> RuleFile:
    """Return the rules file with these plain values; errors as in `load_rule_file`."""
    problems: list[str] = []
    tables: dict[str, list[StrictModel]] = {}
    for key, model in _TABLES.items():
        if key not in values:
            continue
        entries = values[key]
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            problems.append(f"{source}: '{key}' is no list of tables; write each as [[{key}]]")
            continue
        tables[key] = []
        for number, entry in enumerate(entries, start=1):
            where = f"{source}: [[{key}]] number {number}"
            where += f" ({entry['name']})" if isinstance(entry.get("name"), str) else ""
            try:
                tables[key].append(validate(model, entry, source=where))
            except FlawsmithError as error:
                problems.append(str(error))
    if problems:
        raise FlawsmithError("\n".join(problems))
    return validate(RuleFile, {**values, **tables}, source=source)
