import pytest
import torch

from flawsmith.errors import FlawsmithError
from flawsmith.models.dbs_gan import DbsGanBranch, DbsGanCombiner, DbsGanGenerator
from flawsmith.nn.blocks import conv_layers
from flawsmith.nn.cost import parameter_count


def generator(**settings):
    widths = {"branch_channels": 4, "combiner_channels": 4}
    return DbsGanGenerator(**({"num_defects": 6, "num_backgrounds": 2} | widths | settings))


def maps(size, height=None, defects=6, backgrounds=2):
    shape = (2, height or size, size)
    draw = torch.Generator().manual_seed(3)
    return (
        torch.randint(0, defects + 1, shape, generator=draw),
        torch.randint(0, backgrounds, shape, generator=draw),
    )


def test_paper_network_has_47_convolutions():
    with torch.device("meta"):
        network = generator(branch_channels=64, combiner_channels=64)
    assert [len(conv_layers(n)) for n in (network.defect_branch, network.combiner)] == [17, 13]
    assert len(conv_layers(network)) == 47


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [
        ({}, 31_700_035),
        ({"label_encoding": "one_hot"}, 31_700_035 + 2_880 + 576),
        ({"noise_channels": 3}, 31_700_035 + 3 * 576),
        ({"noise_channels": 1, "defect_noise_channels": 2}, 31_700_035 + 3 * 576),
        ({"branch_channels": 32, "combiner_channels": 32}, 7_928_355),
        ({"branch_channels": 36, "combiner_channels": 36}, 10_033_383),
    ],
)
def test_parameters_are_those_of_the_specification(settings, parameters):
    with torch.device("meta"):
        network = generator(**({"branch_channels": 64, "combiner_channels": 64} | settings))
    assert parameter_count(network) == parameters


def test_skip_connections_widen_the_up_path_by_the_stems():
    plain, skipped = (
        parameter_count(DbsGanCombiner(base_channels=8, skip_connections=on)) for on in (0, 1)
    )
    # each added channel meets a 4 x 4 kernel to the layer's outputs: 2 x 4f -> 4f at 1/8, ...
    added = 16 * (2 * 32 * 32 + 2 * 16 * 16 + 2 * 8 * 8 + 2 * 1 * 1)
    assert skipped - plain == added


@pytest.mark.parametrize("size", [16, 48, 512])
def test_output_has_the_size_of_the_label_map(size):
    network = generator(branch_channels=2, combiner_channels=2).eval()
    with torch.no_grad():
        assert [tuple(r.shape) for r in network(*maps(size))] == [(2, 1, size, size)] * 3


@pytest.mark.parametrize("skips", [False, True])
def test_colour_noise_and_oblong_maps_work_together(skips):
    network = generator(
        image_channels=3,
        noise_channels=2,
        defect_noise_channels=1,
        label_encoding="one_hot",
        skip_connections=skips,
    )
    noise = torch.randn(2, network.total_noise_channels, 32, 48)
    results = network(*maps(48, 32), noise)
    assert [tuple(r.shape) for r in results] == [(2, 3, 32, 48)] * 3
    sum(r.square().sum() for r in results).backward()
    assert all(p.grad is not None for p in network.parameters())


def test_noise_reaches_only_the_branch_it_is_meant_for():
    network = generator(noise_channels=2, defect_noise_channels=1).eval()
    noise = torch.randn(2, 3, 16, 16)
    other_defect, other_background = noise.clone(), noise.clone()
    other_defect[:, 2:] += 1
    other_background[:, :2] += 1
    with torch.no_grad():
        (_, d, b), (_, d2, b2), (_, d3, b3) = (
            network(*maps(16), n) for n in (noise, other_defect, other_background)
        )
    assert torch.equal(b, b2)
    assert not torch.equal(d, d2)
    assert torch.equal(d, d3)
    assert not torch.equal(b, b3)


def test_index_encoding_is_a_grey_level_and_ignore_is_no_defect():
    network = generator()
    defects = torch.tensor([[[0, 1, 3, 6, 255]]])
    backgrounds = torch.tensor([[[0, 1, 0, 1, 1]]])
    label_d, label_b = network.encode_labels(defects, backgrounds)
    torch.testing.assert_close(label_d, torch.tensor([[[[0, 1 / 6, 0.5, 1, 0]]]]))
    torch.testing.assert_close(label_b, torch.tensor([[[[0.5, 1, 0.5, 1, 1]]]]))


def test_one_hot_encoding_has_a_plane_for_each_defect_and_none_for_no_defect():
    network = generator(num_defects=2, label_encoding="one_hot")
    label_d, label_b = network.encode_labels(
        torch.tensor([[[0, 1, 2, 255]]]), torch.tensor([[[0, 1, 1, 0]]])
    )
    assert label_d[0, :, 0].tolist() == [[0, 1, 0, 0], [0, 0, 1, 0]]
    assert label_b[0, :, 0].tolist() == [[1, 0, 0, 1], [0, 1, 1, 0]]


def test_one_background_alone_is_not_an_empty_map():
    _, label_b = generator(num_backgrounds=1).encode_labels(*maps(16, backgrounds=1))
    assert label_b.min() == 1


def test_sizes_that_do_not_fit_are_refused_with_the_size_to_pad_to():
    with pytest.raises(FlawsmithError, match=r"20 x 40 .* multiples of 16: pad it to 32 x 48"):
        generator()(*maps(40, 20))
    with pytest.raises(FlawsmithError, match="multiples of 4: pad it to 8 x 8"):
        DbsGanBranch(base_channels=2)(torch.zeros(1, 1, 6, 8))
    with pytest.raises(FlawsmithError, match="pad it to 32 x 16"):
        DbsGanCombiner(base_channels=2)(torch.zeros(1, 1, 20, 16), torch.zeros(1, 1, 20, 16))


def test_branch_takes_any_multiple_of_four():
    assert DbsGanBranch(base_channels=2)(torch.zeros(1, 1, 4, 20)).shape == (1, 1, 4, 20)


@pytest.mark.parametrize(
    ("defect", "background", "message"),
    [
        (7, 0, "defect map holds values from 7 to 7; this network knows 0 to 6"),
        (-1, 0, "defect map holds values from -1 to -1"),
        (0, 2, "background map holds values from 2 to 2; this network knows 0 to 1"),
        (0, 255, "background map holds values from 255 to 255"),
    ],
)
def test_labels_out_of_range_are_refused(defect, background, message):
    defects = torch.full((1, 16, 16), defect)
    with pytest.raises(FlawsmithError, match=message):
        generator()(defects, torch.full((1, 16, 16), background))


@pytest.mark.parametrize("noise", [None, torch.zeros(2, 1, 16, 16), torch.zeros(2, 2, 8, 8)])
def test_noise_that_does_not_fit_is_refused(noise):
    with pytest.raises(FlawsmithError, match="draw 2 channels of noise"):
        generator(noise_channels=2)(*maps(16), noise)


def test_unwanted_noise_is_refused():
    with pytest.raises(FlawsmithError, match="draw 0 channels"):
        generator()(*maps(16), torch.zeros(2, 1, 16, 16))


def test_a_schema_without_defects_is_refused():
    with pytest.raises(FlawsmithError, match="0 defects and 2 backgrounds"):
        generator(num_defects=0)
