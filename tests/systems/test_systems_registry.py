"""What every registered system must do; a new system is tested by being registered."""

import pytest
import torch

from flawsmith.config import preset_names
from flawsmith.data.schema import IGNORE, Schema, make_backgrounds, make_defects
from flawsmith.data.tiles import TileSource
from flawsmith.experiment.train_synthesizer import build_system, configure
from flawsmith.experiment.training_data import tile_source, training_datasets
from flawsmith.systems import SYSTEMS
from flawsmith.systems.base import Batch, SampleRequest, stack_tiles
from flawsmith.systems.untrained import UntrainedSystem

NAMES = SYSTEMS.names()
TRAINED = [name for name, system in SYSTEMS if not issubclass(system, UntrainedSystem)]


def fresh(name, data, *overrides):
    torch.manual_seed(0)
    config = configure(name, "tiny", data, fold=0, overrides=list(overrides))
    datasets, _ = training_datasets(config.data)
    schema = datasets[0].schema
    source = tile_source(datasets, config, clean=SYSTEMS.get(name).trains_on_clean)
    return build_system(config, schema), source, schema


def request_of(batch: Batch, rows: slice = slice(None)) -> SampleRequest:
    """Return a request with everything that any system needs."""
    return SampleRequest(
        defects=batch.defects[rows],
        backgrounds=batch.backgrounds[rows],
        background_images=batch.images[rows],
        exemplars=batch.images[rows].flip(-1),
        exemplar_known=torch.ones_like(batch.defects[rows], dtype=torch.bool),
    )


def batch_of(source: TileSource, first=0, count=4):
    return stack_tiles([source[first + i] for i in range(count)])


@pytest.mark.parametrize("name", TRAINED)
def test_two_steps_change_every_network_and_stay_finite(name, pouch_folder):
    system, source, _ = fresh(name, pouch_folder)
    before = {
        key: {k: v.clone() for k, v in network.named_parameters()}
        for key, network in system.networks().items()
    }
    for step in range(2):
        values = system.step(batch_of(source, 4 * step))
        assert values
        assert all(torch.isfinite(torch.tensor(v)) for v in values.values()), values
        assert any(key.endswith("/total") for key in values)
    for key, network in system.networks().items():
        unchanged = [k for k, v in network.named_parameters() if torch.equal(v, before[key][k])]
        assert not unchanged, f"{key}: {unchanged}"


@pytest.mark.parametrize("name", NAMES)
def test_samples_carry_everything_and_stay_in_range(name, pouch_folder):
    system, source, schema = fresh(name, pouch_folder)
    batch = batch_of(source)
    samples = system.sample(request_of(batch), batch.seeds)
    assert samples.images.shape == batch.images.shape
    assert samples.images.dtype == torch.float32
    assert samples.images.min() >= -1.0
    assert samples.images.max() <= 1.0
    assert samples.mask_source in {"conditioning", "joint", "difference", "pseudo"}
    assert torch.equal(samples.seeds, batch.seeds)
    unknown = (samples.defects == IGNORE).flatten(1)
    assert torch.equal(unknown.any(dim=1), unknown.all(dim=1))  # a whole image, or no pixel of it
    assert samples.defects[samples.defects != IGNORE].le(schema.num_defects).all()
    assert all(layer.shape[-2:] == batch.images.shape[-2:] for layer in samples.layers.values())


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_image_depends_on_its_seed_alone(name, pouch_folder):
    system, source, _ = fresh(name, pouch_folder)
    batch = batch_of(source)
    together = system.sample(request_of(batch), batch.seeds).images
    row = int((batch.labels > 0).nonzero()[-1])  # some systems paint defects alone
    one = slice(row, row + 1)
    request = request_of(batch, one)
    alone = system.sample(request, batch.seeds[one]).images
    again = system.sample(request, batch.seeds[one]).images
    other = system.sample(request, batch.seeds[one] + 1).images
    assert torch.equal(alone, again)
    assert torch.allclose(alone[0], together[row], atol=1e-4)
    assert not torch.allclose(alone, other, atol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_accumulation_makes_the_same_step(name, pouch_folder):
    if getattr(SYSTEMS.get(name), "batch_statistics", False):
        pytest.skip("its batch norm takes the statistics of each micro-batch, as its page says")
    whole, source, _ = fresh(name, pouch_folder)
    pieces, _, _ = fresh(name, pouch_folder)
    pieces.engine.accumulate = 2
    for system in (whole, pieces):
        for optimizer in system.optimizers().values():
            for group in optimizer.param_groups:
                group["eps"] = 1e-3  # else Adam makes a full step of a gradient's rounding error
        system.step(batch_of(source))
    for key, network in whole.networks().items():
        other = dict(pieces.networks()[key].named_parameters())
        for parameter_name, value in network.named_parameters():
            assert torch.allclose(value, other[parameter_name], atol=1e-5), (key, parameter_name)


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_is_a_complete_configuration(name, pouch_folder):
    presets = preset_names(name)
    assert {"paper", "stable", "small", "tiny"} <= set(presets)
    for preset in presets:
        config = configure(name, preset, pouch_folder, fold=None, overrides=[])
        assert config.preset == preset
        assert config.training.tile_size % SYSTEMS.get(name).size_multiple == 0


@pytest.mark.parametrize("name", NAMES)
def test_colour_images_train_too(name, pouch_folder):
    config = configure(name, "tiny", pouch_folder, fold=0, overrides=[])
    schema = Schema(
        name="colour", channels=3, backgrounds=make_backgrounds(["surface"]),
        defects=make_defects(["crack", "pore"]),
    )  # fmt: skip
    system = build_system(config, schema)
    generator = torch.Generator().manual_seed(0)
    height = 32 if getattr(SYSTEMS.get(name), "fixed_size", False) else 48
    defects = torch.zeros(2, height, 32, dtype=torch.long)
    defects[:, 8:16, 8:16] = 2
    defects[0, 0, 0] = 255
    values = system.step(
        Batch(
            images=torch.rand(2, 3, height, 32, generator=generator) * 2 - 1,
            defects=defects,
            backgrounds=torch.zeros_like(defects),
            labels=torch.tensor([2, 2]),
            seeds=torch.tensor([1, 2]),
            clean=torch.rand(2, 3, height, 32, generator=generator) * 2 - 1,
        )
    )
    assert all(torch.isfinite(torch.tensor(v)) for v in values.values())
