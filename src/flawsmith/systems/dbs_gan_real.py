"""DBS-GAN on real backgrounds: the combiner gets a real surface and paints the defect into it.

The paper's idea, defect and background apart, taken to its end: the background need not be
learned, a factory has thousands of good images. Outside a soft neighbourhood of the label the
output is the input, bit for bit. See docs/systems/dbs_gan_real.md and decision D30.
"""

from collections.abc import Callable

from torch import Tensor, nn

from flawsmith.data.schema import Schema
from flawsmith.models.style_bank import StyleBank
from flawsmith.systems.base import SYSTEMS, Batch, SampleRequest
from flawsmith.systems.style import main_class
from flawsmith.systems.surface_painting import (
    SurfacePainting,
    SurfacePaintingConfig,
    clean_surface,
)
from flawsmith.systems.surface_style import STYLE_LENGTH, style_on_surface

STYLES = 256


@SYSTEMS.register("dbs_gan_real")
class RealBackgroundDbsGan(SurfacePainting):
    """Paints from label, noise and the style of some real defect of the class."""

    needs = frozenset({"background_images"})

    def __init__(self, config: SurfacePaintingConfig, schema: Schema) -> None:
        super().__init__(config, schema)
        self.styles = StyleBank(size=STYLES, length=STYLE_LENGTH)

    def networks(self) -> dict[str, nn.Module]:
        """Return painter, discriminator and the styles to sample."""
        return {**super().networks(), "styles": self.styles}

    def averaged(self) -> list[str]:
        """Return what samples."""
        return [*super().averaged(), "styles"]

    def prepare(self, tiles: Callable[[int], Batch]) -> None:
        """Keep the styles of real defects to sample from."""
        batch = tiles(STYLES)
        surface = clean_surface(batch)
        self.styles.fill(style_on_surface(batch.images, surface, batch.defects), batch.labels)

    def sampled_style(self, request: SampleRequest, shown: Tensor | None, seeds: Tensor) -> Tensor:
        """Return N x 2: the style of a random real defect of the class."""
        style: Tensor = self.styles(main_class(request.defects), seeds)
        return style
