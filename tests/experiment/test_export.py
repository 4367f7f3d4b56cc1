"""A trained run as an exported model: the same decisions, or nothing."""

import dataclasses
import shutil

import numpy as np
import onnx
import openvino
import pytest
import torch
from torch import nn

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.images import to_unit
from flawsmith.data.schema import PixelSize, Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.experiment import export, export_check
from flawsmith.experiment.export import ExportSettings, export_run, fastest_window
from flawsmith.experiment.export_check import (
    RunAnswers,
    as_schema_says,
    compare,
    require_few_flips,
)
from flawsmith.experiment.export_graph import write_graph
from flawsmith.experiment.export_int8 import (
    CALIBRATION_TILES,
    calibration_tiles,
    quantise,
    quantise_graph,
)
from flawsmith.experiment.inspection_model import InspectionModel, load_config, load_thresholds
from flawsmith.experiment.runs import create_run
from flawsmith.experiment.train_model import configure_any_model, train_model
from flawsmith.experiment.training_data import training_datasets
from flawsmith.inspection.exported import ExportedModel, ModelCard
from flawsmith.inspection.regions import find_regions
from flawsmith.inspection.runtime import Runtime
from flawsmith.inspection.thresholds import Thresholds, classify
from flawsmith.nn.blocks import conv_bn_relu
from flawsmith.training.loop import Hooks


def configured(network, data):
    return configure_any_model(network, "tiny", data, fold=1, synthetic=[], arm=None, overrides=[])


@pytest.fixture(scope="module")
def run(pouch_folder, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "real"
    train_model(configured("fc_hardnet70", pouch_folder), run, Hooks(), resume=False)
    return run


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "pouch"
    said = []
    settings = ExportSettings(precision="fp32", window=64, threads=1)
    export_run(run, out, settings, Hooks(report=said.append))
    assert "0 of" in said[-1]
    return ExportedModel.load(out)


def test_card_says_where_it_comes_from(exported, run, pouch_folder):
    card = exported.card
    assert card.run.network == "fc_hardnet70"
    assert card.run.data_fingerprint == training_datasets_of(pouch_folder)[0].fingerprint()
    assert card.thresholds == load_thresholds(run)
    assert (card.tile, card.overlap, card.window) == (64, 32, (64, 64))
    assert card.check.flipped == []
    assert card.check.images > 5
    assert card.check.macro_iou_after == pytest.approx(card.check.macro_iou_before, abs=1e-3)
    assert set(card.files) == {"network.xml", "network.bin"}
    assert str(run.parent) not in (exported.folder / "model.json").read_text()


def test_sizes_of_the_data_set_are_no_calibration(run, tmp_path):
    """Nothing says how sure they are and until when (D91)."""
    shutil.copytree(run, tmp_path / "run")
    size = PixelSize(x=0.05, y=0.1)
    measured = Schema.load(run).model_copy(update={"pixel_size_mm": size})
    measured.save(tmp_path / "run")
    said = []
    settings = ExportSettings(precision="fp32", window=64, threads=1)
    export_run(tmp_path / "run", tmp_path / "out", settings, Hooks(report=said.append))
    assert "sizes are in px alone: the data set says 0.05 x 0.1 mm" in "\n".join(said)
    card = ExportedModel.load(tmp_path / "out").card
    assert (card.calibration, card.defect_schema.pixel_size_mm) == (None, None)


def training_datasets_of(pouch_folder):
    datasets, validation = training_datasets(configured("fc_hardnet70", pouch_folder).data)
    return datasets[0], validation


def test_both_find_the_same_in_one_tile(exported, run, pouch_folder):
    """One tile has no seam: the graph must give what torch, softmax and `classify` give."""
    model, runtime = InspectionModel.load(run), Runtime(exported, threads=1)
    dataset = DefectDataset.open(pouch_folder)
    thresholds = Thresholds(pixel=[1 / 7] * 6, region=0.1)
    low = Runtime(exported, threads=1, thresholds=thresholds, network=runtime.network)
    for record in dataset.records[:6]:
        image = dataset.image(record)[:64, :64]
        scores = model.predict(image)
        found = low.maps(image)
        index = classify(scores, thresholds)
        assert (index != found.index).mean() < 1e-3
        winner = np.take_along_axis(scores, index[None].astype(int), 0)[0]
        same = (index > 0) & (index == found.index)
        assert same.any()
        np.testing.assert_allclose(found.confidence[same], winner[same], atol=1e-4)
        regions = low.inspect(image).regions
        expected = find_regions(found.index, scores, dataset.schema)
        assert len(regions) == len(expected)


def test_too_many_flips_are_refused_and_leave_nothing(run, tmp_path, monkeypatch):
    """Every image of a defect is one without it, or the reverse, to the exported model."""
    few = training_datasets(load_config(run).data)
    monkeypatch.setattr(export, "training_datasets", lambda _: (few[0], few[1][:3]))
    monkeypatch.setattr(export_check, "_highest", flipping())
    out = tmp_path / "model"
    settings = ExportSettings(backend="onnx", window=64, threads=1)
    with pytest.raises(FlawsmithError, match=r"not exported: .* Differing images: images/"):
        export_run(run, out, settings)
    assert list(tmp_path.iterdir()) == []


def flipping():
    """Return a stand-in for the highest score: before 1, after 0, in turns."""
    answers = [0.0]

    def highest(index, confidence):
        answers.append(1.0 - answers[-1])
        return answers[-1]

    return highest


def test_comparison_counts_parts_and_names_images(exported, run, pouch_folder):
    dataset, validation = training_datasets_of(pouch_folder)
    runtime = Runtime(exported, threads=1)
    model = InspectionModel.load(run)
    deaf = Runtime(
        exported, threads=1, network=runtime.network,
        thresholds=Thresholds(pixel=[1e-3] * 6, region=1e-3),
    )  # fmt: skip

    class Blind:
        def predict(self, image):
            scores = np.zeros((7, *image.shape[:2]), np.float32)
            scores[0] = 1.0
            return scores

    two_views = [r.model_copy(update={"part": "one"}) for r in validation[:2]]
    blind = RunAnswers(Blind(), dataset, two_views, deaf.thresholds)
    found = compare(blind, deaf, allowed=0, hooks=Hooks())
    assert found.summary.parts == 1
    assert found.summary.images == 2
    assert found.summary.flipped == ["one"]
    assert [text.split(" ")[0] for text in found.images] == [r.file_name for r in two_views]
    with pytest.raises(FlawsmithError, match="1 of 1 validation parts have another verdict"):
        require_few_flips(found, exported.card)
    require_few_flips(compare(blind, deaf, allowed=1, hooks=Hooks()), exported.card)
    answers = RunAnswers(model, dataset, validation[:3], runtime.thresholds)
    same = compare(answers, runtime, allowed=0, hooks=Hooks())
    assert same.summary.flipped == []
    assert same.summary.macro_iou_after == pytest.approx(same.summary.macro_iou_before, abs=1e-5)


def test_windows_that_change_verdicts_are_left_out(run, tmp_path, monkeypatch):
    """Unless they were asked for: then the export is refused."""
    real, predict, images = export.compare, InspectionModel.predict, []

    def counted(model, image):
        images.append(image)
        return predict(model, image)

    def wary(answers, runtime, *, allowed, hooks):
        answers.records = answers.records[:2]
        found = real(answers, runtime, allowed=allowed, hooks=hooks)
        flipped = [answers.records[0].part] if runtime.exported.card.window == (128, 128) else []
        summary = found.summary.model_copy(update={"flipped": flipped})
        return dataclasses.replace(found, summary=summary)

    monkeypatch.setattr(export, "compare", wary)
    monkeypatch.setattr(export, "fastest_window", lambda runtime, images: 128)
    monkeypatch.setattr(InspectionModel, "predict", counted)
    said = []
    settings = ExportSettings(precision="fp32", threads=1)
    made = export_run(run, tmp_path / "made", settings, Hooks(report=said.append))
    assert made.card.window == (64, 64)
    assert made.card.check.flipped == []
    assert said[-2].startswith("larger windows are left out: 1 of")
    assert len(images) == 2  # the run is asked once an image, not once a comparison
    asked = dataclasses.replace(settings, window=128)
    with pytest.raises(FlawsmithError, match=r"not exported: 1 of .*--window 64 looks at tiles"):
        export_run(run, tmp_path / "refused", asked)
    assert not (tmp_path / "refused").exists()


def small_network(channels):
    """Return five convolutions, of which the third is depthwise."""
    torch.manual_seed(0)
    return nn.Sequential(
        conv_bn_relu(channels, 8), conv_bn_relu(8, 8), nn.Conv2d(8, 8, 3, padding=1, groups=8),
        conv_bn_relu(8, 8), nn.Conv2d(8, 7, 1),
    ).eval()  # fmt: skip


def test_int8_keeps_its_interface(tmp_path, pouch_folder):
    dataset, _ = training_datasets_of(pouch_folder)
    schema = dataset.schema
    network = small_network(schema.channels)
    models = []
    for name in ("fp32", "int8"):
        folder = tmp_path / name
        folder.mkdir()
        write_graph(network, schema, folder, backend="openvino", tile=64)
        if name == "int8":
            few = dataset.with_records(dataset.records[:8])
            quantise(folder, "openvino", few, schema, 64, seed=0)
        card = ModelCard(
            name=name, backend="openvino", precision=name, defect_schema=schema, tile=64,
            thresholds=Thresholds(pixel=[0.1] * 6), overlap=32, window=(64, 64), multiple=32,
            code_version="0",
        )  # fmt: skip
        models.append(Runtime(ExportedModel.write(folder, card), threads=1))
    assert b"FakeQuantize" in (tmp_path / "int8" / "network.xml").read_bytes()
    assert b"FakeQuantize" not in (tmp_path / "fp32" / "network.xml").read_bytes()
    assert models[1].network.description.endswith("CPU f32")  # never bf16 beside 8 bits
    before, after = (model.maps(dataset.image(dataset.records[0])) for model in models)
    assert 0 < np.abs(before.confidence - after.confidence).mean() < 0.05


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_ends_and_depthwise_convolutions_stay_in_float(tmp_path, pouch_folder, backend):
    dataset, _ = training_datasets_of(pouch_folder)
    write_graph(
        small_network(dataset.schema.channels), dataset.schema, tmp_path, backend=backend, tile=64
    )
    few = dataset.with_records(dataset.records[:4])
    quantise(tmp_path, backend, few, dataset.schema, 64, seed=0)
    assert quantised_convolutions(tmp_path) == [False, True, False, True, False]


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_8_bits_hold_what_one_calibration_tile_in_sixteen_reaches(tmp_path, backend):
    """A rare class must not be cut off by ranges that common tiles set (D89)."""
    schema = Schema(
        name="one", backgrounds=make_backgrounds(["plate"]), defects=make_defects(["bright"])
    )
    # Bright pixels reach 66 in the third layer, dark ones 7.
    network = nn.Sequential(*(nn.Conv2d(a, b, 1) for a, b in ((1, 4), (4, 4), (4, 4), (4, 2))))
    weights = (torch.full((4, 1), 7.5), 2 * torch.eye(4), 2 * torch.eye(4), torch.zeros(2, 4))
    with torch.no_grad():
        for layer, weight, bias in zip(network, weights, (9, 0, 0, 0), strict=True):
            layer.weight.copy_(weight[..., None, None])
            layer.bias.fill_(bias)
        network[3].weight[1] = 0.02
        network[3].bias[1] = -2.0
    tiles = np.full((16, 1, 64, 64, 1), 5, np.uint8)
    tiles[3] = 255
    limits = np.array([0.5], np.float32)
    scores = []
    for precision in ("fp32", "int8"):
        folder = tmp_path / precision
        folder.mkdir()
        write_graph(network.eval(), schema, folder, backend=backend, tile=64)
        if precision == "int8":
            quantise_graph(folder, backend, [{"image": t, "limits": limits} for t in tiles])
        scores.append(first_score(folder, tiles[3], limits))
    assert scores[0] > 0.7
    assert scores[1] == pytest.approx(scores[0], abs=0.02)


def first_score(folder, pixels, limits):
    """Return the score of the first class in the middle of a tile."""
    path = next(folder.glob("network.[xo]*"))
    network = openvino.Core().compile_model(path, "CPU")
    return float(network([pixels, limits])["scores"][0, 0, 32, 32])


def quantised_convolutions(folder):
    """Tell of each convolution, in the order of computation, whether its input is in 8 bits."""
    if (folder / "network.onnx").exists():
        graph = onnx.load(str(folder / "network.onnx")).graph
        made_by = {name: node.op_type for node in graph.node for name in node.output}
        layers = [node for node in graph.node if node.op_type == "Conv"]
        return [made_by.get(node.input[0]) == "DequantizeLinear" for node in layers]
    model = openvino.Core().read_model(folder / "network.xml")
    layers = [layer for layer in model.get_ordered_ops() if "Convolution" in layer.get_type_name()]
    return [layer.input_value(0).get_node().get_type_name() == "FakeQuantize" for layer in layers]


def test_calibration_tiles_are_real_training_tiles(pouch_folder):
    dataset, validation = training_datasets_of(pouch_folder)
    schema = dataset.schema
    tiles = list(calibration_tiles(dataset, schema, 64, seed=0))
    assert 10 < len(tiles) <= CALIBRATION_TILES
    assert {tile.shape for tile in tiles} == {(1, 64, 64, schema.channels)}
    held = {record.file_name for record in validation}
    assert not held & {record.file_name for record in dataset.records}
    again = list(calibration_tiles(dataset, schema, 64, seed=0))
    assert all(np.array_equal(a, b) for a, b in zip(tiles, again, strict=True))


@pytest.fixture
def timed(exported, monkeypatch):
    """Replace the runtime by one that only takes time: of its precision, or of its window."""
    clock = [0.0]
    seconds = {64: 4.0, 128: 2.0, 256: 1.99, "bf16": 2.0, "fp32": 1.0}

    class Timed:
        def __init__(self, exported, *, network=None, threads=None):
            self.exported, self.network = exported, exported.card.precision
            self.seconds = seconds[exported.card.window[0] if network else self.network]

        def maps(self, image):
            clock[0] += self.seconds

    monkeypatch.setattr(export, "Runtime", Timed)
    monkeypatch.setattr(export.time, "perf_counter", lambda: clock[0])
    return Timed, seconds


def with_precision(exported, precision):
    card = exported.card.model_copy(update={"precision": precision})
    return dataclasses.replace(exported, card=card)


def test_fastest_window_is_measured(exported, timed):
    runtime = timed[0](exported)
    assert fastest_window(runtime, [np.zeros((60, 60), np.uint8)]) == 64  # one tile anyway
    assert fastest_window(runtime, [np.zeros((200, 200), np.uint8)]) == 128


def test_bf16_is_taken_where_it_is_faster(exported, timed):
    given = with_precision(exported, "bf16")
    images = [np.zeros((64, 64), np.uint8)]
    assert export.fastest_precision(given, images, 1).exported.card.precision == "fp32"
    timed[1]["bf16"] = 0.9
    assert export.fastest_precision(given, images, 1).exported.card.precision == "bf16"
    timed[1]["fp32"] = 0.1
    small = with_precision(exported, "fp32")
    assert export.fastest_precision(small, images, 1).exported.card.precision == "fp32"


def test_images_of_a_data_set_become_what_the_camera_gives():
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (5, 6, 3), np.uint8)
    for values in ({}, {"channels": 3}, {"bit_depth": 12, "white_level": 4095}):
        schema = Schema(
            name="a", backgrounds=make_backgrounds(["b"]), defects=make_defects(["c"]), **values
        )
        for image in (colour, colour[..., 0], colour.astype(np.uint16) * 3):
            converted = as_schema_says(image, schema)
            assert converted.dtype == (np.uint8 if schema.bit_depth == 8 else np.uint16)
            assert converted.shape == ((5, 6) if schema.channels == 1 else (5, 6, 3))
            np.testing.assert_array_equal(to_unit(converted, schema), to_unit(image, schema))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("machine_vision", "machine vision with fixed rules and has no network"),
        ("patchcore", "it is the novelty score beside a segmentation network"),
        ("cnn_classifier", r"classification model .* gives no regions"),
        ("fc_hardnet70", "has no checkpoint yet"),
    ],
)
def test_other_and_unfinished_models_are_refused(
    pouch_folder, labels_only_folder, tmp_path, network, message
):
    data = labels_only_folder if network == "cnn_classifier" else pouch_folder
    create_run(tmp_path / "run", configured(network, data), DefectDataset.open(data).schema)
    with pytest.raises(FlawsmithError, match=message):
        export_run(tmp_path / "run", tmp_path / "out", ExportSettings())
    assert not (tmp_path / "out").exists()


def test_impossible_window_is_refused_before_any_work(run, tmp_path):
    with pytest.raises(FlawsmithError, match="windows of 100 px; expected a multiple of 32"):
        export_run(run, tmp_path / "out", ExportSettings(window=100))
    assert list(tmp_path.iterdir()) == []


def test_no_run_and_taken_folder_are_errors(run, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "a").write_text("")
    with pytest.raises(FlawsmithError, match="exists already"):
        export_run(run, tmp_path / "taken", ExportSettings())
    with pytest.raises(FlawsmithError, match="is no run folder"):
        export_run(tmp_path / "taken", tmp_path / "new", ExportSettings())
