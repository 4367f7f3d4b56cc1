"""Several real defects in one image of `dbs_gan_exemplar`: each comes from a surface of its own."""

import dataclasses

import torch

from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.experiment.train_synthesizer import configure
from flawsmith.models.surface_painter import soft_neighbourhood
from flawsmith.systems.base import SampleRequest
from flawsmith.systems.dbs_gan_exemplar import ExemplarDbsGan, number_exemplars, paste
from flawsmith.systems.surface_style import BLACK, TONE_SCALE

SCHEMA = Schema(
    name="s", backgrounds=make_backgrounds(["surface"]), defects=make_defects(["a", "b"])
)


def two_exemplars():
    """A defect of a dark surface and one of a bright one, both 0.2 darker, on a surface of 0.

    The second image of the batch shows the first defect alone.
    """
    defects = torch.zeros(2, 48, 64, dtype=torch.long)
    defects[:, 10:20, 8:18] = 1
    defects[0, 10:20, 40:50] = 2
    exemplars = torch.full((2, 1, 48, 64), -0.6)
    exemplars[0, :, :, 32:] = 0.6
    exemplars -= 0.2 * (defects > 0).unsqueeze(1)
    known = torch.ones(2, 48, 64, dtype=torch.bool)
    known[0, :, 29] = False
    surface = torch.zeros(2, 1, 48, 64)
    return SampleRequest(defects, torch.zeros_like(defects), surface, exemplars, known)


def test_each_of_several_exemplars_takes_the_tone_of_its_own_surroundings():
    request = two_exemplars()
    inside = request.defects > 0
    weight = soft_neighbourhood(inside, reach=2, fall=4)
    known = request.exemplar_known.unsqueeze(1).float()
    pasted = paste(request.background_images, request.exemplars, known, inside, weight)
    expected = torch.where(inside.unsqueeze(1), -0.2, 0.0)
    assert torch.allclose(pasted, expected, atol=1e-6)
    alone = [x[1:] for x in (request.background_images, request.exemplars, known, inside, weight)]
    assert torch.equal(pasted[1:], paste(*alone))


def test_each_of_several_exemplars_is_painted_in_its_own_style(pouch_folder):
    config = configure("dbs_gan_exemplar", "tiny", pouch_folder, fold=0, overrides=[])
    model, request = ExemplarDbsGan(config, SCHEMA), two_exemplars()
    style = model.sampled_style(request, model.requested(request), torch.zeros(2))
    tones = style[:, 0] * TONE_SCALE
    # 0.2 darker is a third of the light of the dark surface and a ninth of the bright one's.
    for label, light in ((1, -0.6), (2, 0.6)):
        of_it = tones[request.defects == label]
        assert torch.allclose(of_it, torch.tensor(-0.2 / (light + BLACK)), atol=1e-5)
    rows = dataclasses.replace(
        request, **{f.name: getattr(request, f.name)[1:] for f in dataclasses.fields(request)}
    )
    alone = model.sampled_style(rows, model.requested(rows), torch.zeros(1))
    assert alone.shape == (1, 2)
    assert torch.equal(style[1:], alone[..., None, None].expand_as(style[1:]))
    with torch.inference_mode():
        images = model.sample(request, torch.tensor([1, 2])).images
    assert (images[:, 0][request.defects > 0] < -0.05).all()


def test_an_exemplar_is_a_region_with_a_defect():
    known = torch.zeros(2, 1, 8, 8)
    known[..., 0:3], known[..., 5:7] = 1.0, 1.0
    known[:, :, 7, 4:8] = 1.0  # 8-connected: still the second region
    inside = torch.zeros(2, 8, 8, dtype=torch.bool)
    inside[:, 2, 1] = True
    inside[1, 2, 6] = True
    numbers = number_exemplars(known, inside)
    assert torch.equal(numbers[0], known[0].long()), "one defect: all that is known is of it"
    assert torch.equal(numbers[1, 0, 0], torch.tensor([1, 1, 1, 0, 0, 2, 2, 0]))
    inside[1, 2, 1], inside[1, 7, 7] = False, True
    assert torch.equal(number_exemplars(known, inside)[1], known[1].long())
    third = known.clone()
    third[1, 0, :, 1] = 0.0  # the first region falls apart
    inside[1, 2, 0] = True
    numbers = number_exemplars(third, inside)[1, 0]
    assert torch.equal(numbers[0], torch.tensor([1, 0, 0, 0, 0, 2, 2, 0])), "no defect, no number"
