"""Class names that may mean one class, and names that say nothing."""

import re
import unicodedata
from collections.abc import Sequence
from itertools import combinations

from flawsmith.data.check_report import Finding

_MEANINGLESS = frozenset(
    "unnamed unknown untitled none null nan other others misc miscellaneous undefined default test "
    "class label object category item todo tbd new defect defects defective anomaly fault error "
    "ng bad foreground region mask na".split()
)
_NUMBERED = re.compile(
    r"(class|label|object|category|cat|cls|id|type|defect|item|untitled|unnamed|new)?[0-9]+"
)
_VOWELS = frozenset("aeiouy")
_SHORT, _ONE_EDIT, _TWO_EDITS = 4, 5, 8
"""Letters from which names may differ by a vowel, by one edit, by two."""


def judge_names(names: Sequence[str]) -> list[Finding]:
    """Return pairs of names that look like one, and names that say nothing about a defect."""
    findings = [
        Finding(
            kind="similar_class_names",
            file="",
            message=f"{first!r} and {second!r} differ {how}; if they are one class, import again "
            "under one name or relabel",
        )
        for first, second in combinations(names, 2)
        if (how := difference(first, second)) is not None
    ]
    findings += [
        Finding(
            kind="meaningless_class_name",
            file="",
            message=f"{name!r} does not say what the defect is",
        )
        for name in names
        if is_meaningless(name)
    ]
    return findings


def is_meaningless(name: str) -> bool:
    """Tell whether a name is a number, a placeholder, or only says that there is a defect."""
    joined = "".join(_words(name))
    return not joined or joined in _MEANINGLESS or _NUMBERED.fullmatch(joined) is not None


def difference(first: str, second: str) -> str | None:
    """Return how two names differ if they are likely one, else None.

    Numbers and single letters enumerate ("type 1", "grade B") and are never slips. The first
    letter seldom is one, and many short words are one letter apart ("burn", "burr"): there only
    vowels count.
    """
    words = (_words(first), _words(second))
    joined = ["".join(part) for part in words]
    if not all(joined):
        return None
    if joined[0] == joined[1]:
        return "only in case, spaces or punctuation"
    if re.findall(r"\d+", joined[0]) != re.findall(r"\d+", joined[1]):
        return None
    if _singular(joined[0]) == _singular(joined[1]):
        return "only in singular and plural"
    a, b = joined
    if len(words[0]) == len(words[1]):
        unlike = [(u, v) for u, v in zip(*words, strict=True) if u != v]
        if len(unlike) != 1:
            return None
        a, b = unlike[0]
    edits = edit_distance(a, b)
    length = min(len(a), len(b))
    if a[0] != b[0] or length < _SHORT or edits > 2:
        return None
    if edits == 2 and length < _TWO_EDITS:
        return None
    if length < _ONE_EDIT and not _vowel_replaced(a, b):
        return None
    return "in one letter" if edits == 1 else "in two letters"


def edit_distance(a: str, b: str) -> int:
    """Return how many insertions, deletions, replacements and swaps of neighbours are needed.

    The optimal string alignment distance: Damerau's operations, no letter edited twice.
    """
    before: list[int] = []
    above = list(range(len(b) + 1))
    for i, letter in enumerate(a, start=1):
        row = [i]
        for j, other in enumerate(b, start=1):
            cost = min(above[j] + 1, row[-1] + 1, above[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, above = above, row
    return above[-1]


def _words(name: str) -> list[str]:
    """Return the parts of a name in small letters, cut at punctuation, spaces, camelCase."""
    plain = unicodedata.normalize("NFKC", name)
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain).casefold()
    return re.findall(r"[^\W_]+", spaced)


def _singular(word: str) -> str:
    if len(word) <= 3 or word.endswith("ss"):
        return word
    for ending, singular in (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("s", "")):
        if word.endswith(ending):
            return word[: -len(ending)] + singular
    return word


def _vowel_replaced(a: str, b: str) -> bool:
    unlike = [{u, v} for u, v in zip(a, b, strict=False) if u != v]
    return len(a) == len(b) and len(unlike) == 1 and unlike[0] <= _VOWELS
