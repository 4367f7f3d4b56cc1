"""Synthetic sets whose truth is known: fresh real images, copies of training images, noise."""

import numpy as np
import pytest
import torch

from flawsmith.data.dataset import DatasetWriter, DefectDataset
from flawsmith.metrics.generation.features import FEATURE_NETWORKS, CropFeatures, pool_inside


def simple_network():
    """Means and contrasts of small patches: enough to tell noise from a drawn surface."""

    def features(crops, masks):
        mean = torch.nn.functional.avg_pool2d(crops, 16)
        contrast = torch.nn.functional.avg_pool2d(crops**2, 16) - mean**2
        maps = torch.cat([mean, 3 * contrast, torch.ones_like(mean[:, :1])], dim=1)
        return CropFeatures(maps.flatten(1).numpy(), pool_inside(maps, masks).numpy())

    return features


@pytest.fixture
def simple(monkeypatch):
    """The name of a feature network that needs no weights."""
    monkeypatch.setitem(FEATURE_NETWORKS._entries, "simple", simple_network)
    return "simple"


@pytest.fixture
def make_set(pouch_folder, tmp_path, write_settings):
    """Write a synthetic set from real records; ``change`` makes other pixels of an image."""
    dataset = DefectDataset.open(pouch_folder)

    def make(name, records, *, change=None, parents=True, fold=0, source="synthetic", **settings):
        folder = tmp_path / name
        with DatasetWriter(folder, dataset.schema) as writer:
            for i, record in enumerate(records):
                pixels = dataset.image(record)
                writer.add(
                    f"synthetic-{i:06d}",
                    pixels if change is None else change(pixels, np.random.default_rng(i)),
                    dataset.label_map(record),
                    part=f"synthetic-{i}", source=source, system="dbs_gan", run="run",
                    parents=[record.file_name] if parents else [],
                )  # fmt: skip
        if fold != "none":
            write_settings(folder, fold=fold, **settings)
        return folder

    make.dataset = dataset
    return make


def noise(pixels, rng):
    return rng.integers(0, 256, pixels.shape).astype(pixels.dtype)
