"""The latent matrix against Figure 4 of the paper, as a bijection, and drawings of it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from flawsmith.data.dataset import LabelMap
from flawsmith.data.latent import from_latent, read_painting, to_latent, write_painting
from flawsmith.data.schema import BACKGROUND_COLOURS, DEFECT_COLOURS, Schema, rgb
from flawsmith.errors import FlawsmithError

POUCH = ["groove", "spore", "folding", "leakage", "white dot", "black dot"]


def make_schema(num_backgrounds: int = 2, num_defects: int = 6) -> Schema:
    places = ["body", "outside", "tab", "rim"]
    return Schema(
        name="cell",
        backgrounds=[
            {"id": i, "name": places[i], "colour": BACKGROUND_COLOURS[i]}
            for i in range(num_backgrounds)
        ],
        defects=[
            {"id": i + 1, "name": POUCH[i], "colour": DEFECT_COLOURS[i]} for i in range(num_defects)
        ],
    )


def random_map(seed: int, schema: Schema, shape: tuple[int, int]) -> LabelMap:
    rng = np.random.default_rng(seed)
    return LabelMap(
        rng.integers(0, schema.num_defects + 1, shape, dtype=np.uint8),
        rng.integers(0, schema.num_backgrounds, shape, dtype=np.uint8),
    )


def assert_same(first: LabelMap, second: LabelMap) -> None:
    np.testing.assert_array_equal(first.defects, second.defects)
    np.testing.assert_array_equal(first.backgrounds, second.backgrounds)


def test_latent_is_figure_4_of_the_paper() -> None:
    defects = np.zeros((4, 5), np.uint8)
    defects[1:3, 2:4] = 3  # class C, folding
    latent = to_latent(LabelMap(defects, np.zeros_like(defects)), make_schema())
    assert latent.shape == (8, 4, 5)
    assert latent.dtype == np.uint8
    for y in range(4):
        for x in range(5):
            folded = y in (1, 2) and x in (2, 3)
            expected = [1, 0, 0, 0, 1, 0, 0, 0] if folded else [1, 0, 0, 0, 0, 0, 0, 0]
            assert latent[:, y, x].tolist() == expected


def test_latent_of_outside_and_white_dot() -> None:
    one = np.ones((1, 1), np.uint8)
    assert to_latent(LabelMap(5 * one, one), make_schema())[:, 0, 0].tolist() == [
        0, 1, 0, 0, 0, 0, 1, 0,
    ]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    backgrounds=st.integers(1, 4),
    defects=st.integers(0, 6),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
)
def test_latent_is_a_bijection(
    seed: int, backgrounds: int, defects: int, height: int, width: int
) -> None:
    schema = make_schema(backgrounds, defects)
    label_map = random_map(seed, schema, (height, width))
    latent = to_latent(label_map, schema)
    assert (latent[:backgrounds].sum(axis=0) == 1).all()
    assert (latent[backgrounds:].sum(axis=0) <= 1).all()
    back = from_latent(latent, schema)
    assert back.defects.dtype == back.backgrounds.dtype == np.uint8
    assert_same(back, label_map)
    np.testing.assert_array_equal(
        to_latent(from_latent(latent.astype(float), schema), schema), latent
    )


def test_ignore_is_an_error_unless_asked_for() -> None:
    defects = np.zeros((3, 4), np.uint8)
    defects[2, 1] = 255
    defects[0, 0] = 2
    label_map = LabelMap(defects, np.zeros_like(defects))
    with pytest.raises(
        FlawsmithError, match=r"value 255 \(ignore.*\(y=2, x=1\).*1 pixel.*2 \(spore"
    ):
        to_latent(label_map, make_schema())
    latent = to_latent(label_map, make_schema(), ignore_as_none=True)
    assert latent[2:, 2, 1].sum() == 0
    assert latent[3, 0, 0] == 1
    assert defects[2, 1] == 255, "the caller's label map is left alone"


@pytest.mark.parametrize("which", ["defects", "backgrounds"])
def test_unknown_value_names_pixel_value_and_allowed(which: str) -> None:
    maps = {"defects": np.zeros((3, 4), np.uint8), "backgrounds": np.zeros((3, 4), np.uint8)}
    maps[which][1, 3] = 7
    allowed = "6 .black dot." if which == "defects" else "0 .body., 1 .outside."
    with pytest.raises(FlawsmithError, match=rf"value 7 at pixel \(y=1, x=3\).*{allowed}"):
        to_latent(LabelMap(**maps), make_schema())


def test_ignored_background_is_an_error_even_with_ignore_as_none() -> None:
    zero = np.zeros((2, 2), np.uint8)
    with pytest.raises(FlawsmithError, match="background value 255"):
        to_latent(LabelMap(zero, np.full_like(zero, 255)), make_schema(), ignore_as_none=True)


def test_maps_of_different_size_are_an_error(tmp_path: Path) -> None:
    label_map = LabelMap(np.zeros((2, 3), np.uint8), np.zeros((1, 3), np.uint8))
    with pytest.raises(FlawsmithError, match=r"\(2, 3\).*\(1, 3\)"):
        to_latent(label_map, make_schema())
    with pytest.raises(FlawsmithError, match=r"\(2, 3\).*\(1, 3\)"):
        write_painting(tmp_path / "drawn.png", label_map, make_schema())


@pytest.mark.parametrize(
    "pixel",
    [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0, 0],
        [1, 0, 1, 1, 0, 0, 0, 0],
        [2, 0, 0, 0, 0, 0, 0, 0],
        [1, 0, 0.5, 0, 0, 0, 0, 0],
        [1, 0, -1, 1, 1, 0, 0, 0],
    ],
)
def test_pixel_that_is_not_one_hot_is_named(pixel: list[float]) -> None:
    latent = np.zeros((8, 2, 3))
    latent[0] = 1
    latent[:, 1, 2] = pixel
    with pytest.raises(FlawsmithError, match=r"\(y=1, x=2\).*wrong at 1 pixel.*exactly one 1"):
        from_latent(latent, make_schema())


@pytest.mark.parametrize("shape", [(7, 2, 2), (8, 2), (2, 2, 8)])
def test_latent_of_wrong_shape_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(FlawsmithError, match=r"\(8, height, width\)"):
        from_latent(np.zeros(shape, np.uint8), make_schema())


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), backgrounds=st.integers(1, 4), width=st.integers(1, 40))
def test_painting_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, seed: int, backgrounds: int, width: int
) -> None:
    schema = make_schema(backgrounds)
    label_map = random_map(seed, schema, (7, width))
    path = tmp_path_factory.mktemp("painting") / "drawn.png"
    write_painting(path, label_map, schema)
    assert_same(read_painting(path, schema), label_map)


def test_painting_shows_the_colours_of_the_schema(tmp_path: Path) -> None:
    schema = make_schema()
    label_map = LabelMap(np.array([[0, 3, 0, 4]], np.uint8), np.array([[0, 0, 1, 1]], np.uint8))
    write_painting(tmp_path / "drawn.png", label_map, schema)
    with Image.open(tmp_path / "drawn.png") as image:
        assert image.mode == "P"
        seen = np.asarray(image.convert("RGB"))[0].tolist()
        values = np.asarray(image)[0].tolist()
    assert values == [0, 3, 7, 11], "background * (defects + 1) + defect"
    assert seen == [
        list(rgb(c))
        for c in (
            BACKGROUND_COLOURS[0],
            DEFECT_COLOURS[2],
            BACKGROUND_COLOURS[1],
            DEFECT_COLOURS[3],
        )
    ]


def test_grey_mask_is_a_painting_on_the_given_background(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 6], [2, 0, 0]], np.uint8)
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    painted = read_painting(tmp_path / "mask.png", make_schema(), background=1)
    assert_same(painted, LabelMap(mask, np.ones_like(mask)))


@pytest.mark.parametrize(("value", "text"), [(14, "value 14"), (255, r"value 255 \(ignore")])
def test_unknown_index_in_painting_is_named(tmp_path: Path, value: int, text: str) -> None:
    values = np.zeros((4, 6), np.uint8)
    values[3, 2] = values[3, 4] = value
    cv2.imwrite(str(tmp_path / "drawn.png"), values)
    expected = (
        rf"{text}.*\(y=3, x=2\), 2 pixel.*0 \(body\), 1 \(groove on body\).*13 \(black dot on o"
    )
    with pytest.raises(FlawsmithError, match=expected):
        read_painting(tmp_path / "drawn.png", make_schema())


def write_rgb(path: Path, colours: list[list[tuple[int, ...]]]) -> Path:
    Image.fromarray(np.array(colours, np.uint8)).save(path)
    return path


def test_rgb_drawing_in_schema_colours(tmp_path: Path) -> None:
    schema = make_schema()
    body, outside = (rgb(b.colour) for b in schema.backgrounds)
    folding = rgb(schema.defects[2].colour)
    path = write_rgb(tmp_path / "drawn.png", [[body, outside, folding], [(0, 0, 0), body, body]])
    assert_same(
        read_painting(path, schema, background=1),
        LabelMap(
            np.array([[0, 0, 3], [0, 0, 0]], np.uint8), np.array([[0, 1, 1], [1, 0, 0]], np.uint8)
        ),
    )


def test_transparent_pixels_are_unpainted_and_half_transparent_ones_an_error(
    tmp_path: Path,
) -> None:
    schema = make_schema()
    groove = rgb(schema.defects[0].colour)
    row = [(9, 8, 7, 0), (*groove, 255)]
    painted = read_painting(write_rgb(tmp_path / "a.png", [row]), schema)
    assert painted.defects.tolist() == [[0, 1]]
    path = write_rgb(tmp_path / "b.png", [[*row, (*groove, 128)]])
    with pytest.raises(FlawsmithError, match=r"opacity 128 of 255 at pixel \(y=0, x=2\), 1 pixel"):
        read_painting(path, schema)


def test_antialiased_colour_is_named_with_the_allowed_ones(tmp_path: Path) -> None:
    schema = make_schema()
    picture = np.zeros((32, 32, 3), np.uint8)
    cv2.circle(picture, (16, 16), 8, rgb(schema.defects[0].colour), -1, lineType=cv2.LINE_AA)
    Image.fromarray(picture).save(tmp_path / "drawn.png")
    known = {(0, 0, 0), rgb(schema.defects[0].colour)}
    wrong = [
        (y, x) for y in range(32) for x in range(32) if tuple(picture[y, x].tolist()) not in known
    ]
    y, x = wrong[0]
    colour = "#{:02x}{:02x}{:02x}".format(*picture[y, x])
    with pytest.raises(FlawsmithError) as caught:
        read_painting(tmp_path / "drawn.png", schema)
    message = str(caught.value)
    assert f"{colour} at pixel (y={y}, x={x}), {len(wrong)} pixel(s)" in message
    assert "#009e73 (folding)" in message
    assert "#202020 (body)" in message


def test_reordered_palette_is_found(tmp_path: Path) -> None:
    schema = make_schema()
    image = Image.fromarray(np.array([[0, 1, 1]], np.uint8), mode="P")
    image.putpalette([*rgb(schema.defects[1].colour), *rgb(schema.backgrounds[0].colour)])
    image.save(tmp_path / "drawn.png")
    with pytest.raises(FlawsmithError, match=r"value 0.*body.*colour of spore.*save .* as RGB"):
        read_painting(tmp_path / "drawn.png", schema)


def test_other_files_are_refused(tmp_path: Path) -> None:
    schema = make_schema()
    zero = np.zeros((4, 4), np.uint8)
    cv2.imwrite(str(tmp_path / "drawn.jpg"), zero)
    cv2.imwrite(str(tmp_path / "deep.png"), zero.astype(np.uint16))
    with pytest.raises(FlawsmithError, match="JPEG file; draw on a PNG"):
        read_painting(tmp_path / "drawn.jpg", schema)
    with pytest.raises(FlawsmithError, match=r"I;16.*8-bit palette or grey"):
        read_painting(tmp_path / "deep.png", schema)
    with pytest.raises(FlawsmithError, match="there is no background 2"):
        read_painting(tmp_path / "drawn.jpg", schema, background=2)
    with pytest.raises(FlawsmithError, match="there is no image"):
        read_painting(tmp_path / "absent.png", schema)


def test_painting_too_large_for_an_index_png_is_refused(tmp_path: Path) -> None:
    defects = [{"id": i, "name": f"d{i}", "colour": "#e69f00"} for i in range(1, 65)]
    backgrounds = [{"id": i, "name": f"b{i}", "colour": "#202020"} for i in range(4)]
    schema = Schema(name="many", backgrounds=backgrounds, defects=defects)
    zero = np.zeros((1, 1), np.uint8)
    with pytest.raises(FlawsmithError, match="4 backgrounds x 65 values do not fit"):
        write_painting(tmp_path / "drawn.png", LabelMap(zero, zero), schema)
    write_rgb(tmp_path / "rgb.png", [[(0, 0, 0)]])
    with pytest.raises(FlawsmithError, match="b0 and b1 have the same colour #202020"):
        read_painting(tmp_path / "rgb.png", schema)
