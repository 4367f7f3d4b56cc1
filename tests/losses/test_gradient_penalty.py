import pytest
import torch

from flawsmith.losses.gradient_penalty import gradient_penalty


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(3)
    return torch.randn(2, 4, 1, 5, 5, generator=generator)


@pytest.mark.parametrize("mixing", ["uniform", "normal"])
def test_a_linear_critic_has_the_norm_of_its_weight(images, mixing):
    real, fake = images
    weight = torch.full((1, 5, 5), 0.6)

    def critic(x):
        return (x * weight).sum(dim=(1, 2, 3))

    value = gradient_penalty(critic, real, fake, torch.arange(4), mixing=mixing)
    assert value.item() == pytest.approx((0.6 * 5 - 1) ** 2, rel=1e-5)


def test_a_quadratic_critic_sees_the_mixture_of_the_seed(images):
    real, fake = images
    seeds = torch.tensor([7, 8, 9, 10])
    shares = [torch.rand((), generator=torch.Generator().manual_seed(int(s))) for s in seeds]
    share = torch.stack(shares)[:, None, None, None]
    mixed = share * real + (1 - share) * fake

    def critic(x):
        return 0.5 * x.square().sum(dim=(1, 2, 3))

    expected = (mixed.flatten(1).norm(dim=1) - 1).square().mean()
    found = gradient_penalty(critic, real, fake, seeds)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_it_trains_the_critic_and_not_the_generator(images):
    real, fake = images
    fake = fake.clone().requires_grad_()
    layer = torch.nn.Conv2d(1, 1, 3)
    gradient_penalty(layer, real, fake, torch.arange(4)).backward()
    assert layer.weight.grad.abs().sum() > 0
    assert fake.grad is None


def test_under_autocast_it_stays_in_float32(images):
    real, fake = images
    layer = torch.nn.Conv2d(1, 1, 3)
    plain = gradient_penalty(layer, real, fake, torch.arange(4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = gradient_penalty(layer, real, fake, torch.arange(4))
    assert torch.equal(plain, under)
