"""The pages of the systems that translate surfaces, against presets and networks."""

import re
from pathlib import Path

import pytest
import torch

from flawsmith.config import load_preset, preset_names, validate
from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.experiment.train_synthesizer import build_system
from flawsmith.nn.cost import macs, parameter_count
from flawsmith.systems import SYSTEMS
from flawsmith.systems.translation import TranslationSystem

DOCS = Path(__file__).parents[2] / "docs" / "systems"
NAMES = [name for name, system in SYSTEMS if issubclass(system, TranslationSystem)]
CASES = [(name, preset) for name in NAMES for preset in preset_names(name)]
SCHEMA = Schema(
    name="five", channels=1, backgrounds=make_backgrounds(["surface"]),
    defects=make_defects([f"defect-{i}" for i in range(5)]),
)  # fmt: skip


def rows(name: str) -> dict[str, list[str]]:
    page = (DOCS / f"{name}.md").read_text()
    table = re.findall(r"^\| `(\w+)` \| (.*) \|$", page.split("## Presets")[1], re.MULTILINE)
    return {preset: cells.split(" | ") for preset, cells in table}


def build(name: str, preset: str):
    values = load_preset(name, preset)
    values |= {"system": name, "preset": preset, "data": values["data"] | {"path": ""}}
    with torch.device("meta"):
        return build_system(validate(SYSTEMS.get(name).config_class, values, source=preset), SCHEMA)


def cost(system) -> int:
    """Return what a forward pass of every network over one tile takes."""
    size = system.settings.training.tile_size

    def maps(channels: int) -> torch.Tensor | None:
        return torch.empty(1, channels, size, size) if channels else None

    networks = system.networks()
    if "to_defect" in networks:
        inputs = {key: (maps(1), maps(networks[key].layers[1].in_channels - 1))
                  for key in ("to_defect", "to_normal")}  # fmt: skip
        inputs |= {key: (maps(networks[key].layers[0].in_channels),)
                   for key in ("judge_defect", "judge_normal")}  # fmt: skip
    elif "spatial" in dict(networks["generator"].named_children()):
        inputs = {"generator": (maps(1), maps(6), maps(2)), "discriminator": (maps(1),)}
    else:
        condition = networks["generator"].layers[0].in_channels - 1
        inputs = {"generator": (maps(1), maps(condition)), "discriminator": (maps(1),)}
    return sum(macs(networks[key], *given) for key, given in inputs.items())


def test_pages_list_every_preset():
    assert {"cyclegan", "defect_gan", "stargan"} <= set(NAMES)
    assert {name: set(rows(name)) for name in NAMES} == {
        name: set(preset_names(name)) for name in NAMES
    }


@pytest.mark.parametrize(("name", "preset"), CASES)
def test_page_gives_tile_length_and_generators_of_a_preset(name, preset):
    system = build(name, preset)
    tile, widths, images, count, what = rows(name)[preset]
    config = system.settings
    assert int(tile) == config.training.tile_size
    network = config.network
    assert re.findall(r"\d+", widths)[:2] == [str(network.generator_channels), str(network.blocks)]
    assert int(images.replace(",", "")) == config.training.total_images
    generators = {k: n for k, n in system.networks().items() if k.startswith(("to_", "gen"))}
    assert int(count.replace(",", "")) == sum(map(parameter_count, generators.values()))
    if preset == "small":
        assert cost(system) <= 1.5e9
        assert float(re.search(r"([\d.]+) GMAC", what)[1]) == round(cost(system) / 1e9, 2)
