"""The preset table of docs/systems/dbs_gan.md against the preset files."""

import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from flawsmith.models.dbs_gan import DbsGanGenerator
from flawsmith.nn.cost import macs, parameter_count
from flawsmith.systems.style import STYLE_MAPS

PRESETS = files("flawsmith") / "presets" / "dbs_gan"
NOT_OF_THE_GENERATOR = (
    "discriminator_channels",
    "discriminator_norm",
    "condition_discriminator",
    "style",
)


def rows() -> dict[str, list[str]]:
    page = (Path(__file__).parents[2] / "docs" / "systems" / "dbs_gan.md").read_text()
    table = re.findall(r"^\| `(\w+)` \| (.*) \|$", page.split("## Presets")[1], re.MULTILINE)
    return {name: cells.split(" | ") for name, cells in table}


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
    decimals = len(gmacs.partition(".")[2])
    assert float(gmacs) == round(macs(generator, labels, labels, noise) / 1e9, decimals)
