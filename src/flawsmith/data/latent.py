"""The paper's latent matrix, the label map it is equivalent to, and drawings of either.

Kim et al. (defect-background separated GAN), section III and Figure 4: eight values a pixel, the
first two say which background (body ``[1,0]``, outside ``[0,1]``), the other six which defect. A
folding defect on the body is ``[1,0,0,0,1,0,0,0]``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import LabelMap
from flawsmith.data.images import LabelArray, open_image, read_index_mask, write_index_mask
from flawsmith.data.schema import IGNORE, Schema, rgb
from flawsmith.errors import FlawsmithError

BLACK = (0, 0, 0)
"""Unpainted in an RGB drawing, as it is in the palette of a mask."""


def to_latent(
    label_map: LabelMap, schema: Schema, *, ignore_as_none: bool = False
) -> NDArray[np.uint8]:
    """Return the (backgrounds + defects) x H x W one-hot matrix of a label map.

    Every pixel has exactly one background and at most one defect.

    Args:
        label_map: what is where.
        schema: what the indices mean.
        ignore_as_none: turn ignored pixels (255), which a latent matrix cannot express, into
            pixels without a defect; otherwise they are an error.

    Raises:
        FlawsmithError: naming the first wrong pixel, its value and the allowed ones.

    Example:
        >>> schema = Schema(name="cell", backgrounds=[{"id": 0, "name": "body", "colour": "#202020"}],
        ...     defects=[{"id": 1, "name": "groove", "colour": "#e69f00"}])
        >>> defects = np.array([[0, 1]], np.uint8)
        >>> to_latent(LabelMap(defects, np.zeros_like(defects)), schema)[:, 0].T.tolist()
        [[1, 0], [1, 1]]
    """  # noqa: E501 - a schema on one line keeps the example short
    defects, backgrounds = label_map.defects, label_map.backgrounds
    if ignore_as_none:
        defects = np.where(defects == IGNORE, np.uint8(0), defects)
    _require_valid(LabelMap(defects, backgrounds), schema)
    planes = [backgrounds == b.id for b in schema.backgrounds]
    planes += [defects == d.id for d in schema.defects]
    return np.stack(planes).astype(np.uint8)


def from_latent(latent: NDArray[np.generic], schema: Schema) -> LabelMap:
    """Return the label map of a latent matrix: the inverse of `to_latent`.

    Raises:
        FlawsmithError: if the shape is wrong, or a pixel is not one-hot; the message names the
            pixel and its values.
    """
    num_backgrounds, num_defects = schema.num_backgrounds, schema.num_defects
    channels = num_backgrounds + num_defects
    if latent.ndim != 3 or len(latent) != channels:
        raise FlawsmithError(
            f"a latent matrix of {schema.name} has shape ({channels}, height, width): "
            f"{num_backgrounds} backgrounds, then {num_defects} defects; got {latent.shape}"
        )
    ones = latent == 1
    background_count = ones[:num_backgrounds].sum(axis=0)
    defect_count = ones[num_backgrounds:].sum(axis=0)
    binary = (ones | (latent == 0)).all(axis=0)
    wrong = ~binary | (background_count != 1) | (defect_count > 1)
    if wrong.any():
        y, x = _first(wrong)
        raise FlawsmithError(
            f"the latent matrix is {latent[:, y, x].tolist()} at pixel (y={y}, x={x}), and wrong "
            f"at {int(wrong.sum())} pixel(s); allowed are 0 and 1, exactly one 1 among the first "
            f"{num_backgrounds} (backgrounds), at most one among the last {num_defects} (defects)"
        )
    backgrounds = ones[:num_backgrounds].argmax(axis=0).astype(np.uint8)
    ids = np.arange(1, num_defects + 1, dtype=np.uint8)[:, None, None]
    defects = (ones[num_backgrounds:] * ids).sum(axis=0).astype(np.uint8)
    return LabelMap(defects, backgrounds)


def read_painting(path: Path, schema: Schema, background: int = 0) -> LabelMap:
    """Read a label map that a person drew as a PNG.

    Two kinds are understood:

    - 8-bit palette or grey: pixel value = background * (defects + 1) + defect. With one background
      this is the mask format of a data set.
    - RGB (or RGBA) in the colours of the schema: a defect's colour paints the defect, a
      background's colour the background; black and fully transparent pixels are unpainted.

    Args:
        path: the drawing.
        schema: names, ids and colours.
        background: the background where the drawing names none: under defects and unpainted
            pixels of an RGB drawing, and everywhere in an index drawing that is a plain mask
            (all values at most the number of defects).

    Raises:
        FlawsmithError: naming the first wrong pixel, its value or colour, how many such pixels
            there are, and what is allowed.
    """
    if not 0 <= background < schema.num_backgrounds:
        names = _listed(_background_names(schema))
        raise FlawsmithError(f"there is no background {background}; expected one of {names}")
    with open_image(path) as image:
        if image.format != "PNG":
            raise FlawsmithError(
                f"{path} is a {image.format} file; draw on a PNG, which keeps colours exactly"
            )
        if image.mode in ("P", "L", "1"):
            palette = image.getpalette("RGB") if image.mode == "P" else None
            values = read_index_mask(path)
            _require_palette_agrees(path, values, palette or [], schema)
            return _from_values(path, values, schema, background)
        if image.mode in ("RGB", "RGBA"):
            try:
                pixels = np.asarray(image.convert("RGBA"))
            except (OSError, ValueError, SyntaxError) as error:
                raise FlawsmithError(f"{path} is damaged or truncated: {error}") from None
            return _from_colours(path, pixels, schema, background)
        raise FlawsmithError(
            f"{path} has mode {image.mode}; expected an 8-bit palette or grey PNG of class "
            "numbers, or an RGB PNG in the colours of the schema"
        )


def write_painting(path: Path, label_map: LabelMap, schema: Schema) -> None:
    """Write a label map as a palette PNG, which `read_painting` reads and editors show in colour.

    Raises:
        FlawsmithError: for a label map that `to_latent` rejects too.
    """
    step = _require_codable(schema)
    _require_valid(label_map, schema)
    values = label_map.backgrounds * np.uint8(step) + label_map.defects
    palette = [0] * 768
    for value in range(step * schema.num_backgrounds):
        palette[3 * value : 3 * value + 3] = rgb(_Meaning.of(value, schema).colour(schema))
    write_index_mask(path, values, palette)


@dataclass(frozen=True)
class _Meaning:
    """What a value or colour of a drawing says; no background means that it does not say."""

    defect: int
    background: int | None

    @classmethod
    def of(cls, value: int, schema: Schema) -> "_Meaning":
        background, defect = divmod(value, schema.num_defects + 1)
        return cls(defect, background)

    def colour(self, schema: Schema) -> str:
        if self.defect:
            return schema.defects[self.defect - 1].colour
        return schema.backgrounds[self.background or 0].colour

    def contradicts(self, other: "_Meaning") -> bool:
        backgrounds = {self.background, other.background} - {None}
        return self.defect != other.defect or len(backgrounds) > 1

    def name(self, schema: Schema) -> str:
        if self.defect:
            return schema.defects[self.defect - 1].name
        return "unpainted" if self.background is None else schema.backgrounds[self.background].name


def _from_values(path: Path, values: LabelArray, schema: Schema, background: int) -> LabelMap:
    step = _require_codable(schema)
    wrong = values >= step * schema.num_backgrounds
    if wrong.any():
        y, x = _first(wrong)
        meanings = {v: _value_name(v, schema) for v in range(step * schema.num_backgrounds)}
        raise FlawsmithError(
            f"{path}: {_value_text(values[y, x])} at pixel (y={y}, x={x}), {int(wrong.sum())} "
            f"pixel(s) with such a value; allowed are {_listed(meanings)}"
        )
    backgrounds, defects = np.divmod(values, np.uint8(step))
    if not backgrounds.any():
        backgrounds = np.full_like(values, background)
    return LabelMap(defects, backgrounds)


def _from_colours(
    path: Path, pixels: NDArray[np.uint8], schema: Schema, background: int
) -> LabelMap:
    table = _colour_table(schema)
    wide = pixels.astype(np.uint32)
    codes = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
    codes[pixels[..., 3] == 0] = _code(BLACK)
    known = np.array([_code(colour) for colour in table], dtype=np.uint32)
    half_painted = (pixels[..., 3] != 0) & (pixels[..., 3] != 255)
    wrong = ~np.isin(codes, known) | half_painted
    if wrong.any():
        y, x = _first(wrong)
        given = _hex(pixels[y, x, :3].tolist())
        opacity = f" with opacity {int(pixels[y, x, 3])} of 255" if half_painted[y, x] else ""
        allowed = ", ".join(f"{_hex(c)} ({m.name(schema)})" for c, m in table.items())
        raise FlawsmithError(
            f"{path}: colour {given}{opacity} at pixel (y={y}, x={x}), {int(wrong.sum())} pixel(s) "
            f"with such a colour; allowed are {allowed}; draw with a pencil without antialiasing"
        )
    defects = np.zeros(codes.shape, np.uint8)
    backgrounds = np.full(codes.shape, background, np.uint8)
    for colour, meaning in table.items():
        here = codes == _code(colour)
        defects[here] = meaning.defect
        if meaning.background is not None:
            backgrounds[here] = meaning.background
    return LabelMap(defects, backgrounds)


def _colour_table(schema: Schema) -> dict[tuple[int, int, int], _Meaning]:
    """Return what each colour means.

    Raises:
        FlawsmithError: if two names share a colour.
    """
    table: dict[tuple[int, int, int], _Meaning] = {}
    meanings = [(b.colour, _Meaning(0, b.id)) for b in schema.backgrounds]
    meanings += [(d.colour, _Meaning(d.id, None)) for d in schema.defects]
    for colour, meaning in meanings:
        other = table.setdefault(rgb(colour), meaning)
        if other is not meaning:
            raise FlawsmithError(
                f"{other.name(schema)} and {meaning.name(schema)} have the same colour {colour}; "
                "give each its own in dataset.toml, or draw a palette PNG"
            )
    table.setdefault(BLACK, _Meaning(0, None))
    return table


def _require_palette_agrees(
    path: Path, values: LabelArray, palette: list[int], schema: Schema
) -> None:
    # An editor may reorder a palette on saving: the picture then looks right and its indices lie.
    colours = [rgb(b.colour) for b in schema.backgrounds] + [rgb(d.colour) for d in schema.defects]
    if len(set(colours)) < len(colours):
        return  # colours that mean two things prove nothing
    table = _colour_table(schema)
    for value in np.unique(values).tolist():
        red, green, blue = [*palette[3 * value : 3 * value + 3], 0, 0, 0][:3]
        seen = table.get((red, green, blue))
        if seen is None or (red, green, blue) == BLACK:
            continue
        if seen.contradicts(_Meaning.of(value, schema)):
            y, x = _first(values == value)
            raise FlawsmithError(
                f"{path}: pixel (y={y}, x={x}) has value {value}, which means "
                f"{_value_name(value, schema)}, but the colour of {seen.name(schema)}; "
                "the palette was reordered: save the drawing as RGB to go by its colours"
            )


def _require_codable(schema: Schema) -> int:
    """Return the number of values a background takes, defects + 1."""
    step = schema.num_defects + 1
    if step * schema.num_backgrounds > IGNORE:
        raise FlawsmithError(
            f"{schema.num_backgrounds} backgrounds x {step} values do not fit an index PNG "
            f"(at most {IGNORE}); use an RGB drawing"
        )
    return step


def _require_valid(label_map: LabelMap, schema: Schema) -> None:
    defects, backgrounds = label_map.defects, label_map.backgrounds
    if defects.ndim != 2 or defects.shape != backgrounds.shape:
        raise FlawsmithError(
            f"a label map has defects of shape {defects.shape} and backgrounds of shape "
            f"{backgrounds.shape}; expected the same H x W"
        )
    _require_known(defects, "defect", _defect_names(schema))
    _require_known(backgrounds, "background", _background_names(schema))


def _require_known(indices: LabelArray, what: str, names: dict[int, str]) -> None:
    wrong = indices >= len(names)
    if wrong.any():
        y, x = _first(wrong)
        raise FlawsmithError(
            f"{what} {_value_text(indices[y, x])} at pixel (y={y}, x={x}), {int(wrong.sum())} "
            f"pixel(s) with such a value; allowed are {_listed(names)}"
        )


def _first(wrong: NDArray[np.bool_]) -> tuple[int, int]:
    y, x = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    return int(y), int(x)


def _value_text(value: np.uint8) -> str:
    hint = " (ignore, which has no place in a latent matrix)" if value == IGNORE else ""
    return f"value {int(value)}{hint}"


def _value_name(value: int, schema: Schema) -> str:
    meaning = _Meaning.of(value, schema)
    if meaning.background is None or meaning.background >= schema.num_backgrounds:
        return "nothing"
    place = schema.backgrounds[meaning.background].name
    return f"{meaning.name(schema)} on {place}" if meaning.defect else place


def _defect_names(schema: Schema) -> dict[int, str]:
    return {0: "no defect"} | {d.id: d.name for d in schema.defects}


def _background_names(schema: Schema) -> dict[int, str]:
    return {b.id: b.name for b in schema.backgrounds}


def _listed(names: dict[int, str]) -> str:
    return ", ".join(f"{value} ({name})" for value, name in names.items())


def _code(colour: tuple[int, int, int]) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _hex(colour: Sequence[int]) -> str:
    return "#" + "".join(f"{value:02x}" for value in colour)
