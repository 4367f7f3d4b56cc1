import json
import shutil

import pytest

from flawsmith.data.dataset import DefectDataset
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.benefit import BenefitSettings, BenefitTest
from flawsmith.experiment.benefit.arms import make_arms
from flawsmith.experiment.benefit.mix import Mix
from flawsmith.experiment.benefit.plan import Step, make_steps, require_folds

FIXED = {"amounts": [0.25], "schedules": ["mixed"], "preset": "tiny", "models": ["fc_hardnet70"]}


def settings(**values):
    return BenefitSettings(**(FIXED | values))


def test_pairs_are_finished_before_the_next_fold(pouch_folder):
    given = settings(systems=["copy_paste", "dbs_gan"], seeds=2)
    arms = make_arms(given, DefectDataset.open(pouch_folder))
    models = [s for s in make_steps(given, arms, [2, 0]) if s.kind == "model"]
    order = [(s.seed, s.fold, s.arm) for s in models]
    names = ["real", "copy_paste", "dbs_gan"]
    assert order == [(seed, fold, arm) for seed in (0, 1) for fold in (2, 0) for arm in names]


def test_images_are_made_once_for_all_seeds_and_before_their_models(pouch_folder):
    given = settings(seeds=3, models=["fc_hardnet70"])
    steps = make_steps(given, make_arms(given, DefectDataset.open(pouch_folder)), [0, 1])
    kinds = [(s.kind, s.arm, s.fold) for s in steps]
    assert kinds.count(("synthesis", "copy_paste", 0)) == 1
    assert kinds.index(("synthesis", "copy_paste", 1)) < kinds.index(("model", "copy_paste", 1))


def test_recognised_images_are_an_arm_of_their_own(pouch_folder):
    given = settings(systems=["copy_paste", "dbs_gan"], select=["dbs_gan"], curve=[0.5])
    arms = make_arms(given, DefectDataset.open(pouch_folder))
    steps = [(s.kind, s.arm) for s in make_steps(given, arms, [0])]
    pair = [
        ("model", "real"),
        ("synthesizer", "copy_paste"),
        ("synthesis", "copy_paste"),
        ("model", "copy_paste"),
        ("synthesizer", "dbs_gan"),
        ("synthesis", "dbs_gan"),
        ("model", "dbs_gan"),
        ("selection", "dbs_gan_selected"),
        ("model", "dbs_gan_selected"),
    ]
    assert steps == pair * 2  # all parts, and half of them
    taken = settings(systems=["copy_paste", "copy_paste_selected=dbs_gan"], select=["copy_paste"])
    with pytest.raises(FlawsmithError, match="two arms called copy_paste_selected"):
        make_arms(taken, DefectDataset.open(pouch_folder))


def test_amount_is_tried_on_the_first_fold_only(pouch_folder):
    given = settings(amounts=[0.1, 0.5], schedules=["mixed", "first"])
    steps = make_steps(given, make_arms(given, DefectDataset.open(pouch_folder)), [1, 0])
    tried = [(s.fold, s.amount, s.schedule) for s in steps if s.kind == "screen"]
    assert tried == [(1, 0.1, "mixed"), (1, 0.5, "mixed"), (1, None, "first")]


def test_amount_of_each_class_is_tried_with_every_schedule(pouch_folder):
    given = settings(amounts=[0.1, 0.5], schedules=["mixed", "first"], each_class=True)
    steps = make_steps(given, make_arms(given, DefectDataset.open(pouch_folder)), [1, 0])
    tried = [(s.arm, s.amount, s.schedule) for s in steps if s.kind == "screen"]
    assert tried == [
        ("real", None, "mixed"),
        ("copy_paste", 0.1, "mixed"),
        ("copy_paste", 0.5, "mixed"),
        ("copy_paste", None, "mixed"),
        ("copy_paste", None, "first"),
    ]


def test_given_amounts_of_classes_are_not_chosen(pouch_folder, tmp_path):
    test = BenefitTest(pouch_folder, tmp_path, settings(class_amounts={"GROOVE": 0.5}))
    assert not any(step.kind == "screen" for step in test.steps)
    amount = test.mix("copy_paste").amount
    assert amount == {name: 0.5 * (name == "groove") for name in test.dataset.schema.defect_names}
    step = Step("model", "copy_paste", 0, "fc_hardnet70")
    assert test.identity.model_config(step, test.mix("copy_paste")).data.synthetic_share == amount
    with pytest.raises(FlawsmithError, match="'dent' is no defect"):
        BenefitTest(pouch_folder, tmp_path, settings(class_amounts={"dent": 0.5}))
    twice = settings(class_amounts={"groove": 0.5, "Groove": 0.25})
    with pytest.raises(FlawsmithError, match="name a class twice"):
        BenefitTest(pouch_folder, tmp_path, twice)
    with pytest.raises(FlawsmithError, match="one of both"):
        BenefitTest(
            pouch_folder, tmp_path, settings(class_amounts={"groove": 0.5}, each_class=True)
        )


@pytest.mark.parametrize("given", [{"each_class": True}, {"class_amounts": {"groove": 0.5}}])
def test_a_given_set_without_the_first_fold_is_tried_in_its_own(given, pouch_folder, tmp_path):
    made = {
        "run": "r", "checkpoint": "c", "system": "dbs_gan", "fold": 1, "seed": 0, "plan": {},
        "max_defects": 1, "tile_size": 32,
        "data": DefectDataset.open(pouch_folder).fingerprint(),
    }  # fmt: skip
    folder = tmp_path / "set"
    shutil.copytree(pouch_folder, folder)
    (folder / "synthesis.json").write_text(json.dumps(made))
    given |= {"schedules": ["mixed", "first"], "given": [("mine", str(folder))], "systems": []}
    test = BenefitTest(pouch_folder, tmp_path / "out", settings(**given))
    assert test.folds[0] != 1
    assert test.choosing_fold("mine") == 1
    assert test.screened("mine") is None  # nothing is known before it was tried
    assert test.mix("mine") is None


def test_folds_with_more_defective_parts_come_first(pouch_folder):
    dataset = DefectDataset.open(pouch_folder)
    victim = next(r.part for r in dataset if r.fold == 0 and not r.is_good)
    fewer = dataset.with_records([r for r in dataset if r.part != victim])
    assert require_folds(fewer, None)[-1] == 0
    assert require_folds(dataset, [1]) == [1]
    with pytest.raises(FlawsmithError, match="no fold 9"):
        require_folds(dataset, [9])
    without = [r.model_copy(update={"fold": None}) for r in dataset]
    with pytest.raises(FlawsmithError, match="flawsmith data split"):
        require_folds(dataset.with_records(without), None)


def test_keys_know_what_matters_and_no_paths(pouch_folder, tmp_path):
    first = BenefitTest(pouch_folder, tmp_path / "a", settings()).identity
    step, mix = Step("model", "copy_paste", 0, "fc_hardnet70"), Mix(amount=0.25, schedule="mixed")
    key = first.model_key(step, mix)
    assert (
        BenefitTest(pouch_folder, tmp_path / "b", settings()).identity.model_key(step, mix) == key
    )
    others = [
        first.model_key(step, Mix(amount=0.5, schedule="mixed")),
        first.model_key(step, Mix(amount=0.25, schedule="first")),
        first.model_key(Step("model", "copy_paste", 1, "fc_hardnet70"), mix),
        first.model_key(Step("model", "copy_paste", 0, "fc_hardnet70", seed=1), mix),
        first.model_key(Step("model", "real", 0, "fc_hardnet70"), None),
    ]
    more = settings(per_class=7)
    others.append(BenefitTest(pouch_folder, tmp_path, more).identity.model_key(step, mix))
    longer = settings(overrides=["training.total_images=20"])
    others.append(BenefitTest(pouch_folder, tmp_path, longer).identity.model_key(step, mix))
    assert len({key, *others}) == 1 + len(others)


def test_an_arm_without_any_synthetic_image_is_found_as_real(pouch_folder, tmp_path):
    names = DefectDataset.open(pouch_folder).schema.defect_names
    test = BenefitTest(pouch_folder, tmp_path, settings())
    test.class_amounts = dict.fromkeys(names, 0.0)  # as --each-class may choose
    identity, real = test.identity, Step("model", "real", 0, "fc_hardnet70")
    test.lines[identity.model_key(real, None)] = {"arm": "real", "mix": None}
    mixes = {step.arm: line["mix"] for step, line in test.results() if step.fold == 0}
    assert mixes == {"real": None, "copy_paste": test.mix("copy_paste").model_dump()}
    arm = Step("model", "copy_paste", 0, "fc_hardnet70")
    something = Mix(amount={names[0]: 0.25}, schedule="mixed")
    assert identity.model_key(arm, something) != identity.model_key(real, None)


def test_arms_differ_in_their_data_alone(pouch_folder, tmp_path):
    identity = BenefitTest(pouch_folder, tmp_path, settings()).identity
    real = identity.model_config(Step("model", "real", 0, "fc_hardnet70"), None)
    arm = identity.model_config(
        Step("model", "copy_paste", 0, "fc_hardnet70"), Mix(amount=0.5, schedule="first")
    )
    assert real.model_dump(exclude={"arm", "data"}) == arm.model_dump(exclude={"arm", "data"})
    assert not real.data.synthetic
    assert (arm.data.synthetic_share, arm.data.synthetic_until) == (0.5, 0.7)


@pytest.mark.parametrize("model", ["machine_vision", "patchcore", "dbs_gam"])
def test_models_that_learn_nothing_from_defects_are_refused(pouch_folder, tmp_path, model):
    with pytest.raises(FlawsmithError, match=f"--model {model}"):
        BenefitTest(pouch_folder, tmp_path, settings(models=[model]))


def test_given_sets_must_say_what_they_left_out(pouch_folder, tmp_path):
    dataset = DefectDataset.open(pouch_folder)
    made = {
        "run": "r", "checkpoint": "c", "system": "dbs_gan", "fold": 1, "seed": 0, "plan": {},
        "max_defects": 1, "tile_size": 32, "data": dataset.fingerprint(),
    }  # fmt: skip

    def arms(*folders):
        return make_arms(settings(systems=[], given=[("", str(f)) for f in folders]), dataset)

    def write(name, **values):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "synthesis.json").write_text(json.dumps(made | values))
        return folder

    good = write("good")
    assert arms(good)[0].name == "given_dbs_gan"
    assert arms(good)[0].folder(1) == str(good)
    with pytest.raises(FlawsmithError, match="both for fold 1"):
        arms(good, write("twice"))
    with pytest.raises(FlawsmithError, match="without leaving out a fold"):
        arms(write("all", fold=None))
    with pytest.raises(FlawsmithError, match="other data or other folds"):
        arms(write("other", data="0"))
    with pytest.raises(FlawsmithError, match=r"no synthesis\.json"):
        arms(tmp_path)


def test_every_system_and_model_can_be_planned(pouch_folder, tmp_path):
    systems = ["copy_paste", "dbs_gan", "dbs_gan_real", "perlin_noise"]
    test = BenefitTest(pouch_folder, tmp_path / "b", settings(systems=systems, folds=[0]))
    planned = list(test.plan())
    assert len(planned) == 1 + 3 * len(systems)
    assert all(item.seconds > 0 and not item.done for item in planned)
    assert not (tmp_path / "b").exists()
