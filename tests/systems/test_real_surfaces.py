"""Painting into real surfaces: what stays, what style means, how an exemplar is pasted."""

import dataclasses

import pytest
import torch

from flawsmith.data.schema import IGNORE, Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.train_synthesizer import configure
from flawsmith.models import efficientnet_lite0
from flawsmith.models.surface_painter import (
    PixelClassDiscriminator,
    SurfacePainter,
    grain,
    local_mean,
    soft_neighbourhood,
)
from flawsmith.systems.base import SYSTEMS, Batch, SampleRequest
from flawsmith.systems.dbs_gan_exemplar import ExemplarDbsGan, paste
from flawsmith.systems.dbs_gan_real import RealBackgroundDbsGan
from flawsmith.systems.differentiable_augmentation import diff_augment
from flawsmith.systems.surface_style import BLACK, TONE_SCALE, style_on_surface


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def square(size=48, at=(12, 20), side=9, label=2):
    defects = torch.zeros(2, size, size, dtype=torch.long)
    defects[:, at[0] : at[0] + side, at[1] : at[1] + side] = label
    return defects


def schema(channels=1):
    return Schema(
        name="s",
        channels=channels,
        backgrounds=make_backgrounds(["surface"]),
        defects=make_defects(["a", "b"]),
    )


@pytest.mark.parametrize(("reach", "fall"), [(0, 0), (2, 4), (3, 0), (0, 5)])
def test_neighbourhood_is_full_on_the_mask_and_ends_where_it_should(reach, fall):
    inside = torch.zeros(1, 41, 41, dtype=torch.bool)
    inside[0, 20, 20] = True
    weight = soft_neighbourhood(inside, reach=reach, fall=fall)[0, 0]
    y, x = torch.meshgrid(torch.arange(41), torch.arange(41), indexing="ij")
    distance = torch.maximum((y - 20).abs(), (x - 20).abs())
    assert torch.equal(weight[distance <= reach], torch.ones_like(weight[distance <= reach]))
    assert not weight[distance > reach + fall].any()
    if fall:
        assert (weight[distance == reach + 1] > 0).all()
        assert weight[20, 20 + reach + 1] > weight[20, 20 + reach + fall]


def test_grain_has_no_slope_and_keeps_stripes(generator):
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(40.0), indexing="ij")
    slope = (0.01 * x + 0.02 * y)[None, None]
    assert grain(slope)[..., 5:-5, 5:-5].abs().max() < 1e-5
    stripes = torch.cos(torch.pi * x)[None, None]
    assert (grain(stripes) - stripes)[..., 5:-5, 5:-5].abs().max() < 0.12


@pytest.mark.parametrize("system", [RealBackgroundDbsGan, ExemplarDbsGan])
@pytest.mark.parametrize("channels", [1, 3])
def test_away_from_the_label_the_surface_stays_bit_for_bit(
    system, channels, generator, pouch_folder
):
    name = "dbs_gan_exemplar" if system is ExemplarDbsGan else "dbs_gan_real"
    config = configure(name, "tiny", pouch_folder, fold=0, overrides=[])
    model = system(config, schema(channels))
    surface = torch.rand(2, channels, 48, 48, generator=generator) * 1.8 - 0.9
    defects = square()
    request = SampleRequest(
        defects,
        torch.zeros_like(defects),
        background_images=surface,
        exemplars=-surface,
        exemplar_known=defects > 0,
    )
    with torch.inference_mode():
        images = model.sample(request, torch.tensor([1, 2])).images
    network = config.network
    reach = network.reach + network.fall
    near = torch.zeros(48, 48, dtype=torch.bool)
    near[12 - reach : 21 + reach, 20 - reach : 29 + reach] = True
    assert torch.equal(images[..., ~near], surface[..., ~near])
    assert not torch.equal(images, surface)


def test_style_is_relative_to_the_light_and_to_the_grain(generator):
    noise = 0.05 * torch.randn(2, 1, 48, 48, generator=generator)
    light = torch.tensor([-0.5, 0.3])[:, None, None, None]
    surface = light + noise
    defects = square(side=20)
    darker = 0.7 * (light + BLACK) - BLACK + 2.0 * noise  # 30 % less light, twice the grain
    image = torch.where(defects.unsqueeze(1) > 0, darker, surface)
    style = style_on_surface(image, surface, defects)
    assert torch.allclose(style[:, 0] * TONE_SCALE, torch.tensor(-0.3), atol=0.02)
    assert torch.allclose(style[:, 1], torch.tensor(2.0).log(), atol=0.1)
    nothing = style_on_surface(surface, surface, torch.zeros_like(defects))
    assert torch.equal(nothing, torch.zeros(2, 2))


def test_smooth_changes_paint_no_detail(generator):
    painters = [
        SurfacePainter(num_defects=2, base_channels=8, smooth_pixels=pixels) for pixels in (1, 9)
    ]
    torch.nn.init.normal_(painters[0].head.weight, 0.0, 1.0, generator=generator)
    painters[1].load_state_dict(painters[0].state_dict())
    surface = torch.full((1, 1, 48, 48), 0.2)  # without grain: all that is seen is painted
    one_hot = torch.randn(1, 2, 48, 48, generator=generator)
    weight, extra = torch.ones(1, 1, 48, 48), torch.zeros(1, 0, 48, 48)
    with torch.inference_mode():
        free, even = (painter(surface, one_hot, weight, extra) - 0.2 for painter in painters)
    assert torch.allclose(even, local_mean(free, 9), atol=1e-5)
    assert grain(even).std() < 0.5 * grain(free).std()


def test_an_exemplar_is_painted_in_its_own_style(pouch_folder, generator):
    config = configure("dbs_gan_exemplar", "tiny", pouch_folder, fold=0, overrides=[])
    model = ExemplarDbsGan(config, schema())
    defects = square(side=20)
    noise = 0.05 * torch.randn(2, 1, 48, 48, generator=generator)
    darker = 0.7 * (0.1 + BLACK) - BLACK + 2.0 * noise
    exemplars = torch.where(defects.unsqueeze(1) > 0, darker, 0.1 + noise)
    styles = []
    for light in (-0.5, 0.5):
        request = SampleRequest(
            defects,
            torch.zeros_like(defects),
            background_images=torch.full((2, 1, 48, 48), light),
            exemplars=exemplars,
            exemplar_known=torch.ones(2, 48, 48, dtype=torch.bool),
        )
        shown = model.requested(request)
        styles.append(model.sampled_style(request, shown, torch.tensor([1, 2])))
    assert torch.equal(styles[0], styles[1])
    assert torch.allclose(styles[0][:, 0] * TONE_SCALE, torch.tensor(-0.3), atol=0.03)
    assert torch.allclose(styles[0][:, 1], torch.tensor(2.0).log(), atol=0.2)
    nothing_known = dataclasses.replace(
        request, exemplar_known=torch.zeros(2, 48, 48, dtype=torch.bool)
    )
    style = model.sampled_style(nothing_known, model.requested(nothing_known), torch.zeros(2))
    assert torch.equal(style, torch.zeros(2, 2))


def test_windows_without_a_middle_are_refused(pouch_folder):
    with pytest.raises(FlawsmithError, match="odd number, such as 9"):
        configure(
            "dbs_gan_exemplar", "tiny", pouch_folder, fold=0, overrides=["network.smooth_pixels=8"]
        )


def test_an_exemplar_takes_the_tone_of_its_new_surroundings():
    surface = torch.full((1, 1, 48, 48), 0.5)
    exemplar = torch.full((1, 1, 48, 48), -0.2)
    defects = square()[:1]
    exemplar[0, 0, defects[0] > 0] = -0.6  # 0.4 darker than what was around it
    weight = soft_neighbourhood(defects > 0, reach=2, fall=4)
    known = torch.ones_like(surface)
    pasted = paste(surface, exemplar, known, defects > 0, weight)
    assert torch.allclose(pasted[0, 0, defects[0] > 0], torch.tensor(0.1), atol=1e-6)
    assert torch.allclose(pasted[0, 0, defects[0] == 0], torch.tensor(0.5), atol=1e-6)


def test_where_an_exemplar_ends_the_surface_goes_on():
    surface = torch.full((1, 1, 48, 48), 0.5)
    exemplar = torch.full((1, 1, 48, 48), 0.5)
    defects = square()[:1]
    exemplar[0, 0, defects[0] > 0] = 0.1
    known = torch.ones_like(surface)
    known[..., :16, :] = 0.0  # its own image ended within the mask
    exemplar[..., :16, :] = -1.0
    weight = soft_neighbourhood(defects > 0, reach=2, fall=4)
    pasted = paste(surface, exemplar, known, defects > 0, weight)
    assert torch.equal(pasted[..., :16, :], surface[..., :16, :])
    assert pasted.min() >= 0.1 - 1e-6
    assert torch.allclose(pasted[0, 0, 19, 24], torch.tensor(0.1), atol=1e-6)


OPTIONS = ("weight_perceptual=1", "weight_diversity=1", "diff_augment=true")


def training_batch(generator, count=4):
    clean = torch.rand(count, 1, 32, 32, generator=generator) * 1.6 - 0.8
    defects = square(32, side=10).repeat(count // 2, 1, 1)
    images = torch.where(defects.unsqueeze(1) > 0, -clean, clean)
    seeds = torch.arange(count)
    labels = torch.full((count,), 2)
    return Batch(images, defects, torch.zeros_like(defects), labels, seeds, clean=clean)


def trained(name, overrides, folder, generator, steps=2):
    config = configure(name, "tiny", folder, fold=0, overrides=overrides)
    torch.manual_seed(0)
    model = SYSTEMS.get(name)(config, schema())
    batch = training_batch(generator.manual_seed(0))
    figures = [model.step(batch) for _ in range(steps)]
    return model, batch, figures[-1]


@pytest.mark.parametrize("name", ["dbs_gan_real", "dbs_gan_exemplar"])
@pytest.mark.parametrize("options", [*((o,) for o in OPTIONS), OPTIONS])
def test_terms_of_the_ablation_train(name, options, pouch_folder, generator):
    overrides = [f"loss.{option}" for option in options]
    model, _, figures = trained(name, overrides, pouch_folder, generator)
    plain, _, _ = trained(name, [], pouch_folder, generator)
    assert all(torch.tensor(value).isfinite() for value in figures.values())
    assert ("g/perceptual" in figures) is ("weight_perceptual=1" in options)
    assert ("g/sameness" in figures) is ("weight_diversity=1" in options)
    assert 0.0 <= figures.get("g/sameness", 0.0) <= 1.0
    assert set(model.networks()) == set(plain.networks())  # what a checkpoint has
    weights = [torch.cat([p.flatten() for p in m.painter.parameters()]) for m in (model, plain)]
    assert not torch.equal(*weights)


def test_terms_of_the_ablation_are_the_same_in_micro_batches(pouch_folder, generator):
    overrides = [f"loss.{option}" for option in OPTIONS]
    figures = [
        trained("dbs_gan_real", [*overrides, *more], pouch_folder, generator, steps=1)[2]
        for more in ([], ["training.batch_size=4", "training.accumulate=2"])
    ]
    for term in ("g/perceptual", "g/sameness", "g/rec"):
        assert figures[1][term] == pytest.approx(figures[0][term], rel=1e-3)


@pytest.mark.parametrize("augmented", [False, True])
def test_the_discriminator_is_told_what_is_real_and_what_is_painted(
    augmented, pouch_folder, generator, monkeypatch
):
    seen, told = [], []
    look = PixelClassDiscriminator.with_features
    monkeypatch.setattr(
        PixelClassDiscriminator,
        "with_features",
        lambda self, image: (seen.append(image.detach()), look(self, image))[1],
    )
    name = RealBackgroundDbsGan._named
    monkeypatch.setattr(
        RealBackgroundDbsGan,
        "_named",
        lambda self, logits, classes: (told.append(classes), name(self, logits, classes))[1],
    )
    overrides = ["loss.diff_augment=true"] if augmented else []
    model, batch, _ = trained("dbs_gan_real", overrides, pouch_folder, generator, steps=1)
    both, real_maps, everything = seen  # the painter's step, its features, the discriminator's
    painter_told, real, fake = told
    count = len(batch)
    labels, painted = batch.defects, torch.where(batch.defects > 0, model.painted_class, 0)
    if augmented:
        images, labels = diff_augment(batch.images, labels, batch.seeds)
        hidden = labels == IGNORE
        assert hidden.any()
        painted = torch.where(hidden, IGNORE, painted.where(labels == 0, model.painted_class))
        painted = torch.where(labels == 0, 0, painted)
    else:
        images = batch.images
    assert torch.equal(real_maps, images)
    assert torch.equal(everything[:count], images)
    assert torch.equal(everything[count:], both)
    assert torch.equal(painter_told, labels.repeat(2, 1, 1))
    assert torch.equal(real, labels)
    assert torch.equal(fake, painted.repeat(2, 1, 1))


def test_light_does_not_follow_an_exemplars_contrast(pouch_folder):
    config = configure("dbs_gan_exemplar", "tiny", pouch_folder, fold=0, overrides=[])
    model, count = ExemplarDbsGan(config, schema()), 200
    step = torch.zeros(count, 1, 16, 16)
    step[..., 8:] = 0.5
    labels = torch.zeros(count, 16, 16, dtype=torch.long)
    batch = Batch(step, labels, labels, labels[:, 0, 0], torch.arange(count))
    shown = model.shown(batch)[:, 0]
    contrasts = shown.amax(dim=(1, 2)) - shown.amin(dim=(1, 2))
    changed, names = diff_augment(step, labels, batch.seeds)
    known = (names != IGNORE).unsqueeze(1)
    lights = (changed * known).sum(dim=(1, 2, 3)) / known.sum(dim=(1, 2, 3))
    assert contrasts.std() > 0.05
    assert lights.std() > 0.1
    assert abs(torch.corrcoef(torch.stack([contrasts, lights]))[0, 1]) < 0.25


def test_a_generator_with_a_perceptual_term_samples_without_the_pretrained_weights(
    pouch_folder, generator, monkeypatch
):
    monkeypatch.setattr(efficientnet_lite0, "PACKAGE", "no_such_package_of_weights")
    overrides = ["loss.weight_perceptual=1"]
    config = configure("dbs_gan_real", "tiny", pouch_folder, fold=0, overrides=overrides)
    model = RealBackgroundDbsGan(config, schema())
    defects = square()
    surface = torch.rand(2, 1, 48, 48, generator=generator)
    request = SampleRequest(defects, torch.zeros_like(defects), background_images=surface)
    assert model.sample(request, torch.tensor([1, 2])).images.shape == surface.shape
    with pytest.raises(FlawsmithError, match="weight_perceptual cannot be used: the pretrained"):
        model.step(training_batch(generator))


def test_diversity_asks_until_two_noises_differ_enough(pouch_folder):
    overrides = ["loss.weight_diversity=1"]
    config = configure("dbs_gan_real", "tiny", pouch_folder, fold=0, overrides=overrides)
    model = RealBackgroundDbsGan(config, schema())
    place, seeds = (square(32) > 0).float(), torch.arange(2)
    one = torch.zeros(2, 1, 32, 32)
    terms = [float(model._sameness(one, one + d, seeds, place)) for d in (0.0, 0.005, 0.01, 9.0)]
    assert terms[0] == 1.0
    assert 1.0 > terms[1] > terms[2] > terms[3] == 0.0
    assert 1 - terms[2] == pytest.approx(2 * (1 - terms[1]), rel=1e-4)
    assert float(model._sameness(one, one, seeds, 0 * place)) == 0.0


def test_diversity_without_noise_is_refused(pouch_folder):
    overrides = ["loss.weight_diversity=1", "network.noise_channels=0"]
    with pytest.raises(FlawsmithError, match="noise_channels is 0: give noise"):
        configure("dbs_gan_real", "tiny", pouch_folder, fold=0, overrides=overrides)


def test_what_is_missing_is_said(pouch_folder, generator):
    config = configure("dbs_gan_real", "tiny", pouch_folder, fold=0, overrides=[])
    model = RealBackgroundDbsGan(config, schema())
    defects = square()
    with pytest.raises(FlawsmithError, match="dbs_gan_real paints into real surfaces"):
        model.sample(SampleRequest(defects, torch.zeros_like(defects)), torch.tensor([1, 2]))
    image = torch.rand(2, 1, 48, 48, generator=generator)
    batch = Batch(image, defects, torch.zeros_like(defects), torch.tensor([2, 2]), torch.arange(2))
    with pytest.raises(FlawsmithError, match="no surfaces without their defects"):
        model.step(batch)


def test_a_tile_alone_has_no_other_surface(pouch_folder):
    for setting in ("batch_size=1", "accumulate=4"):
        with pytest.raises(FlawsmithError, match="needs two: raise batch_size"):
            configure(
                "dbs_gan_real", "small", pouch_folder, fold=0, overrides=[f"training.{setting}"]
            )
