"""A drawing painted into the user's own good image: the rest of the image stays as it is."""

import numpy as np
import pytest

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.images import read_image, write_image, write_index_mask
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.painting import paint, write_painted
from flawsmith.experiment.train_synthesizer import configure, train_synthesizer
from flawsmith.training.loop import Hooks

HEIGHT, WIDTH = 50, 70  # no multiples of what the network needs


@pytest.fixture(scope="module")
def run(pouch_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("painter") / "run"
    config = configure("dbs_gan_real", "tiny", pouch_folder, fold=0, overrides=[])
    train_synthesizer(config, out, Hooks(), resume=False)
    return out


@pytest.fixture
def drawing(tmp_path, pouch_folder):
    defects = np.zeros((HEIGHT, WIDTH), np.uint8)
    defects[20:28, 30:45] = 1
    path = tmp_path / "drawn.png"
    write_index_mask(path, defects, DefectDataset.open(pouch_folder).schema.palette())
    return path


@pytest.fixture
def good(tmp_path):
    pixels = np.random.default_rng(0).integers(60, 200, (HEIGHT, WIDTH), dtype=np.uint8)
    path = tmp_path / "good.png"
    write_image(path, pixels)
    return path


def test_only_the_neighbourhood_of_the_drawing_changes(run, drawing, good, tmp_path):
    painted = paint(run, drawing, 0, [1, 2], surface=good)
    far = np.ones((HEIGHT, WIDTH), bool)
    far[20 - 6 : 28 + 6, 30 - 6 : 45 + 6] = False  # the reach and the fall of the weight
    pixels = read_image(good)
    assert len(painted.images) == 2
    for image in painted.images:
        assert np.array_equal(image[far], pixels[far])
        assert not np.array_equal(image, pixels)
    write_painted(painted, tmp_path / "out")
    written = DefectDataset.open(tmp_path / "out")
    assert np.array_equal(written.image(written.records[0])[far], pixels[far])


def test_what_does_not_fit_is_explained(run, drawing, tmp_path):
    with pytest.raises(FlawsmithError, match="give a good image with --on"):
        paint(run, drawing, 0, [1])
    small = tmp_path / "small.png"
    write_image(small, np.zeros((HEIGHT, WIDTH - 1), np.uint8))
    message = "has 69 x 50 pixels, 1 channels; the drawing needs 70 x 50 pixels, 1 channels"
    with pytest.raises(FlawsmithError, match=message):
        paint(run, drawing, 0, [1], surface=small)
