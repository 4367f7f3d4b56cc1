"""The benefit test where labels are for whole images."""

import json

import pytest
from sklearn.metrics import f1_score

from flawsmith.cli import build_app
from flawsmith.data.dataset import DefectDataset
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.benefit import BenefitSettings, BenefitTest
from flawsmith.experiment.benefit.arms import make_arms
from flawsmith.experiment.benefit.page import write_report
from flawsmith.experiment.benefit.plan import require_folds
from flawsmith.experiment.inspection_model import load_thresholds
from flawsmith.experiment.ledger import read_lines
from flawsmith.metrics.evaluation import Evaluation
from flawsmith.training.loop import Hooks

SETTINGS = BenefitSettings(
    systems=["bagan_gp"],
    preset="tiny",
    models=["cnn_classifier"],
    amounts=[0.25, 1.0],
    schedules=["mixed"],
    per_class=2,
    folds=[0],
)


@pytest.fixture(scope="module")
def finished(labels_only_folder, tmp_path_factory):
    test = BenefitTest(labels_only_folder, tmp_path_factory.mktemp("benefit"), SETTINGS)
    assert test.run(Hooks(), lambda line: None)
    return test


def test_ledger_holds_the_images_of_every_part(finished, labels_only_folder):
    lines = [line for line in read_lines(finished.ledger) if line["kind"] == "model"]
    assert [line["arm"] for line in lines] == ["real", "bagan_gp"]
    tested = {r.part: r.labels for r in DefectDataset.open(labels_only_folder) if r.fold == 0}
    for line in lines:
        assert line["level"] == "image"
        assert {part: figures[0] for part, figures in line["parts"].items()} == tested
        assert all(figures[3] == 1 for figures in line["parts"].values())
    assert lines[1]["training_images"]["synthetic"] == dict.fromkeys(classes_of(tested), 2)


def classes_of(tested):
    return sorted({name for labels in tested.values() for name in labels})


def test_amount_is_chosen_by_a_figure_of_whole_images(finished):
    screens = [line for line in read_lines(finished.ledger) if line["kind"] == "screen"]
    values = [line["validation_macro_average_precision"] for line in screens]
    assert len(values) == 2
    best = max(zip(values, (-line["mix"]["amount"] for line in screens), strict=True))
    assert finished.mix("bagan_gp").amount == -best[1]


def test_report_compares_by_f1_and_says_why_nothing_is_pasted(finished):
    facts, page = write_report(finished)
    assert (facts.level, facts.masks, facts.figure) == ("image", False, "F1")
    (run,) = (finished.out / "runs").glob("real-*")
    assert load_thresholds(run).pixel
    truth, guess = [], []
    names = finished.dataset.schema.defect_names
    for part in Evaluation.load(run).parts:
        truth.append([name in part.labels for name in names])
        guess.append([part.counts[name][0] + part.counts[name][1] > 0 for name in names])
    real = next(arm for arm in facts.arms if arm.arm == "real")
    assert real.iou == [None] * len(names)
    expected = f1_score(truth, guess, average=None, zero_division=0)
    assert real.f1 == pytest.approx(list(expected), abs=1e-6)
    assert real.macro == pytest.approx(expected.mean(), abs=1e-6)
    text = page.read_text()
    assert "there is no copy_paste here" in text
    assert "Recall of each class" in text
    assert "macro F1" in text
    assert "IoU" not in text
    assert any(s.startswith("bagan_gp: macro F1") for s in facts.verdict.sentences)
    assert any(s.startswith("Recall of ") for s in facts.verdict.sentences)


def test_labels_choose_arms_and_network(labels_only_folder, pouch_folder, tmp_path):
    whole = BenefitTest(labels_only_folder, tmp_path, BenefitSettings(preset="tiny"))
    assert (whole.level, whole.settings.models) == ("image", ["efficientnet_classifier"])
    assert whole.arms == []
    pixels = BenefitTest(pouch_folder, tmp_path, BenefitSettings(preset="tiny"))
    assert (pixels.level, pixels.settings.models) == ("pixel", ["efficientnet_lite0"])
    assert [arm.name for arm in pixels.arms] == ["copy_paste"]


def test_system_without_classes_is_trained_on_one_at_a_time(labels_only_folder, tmp_path):
    given = SETTINGS.model_copy(update={"systems": ["dcgan"], "amounts": [0.5]})
    test = BenefitTest(labels_only_folder, tmp_path, given)
    names = test.dataset.schema.defect_names
    steps = [s for s in test.steps if s.kind == "synthesizer"]
    assert [s.only for s in steps] == names
    configs = [test.identity.synthesizer_config(s) for s in steps]
    assert [c.only for c in configs] == names
    assert all(c.data.good_share == 0 for c in configs)
    model = next(s for s in test.steps if s.kind == "model" and s.arm == "dcgan")
    folders = test.identity.synthetic_folders(model)
    assert len({folder.name for folder in folders}) == len(names)
    synthetic = test.identity.model_config(model, test.mix("dcgan")).data.synthetic
    assert synthetic == [str(folder) for folder in folders]


def test_arm_has_settings_of_its_own(labels_only_folder, tmp_path):
    arms = ["bagan_gp", "even=bagan_gp loss.wrong_label=uniform training.total_images=8"]
    given = SETTINGS.model_copy(update={"systems": arms, "amounts": [0.5]})
    test = BenefitTest(labels_only_folder, tmp_path, given)
    steps = {s.arm: s for s in test.steps if s.kind == "synthesizer"}
    usual, even = (test.identity.synthesizer_config(steps[n]) for n in ("bagan_gp", "even"))
    assert (usual.loss.wrong_label, even.loss.wrong_label) == ("exclude_true", "uniform")
    assert even.training.total_images == 8
    assert len({test.identity.set_key(step) for step in steps.values()}) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bagan_gp loss.wrong_label=uniform", "needs a name"),
        ("a=bagan_gp loss.wrong_labl=uniform", "loss.wrong_labl"),
        ("a=bagan_gp nonsense", "expected 'NAME=SYSTEM key=value ...'"),
        ("real=bagan_gp", "is not real"),
        ("a/b=bagan_gp", "letters, digits"),
        ("a=bagan", "there is no system 'bagan'"),
        ("a='bagan_gp", "close the quotes"),
        ("copy_paste", "copy_paste needs to know where defects are"),
    ],
)
def test_wrong_arms_are_refused_before_anything_is_made(labels_only_folder, tmp_path, text, words):
    out = tmp_path / "b"
    command = ["benefit", str(labels_only_folder), "--out", str(out), "--preset", "tiny"]
    with pytest.raises(FlawsmithError) as error:
        build_app()([*command, "--arm", text], standalone_mode=False)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert not out.exists()


def test_two_arms_of_one_name_are_refused(labels_only_folder):
    given = BenefitSettings(preset="tiny", systems=["bagan_gp", "bagan_gp=bagan_gp a=1"])
    with pytest.raises(FlawsmithError, match="two arms called bagan_gp"):
        make_arms(given, DefectDataset.open(labels_only_folder))


def test_images_that_all_show_the_same_are_refused(labels_only_folder, tmp_path):
    dataset = DefectDataset.open(labels_only_folder)
    one = dataset.schema.defect_names[0]
    alike = dataset.with_records([r for r in dataset if r.labels == [one]])
    with pytest.raises(FlawsmithError, match=f"shows {one} and nothing else"):
        require_folds(alike, None)
    with_good = dataset.with_records([r for r in dataset if r.labels in ([], [one])])
    assert require_folds(with_good, None)


def test_networks_for_pixels_are_refused(labels_only_folder, tmp_path):
    given = SETTINGS.model_copy(update={"models": ["fc_hardnet70"]})
    with pytest.raises(FlawsmithError, match=r"labels of .* are taken for whole images"):
        BenefitTest(labels_only_folder, tmp_path, given)


def test_command_finds_what_was_finished_and_prints_recall(finished, labels_only_folder, capsys):
    command = [
        "benefit", str(labels_only_folder), "--out", str(finished.out), "--preset", "tiny",
        "--arm", "bagan_gp", "--model", "cnn_classifier", "--amount", "0.25", "--amount", "1.0",
        "--schedule", "mixed", "--per-class", "2", "--fold", "0",
    ]  # fmt: skip
    build_app()([*command, "--plan"], standalone_mode=False)
    planned = capsys.readouterr().out
    assert "1. real, fold 0: train and test cnn_classifier, seed 0: done" in planned
    assert planned.count("done") == len(finished.steps)
    build_app()(command, standalone_mode=False)
    printed = capsys.readouterr().out
    assert "macro F1" in printed
    assert "cnn_classifier: recall of test images" in printed
    assert "train and test" not in printed, "something was done again"
    facts = json.loads((finished.out / "benefit.json").read_text())
    assert facts["level"] == "image"


def test_nothing_is_selected_where_there_are_no_masks(labels_only_folder, tmp_path):
    given = SETTINGS.model_copy(update={"select": ["bagan_gp"]})
    with pytest.raises(FlawsmithError, match=r"--select bagan_gp: cnn_classifier scores whole im"):
        BenefitTest(labels_only_folder, tmp_path / "out", given)
    assert not (tmp_path / "out").exists()
