"""Simulated pouch cells: frames, tiles and data sets with the six defects of the paper.

A cell of 2700 x 1000 mm is a grey line-scan frame of 5400 x 2000 pixels (Section IV.B of the
DBS-GAN paper); its surface is body or outside (Figure 2) and it can have one of six defects
(Figure 3). Nothing here is a photograph: the schema says ``simulated``.
"""

from flawsmith.data.pouch.dataset import TABLE_3, PouchSettings, defect_sequence, write_pouch
from flawsmith.data.pouch.frame import render_frame, render_tile, schema, tile_window

__all__ = [
    "TABLE_3",
    "PouchSettings",
    "defect_sequence",
    "render_frame",
    "render_tile",
    "schema",
    "tile_window",
    "write_pouch",
]
