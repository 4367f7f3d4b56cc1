import json
import re
import shutil
from mmap import PAGESIZE, mmap
from pathlib import Path

import pytest

import flawsmith
from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.schema import IGNORE
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.benefit import BenefitSettings, BenefitTest
from flawsmith.experiment.compare import CompareSettings, SystemComparison, runs, work
from flawsmith.experiment.compare import identity as identities
from flawsmith.experiment.compare.balanced_set import keep_known
from flawsmith.experiment.compare.memory import peak_mib, reset_peak
from flawsmith.experiment.compare.page import write_page
from flawsmith.experiment.compare.plan import Step
from flawsmith.experiment.compare.runs import PLAN_FILE
from flawsmith.experiment.ledger import read_lines
from flawsmith.training.loop import Hooks


def test_interrupted_comparison_goes_on_where_it_stopped(finished):
    assert finished.first[-1] == finished.stopped_at
    assert [t for t in finished.second if " failed: " not in t] == [
        f"{finished.broken}: train",
        finished.stopped_at,
        "copy_paste: compare its images with held-out real ones",
        "copy_paste: train and test fc_hardnet70, seed 0",
    ]
    keys = [line["key"] for line in read_lines(finished.test.ledger)]
    assert len(keys) == len(set(keys)) == 10


def test_every_step_but_the_broken_system_is_in_the_ledger(finished):
    lines = read_lines(finished.test.ledger)
    kinds = {(line["kind"], line["arm"]) for line in lines}
    steps = ("synthesizer", "synthesis", "score", "model")
    whole = {(kind, arm) for kind in steps for arm in ("dcgan", "copy_paste")}
    assert kinds == whole | {("model", "real"), ("machine_vision", "machine_vision")}
    tested = {r.part for r in DefectDataset.open(finished.data) if r.fold == 0}
    for line in lines:
        if line["kind"] == "model":
            assert set(line["parts"]) == tested
            assert 0 <= line["defects_found"][0] <= line["defects_found"][1] > 0


def test_failure_is_recorded_with_its_reason_and_tried_again(finished):
    assert finished.test.failures == {
        finished.broken: {"step": f"{finished.broken}: train", "reason": finished.reason}
    }
    assert f"{finished.broken} failed: {finished.reason}" in finished.second
    assert finished.reason in finished.page
    assert finished.test.is_needed(Step("synthesizer", finished.broken))


def test_a_system_whose_masks_nobody_knows_keeps_its_rows_and_pictures(
    finished, unscored, monkeypatch
):
    """Its set is made and scored; only no model can learn from it."""

    def nothing_known(*_):
        raise FlawsmithError("none has a known mask")

    test = unscored()
    line = finished.test.line(Step("score", "copy_paste"))
    monkeypatch.setattr(work, "compare_with_real", lambda *_: line)
    monkeypatch.setattr(runs, "keep_known", nothing_known)
    assert test.run(Hooks(), lambda _: None)
    model = Step("model", "copy_paste").title("fc_hardnet70")
    assert test.failures["copy_paste"] == {"step": model, "reason": "none has a known mask"}
    assert test.line(Step("synthesis", "copy_paste"))
    assert test.line(Step("score", "copy_paste"))
    _, page = write_page(test, finished.start_with)
    (figure,) = re.findall(r'data-figure="12"(.*?)</table>', page.read_text(), re.S)
    rows = re.findall(r'data-row="([^"]+)"', figure)
    assert rows == ["asked for", "dcgan", "copy_paste", "real"]


@pytest.fixture
def unscored(finished, tmp_path):
    """The same comparison without score and model of copy_paste, in a folder of its own."""
    out = shutil.copytree(finished.test.out, tmp_path / "out")
    lines = read_lines(finished.test.ledger)
    gone = [("score", "copy_paste"), ("model", "copy_paste")]
    kept = [json.dumps(line) for line in lines if (line["kind"], line["arm"]) not in gone]
    (out / finished.test.ledger.name).write_text("\n".join(kept) + "\n")
    settings = finished.settings.model_copy(update={"systems": ["dcgan", "copy_paste"]})
    return lambda: SystemComparison(finished.data, out, settings)


def test_a_set_that_cannot_be_scored_is_still_trained_with(finished, unscored, monkeypatch):
    def broken(*_):
        raise FlawsmithError("no features")

    said, kept, test = [], [], unscored()
    monkeypatch.setattr(work, "compare_with_real", broken)
    monkeypatch.setattr(runs, "keep_known", lambda *given: kept.append(given))
    step, model = Step("score", "copy_paste"), Step("model", "copy_paste")
    assert finished.broken not in test.failures  # it is not compared here
    assert test.run(Hooks(), said.append)
    assert said[-1] == model.title("fc_hardnet70")
    arm = step.as_test(test.settings)
    folders = test.identity.whole_folder(arm), test.identity.known_folder(arm)
    assert kept == [(*folders, 0)]
    assert test.failures["copy_paste"]["step"] == step.title("fc_hardnet70")
    facts, page = write_page(test, finished.start_with)
    assert "copy_paste" in [m.name for m in facts.methods]
    assert any(s.startswith("copy_paste failed, what") for s in facts.answer.sentences)
    assert page.read_text().count("no features") == 1  # it has its row in Table 6

    line = finished.test.line(step)
    monkeypatch.setattr(work, "compare_with_real", lambda *_: line)
    again = unscored()
    assert again.failures == test.failures
    assert again.run(Hooks(), said.append)
    assert again.failures == unscored().failures == {}


def test_a_benefit_test_finds_real_images_alone_in_the_ledger(finished, tmp_path):
    settings = BenefitSettings(
        systems=["copy_paste"], models=["fc_hardnet70"], preset="tiny", folds=[0], amounts=[0.25],
        schedules=["mixed"], per_class=5, overrides=finished.settings.overrides,
    )  # fmt: skip
    test = BenefitTest(finished.data, tmp_path / "b", settings, finished.test.ledger)
    ((step, line),) = test.results()
    assert (step.arm, line["share"], line["draw"]) == ("real", 1.0, 0)
    seen = {r.part for r in DefectDataset.open(finished.data) if r.fold != 0 and r.labels}
    assert line["real_parts"] == len(seen)


def test_code_of_a_set_is_in_its_key_and_there(finished, monkeypatch):
    step = Step("synthesis", "dcgan").as_test(finished.settings)
    before = finished.test.identity.set_key(step)
    root = Path(flawsmith.__file__).parent
    for parts in (identities.SET_CODE, identities.SCORE_CODE, identities.RULES_CODE):
        assert [part for part in parts if not (root / part).exists()] == []
    own = identities.code_of
    changed = {identities.SET_CODE: "changed"}
    monkeypatch.setattr(
        identities, "code_of", lambda parts, *entry: changed.get(parts) or own(parts, *entry)
    )
    assert finished.test.identity.set_key(step) != before


def test_finished_steps_are_found_again_in_a_ledger(finished, tmp_path):
    other = SystemComparison(
        finished.data, tmp_path / "new", finished.settings, finished.test.ledger
    )
    assert {i.step.arm for i in other.plan() if not i.done} == {finished.broken}
    facts, page = write_page(other, finished.start_with)
    assert [m.name for m in facts.methods] == ["machine_vision", "real", "dcgan", "copy_paste"]
    assert "Without pictures, as their run folders are not here" in page.read_text()
    more = finished.settings.model_copy(update={"seeds": 2})
    needed = [
        i.step
        for i in SystemComparison(
            finished.data, tmp_path / "new", more, finished.test.ledger
        ).plan()
        if not i.done
    ]
    # The set of an arm is made again where another model needs it and it is not here.
    assert Step("synthesis", "dcgan") in needed
    assert Step("synthesizer", "dcgan") in needed
    assert Step("model", "dcgan") not in needed


def test_page_has_every_table_and_the_rows_of_the_figures(finished):
    page = finished.page
    for number in range(3, 10):
        assert f'data-table="{number}"' in page
        assert f'data-printed="{number}"' in page
    figures = {w: t for w, t in re.findall(r'data-figure="([\w-]+)"(.*?)</table>', page, re.S)}
    rows = {which: re.findall(r'data-row="([^"]+)"', text) for which, text in figures.items()}
    assert rows["12"] == ["asked for", "dcgan", "copy_paste", "real"]
    assert rows["12-outlined"] == ["dcgan", "copy_paste"]
    assert rows["14"] == DefectDataset.open(finished.data).schema.defect_names
    assert figures["14"].count("<img") == 6 * 4  # the image, real, two systems
    assert figures["12"].count("<img") == 6 * 4
    assert "http" not in re.sub(r'data:[^"]+', "", page)
    assert page.count("paper, other data") == 7
    assert "A factory should start with copy_paste, then dbs_gan_exemplar" in page


def test_balanced_set_has_as_many_of_each_class_as_asked(finished):
    line = finished.test.line(Step("synthesis", "copy_paste"))
    for name, before in finished.test.balance.before.items():
        assert before + line["made"][name] == finished.settings.per_class
        assert line["shown"][name] == line["made"][name]
    assert line["mask_source"] == "conditioning"
    trained = finished.test.line(Step("synthesizer", "dcgan"))
    assert trained["images"] == 8  # the nearest to 10 in whole batches of 4
    assert trained["networks"]["generator"][2] == 1
    assert trained["networks"]["discriminator"][2] == 0


def test_a_budget_in_minutes_is_measured_once_and_kept(small_data, tmp_path, monkeypatch):
    settings = CompareSettings(systems=["dcgan"], minutes=0.5, preset="tiny", model="fc_hardnet70")
    test = SystemComparison(small_data, tmp_path / "a", settings)
    assert test.identity.budgets == {}
    assert test.line(Step("synthesizer", "dcgan")) is None
    step = Step("budget", "dcgan")
    monkeypatch.setattr(work, "time_steps", lambda *_: (3.5, 9.0))
    test.out.mkdir()
    test._do(step, Hooks())
    assert test.identity.budgets == {"dcgan": 104}  # 30 s x 3.5 = 105, in batches of 4
    saved = json.loads((test.out / PLAN_FILE).read_text())
    assert saved["budgets"]["dcgan"]["images"] == 104
    test.ledger.rename(tmp_path / "ledger.jsonl")
    kept = SystemComparison(small_data, tmp_path / "a", settings)
    shared = SystemComparison(small_data, tmp_path / "b", settings, tmp_path / "ledger.jsonl")
    assert kept.identity.budgets == shared.identity.budgets == {"dcgan": 104}
    longer = settings.model_copy(update={"minutes": 1.0})
    assert SystemComparison(small_data, tmp_path / "a", longer).identity.budgets == {}


def test_steps_are_timed_in_a_run_that_leaves_nothing(small_data, tmp_path):
    settings = CompareSettings(systems=["dcgan"], minutes=1, preset="tiny", model="fc_hardnet70")
    test = SystemComparison(small_data, tmp_path / "out", settings)
    config = test.identity.synthesizer_config(Step("budget", "dcgan").as_test(settings))
    rate, seconds = work.time_steps(config, tmp_path / "trial", Hooks())
    assert rate > work.TRIAL_STEPS * config.training.batch_size / seconds
    assert not (tmp_path / "trial").exists()


@pytest.mark.parametrize(
    ("seconds", "rate", "batch", "images"), [(60, 2.0, 16, 112), (60, 2.0, 8, 120), (1, 0.5, 4, 4)]
)
def test_images_of_a_budget_are_whole_batches(seconds, rate, batch, images):
    assert work.images_in(seconds, rate, batch) == images


def test_images_without_a_known_mask_are_left_out(small_data, tmp_path):
    dataset = DefectDataset.open(small_data)
    record = next(r for r in dataset if r.mask_file_name)
    image, maps = dataset.image(record), dataset.label_map(record)
    unknown = LabelMap(maps.defects * 0 + IGNORE, maps.backgrounds)
    for name, second in (("some", maps), ("none", unknown)):
        with DatasetWriter(tmp_path / name, dataset.schema) as writer:
            for i, label_map in enumerate((unknown, second)):
                writer.add(f"s{i}", image, label_map, part=f"s{i}", source="synthetic")
    known = tmp_path / "known"
    keep_known(tmp_path / "some", known, 1)
    kept = DefectDataset.open(known)
    assert [r.file_name for r in kept] == ["images/s1.png"]
    assert (kept.image(kept.records[0]) == image).all()
    with pytest.raises(FlawsmithError, match="none of its 2 images has a known mask"):
        keep_known(tmp_path / "none", tmp_path / "nothing", 2)
    keep_known(tmp_path / "some", tmp_path / "not_needed", 0)
    assert not (tmp_path / "not_needed").exists()


def test_peak_memory_is_that_since_it_was_set_back():
    if not reset_peak():
        pytest.skip("this system does not tell")
    before = peak_mib()
    with mmap(-1, 200 << 20) as held:
        for place in range(0, len(held), PAGESIZE):
            held[place] = 1
        grown = peak_mib()
    assert grown - before == pytest.approx(200, abs=20)
    reset_peak()
    assert peak_mib() < grown - 150
