"""What a simulated pouch cell lies on: a belt, a perforated vacuum belt, or a machined plate."""

from dataclasses import dataclass

import numpy as np

from flawsmith.data.pouch.noise import Grid, bank, cut

KINDS = ("belt", "vacuum belt", "plate")


@dataclass(frozen=True)
class Holder:
    """The conveyor or holder under one cell.

    Attributes:
        kind: one of `KINDS`.
        level: reflectance, relative to the foil.
        weave: contrast and period of the belt's cloth.
        pitch: distance and radius of the suction holes.
        shadow: length of the cell's shadow in pixels.
        entry: where the texture bank is entered.
    """

    kind: str
    level: float
    weave: tuple[float, float]
    pitch: tuple[float, float]
    shadow: float
    entry: tuple[int, int]

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Holder":
        """Draw a holder; a plate is brighter than a belt."""
        kind = str(rng.choice(KINDS, p=[0.4, 0.3, 0.3]))
        return cls(
            kind=kind,
            level=rng.uniform(0.7, 1.5) if kind == "plate" else rng.uniform(0.3, 0.95),
            weave=(rng.uniform(0.05, 0.16), rng.uniform(4.5, 8.0)),
            pitch=(rng.uniform(44, 80), rng.uniform(5, 10)),
            shadow=rng.uniform(5, 12),
            entry=(int(rng.integers(1 << 20)), int(rng.integers(1 << 20))),
        )

    def light(self, ys: Grid, xs: Grid, facing: Grid, depth: Grid) -> Grid:
        """Return the light from the holder on the grid ``ys`` x ``xs``.

        Args:
            ys: rows on the piece.
            xs: columns on the piece.
            facing: how far the cell's edge shades this place, -1 to 1 times the light's tilt.
            depth: depth inside the cell, negative on the holder.
        """
        shape, textures = depth.shape, bank()
        top, left = int(ys[0]) + self.entry[0], int(xs[0]) + self.entry[1]
        x, y = xs[None, :], ys[:, None]
        if self.kind == "plate":
            cloth = 0.07 * cut(textures.grain, top, left, *shape)
            cloth = cloth + 0.03 * cut(textures.emboss_x, left, top, *shape)
        else:
            contrast, period = self.weave
            k = 2 * np.pi / period
            cloth = contrast * np.sin(k * x) * np.sin(k * y)
            cloth = cloth + 0.12 * cut(textures.emboss_y, top, left, *shape)
        cloth = cloth + 0.07 * cut(textures.mottle, left, top, *shape)
        if self.kind == "vacuum belt":
            pitch, radius = self.pitch
            row = np.floor(y / pitch)
            dx = (x + 0.5 * pitch * (row % 2)) % pitch - pitch / 2
            hole = np.clip(radius - np.hypot(dx, y % pitch - pitch / 2), 0.0, 1.5) / 1.5
            cloth = cloth - 0.7 * hole
        dark = (0.5 - 0.6 * facing) * np.exp(np.minimum(depth, 0.0) / self.shadow)
        light: Grid = self.level * np.clip(1 + cloth, 0.05, 3) * (1 - np.clip(dark, 0.0, 0.9))
        return light
