import math

import pytest
import torch
from torch import nn

from flawsmith.losses.adversarial import GanObjective

KINDS = ("lsgan", "hinge", "non_saturating", "wgan")
REAL, FAKE = torch.tensor([[0.5], [-2.0], [3.0]]), torch.tensor([[-0.5], [1.5], [-4.0]])


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def softplus(x):
    return math.log1p(math.exp(x))


REFERENCES = {  # kind: D's term of one real score, of one fake score, G's term
    "lsgan": (lambda r: (r - 1) ** 2 / 2, lambda f: f**2 / 2, lambda f: (f - 1) ** 2),
    "hinge": (lambda r: max(0, 1 - r), lambda f: max(0, 1 + f), lambda f: -f),
    "non_saturating": (lambda r: softplus(-r), softplus, lambda f: softplus(-f)),
    "wgan": (lambda r: -r, lambda f: f, lambda f: -f),
}


@pytest.mark.parametrize("kind", KINDS)
def test_objective_equals_its_formula_score_by_score(kind):
    real, fake, generator = REFERENCES[kind]
    objective = GanObjective(kind)
    reals, fakes = REAL.flatten().tolist(), FAKE.flatten().tolist()
    expected = mean(map(real, reals)) + mean(map(fake, fakes))
    assert objective.discriminator(REAL, FAKE).item() == pytest.approx(expected, rel=1e-6)
    assert objective.generator(FAKE).item() == pytest.approx(mean(map(generator, fakes)), rel=1e-6)


def test_lsgan_is_the_mse_to_one_and_zero():
    mse, objective = nn.MSELoss(), GanObjective("lsgan")
    ones, zeros = torch.ones_like(REAL), torch.zeros_like(REAL)
    expected = 0.5 * mse(REAL, ones) + 0.5 * mse(FAKE, zeros)
    torch.testing.assert_close(objective.discriminator(REAL, FAKE), expected)
    torch.testing.assert_close(objective.generator(FAKE), mse(FAKE, ones))


def test_non_saturating_is_the_binary_cross_entropy():
    bce, objective = nn.BCEWithLogitsLoss(), GanObjective("non_saturating")
    expected = bce(REAL, torch.ones_like(REAL)) + bce(FAKE, torch.zeros_like(FAKE))
    torch.testing.assert_close(objective.discriminator(REAL, FAKE), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_pull_the_two_networks_apart(kind):
    objective = GanObjective(kind)
    real, fake = torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
    fake_of_d = torch.full((4,), 0.5, requires_grad=True)
    objective.discriminator(real, fake_of_d).backward()
    objective.generator(fake).backward()
    assert (real.grad < 0).all()  # D raises real scores
    assert (fake_of_d.grad > 0).all()  # D lowers fake scores
    assert (fake.grad < 0).all()  # G raises them


def test_half_precision_scores_are_reduced_in_float32():
    scores = torch.full((1, 1, 64, 64), 100.0, dtype=torch.bfloat16)
    loss = GanObjective("lsgan").generator(scores)
    assert loss.dtype == torch.float32
    assert loss.item() == 99.0**2


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="'lsgann'"):
        GanObjective("lsgann")


@pytest.mark.parametrize("kind", ["lsgan", "hinge", "non_saturating", "wgan"])
def test_weight_counts_patches(kind):
    objective = GanObjective(kind)
    logits = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    weight = torch.zeros_like(logits)
    weight[..., :2] = 2.0  # the left half alone
    half = logits[..., :2]
    for term in (objective.real, objective.fake, objective.generator):
        assert term(logits, weight) == pytest.approx(term(half).item(), rel=1e-5)
        assert term(logits, torch.ones_like(logits)) == pytest.approx(term(logits).item(), rel=1e-5)
