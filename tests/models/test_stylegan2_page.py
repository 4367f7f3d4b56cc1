"""The preset table of docs/systems/stylegan2.md against the preset files."""

import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from flawsmith.models.stylegan2 import StyleGan2Discriminator, StyleGan2Generator
from flawsmith.nn.cost import macs, parameter_count

PRESETS = files("flawsmith") / "presets" / "stylegan2"
DEFECTS = 6


def rows() -> dict[str, list[str]]:
    page = (Path(__file__).parents[2] / "docs" / "systems" / "stylegan2.md").read_text()
    table = re.findall(r"^\| `(\w+)` \| (.*) \|$", page.split("## Presets")[1], re.MULTILINE)
    return {name: cells.split(" | ") for name, cells in table}


def test_page_lists_every_preset():
    assert set(rows()) == {p.name.removesuffix(".toml") for p in PRESETS.iterdir()}


@pytest.mark.parametrize("name", rows())
def test_page_gives_the_cost_of_a_preset(name):
    tile, of_generator, of_discriminator, gmacs, _ = rows()[name]
    preset = tomllib.loads((PRESETS / f"{name}.toml").read_text())
    network, size = preset["network"], preset["training"]["tile_size"]
    group, class_layers = network.pop("group"), network.pop("class_layers")
    common = {
        "image_size": size,
        "image_channels": 1 + DEFECTS,
        "num_classes": 1 + DEFECTS,
        "base_channels": network.pop("base_channels"),
        "max_channels": network.pop("max_channels"),
    }
    with torch.device("meta"):
        generator = StyleGan2Generator(**common, **network)
        discriminator = StyleGan2Discriminator(
            **common, group=group, class_layers=class_layers, class_size=network["style_size"]
        )
        classes = torch.zeros(1, dtype=torch.long)
        latents, noise = (
            torch.empty(1, network["latent_size"]),
            torch.empty(1, generator.noise_values),
        )
        pictures = torch.empty(1, 1 + DEFECTS, size, size)
    assert int(tile) == size
    assert int(of_generator.replace(",", "")) == parameter_count(generator)
    assert int(of_discriminator.replace(",", "")) == parameter_count(discriminator)
    once = macs(generator, latents, classes, noise) + macs(discriminator, pictures, classes)
    assert float(gmacs) == round(once / 1e9, len(gmacs.partition(".")[2]))
    if name == "small":
        assert once <= 1.5e9
