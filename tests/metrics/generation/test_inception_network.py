"""The Inception network of FID: against torch-fidelity, closed forms, and wrong files."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from flawsmith.errors import FlawsmithError
from flawsmith.metrics.generation import inception_features
from flawsmith.metrics.generation.inception_features import load_inception, published_range
from flawsmith.metrics.generation.inception_network import (
    BLOCKS,
    CLASSES,
    FEATURES,
    InceptionV3,
    MixedBlock,
    Path,
    Unit,
    resize_as_tensorflow,
)


@pytest.fixture(scope="module")
def weights():
    """Random weights under which signals neither die nor explode."""
    generator = torch.Generator().manual_seed(0)
    state = InceptionV3().state_dict()
    for name, values in state.items():
        if name.endswith("conv.weight"):
            spread = 0.7 * (2 / values[0].numel()) ** 0.5
            values.normal_(0.0, spread, generator=generator)
        elif name.endswith("running_var"):
            values.uniform_(0.8, 1.2, generator=generator)
        elif name.endswith(("running_mean", "bias")):
            values.normal_(0.0, 0.1, generator=generator)
        elif name == "fc.weight":
            values.normal_(0.0, 0.2, generator=generator)
    return state


@pytest.fixture(scope="module")
def file(weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(weights, path)
    return path


def random_bytes(side, count=2):
    generator = torch.Generator().manual_seed(side)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("side", [128, 320])
def test_features_equal_torch_fidelity(file, side):
    reference = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    names = ["2048", "logits_unbiased"]
    other = reference.FeatureExtractorInceptionV3(
        "own", names, feature_extractor_weights_path=str(file)
    )
    assert set(other.state_dict()) == set(InceptionV3().state_dict())
    images = random_bytes(side)
    with torch.inference_mode():
        pooled, logits = other(images)
    found = load_inception(file)(images.float() / 127.5 - 1.0, torch.ones(2, side, side))
    assert pooled.std() > 0.01
    scale = float(pooled.abs().max())
    assert np.abs(found.pooled - pooled.numpy()).max() < 1e-5 * scale
    expected = logits.softmax(dim=1).numpy()
    assert expected.max() < 0.99
    assert np.abs(found.probabilities - expected).max() < 1e-4


def test_shapes_are_those_of_the_paper():
    network = InceptionV3()
    # torchvision's figure for the same layers with 1,000 classes and no auxiliary one: 23,834,568.
    count = sum(p.numel() for p in network.parameters())
    assert count == 23_834_568 + 8 * (FEATURES + 1)
    outputs = [network.get_submodule(name).out_channels for name in BLOCKS]
    assert outputs == [256, 288, 288, 768, 768, 768, 768, 768, 1280, 2048, 2048]
    assert network.fc.weight.shape == (CLASSES, FEATURES)


def test_average_pools_leave_the_padding_out():
    block = MixedBlock(1, [Path([Unit("branch_pool", 1)], pool="average")]).eval()
    torch.nn.init.ones_(block.branch_pool.conv.weight)
    out = block(torch.ones(1, 1, 5, 5))
    assert torch.allclose(out, out[..., 2:3, 2:3].expand_as(out))


def test_logits_have_no_bias(weights):
    network = InceptionV3()
    network.load_state_dict(weights)
    network.eval()
    with torch.inference_mode():
        pooled, logits = network(torch.zeros(1, 3, 299, 299))
    assert torch.allclose(logits, pooled @ weights["fc.weight"].T, atol=1e-4)


@pytest.mark.parametrize("length", [1, 64, 128, 299, 700])
def test_resizing_reads_at_multiples_of_the_ratio(length):
    ramp = torch.arange(float(length)).expand(1, 2, length, length)
    places = (torch.arange(299.0) * (length / 299)).clamp(max=length - 1)
    found = resize_as_tensorflow(ramp)
    assert found.shape == (1, 2, 299, 299)
    assert torch.allclose(found[0, 1, 7], places, atol=1e-3)
    turned = resize_as_tensorflow(ramp.transpose(2, 3))
    assert torch.allclose(turned, found.transpose(2, 3))


def test_range_is_the_published_one():
    values = torch.tensor([0.0, 128.0, 255.0])
    expected = torch.tensor([-1.0, 0.0, 127 / 128])
    assert torch.allclose(published_range(values / 127.5 - 1.0), expected, atol=1e-6)


def test_batches_do_not_matter(file, monkeypatch):
    crops = random_bytes(32, 3).float() / 127.5 - 1.0
    features = load_inception(file)
    whole = features(crops, torch.ones(3, 32, 32))
    monkeypatch.setattr(inception_features, "BATCH", 2)
    parts = features(crops, torch.ones(3, 32, 32))
    assert whole.pooled.shape == (3, FEATURES)
    assert whole.probabilities.shape == (3, CLASSES)
    assert whole.in_mask is None
    assert np.allclose(whole.probabilities.sum(axis=1), 1.0, atol=1e-5)
    assert np.allclose(whole.pooled, parts.pooled, atol=1e-5)


def test_counters_are_optional_and_safetensors_do(weights, tmp_path):
    kept = {n: t for n, t in weights.items() if not n.endswith("num_batches_tracked")}
    path = tmp_path / "inception.safetensors"
    save_file(kept, path)
    loaded = load_inception(path)
    assert torch.equal(loaded.network.fc.weight, weights["fc.weight"])
    assert not loaded.network.training
    assert len(loaded.sha256) == 64


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: {n: t for n, t in w.items() if n != "fc.bias"}, r"1 missing: fc.bias"),
        (lambda w: w | {"AuxLogits.fc.bias": w["fc.bias"]}, r"1 unknown: AuxLogits.fc.bias"),
        (lambda w: w | {"fc.weight": w["fc.weight"][:1000]},
         r"1 of another shape: fc.weight is 1000 x 2048, expected 1008 x 2048"),
        (lambda w: w | {"fc.bias": w["fc.bias"] * float("nan")}, r"1 not finite: fc.bias"),
        (lambda w: {"state_dict": dict(w)}, r"not named tensors"),
        (lambda w: list(w.values()), r"holds list"),
    ],
)  # fmt: skip
def test_other_weights_are_refused(weights, tmp_path, change, words):
    path = tmp_path / "other.pth"
    torch.save(change(weights), path)
    with pytest.raises(FlawsmithError, match=words) as told:
        load_inception(path)
    assert "leave --inception out" in str(told.value)


class Opener:
    """A pickle that would run code when loaded."""

    def __reduce__(self):
        return open, ("touched", "w")


@pytest.mark.parametrize("name", ["other.pth", "other.safetensors"])
def test_files_that_are_no_weights_are_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    for content in (b"", b"no weights", b"\x80\x02}q\x00.", b"PK\x03\x04 cut"):
        path.write_bytes(content)
        with pytest.raises(FlawsmithError, match=r"other.* (is no file|does not fit|holds)"):
            load_inception(path)
    torch.save({"fc.weight": Opener()}, path)
    with pytest.raises(FlawsmithError, match="is no file of weights"):
        load_inception(path)
    assert not (tmp_path / "touched").exists()


def test_missing_files_and_folders_are_told(tmp_path):
    with pytest.raises(FlawsmithError, match="does not exist"):
        load_inception(tmp_path / "nothing.pth")
    with pytest.raises(FlawsmithError, match="is a folder"):
        load_inception(tmp_path)
