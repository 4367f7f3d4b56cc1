import pytest

from flawsmith.errors import FlawsmithError
from flawsmith.inspection.findings import Novelty
from flawsmith.line import replay as replay_module
from flawsmith.line.inspector import Inspector, OpenPart
from flawsmith.line.part_images import PartImage
from flawsmith.line.replay import replay
from flawsmith.line.store import Store

from .spots import IDENTITY, SpotModel, png, rules


class Changed(SpotModel):
    """Answers a little differently."""

    def __init__(self, **changes):
        super().__init__()
        self.changes = changes

    def inspect(self, image):
        found = super().inspect(image)
        regions = [r.model_copy(update=self.changes) for r in found.regions]
        return type(found)(regions, found.width, found.height, Novelty(score=0.5))


@pytest.fixture
def stored(tmp_path):
    """Yield the store, a part with a defect in it, and the path of its image."""
    path = tmp_path / "a.png"
    path.write_bytes(png(spot=True))
    with Store(str(tmp_path / "results.db")) as store:
        inspector = Inspector(SpotModel(), IDENTITY, rules(), store)
        yield store, inspector.inspect_part("a", [PartImage.from_file(path, part="a")]), path


def test_the_same_again(stored):
    store, record, _ = stored
    found = replay(record, Inspector(SpotModel(), IDENTITY, rules(), store))
    assert (found.same, found.differences) == (True, [])
    assert len(list(store.find())) == 1


def test_a_part_whose_view_came_late_is_replayed_as_late(tmp_path):
    """How long it waited cannot be repeated; what is in its images can."""
    with Store(str(tmp_path / "late.db")) as store:
        inspector = Inspector(SpotModel(), IDENTITY, rules("left", "right", timeout=1), store)
        part = OpenPart("a")
        for seed, view in enumerate(("left", "right")):
            path = tmp_path / f"{view}.png"
            path.write_bytes(png(seed))
            inspector.look(PartImage.from_file(path, part="a", view=view), part)
        record = inspector.conclude(part, waited_seconds=5.0)
        assert [reason.rule for reason in record.verdict.reasons] == ["timeout"]
        found = replay(record, inspector)
        assert (found.same, found.differences) == (True, [])
        other = replay(record, Inspector(Changed(), IDENTITY, inspector.rules, store))
        assert not other.same  # its novelty is another one


def test_an_image_that_an_earlier_part_had_is_doubtful_again_and_the_first_is_not(stored):
    store, first, path = stored
    inspector = Inspector(SpotModel(), IDENTITY, rules(), store)
    second = inspector.inspect_part("b", [PartImage.from_file(path, part="b")])
    assert "of part a" in second.images[0].warnings[0]
    for record in (first, second):
        assert replay(record, inspector).differences == []


def test_every_difference_is_told(stored, monkeypatch):
    store, record, _ = stored
    monkeypatch.setattr(replay_module, "code_version", lambda: "9.9")
    model = Changed(score=0.25, length_px=7.5, area_px=3)
    found = replay(record, Inspector(model, "f" * 64, rules(thresholds={"any": 0.5}), store))
    assert not found.same
    text = "\n".join(found.differences)
    for words in (
        "model 0000000000000000 then, ffffffffffffffff now", "rules ", "Flawsmith ", "9.9 now",
        "region 1 (spot): score 1.0 then, 0.25 now", "and 1 more measures",
        "novelty none then, 0.5 now", "verdict FAIL then, PASS now", "reason only then: spot",
    ):  # fmt: skip
        assert words in text


def test_another_model_with_the_same_answer_is_the_same_answer(stored):
    store, record, _ = stored
    found = replay(record, Inspector(SpotModel(), "f" * 64, rules(), store))
    assert found.same
    assert len(found.differences) == 1


def test_what_cannot_be_inspected_again_is_told(stored):
    store, record, path = stored
    inspector = Inspector(SpotModel(), IDENTITY, rules(), store)
    path.write_bytes(png(2))
    with pytest.raises(FlawsmithError, match="another image now"):
        replay(record, inspector)
    path.unlink()
    with pytest.raises(FlawsmithError, match="put the image back"):
        replay(record, inspector)
    never = inspector.inspect_part("b", [PartImage.from_file(path, part="b")])
    with pytest.raises(FlawsmithError, match="nothing to inspect again"):
        replay(never, inspector)


def test_an_image_that_was_damaged_then_is_damaged_now(stored):
    store, _, path = stored
    path.write_bytes(png(spot=True)[:-100])
    inspector = Inspector(SpotModel(), IDENTITY, rules(), store)
    record = inspector.inspect_part("a", [PartImage.from_file(path, part="a")])
    assert replay(record, inspector).same
