import json

import numpy as np
import pytest

from flawsmith.errors import FlawsmithError
from flawsmith.experiment.benefit.facts import Change, Comparison
from flawsmith.experiment.benefit.mix import FALLBACK_MIX
from flawsmith.experiment.benefit.plan import Step
from flawsmith.experiment.compare.facts import FACTS_FILE, CompareFacts, Method
from flawsmith.experiment.compare.gathering import _apart
from flawsmith.experiment.compare.page import join, render
from flawsmith.experiment.compare.printed import TABLES
from flawsmith.experiment.compare.words import HEADLINE_MISSING, answer


def compared(arm, value, low, high, *, holm=0.5, luck=0.1):
    change = Change(value=value, low=low, high=high, error=0.01)
    return Comparison(
        arm=arm, model="m", mix=FALLBACK_MIX, pairs=3, folds=[0], seeds=3, parts=40, defective=15,
        real=0.4, macro=0.4 + value, change=change, swap_p=holm, luck_p=luck, p=holm, holm=holm,
        classes=[], escape=None, overkill=None, further_parts=None,
    )  # fmt: skip


def method(name, macro):
    return Method(
        name=name, colour="#000000", seeds=3, iou=[macro], macro=macro, part_auroc=0.8,
        defects_found=3, defects=12, pixel_accuracy=0.9, run="r", images={},
    )  # fmt: skip


def said(*comparisons, apart=None):
    methods = [method("real", 0.4), *(method(c.arm, 0.4 + c.change.value) for c in comparisons)]
    return answer(
        methods, comparisons, apart, [], ["copy_paste", "dbs_gan"], missing=0, failures={}
    )


def test_a_proven_lead_is_said_with_its_interval():
    found = said(
        compared("stargan", 0.05, 0.02, 0.08, holm=0.01),
        compared("dcgan", -0.1, -0.2, -0.05, holm=0.01),
        compared("cyclegan", -0.2, -0.4, -0.01, holm=0.2),
        compared("crack_gan", -0.2, -0.3, -0.1, holm=0.01, luck=None),
        compared("bagan_gp", -0.2, -0.5, 0.1),
    )
    assert found.tone == "better"
    assert found.headline == (
        "stargan led: macro IoU 0.450, +0.050 [+0.020, +0.080] beside real images alone (p = 0.010)"
    )
    assert "Adding images lowered macro IoU: dcgan (-0.100 [-0.200, -0.050])." in found.sentences
    assert (
        "Lower than real images alone, though that could be chance: cyclegan (-0.200 [-0.400, "
        "-0.010]), crack_gan (-0.200 [-0.300, -0.100])."
    ) in found.sentences
    assert not any("bagan_gp" in text for text in found.sentences)
    assert any("start with copy_paste, then dbs_gan (as" in text for text in found.sentences)


@pytest.mark.parametrize(
    "lead", [compared("stargan", 0.05, -0.01, 0.11), compared("stargan", 0.05, 0.01, 0.1, luck=None,
                                                              holm=0.01)]
)  # fmt: skip
def test_a_lead_that_may_be_chance_is_called_so(lead):
    found = said(lead)
    assert found.tone == "open"
    assert found.headline.startswith("stargan was ahead")
    assert found.headline.endswith("; that could be chance")


def test_no_lead_is_said_plainly():
    lost = compared("stargan", -0.05, -0.09, -0.01, holm=0.02)
    found = said(lost, compared("dcgan", -0.1, -0.2, -0.05))
    assert found.tone == "worse"
    assert found.headline.startswith("No system led: real images alone had macro IoU 0.400; the "
                                     "best system, stargan, had 0.350")  # fmt: skip
    assert said(compared("stargan", -0.01, -0.09, 0.03)).tone == "open"
    assert said(compared("stargan", -0.05, -0.09, -0.01, holm=0.3)).tone == "open"


def test_the_leader_is_compared_with_copy_paste():
    found = said(compared("stargan", 0.05, 0.02, 0.08), apart=compared("stargan", 0.01, -0.1, 0.1))
    assert found.sentences[0] == (
        "Against copy_paste, which learns nothing, stargan had +0.010 [-0.100, +0.100] macro IoU, "
        "p = 0.500: that could be chance."
    )


def judged(arm, seed, gain, counts):
    """Return a ledger line of one class in which an arm finds more than the counts say."""
    parts = {
        f"p{i}": [["crack"], "F", {"crack": [hits + gain[i], 5, 100 - hits - gain[i]]}]
        for i, hits in enumerate(counts)
    }
    line = {"parts": parts, "model": "m", "mix": FALLBACK_MIX.model_dump()}
    return Step("model", arm, 0, "m", seed), line


def test_the_lead_over_copy_paste_is_adjusted_for_the_systems_to_choose_from():
    draw = np.random.default_rng(0)
    counts = draw.integers(20, 40, 12).tolist()
    gains = {
        "copy_paste": [0] * 12,
        "stargan": draw.integers(-4, 12, 12).tolist(),
        "dcgan": draw.integers(-12, 4, 12).tolist(),
    }
    results = [judged(arm, 0, gain, counts) for arm, gain in gains.items()]
    methods = [method("stargan", 0.5), method("copy_paste", 0.4), method("dcgan", 0.3)]
    both = _apart(results, ["crack"], methods, "m")
    alone = _apart(results[:2], ["crack"], methods, "m")
    assert both.arm == alone.arm == "stargan"
    assert both.change == alone.change
    assert both.p == alone.p == pytest.approx(alone.holm, abs=1e-6)
    assert both.holm == pytest.approx(2 * both.p, abs=1e-6)


def test_nothing_is_said_before_both_are_tested():
    failures = {"machine_vision": "machine_vision: fit and test fixed rules: no mask"}
    found = answer(
        [method("real", 0.4)], [], None, [], ["copy_paste"], missing=7, failures=failures
    )
    assert found.headline == HEADLINE_MISSING
    assert "7 steps are missing; the same command goes on." in found.sentences
    assert found.sentences[1].startswith("machine_vision failed, what follows")
    assert found.sentences[1].endswith("fixed rules: no mask")


@pytest.mark.parametrize("number", [4, 7])
def test_means_beside_the_printed_cells_are_their_means(number):
    for row in TABLES[number].rows:
        *cells, mean = map(float, row.cells)
        digits = len(row.cells[-1].split(".")[1])
        assert sum(cells) / len(cells) == pytest.approx(mean, abs=0.51 * 10**-digits)


def test_printed_tables_agree_with_each_other():
    known = {n: {row.system: row.cells for row in TABLES[n].rows} for n in (6, 7, 8)}
    for system in ("real", "dbs_gan"):
        assert known[6][system][0] == known[7][system][-1] == known[8][system][1]
    for table in TABLES.values():
        assert {len(row.cells) for row in table.rows} == {len(table.headings)}


@pytest.fixture
def other(finished, tmp_path):
    values = json.loads((finished.test.out / FACTS_FILE).read_text())
    values |= {"name": "steel", "data_fingerprint": "other"}
    (tmp_path / "steel").mkdir()
    (tmp_path / "steel" / FACTS_FILE).write_text(json.dumps(values))
    return tmp_path / "steel"


def test_several_data_sets_are_one_table(finished, other, tmp_path):
    first = finished.test.out / FACTS_FILE
    text = join([first, other], tmp_path / "joined").read_text()
    assert text.count('data-table="9"') == 2
    for name in ("pouch", "steel"):
        assert text.count(f'<th scope="row">{name}') == 2
    with pytest.raises(FlawsmithError, match="are of the same data"):
        join([first, first.parent], tmp_path / "twice")
    assert not (tmp_path / "twice").exists()
    values = json.loads((other / FACTS_FILE).read_text())
    for given, message in [(values | {"format_version": 9, "new": 1}, "in format 9, expected"),
                           ([], "is no comparison")]:  # fmt: skip
        (other / FACTS_FILE).write_text(json.dumps(given))
        with pytest.raises(FlawsmithError, match=message):
            join([first, other], tmp_path / "broken")
    (other / FACTS_FILE).write_text("{")
    with pytest.raises(FlawsmithError, match="is not JSON"):
        join([first, other], tmp_path / "broken")
    with pytest.raises(FlawsmithError, match=r"expected a compare\.json"):
        join([tmp_path / "nowhere"], tmp_path / "broken")


def test_page_of_nothing_but_a_plan_can_be_drawn(finished):
    facts = CompareFacts.load(finished.test.out)
    nothing = facts.model_copy(
        update={
            "methods": [], "comparisons": [], "spent": [],
            "systems": [s.model_copy(update={"training": None, "balanced": None, "score": None})
                        for s in facts.systems],
        }
    )  # fmt: skip
    text = render(nothing, None, (None, []))
    for number in range(3, 10):
        assert f'data-table="{number}"' in text
    assert "Nothing is tested yet." in text
