"""The sample sheets of a run: what the system makes of the same tiles, again and again."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import torch
from torch import Tensor

from flawsmith.data.schema import IGNORE, Schema
from flawsmith.data.tiles import GOOD, Tile, TileSource
from flawsmith.experiment.sample_gallery import write_gallery
from flawsmith.systems.base import Batch, SampleRequest, System, stack_tiles
from flawsmith.training.sheets import label_picture, to_picture, write_sheet

SHEET_SEED = 1 << 40
"""First number of the tiles on the sample sheets: far from any that training will reach."""


@dataclass(frozen=True)
class SampleSheet:
    """One row a class: label map if there are masks, layers, synthetic, real.

    Attributes:
        tiles: one of each class.
        surfaces: a good tile for each to start from, for systems that need one, where labels are
            for whole images and no tile has a surface of its own.
    """

    tiles: list[Tile]
    surfaces: list[Tile]
    schema: Schema
    run: Path

    @classmethod
    def of(
        cls, source: TileSource, schema: Schema, run: Path, needs: frozenset[str]
    ) -> "SampleSheet":
        """Choose tiles for a system with these needs, the same ones for the same source."""
        tiles = _one_of_each_class(source)
        surfaces = []
        if source.data.labels == "image" and "background_images" in needs:
            surfaces = list(islice(_tiles(source, {GOOD}), len(tiles)))
        return cls(tiles, surfaces, schema, run)

    @torch.inference_mode()
    def draw(self, system: System, images: int) -> None:
        """Write ``samples/<images>.png`` and the gallery of the report."""
        batch = stack_tiles(self.tiles)
        device, precision = system.engine.device, system.engine.precision
        with precision.autocast(device):
            samples = system.sample(self.request(batch).to(device), batch.seeds.to(device))
        masked = samples.mask_source != "none"
        columns = ["label"] * masked + [*samples.layers, self._synthetic(system, masked), "real"]
        rows = []
        for i, tile in enumerate(self.tiles):
            layers = [layer[i] for layer in samples.layers.values()]
            pictures = [
                to_picture(image.float().cpu().numpy())
                for image in (*layers, samples.images[i], batch.images[i])
            ]
            if masked:
                maps = tile.label_map
                label = label_picture(maps.defects, maps.backgrounds, self.schema)
                pictures.insert(0, label)
            name = self.schema.defects[tile.label - 1].name
            rows.append((name, pictures))
            write_gallery(self.run / "samples" / "gallery" / name, samples, i, self.schema)
        write_sheet(self.run / "samples" / f"{images:010d}.png", columns, rows)

    def _synthetic(self, system: System, masked: bool) -> str:
        """Return the head of what was made, with its class where that is not the row's."""
        if masked or system.conditional:
            return "synthetic"
        if system.only is None:
            return "synthetic, any class"
        names = ["good", *self.schema.defect_names]
        return f"synthetic, {names[system.only]}"

    def request(self, batch: Batch) -> SampleRequest:
        """Return what the tiles show, as a request: their label maps, or their classes alone."""
        if batch.present is not None:
            all_over = batch.labels[:, None, None].expand_as(batch.defects)
            return SampleRequest(all_over, batch.backgrounds, background_images=self._surfaces())
        defects = torch.where(batch.defects == IGNORE, 0, batch.defects)
        return SampleRequest(
            defects,
            batch.backgrounds,
            background_images=batch.clean,
            exemplars=batch.images,
            exemplar_known=defects > 0,
        )

    def _surfaces(self) -> Tensor | None:
        return stack_tiles(self.surfaces).images if self.surfaces else None


def _one_of_each_class(source: TileSource) -> list[Tile]:
    """Return one tile of every class, always the same ones."""
    wanted = set(source.classes)
    tiles = []
    for tile in _tiles(source, wanted):
        wanted.remove(tile.label)
        tiles.append(tile)
        if not wanted:
            break
    return sorted(tiles, key=lambda tile: tile.label)


def _tiles(source: TileSource, wanted: set[int]) -> Iterator[Tile]:
    """Yield the tiles of these classes, without end."""
    for number in count(SHEET_SEED):
        tile = source[number]
        if tile.label in wanted:
            yield tile
