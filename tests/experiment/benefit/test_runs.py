import dataclasses
import json

import pytest

from flawsmith.data.dataset import DefectDataset
from flawsmith.experiment.benefit import BenefitSettings, BenefitTest, work
from flawsmith.experiment.benefit.facts import BenefitFacts
from flawsmith.experiment.benefit.finished import FINISHED_FILE, trained_share
from flawsmith.experiment.benefit.hours import OTHER_SHARE
from flawsmith.experiment.benefit.mix import FALLBACK_MIX, Mix
from flawsmith.experiment.benefit.page import write_report
from flawsmith.experiment.ledger import read_lines
from flawsmith.experiment.selection import select
from flawsmith.experiment.selection.facts import Reason
from flawsmith.metrics.evaluation import EVALUATION_FILE
from flawsmith.training.checkpoint import write_checkpoint
from flawsmith.training.loop import Hooks

SETTINGS = BenefitSettings(
    preset="tiny",
    models=["fc_hardnet70"],
    amounts=[0.25, 1.0],
    schedules=["mixed", "first"],
    per_class=2,
    folds=[0],
    curve=[0.5, 1.0],
    screen_share=0.5,
)


@pytest.fixture(scope="module")
def finished(pouch_folder, tmp_path_factory):
    test = BenefitTest(pouch_folder, tmp_path_factory.mktemp("benefit"), SETTINGS)
    assert test.run(Hooks(), lambda line: None)
    return test


def test_every_step_is_in_the_ledger_with_its_parts(finished, pouch_folder):
    lines = read_lines(finished.ledger)
    kinds = [(line["kind"], line["arm"], line["share"]) for line in lines]
    assert kinds == [
        ("model", "real", 1.0),
        *[("screen", "copy_paste", 1.0)] * 3,
        ("model", "copy_paste", 1.0),
        ("model", "real", 0.5),
        ("model", "copy_paste", 0.5),
    ]
    tested = {r.part: r.labels for r in DefectDataset.open(pouch_folder) if r.fold == 0}
    for line in (line for line in lines if line["kind"] == "model"):
        assert {part: figures[0] for part, figures in line["parts"].items()} == tested
        summed = [sum(f[2].get("groove", [0, 0, 0])[i] for f in line["parts"].values())
                  for i in range(3)]  # fmt: skip
        assert summed == line["tp_fp_fn_parts"]["groove"][:3]
    whole, half = (next(x for x in lines if x["share"] == share) for share in (1.0, 0.5))
    assert half["real_parts"] < whole["real_parts"] < 36


def test_mix_is_the_best_on_validation_parts_and_the_test_fold_was_not_read(finished):
    tried = finished.screened("copy_paste")
    assert [one.mix.schedule for one in tried] == ["mixed", "mixed", "first"]
    best = max(tried[:2], key=lambda t: (t.value, -t.mix.amount)).mix
    assert tried[2].mix == Mix(amount=best.amount, schedule="first")
    chosen = finished.mix("copy_paste")
    assert {one.mix: one.value for one in tried}[chosen] == max(one.value for one in tried)
    screens = list((finished.out / "runs").glob("*screen*"))
    assert len(screens) == 3
    assert not any((run / EVALUATION_FILE).exists() for run in screens)


def test_everything_descends_from_training_parts_alone(finished, pouch_folder):
    dataset = DefectDataset.open(pouch_folder)
    tested = {r.file_name for r in dataset if r.fold == 0}
    sets = [p.parent for p in (finished.out / "synthetic").glob(f"*/{FINISHED_FILE}")]
    assert len(sets) == 2
    for folder in sets:
        for record in DefectDataset.open(folder):
            assert record.parents
            assert not tested & set(record.parents)


def test_finished_runs_are_found_again_by_their_key(finished, pouch_folder, tmp_path):
    other = BenefitTest(pouch_folder, tmp_path / "new", SETTINGS, finished.ledger)
    plan = list(other.plan())
    assert all(item.done or not item.needed for item in plan)
    assert {item.step.kind for item in plan if not item.done} <= {"synthesizer", "synthesis"}
    titles = []
    assert other.run(Hooks(), titles.append)
    assert titles == []
    assert not (tmp_path / "new").exists()
    longer = SETTINGS.model_copy(update={"overrides": ["training.total_images=32"]})
    changed = BenefitTest(pouch_folder, tmp_path / "new", longer, finished.ledger)
    assert not any(item.done for item in changed.plan())


def test_torn_ledger_costs_one_run(finished, pouch_folder, tmp_path):
    torn = tmp_path / "ledger.jsonl"
    torn.write_text(finished.ledger.read_text()[:-20])
    other = BenefitTest(pouch_folder, finished.out, SETTINGS, torn)
    missing = [item.step for item in other.plan() if not item.done]
    assert [(s.kind, s.arm, s.share) for s in missing] == [("model", "copy_paste", 0.5)]


def test_an_arm_is_tested_once_more_with_what_is_recognised(finished, pouch_folder, tmp_path):
    """The model of real images is trained again where only its figures are there."""
    once = {"amounts": [0.25], "schedules": ["mixed"], "curve": [], "select": ["copy_paste"]}
    given = SETTINGS.model_copy(update=once)
    test = BenefitTest(pouch_folder, tmp_path / "a", given, tmp_path / "ledger.jsonl")
    titles = []
    assert test.run(Hooks(), titles.append)
    assert titles[-2:] == [
        "copy_paste_selected, fold 0: keep what fc_hardnet70 recognises",
        "copy_paste_selected, fold 0: train and test fc_hardnet70, seed 0",
    ]
    (folder,) = (tmp_path / "a" / "selected").iterdir()
    made = DefectDataset.open(next((tmp_path / "a" / "synthetic").iterdir()))
    both = [DefectDataset.open(folder / name) for name in ("accepted", "rejected")]
    assert sum(map(len, both)) == len(made) > 0
    images = {line["arm"]: line["training_images"] for line in read_lines(test.ledger)}
    assert sum(images["copy_paste"]["synthetic"].values()) >= len(made)
    accepted = [label for record in both[0] for label in record.labels]
    assert sum(images["copy_paste_selected"].get("synthetic", {}).values()) == len(accepted)
    facts, page = write_report(test)
    counts = {f.arm: f.synthetic for f in facts.arms}
    kept = [accepted.count(name) for name in test.dataset.schema.defect_names]
    assert counts["real"] is None
    assert counts["copy_paste_selected"] == ((min(kept), max(kept)) if accepted else None)
    assert "choosing among them" in page.read_text()
    assert "synthetic images of a class" in page.read_text()

    lines = [line for line in read_lines(test.ledger) if line["arm"] != "copy_paste_selected"]
    known = tmp_path / "known.jsonl"
    known.write_text("".join(json.dumps(line) + "\n" for line in lines))
    other = BenefitTest(pouch_folder, tmp_path / "b", given, known)
    assert other.run(Hooks(), lambda line: None)
    repeated = {line["key"]: line["parts"] for line in read_lines(known)}
    assert repeated == {line["key"]: line["parts"] for line in read_lines(test.ledger)}


def test_an_arm_of_which_nothing_is_recognised_learns_as_real_does(
    pouch_folder, tmp_path, monkeypatch
):
    def reject(request, **options):
        result = select(request, **options)
        why = [Reason(code="outside", name="", value=1.0, limit=0.5)]
        images = [verdict.model_copy(update={"reasons": why}) for verdict in result.images]
        return result.model_copy(update={"images": images})

    monkeypatch.setattr(work, "select", reject)
    once = {"amounts": [0.25], "schedules": ["mixed"], "curve": [], "select": ["copy_paste"]}
    test = BenefitTest(pouch_folder, tmp_path, SETTINGS.model_copy(update=once))
    assert test.run(Hooks(), lambda line: None)
    parts = {line["arm"]: line["parts"] for line in read_lines(test.ledger)}
    assert parts["copy_paste_selected"] == parts["real"] != parts["copy_paste"]


def test_of_a_training_that_was_stopped_the_rest_is_planned(finished, pouch_folder, tmp_path):
    nothing = tmp_path / "ledger.jsonl"
    new = BenefitTest(pouch_folder, tmp_path, SETTINGS, nothing)
    begun = BenefitTest(pouch_folder, finished.out, SETTINGS, nothing)
    real = begun.steps[0]
    whole = new.seconds(real)
    begun.hours = new.hours  # one guess for both
    assert (real.arm, whole > 0) == ("real", True)
    assert begun.seconds(real) == pytest.approx(whole * (1 - 1 / OTHER_SHARE))  # its test is left
    total = begun.identity.model_config(real, None).training.total_images
    run = begun.identity.model_folder(real, None)
    assert trained_share(run, 2 * total) == 0.5
    assert trained_share(tmp_path / "none", total) == 0.0


def test_hours_stop_between_runs(pouch_folder, tmp_path):
    test = BenefitTest(pouch_folder, tmp_path, SETTINGS)
    said = []
    assert not test.run(Hooks(), said.append, hours=1e-9)
    assert "stops before: real, fold 0" in said[0]
    assert not test.results()


def test_report_holds_what_was_found(finished):
    facts, page = write_report(finished)
    assert BenefitFacts.load(finished.out) == facts
    assert (facts.planned, facts.finished) == (4, 4)
    text = page.read_text()
    assert facts.verdict.headline in text.replace("&#39;", "'")
    assert "<svg" in text
    assert facts.comparisons[0].auroc is not None
    assert "Area under the ROC curve of parts, mean of the folds" in text
    assert "http" not in text.replace("http://www.w3.org", "")
    assert {p.share for p in facts.curve} == {0.5, 1.0}
    assert facts.verdict.add is None  # one training of each arm proves nothing
    assert json.loads((finished.out / "benefit.json").read_text())["comparisons"][0]["parts"] == 15


@pytest.mark.parametrize(("best", "macro", "dent"), [(None, 0.25, 0.2), (16, 0.5, 0.4)])
def test_a_short_run_is_judged_by_the_weights_that_it_keeps(best, macro, dent, tmp_path):
    figures = [(16, 0.5, 0.4), (32, 0.25, 0.2)]
    lines = [{"images": i, "val/macro_iou": m, "val/iou_dent": d} for i, m, d in figures]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_checkpoint(tmp_path, 32, {}, {"progress": {"best_images": best}})
    assert work._validation_figures(tmp_path, "pixel") == {
        "validation_macro_iou": macro,
        "validation_classes": {"dent": dent},
    }


def test_without_validation_figures_the_mix_is_the_usual_one(finished, pouch_folder, tmp_path):
    test = BenefitTest(pouch_folder, tmp_path, SETTINGS, finished.ledger)
    test.lines = {
        key: line | ({"validation_macro_iou": None} if line["kind"] == "screen" else {})
        for key, line in test.lines.items()
    }
    steps = [s for s in test.steps if s.kind == "screen"]
    test.steps = [dataclasses.replace(s, amount=0.25) for s in steps[:1]]
    assert test.mix("copy_paste") == FALLBACK_MIX


def test_amount_of_each_class_is_chosen_by_its_own_figure(pouch_folder, tmp_path):
    given = SETTINGS.model_copy(update={"each_class": True, "amounts": [1.0], "curve": []})
    test = BenefitTest(pouch_folder, tmp_path, given)
    assert test.mix("copy_paste") is None
    assert test.run(Hooks(), lambda line: None)
    real, whole, *combined = test.screened("copy_paste")
    assert (real.mix, whole.mix.amount) == (None, 1.0)
    names = test.dataset.schema.defect_names
    assert set(real.classes) == set(whole.classes) == set(names)
    both = {n: (real.classes[n], whole.classes[n]) for n in names}
    amount = {n: 0.25 if a == b else 1.0 * (b > a) for n, (a, b) in both.items()}
    assert [one.mix for one in combined] == [
        Mix(amount=amount, schedule="mixed"),
        Mix(amount=amount, schedule="first"),
    ]
    assert test.mix("copy_paste") in [one.mix for one in combined]
    facts, page = write_report(test)
    assert facts.choices[0].tried[0].classes == real.classes
    assert "real images alone" in page.read_text()
    again = BenefitTest(pouch_folder, tmp_path, given)
    assert all(item.done for item in again.plan())
