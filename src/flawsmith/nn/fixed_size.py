"""Networks with dense layers fit one image size: which sizes they can have, and what to say."""

from torch import Tensor

from flawsmith.errors import FlawsmithError


def size_of_base(image_size: int, stages: int) -> int:
    """Return height and width of the map below ``stages`` doublings to ``image_size``.

    Raises:
        FlawsmithError: if the image size cannot be halved so often.
    """
    multiple = 1 << stages
    if image_size % multiple:
        raise FlawsmithError(
            f"images of {image_size} px cannot be halved {stages} times: training.tile_size must "
            f"be a multiple of {multiple}, or network.stages smaller"
        )
    return image_size // multiple


def require_size(image: Tensor, image_size: int) -> None:
    """Raise a FlawsmithError unless an N x C x H x W image has the size of its network."""
    height, width = image.shape[-2:]
    if (height, width) != (image_size, image_size):
        raise FlawsmithError(
            f"{height} x {width} pixels were asked of a network whose dense layers fit "
            f"{image_size} x {image_size} alone: use that size, or train one of the other size "
            "with training.tile_size"
        )
