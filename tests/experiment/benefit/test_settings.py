"""What a benefit test accepts, and what it says to the rest before anything is trained."""

import shutil

import numpy as np
import pytest
from PIL import Image

from flawsmith.data.dataset import METADATA_FILE, DefectDataset, write_metadata
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.benefit import BenefitSettings, BenefitTest, work
from flawsmith.experiment.benefit.arms import Arm
from flawsmith.experiment.benefit.mix import Mix
from flawsmith.experiment.benefit.plan import Step, make_steps
from flawsmith.training.loop import Hooks

SETTINGS = BenefitSettings(
    preset="tiny", models=["fc_hardnet70"], amounts=[0.25], schedules=["mixed"], per_class=2,
    folds=[0],
)  # fmt: skip
MIX = Mix(amount=0.25, schedule="mixed")


def build(data, out, **changes):
    return BenefitTest(data, out, SETTINGS.model_copy(update=changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"overrides": ["training.seed=1"]}, "--set training.seed=1: .*--seeds N trains"),
        ({"overrides": ["data.fold=1"]}, "gives data.fold itself, .* --fold N"),
        ({"overrides": ["data.part_share=0.5"]}, "--curve says which shares"),
        ({"synthesizer_overrides": ["data.fold=1"]}, "--synthesizer-set data.fold=1"),
        ({"draws": 3}, "--draws 3: draws of parts are for the learning curve"),
        ({"draws": 3, "curve": [1.0]}, "give shares below 1 too"),
    ],
)
def test_settings_that_the_test_gives_itself_are_refused(pouch_folder, tmp_path, changes, said):
    with pytest.raises(FlawsmithError, match=said):
        build(pouch_folder, tmp_path, **changes)


def test_all_runs_compute_alike(pouch_folder, tmp_path):
    """Precision by the stopwatch might be another one in each run."""
    step = Step("model", "copy_paste", 0, "fc_hardnet70")
    usual = build(pouch_folder, tmp_path).identity
    assert usual.model_config(step, MIX).training.precision == "fp32"
    assert usual.synthesizer_config(step).training.precision == "fp32"
    other = build(pouch_folder, tmp_path, overrides=['training.precision="bf16"']).identity
    assert other.model_config(step, MIX).training.precision == "bf16"
    assert other.model_key(step, MIX) != usual.model_key(step, MIX)
    # Another seed of all synthesizers is a choice that a user may make.
    build(pouch_folder, tmp_path, synthesizer_overrides=["training.seed=1"])


def test_an_arm_that_is_always_there_says_how_to_go_without_it(pouch_folder, tmp_path, monkeypatch):
    def no_surface(*_):
        raise FlawsmithError("no free surface")

    monkeypatch.setattr(work, "train_system", no_surface)
    test = build(pouch_folder, tmp_path)
    with pytest.raises(FlawsmithError, match=r"no free surface; .* --without copy_paste"):
        test._do(Step("synthesizer", "copy_paste", 0), Hooks())
    other = build(pouch_folder, tmp_path, systems=["dcgan"])
    with pytest.raises(FlawsmithError, match=r"no free surface$"):
        other._do(Step("synthesizer", "dcgan", 0), Hooks())


def test_an_arm_without_any_synthetic_image_is_planned_as_real_once(pouch_folder, tmp_path):
    test = build(pouch_folder, tmp_path, each_class=True)
    empty = Mix(amount=dict.fromkeys(test.dataset.schema.defect_names, 0.0), schedule="mixed")
    test.mix = lambda arm: empty
    plan = {item.step.title: item for item in test.plan()}
    real = "real, fold 0: train and test fc_hardnet70, seed 0"
    assert plan[real].needed
    assert plan[real].seconds > 0
    arm = plan[real.replace("real", "copy_paste")]
    assert (arm.needed, arm.done, arm.seconds) == (False, False, 0.0)


def test_boxes_alone_are_labels_of_whole_images(pouch_folder, tmp_path):
    """Of a box nobody knows which pixels are the defect, so none can be trained on or tested."""
    data = shutil.copytree(pouch_folder, tmp_path / "boxes")
    records = []
    for record in DefectDataset.open(data):
        if record.mask_file_name:
            with Image.open(data / record.mask_file_name) as mask:
                unknown = np.where(np.asarray(mask) > 0, 255, 0).astype(np.uint8)
            Image.fromarray(unknown).save(data / record.mask_file_name)
        records.append(record.model_copy(update={"weak_labels": record.labels, "instances": []}))
    write_metadata(data / METADATA_FILE, records)
    test = BenefitTest(data, tmp_path / "out", BenefitSettings(preset="tiny", folds=[0]))
    assert test.level == "image"
    assert test.settings.models == ["efficientnet_classifier"]
    assert [step.kind for step in test.steps] == ["model"]


def test_a_given_set_of_one_fold_chooses_in_that_fold():
    """Without a fold to choose in, an amount that nobody tried would be taken in silence."""
    arms = [Arm("copy_paste", system="copy_paste"), Arm("mine", folders=((1, "set"),))]
    settings = SETTINGS.model_copy(update={"amounts": [0.25, 1.0], "each_class": True})
    steps = make_steps(settings.model_copy(update={"models": ["net"]}), arms, [0, 1, 2])
    screens = {(step.arm, step.fold) for step in steps if step.kind == "screen"}
    assert screens == {("real", 0), ("copy_paste", 0), ("real", 1), ("mine", 1)}


def test_only_steps_of_equal_cost_are_estimated_from_each_other(pouch_folder, tmp_path):
    wide = "wide=dbs_gan_exemplar network.painter_channels=64"
    arms = ["dbs_gan_exemplar", "again=dbs_gan_exemplar", wide]
    test = build(pouch_folder, tmp_path, systems=arms)
    own, again, wider = (test._workload(Step("synthesizer", n, 0)) for n in test.identity.arms)
    assert own == again != wider
