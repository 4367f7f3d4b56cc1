"""What every system must do that can learn from labels of whole images; others say that they can't.

A new system is tested by saying ``image_labels``.
"""

import math
import shutil

import pytest
import torch

from flawsmith.config import preset_names
from flawsmith.data.dataset import METADATA_FILE, DefectDataset, write_metadata
from flawsmith.data.schema import IGNORE
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.estimate import estimate
from flawsmith.experiment.synthesis import synthesize
from flawsmith.experiment.train_synthesizer import (
    build_system,
    configure,
    synthesizer_tiles,
    train_synthesizer,
)
from flawsmith.nn.cost import parameter_count
from flawsmith.systems import SYSTEMS
from flawsmith.systems.base import SampleRequest, stack_tiles
from flawsmith.systems.difference_masks import whole_image_labels
from flawsmith.training import checkpoint as ckpt
from flawsmith.training.loop import Hooks

NAMES = [name for name, system in SYSTEMS if system.image_labels]
OTHERS = [name for name, system in SYSTEMS if not system.image_labels]
TRANSLATE = [name for name in NAMES if "background_images" in SYSTEMS.get(name).needs]
FROM_NOISE = [name for name in NAMES if name not in TRANSLATE]
SPORES = {"dcgan": ["only=spore"]}
"""Of what takes no class: further settings with which a run knows what its images show."""


def fresh(name, data, *overrides):
    torch.manual_seed(0)
    config = configure(name, "tiny", data, fold=0, overrides=list(overrides))
    source, schema = synthesizer_tiles(config)
    return build_system(config, schema), source, schema


def batch_of(source, first=0, count=4):
    return stack_tiles([source[first + i] for i in range(count)])


def request_of(batch, rows=slice(None)):
    """Ask for the classes of a batch, on its images where a system needs some."""
    maps = batch.labels[rows, None, None].expand_as(batch.defects[rows])
    return SampleRequest(maps, batch.backgrounds[rows], background_images=batch.images[rows])


def test_which_they_are():
    assert {"dcgan", "bagan_gp", "stylegan2", "crack_gan"} <= set(FROM_NOISE)
    assert {"cyclegan", "stargan", "defect_gan"} <= set(TRANSLATE)
    assert {"copy_paste", "dbs_gan", "dbs_gan_real"} <= set(OTHERS)


@pytest.mark.parametrize("name", OTHERS)
def test_without_masks_the_others_name_those_that_can(name, labels_only_folder, pouch_folder):
    with pytest.raises(FlawsmithError, match=rf"{name} needs to know .*only: take bagan_gp.*dcgan"):
        configure(name, "tiny", labels_only_folder, fold=0, overrides=[])
    with pytest.raises(FlawsmithError, match=r"is read with data\.labels = image: take"):
        configure(name, "tiny", pouch_folder, fold=0, overrides=["data.labels=image"])


@pytest.mark.parametrize("name", NAMES)
def test_two_steps_change_every_network_and_stay_finite(name, labels_only_folder):
    system, source, _ = fresh(name, labels_only_folder)
    system.prepare(lambda count: batch_of(source, 1 << 20, count))
    before = {
        key: {k: v.clone() for k, v in network.named_parameters()}
        for key, network in system.networks().items()
    }
    for step in range(2):
        values = system.step(batch_of(source, 4 * step))
        assert all(math.isfinite(value) for value in values.values()), values
    for key, network in system.networks().items():
        unchanged = [k for k, v in network.named_parameters() if torch.equal(v, before[key][k])]
        assert not unchanged, f"{key}: {unchanged}"


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_samples_have_a_class_and_no_place(name, labels_only_folder):
    """Known is what was asked for; an image depends on its seed alone and stays in range."""
    system, source, _ = fresh(name, labels_only_folder)
    batch = batch_of(source, count=6)
    samples = system.sample(request_of(batch), batch.seeds)
    assert samples.mask_source == "none"
    assert samples.images.shape == batch.images.shape
    assert samples.images.abs().max() <= 1.0
    expected = torch.where(batch.labels > 0, IGNORE, 0)
    assert torch.equal(samples.defects, expected[:, None, None].expand_as(batch.defects))
    row = int((batch.labels > 0).nonzero()[-1])
    alone = system.sample(request_of(batch, slice(row, row + 1)), batch.seeds[row : row + 1])
    assert torch.allclose(alone.images[0], samples.images[row], atol=1e-4)


@pytest.mark.parametrize("name", FROM_NOISE)
def test_networks_have_no_channels_for_masks(name, labels_only_folder, pouch_folder):
    """They see and make the image alone, as published; with masks they have more weights."""
    plain, source, schema = fresh(name, labels_only_folder)
    masked, _, _ = fresh(name, pouch_folder)
    batch = batch_of(source)
    assert plain.joint(batch).shape == batch.images.shape
    assert torch.equal(plain.joint(batch), batch.images)
    for key in ("generator", "discriminator"):
        assert parameter_count(plain.networks()[key]) < parameter_count(masked.networks()[key])
    assert masked.joint(batch).shape[1] == schema.channels + schema.num_defects


def test_dcgan_has_the_published_counts(labels_only_folder):
    """TensorFlow's tutorial: 28 px, grey; docs/systems/dcgan.md."""
    overrides = ["training.tile_size=28", "network.latent_size=100", "network.base_channels=64"]
    system, _, _ = fresh("dcgan", labels_only_folder, *overrides)
    counts = [parameter_count(network) for network in system.networks().values()]
    assert counts == [2_305_472, 212_865]


@pytest.mark.parametrize("name", NAMES)
def test_presets_and_costs(name, labels_only_folder):
    for preset in preset_names(name):
        config = configure(name, preset, labels_only_folder, fold=0, overrides=[])
        assert config.data.labels == "image"
    system, _, schema = fresh(name, labels_only_folder)
    assert estimate(lambda: system, system.config, schema).seconds > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_run_goes_on_bit_equal_and_synthesises(name, labels_only_folder, tmp_path):
    config = configure(
        name, "tiny", labels_only_folder, fold=0,
        overrides=["training.checkpoint_every_images=8", *SPORES.get(name, [])],
    )  # fmt: skip
    whole, run = tmp_path / "whole", tmp_path / "killed"
    train_synthesizer(config, whole, Hooks(), resume=False)
    shutil.copytree(whole, run)
    shutil.rmtree(ckpt.checkpoints(run)[-1])
    train_synthesizer(config, run, Hooks(), resume=True)
    last = [ckpt.checkpoints(folder)[-1] for folder in (whole, run)]
    assert last[0].name == last[1].name
    for file in sorted(path.name for path in last[0].glob("*.safetensors")):
        first, second = (ckpt.load_tensors(folder / file) for folder in last)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[k], second[k]) for k in first), file
    assert (run / "samples" / "0000000016.png").is_file()
    assert not list((run / "samples").rglob("label.png"))
    dataset = DefectDataset.open(labels_only_folder)
    if name == "crack_gan":
        with pytest.raises(FlawsmithError, match="no mask says which class one shows"):
            synthesize(run, dataset, tmp_path / "set", plan={"spore": 2})
        return
    synthesize(run, dataset, tmp_path / "set", plan={"spore": 2})
    made = DefectDataset.open(tmp_path / "set")
    for record in made:
        assert record.labels == record.weak_labels == ["spore"]
        assert (record.mask_file_name, record.mask_source) == (None, "none")
        assert made.image(record).shape == (32, 32)
        assert bool(record.parents) == (name in TRANSLATE)


@pytest.mark.parametrize("name", TRANSLATE)
def test_translation_without_good_images_is_refused(name, labels_only_folder, tmp_path):
    data = shutil.copytree(labels_only_folder, tmp_path / "data")
    dataset = DefectDataset.open(data)
    write_metadata(data / METADATA_FILE, [r for r in dataset if not r.is_good])
    config = configure(name, "tiny", data, fold=0, overrides=[])
    with pytest.raises(FlawsmithError, match="import good images and give"):
        train_synthesizer(config, tmp_path / "run", Hooks(), resume=False)
    assert not (tmp_path / "run").exists()
    without = configure(name, "tiny", labels_only_folder, fold=0, overrides=["data.good_share=0"])
    with pytest.raises(FlawsmithError, match="import good images and give"):
        synthesizer_tiles(without)


def test_an_unchanged_surface_is_good():
    """What was asked for is not in it, so it must not be labelled so."""
    surface = torch.zeros(3, 1, 16, 16)
    image = surface.clone()
    image[1:, :, 4:9, 4:9] = 0.5
    labels = whole_image_labels(surface, image, torch.tensor([1, 1, 0]))
    assert labels[:, 0, 0].tolist() == [0, IGNORE, 0]
    assert all(len(one.unique()) == 1 for one in labels)


def test_only_counts_images_that_also_show_another_class(labels_only_folder):
    """An image with two labels was drawn for one of them, and shows the other all the same."""
    system, source, schema = fresh("dcgan", labels_only_folder, "only=spore")
    batch = batch_of(source)
    wanted = schema.defect("spore").id
    batch.labels[:] = wanted % schema.num_defects + 1
    batch.present[:] = 0
    batch.present[0, wanted - 1] = 1
    assert system._counts(batch).tolist() == [4.0, 0.0, 0.0, 0.0]


def test_defect_gan_shows_the_class_all_over(labels_only_folder):
    system, source, schema = fresh("defect_gan", labels_only_folder)
    system.prepare(lambda count: batch_of(source, 1 << 20, count))
    assert sorted(system.maps.flatten(1).unique(dim=1).flatten().tolist()) == system.classes
    batch = system.begin(batch_of(source, count=8))
    assert all((one == label).all() for one, label in zip(batch.defects, batch.labels, strict=True))
    shown = system.shown(batch.defects, batch.labels, batch.present)
    assert torch.equal(shown[:, 1:], batch.present)
    assert torch.equal(shown[:, 0], (batch.labels == 0).float())
    assert shown.shape[1] == schema.num_defects + 1
