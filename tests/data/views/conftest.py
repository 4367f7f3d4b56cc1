"""Simulated surfaces and a quick way to search a few arrays."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from flawsmith.data.images import write_image
from flawsmith.data.pouch import render_tile
from flawsmith.data.views import ViewImage, Views, find_views

SIDE = 256


@pytest.fixture(scope="session")
def surfaces() -> list[np.ndarray]:
    """Ten parts, 256 x 256; none shares a texture with another over a large area."""
    return [render_tile(5, part, 0, None, SIDE)[0] for part in range(10)]


@pytest.fixture
def search(tmp_path: Path) -> Callable[[Mapping[str, np.ndarray]], Views]:
    def run(images: Mapping[str, np.ndarray]) -> Views:
        for name, pixels in images.items():
            write_image(tmp_path / f"{name}.png", pixels)
        return find_views([ViewImage(name, tmp_path / f"{name}.png") for name in images])

    return run
