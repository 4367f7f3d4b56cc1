import pytest
import torch

from flawsmith.errors import FlawsmithError
from flawsmith.models.stargan import StarGanDiscriminator, StarGanGenerator
from flawsmith.nn.cost import parameter_count


def test_parameters_are_those_of_the_specification():
    with torch.device("meta"):
        generator = StarGanGenerator(condition_channels=5)
        more = StarGanGenerator(condition_channels=6)
        discriminator = StarGanDiscriminator(num_domains=5, image_size=128)
        scores, logits = discriminator(torch.empty(2, 3, 128, 128))
    assert parameter_count(generator) == 8_430_528
    assert parameter_count(more) - parameter_count(generator) == 3_136
    assert parameter_count(discriminator) == 44_762_048
    assert scores.shape == (2, 1, 2, 2)
    assert logits.shape == (2, 5)


@pytest.mark.parametrize(("size", "millions"), [(256, 44.88), (512, 45.38)])
def test_a_larger_image_costs_a_larger_kernel(size, millions):
    with torch.device("meta"):
        discriminator = StarGanDiscriminator(num_domains=5, image_size=size)
    assert round(parameter_count(discriminator) / 1e6, 2) == millions


def test_an_image_is_normalised_by_its_own_statistics():
    torch.manual_seed(0)
    generator = StarGanGenerator(image_channels=1, condition_channels=2, base_channels=4)
    images, labels = torch.rand(3, 1, 16, 16), torch.rand(3, 2, 16, 16)
    with torch.no_grad():
        together = generator.train()(images, labels)
        alone = generator.eval()(images[1:2], labels[1:2])
    assert torch.allclose(together[1:2], alone, atol=1e-5)


def test_the_border_tells_the_label():
    torch.manual_seed(0)
    generator = StarGanGenerator(image_channels=1, condition_channels=2, base_channels=8)
    image, planes = torch.rand(1, 1, 32, 32), torch.zeros(1, 2, 32, 32)
    one, other = planes.clone(), planes.clone()
    one[:, 0], other[:, 1] = 1, 1
    with torch.no_grad():
        assert (generator(image, one) - generator(image, other)).abs().max() > 0.01


def test_what_does_not_fit_is_refused():
    with pytest.raises(FlawsmithError, match="multiple of 16"):
        StarGanDiscriminator(num_domains=2, image_size=40, base_channels=2, num_layers=4)
    discriminator = StarGanDiscriminator(
        image_channels=1, num_domains=2, image_size=32, base_channels=2, num_layers=3
    )
    with pytest.raises(FlawsmithError, match="32 x 32"):
        discriminator(torch.rand(1, 1, 48, 32))
    with pytest.raises(FlawsmithError, match="multiples of 4"):
        StarGanGenerator(image_channels=1, condition_channels=1, base_channels=2)(
            torch.rand(1, 1, 18, 16), torch.rand(1, 1, 18, 16)
        )
