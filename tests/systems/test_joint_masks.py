import torch

from flawsmith.data.schema import IGNORE
from flawsmith.systems.base import SampleRequest
from flawsmith.systems.joint_masks import TRIES, join, or_unknown, sample_joint, separate
from flawsmith.systems.repeated_updates import NEXT_DRAW


def label_maps():
    defects = torch.zeros(2, 6, 6, dtype=torch.long)
    defects[0, 1:3, 1:4] = 2
    defects[1, 4:, 4:] = 1
    return defects


def test_what_was_joined_comes_apart_equal():
    defects = label_maps()
    images = torch.rand(2, 3, 6, 6) * 2 - 1
    joint = join(images, defects, 3)
    assert joint.shape == (2, 6, 6, 6)
    found = separate(joint, 3)
    assert torch.equal(found[0], images)
    assert torch.equal(found[1], defects)


def test_pixels_to_ignore_are_good():
    defects = label_maps()
    defects[0, 1:3, 1:4] = IGNORE
    assert (join(torch.zeros(2, 1, 6, 6), defects, 2)[0, 1:] == -1).all()


def test_a_mask_without_its_class_is_tried_again_by_itself():
    request = SampleRequest(label_maps(), torch.zeros(2, 6, 6, dtype=torch.long))
    asked = []

    def make(seeds, classes):
        asked.append((seeds.tolist(), classes.tolist()))
        joint = torch.full((len(seeds), 3, 6, 6), -1.0)
        for row, (seed, class_id) in enumerate(zip(seeds.tolist(), classes.tolist(), strict=True)):
            joint[row, 0] = seed / (10 * NEXT_DRAW)
            if class_id == 2 or seed >= 3 * NEXT_DRAW:
                joint[row, class_id, 2:4, 2:4] = 0.5
        return joint

    samples = sample_joint(make, request, torch.tensor([5, 6]), 1)
    assert asked[0] == ([5, 6], [2, 1])
    assert asked[1:] == [([6 + k * NEXT_DRAW], [1]) for k in (1, 2, 3)]
    assert (samples.defects[0] == 2).sum() == 4
    assert (samples.defects[1] == 1).sum() == 4
    assert samples.images[1].unique().item() > 0.2
    assert samples.seeds.tolist() == [5, 6]


def test_after_the_last_try_an_image_that_shows_nothing_is_unknown():
    request = SampleRequest(label_maps(), torch.zeros(2, 6, 6, dtype=torch.long))
    calls = []

    def make(seeds, classes):
        calls.append(len(seeds))
        return torch.full((len(seeds), 3, 6, 6), -1.0)

    samples = sample_joint(make, request, torch.tensor([5, 6]), 1)
    assert calls == [2] * TRIES
    assert (samples.defects == IGNORE).all()


def test_an_image_of_another_class_keeps_the_label_that_it_shows():
    request = SampleRequest(label_maps()[:1], torch.zeros(1, 6, 6, dtype=torch.long))

    def make(seeds, classes):
        joint = torch.full((1, 3, 6, 6), -1.0)
        joint[0, 1, 2:4, 2:4] = 0.5
        return joint

    defects = sample_joint(make, request, torch.tensor([5]), 1).defects
    assert sorted(defects.unique().tolist()) == [0, 1]


def test_a_good_image_that_was_asked_for_stays_good():
    empty = torch.zeros(1, 4, 4, dtype=torch.long)
    assert not or_unknown(empty, torch.tensor([0])).any()
