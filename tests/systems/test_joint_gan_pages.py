"""The preset tables of the systems that make image and masks together, against the presets."""

import re
from pathlib import Path

import pytest
import torch

from flawsmith.config import load_preset, preset_names, validate
from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.experiment.train_synthesizer import build_system
from flawsmith.nn.cost import macs, parameter_count
from flawsmith.systems import SYSTEMS
from flawsmith.systems.joint_gan import JointGan

DOCS = Path(__file__).parents[2] / "docs" / "systems"
NAMES = [name for name, system in SYSTEMS if issubclass(system, JointGan)]
SCHEMA = Schema(
    name="six", channels=1, backgrounds=make_backgrounds(["surface"]),
    defects=make_defects([f"defect-{i}" for i in range(6)]),
)  # fmt: skip


def inputs(system, network: str) -> list[torch.Tensor]:
    size = system.config.training.tile_size
    image = torch.empty(1, system.joint_channels, size, size)
    noise = torch.empty(1, system.config.network.latent_size)
    given = [noise if network == "generator" else image]
    if system.config.system == "bagan_gp" and network != "encoder":
        given.append(torch.zeros(1, dtype=torch.long))
    return given


def rows(name: str) -> dict[str, list[str]]:
    page = (DOCS / f"{name}.md").read_text()
    table = re.findall(r"^\| `(\w+)` \| (.*) \|$", page.split("## Presets")[1], re.MULTILINE)
    return {preset: cells.split(" | ") for preset, cells in table}


@pytest.mark.parametrize("name", NAMES)
def test_page_lists_every_preset(name):
    assert set(rows(name)) == set(preset_names(name))


@pytest.mark.parametrize(
    ("name", "preset"), [(name, preset) for name in NAMES for preset in preset_names(name)]
)
def test_page_gives_the_cost_of_a_preset(name, preset):
    values = load_preset(name, preset)
    values |= {"system": name, "preset": preset, "data": values["data"] | {"path": ""}}
    config = validate(SYSTEMS.get(name).config_class, values, source=preset)
    with torch.device("meta"):
        system = build_system(config, SCHEMA)
        costs = {key: macs(net, *inputs(system, key)) for key, net in system.networks().items()
                 if parameter_count(net)}  # fmt: skip
    tile, *counts, gmacs, _ = rows(name)[preset]
    assert int(tile) == config.training.tile_size
    trained = [parameter_count(net) for net in system.networks().values() if parameter_count(net)]
    assert [int(count.replace(",", "")) for count in counts] == trained
    decimals = len(gmacs.partition(".")[2])
    total = sum(costs.values()) / 1e9
    assert float(gmacs) == round(total, decimals), costs
    assert preset != "small" or total <= 1.5
