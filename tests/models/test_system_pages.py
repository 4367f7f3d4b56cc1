"""Parameters and multiply-accumulates on the pages against the networks and the preset files."""

import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from flawsmith.config import preset_names
from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.experiment.train_synthesizer import build_system, configure
from flawsmith.models.dbs_gan import DbsGanGenerator
from flawsmith.models.efficientnet_lite0 import EfficientNetLite0
from flawsmith.models.fc_hardnet import FcHarDNet
from flawsmith.models.feature_pyramid import PyramidSegmenter
from flawsmith.nn.cost import macs, parameter_count
from flawsmith.systems.style import STYLE_MAPS
from flawsmith.systems.surface_style import STYLE_LENGTH

DOCS = Path(__file__).parents[2] / "docs"
PRESETS = files("flawsmith") / "presets" / "dbs_gan"
PAINTERS = ("dbs_gan_real", "dbs_gan_exemplar")
GREY = Schema(
    name="grey",
    backgrounds=make_backgrounds(["surface"]),
    defects=make_defects(["a", "b", "c", "d", "e"]),
)
NOT_OF_THE_GENERATOR = (
    "discriminator_channels",
    "discriminator_norm",
    "condition_discriminator",
    "style",
)


def rows(system: str = "dbs_gan") -> dict[str, list[str]]:
    page = (DOCS / "systems" / f"{system}.md").read_text()
    table = re.findall(r"^\| `(\w+)` \| (.*) \|$", page.split("## Presets")[1], re.MULTILINE)
    return {name: cells.split(" | ") for name, cells in table}


def says(printed: str, value: float) -> bool:
    """Tell whether a printed number is this value, rounded to the decimals that it has."""
    return float(printed) == round(value, len(printed.partition(".")[2]))


def test_page_lists_every_preset():
    assert set(rows()) == {p.name.removesuffix(".toml") for p in PRESETS.iterdir()}


@pytest.mark.parametrize("name", rows())
def test_page_gives_the_cost_of_a_preset(name):
    tile, widths, parameters, gmacs, _ = rows()[name]
    preset = tomllib.loads((PRESETS / f"{name}.toml").read_text())
    network = {k: v for k, v in preset["network"].items() if k not in NOT_OF_THE_GENERATOR}
    for key in ("noise_channels", "defect_noise_channels"):
        if preset["network"].get("style"):
            network[key] += STYLE_MAPS
    size = preset["training"]["tile_size"]
    with torch.device("meta"):
        generator = DbsGanGenerator(num_defects=6, num_backgrounds=2, **network)
        labels = torch.empty(1, size, size, dtype=torch.long)
        channels = generator.total_noise_channels
        noise = torch.empty(1, channels, size, size) if channels else None
    assert int(tile) == size
    assert widths == f"{network['branch_channels']} / {network['combiner_channels']}"
    assert int(parameters.replace(",", "")) == parameter_count(generator)
    assert says(gmacs, macs(generator, labels, labels, noise) / 1e9)


@pytest.mark.parametrize("system", PAINTERS)
def test_page_of_a_painter_lists_every_preset(system):
    assert set(rows(system)) == set(preset_names(system))


@pytest.mark.parametrize(("system", "name"), [(s, name) for s in PAINTERS for name in rows(s)])
def test_page_gives_the_cost_of_a_painter(system, name, tmp_path):
    tile, channels, images, painter, painter_gmacs, critic, critic_gmacs, _ = rows(system)[name]
    config = configure(system, name, tmp_path, fold=None, overrides=[])
    training, network = config.training, config.network
    assert int(tile) == training.tile_size
    assert int(images.replace(",", "")) == training.total_images
    assert int(channels) == network.painter_channels == network.discriminator_channels
    with torch.device("meta"):
        model = build_system(config, GREY)
        extra = network.noise_channels + STYLE_LENGTH + model.canvas_channels(GREY)
        maps = [
            torch.empty(1, count, training.tile_size, training.tile_size)
            for count in (GREY.channels, GREY.num_defects, 1, extra)
        ]
    assert int(painter.replace(",", "")) == parameter_count(model.painter)
    assert says(painter_gmacs, macs(model.painter, *maps) / 1e9)
    assert int(critic.replace(",", "")) == parameter_count(model.discriminator)
    assert says(critic_gmacs, macs(model.discriminator, maps[0]) / 1e9)


def test_page_gives_the_cost_of_efficientnet():
    page = (DOCS / "models.md").read_text()
    decoder, whole, gmacs, side = re.search(
        r"([\d.]+) M parameters of ([\d.]+) M; with\s+the encoder ([\d.]+) GMAC for (\d+) x \4 "
        r"pixels \(five classes\)",
        page,
    ).groups()
    with torch.device("meta"):
        network = PyramidSegmenter(EfficientNetLite0(), num_classes=GREY.num_defects + 1)
        image = torch.empty(1, 1, int(side), int(side))
    assert says(decoder, parameter_count(network.decoder) / 1e6)
    assert says(whole, parameter_count(network) / 1e6)
    assert says(gmacs, macs(network, image) / 1e9)


def test_page_gives_the_cost_of_fc_hardnet():
    page = (DOCS / "systems" / "fc_hardnet70.md").read_text().replace("\n", " ")
    tile, street, grey = re.search(
        r"([\d.]+) GMAC at 512 x 512 and ([\d.]+) GMAC at 1024 x 2048, colour, 19 classes; "
        r"([\d.]+) GMAC for a grey tile of 128 x 128",
        page,
    ).groups()
    with torch.device("meta"):
        network = FcHarDNet(num_classes=19)
        assert says(tile, macs(network, torch.empty(1, 3, 512, 512)) / 1e9)
        assert says(street, macs(network, torch.empty(1, 3, 1024, 2048)) / 1e9)
        network = FcHarDNet(num_classes=7, in_channels=1)
        assert says(grey, macs(network, torch.empty(1, 1, 128, 128)) / 1e9)
