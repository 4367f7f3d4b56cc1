"""A classification model from configuration to figures, on labels of whole images."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.schema import Schema
from flawsmith.data.whole_images import fit
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.activation import EXAMPLES
from flawsmith.experiment.classification_model import ClassificationModel, class_activation, embed
from flawsmith.experiment.inspection_model import (
    load_config,
    load_model_config,
    load_predict,
    load_thresholds,
)
from flawsmith.experiment.train_model import (
    configure_any_model,
    configure_classifier,
    configure_model,
    evaluate_run,
    train_model,
)
from flawsmith.experiment.training_data import held_out_records
from flawsmith.models import efficientnet_lite0
from flawsmith.systems.base import Batch
from flawsmith.systems.classification import ClassificationConfig, ClassificationTraining
from flawsmith.training.checkpoint import checkpoints, load_tensors
from flawsmith.training.logs import read_metrics
from flawsmith.training.loop import Hooks


def configure(folder, *overrides, network="cnn_classifier", configure=configure_any_model):
    return configure(
        network, "tiny", folder, fold=1, synthetic=[], arm=None, overrides=list(overrides)
    )


@pytest.fixture(scope="module")
def run(labels_only_folder, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "cnn"
    train_model(configure(labels_only_folder), run, Hooks(), resume=False)
    return run


@pytest.fixture(scope="module")
def evaluation(run):
    return evaluate_run(run, Hooks())


def test_configuration_is_complete_and_read_again(run, labels_only_folder):
    config = load_config(run)
    assert isinstance(config, ClassificationConfig)
    assert config == configure(labels_only_folder)
    assert (config.arm, config.data.labels, config.training.tile_size) == ("real", "image", 64)
    # Six classes and good ones, all drawn alike.
    assert config.data.good_share == pytest.approx(1 / 7)
    assert configure(labels_only_folder, "data.good_share=0.5").data.good_share == 0.5


def test_labels_choose_the_network(labels_only_folder, pouch_folder):
    assert configure(labels_only_folder, network=None).system == "efficientnet_classifier"
    assert configure(pouch_folder, network=None).system == "efficientnet_lite0"
    with pytest.raises(FlawsmithError, match=r"'data\.labels' = 'pixels'"):
        configure(pouch_folder, "data.labels=pixels", network=None)
    images = configure(pouch_folder, "data.labels=image", network=None)
    assert images.system == "efficientnet_classifier"
    assert images.network == {"pretrained": True, "encoder": "frozen"}


def test_a_wrong_pair_of_network_and_labels_says_what_to_do(labels_only_folder, pouch_folder):
    for network in ("fc_hardnet70", "machine_vision"):
        with pytest.raises(FlawsmithError, match=r"learns from masks.*efficientnet_classifier or"):
            configure(labels_only_folder, network=network, configure=configure_model)
    with pytest.raises(FlawsmithError, match=r"--set data\.labels=image"):
        configure(pouch_folder, configure=configure_classifier)
    with pytest.raises(FlawsmithError, match="unknown key 'encoder'"):
        configure(labels_only_folder, "network.encoder=tuned")


def test_best_weights_and_thresholds_come_from_validation(run):
    values = [line for line in read_metrics(run) if "val/macro_average_precision" in line]
    assert len(values) == 2
    assert all(0 <= line["val/macro_f1"] <= 1 for line in values)
    assert len(load_thresholds(run).pixel) == 6
    weights = ClassificationModel.load(run).training.classifier.state_dict()
    best = load_tensors(run / "best.safetensors")
    assert all(torch.equal(weights[k], best[f"classifier.{k}"]) for k in weights)


def test_scores_are_the_sigmoid_of_the_logits_of_the_whole_image(run, labels_only_folder):
    dataset = DefectDataset.open(labels_only_folder)
    images = [dataset.image(record) for record in dataset.records[:18]]
    model = ClassificationModel.load(run)
    scores = model.predict_many(images)
    assert scores.shape == (18, 6)
    tile = fit(images[3].astype(np.float32)[..., None] / 255, 64) * 2 - 1
    with torch.no_grad():
        logits = model.training.classifier.eval()(torch.from_numpy(tile.transpose(2, 0, 1)[None]))
    np.testing.assert_allclose(scores[3], logits.sigmoid()[0], atol=1e-5)
    np.testing.assert_allclose(model.predict(images[3]), scores[3], atol=1e-5)


def test_activation_is_the_map_behind_the_score(run):
    image = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    model = ClassificationModel.load(run)
    maps = class_activation(run, image)
    assert maps.shape == (6, 64, 64)
    assert maps.dtype == np.float32
    assert maps.min() >= 0
    assert maps.max() <= 1
    tile = torch.from_numpy(image.astype(np.float32)[None, None] / 255 * 2 - 1)
    with torch.no_grad():
        coarse = model.training.classifier.eval().maps(tile)
    np.testing.assert_allclose(
        coarse.mean(dim=(2, 3)).sigmoid()[0], model.predict(image), atol=1e-5
    )
    expected = cv2.resize(coarse.sigmoid()[0, 2].numpy(), (64, 64))
    np.testing.assert_allclose(maps[2], expected, atol=1e-5)
    assert class_activation(run, np.zeros((30, 50), np.uint8)).shape == (6, 30, 50)


def test_embedding_has_one_row_an_image(run):
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 255, (40 + i, 60), np.uint8) for i in range(17)]
    rows = embed(run, images)
    assert rows.shape == (17, 96)
    np.testing.assert_allclose(rows[16], embed(run, images[16:])[0], atol=1e-5)


def test_figures_count_images_and_parts(evaluation, labels_only_folder):
    dataset = DefectDataset.open(labels_only_folder)
    tested = held_out_records(dataset, 1)
    assert (evaluation.level, evaluation.images) == ("image", len(tested))
    assert evaluation.escape.total == len({r.part for r in tested if r.labels})
    assert evaluation.overkill.total == len({r.part for r in tested if not r.labels})
    for result in evaluation.classes:
        assert result.images == sum(result.name in r.labels for r in tested)
        assert result.true_positive + result.false_negative == result.images
        pooled = np.sum([part.counts[result.name] for part in evaluation.parts], axis=0)
        expected = [result.true_positive, result.false_positive, result.false_negative]
        assert pooled.tolist() == expected
    assert evaluation.composition["real"]["good"] > 0


def test_pictures_belong_to_what_they_say(evaluation, run):
    scores = {part.part: part for part in evaluation.parts}
    assert scores
    listed = [activation.picture for activation in evaluation.activations]
    assert sorted(listed) == sorted(f"activation/{p.name}" for p in (run / "activation").iterdir())
    assert 0 < len(listed) <= 3 * 6 * EXAMPLES
    dataset = DefectDataset.open(load_config(run).data.path)
    records = {record.file_name: record for record in dataset}
    model = ClassificationModel.load(run)
    for activation in evaluation.activations:
        shown = activation.defect in records[activation.image].labels
        assert shown == (activation.kind != "false")
        assert (activation.score >= activation.threshold) == (activation.kind != "missed")
    first = evaluation.activations[0]
    image = dataset.image(records[first.image])
    index = dataset.schema.defect_names.index(first.defect)
    assert model.predict(image)[index] == pytest.approx(first.score, abs=1e-6)
    with Image.open(run / first.picture) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    height, width = image.shape[:2]
    longer = 320 / max(height, width)
    assert pixels.shape == (round(height * longer), 2 * round(width * longer) + 8, 3)
    left = cv2.resize(image, (round(width * longer), round(height * longer)))
    np.testing.assert_allclose(pixels[:, : left.shape[1], 0], left, atol=2)


def test_a_run_goes_on_bit_equal(labels_only_folder, run, tmp_path):
    config = configure(labels_only_folder)
    other = tmp_path / "stopped"

    step = ClassificationTraining.step
    taken = []

    def step_or_stop(self, batch):
        taken.append(1)
        if len(taken) == 4:
            raise KeyboardInterrupt
        return step(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClassificationTraining, "step", step_or_stop)
        with pytest.raises(KeyboardInterrupt):
            train_model(config, other, Hooks(), resume=False)
    train_model(load_config(other), other, Hooks(), resume=True)
    for name in ("networks", "ema", "optimizer_classifier"):
        ours, theirs = (
            load_tensors(checkpoints(r)[-1] / f"{name}.safetensors") for r in (run, other)
        )
        assert all(torch.equal(ours[k], theirs[k]) for k in ours)
    assert load_thresholds(other) == load_thresholds(run)


def test_commands_for_pixels_refuse_the_run(run):
    for load in (load_model_config, load_predict):
        with pytest.raises(FlawsmithError, match=r"classification model .*scores whole images"):
            load(run)


def test_several_classes_in_one_image_are_each_learned(labels_only_folder):
    """The loss is the binary cross-entropy of every class by itself."""
    schema = Schema.load(labels_only_folder)
    training = ClassificationTraining(
        configure(labels_only_folder, "loss.smoothing=0.2"), schema, load=False
    )
    images = torch.rand(3, schema.channels, 32, 32) * 2 - 1
    present = torch.tensor([[1, 1, 0, 0, 0, 0], [0] * 6, [0, 0, 0, 0, 0, 1]]).float()
    empty = torch.zeros(3, 32, 32, dtype=torch.long)
    batch = Batch(images, empty, empty, torch.zeros(3), torch.arange(3), present=present)
    training.classifier.eval()
    found = training.losses(batch)["c/total"]
    p = training.classifier(images).sigmoid().double()
    targets = 0.8 * present.double() + 0.1
    expected = -(targets * p.log() + (1 - targets) * (1 - p).log()).mean()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    with pytest.raises(FlawsmithError, match=r"data\.labels = image"):
        training.losses(Batch(images, empty, empty, torch.zeros(3), torch.arange(3)))


def test_the_encoder_has_its_own_learning_rate_or_none(labels_only_folder):
    schema = Schema.load(labels_only_folder)
    for tuned, groups in (("tuned", [0.002, 0.0002]), ("frozen", [0.002])):
        config = configure(
            labels_only_folder, f"network.encoder={tuned}", network="efficientnet_classifier"
        )
        training = ClassificationTraining(config, schema, load=False)
        rates = [group["lr"] for group in training.optimizer.param_groups]
        assert rates == pytest.approx(groups)


def test_patchcore_gives_verdicts_without_masks(labels_only_folder, tmp_path):
    pytest.importorskip(efficientnet_lite0.PACKAGE)
    config = configure(labels_only_folder, network="patchcore")
    train_model(config, tmp_path / "run", Hooks(), resume=False)
    evaluation = evaluate_run(tmp_path / "run", Hooks())
    assert evaluation.classes == []
    assert evaluation.escape.total > 0
    assert 0 <= evaluation.part_auroc <= 1
