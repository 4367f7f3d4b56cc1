"""Parts for the tests of the second stage: verdicts, images and regions in one line each."""

from flawsmith.inspection.regions import Region
from flawsmith.line.results import ImageInspection, PartVerdict, Reason, Verdict
from flawsmith.line.store.tables import PartRow


def region(name="crack", score=0.8, class_id=1, polygon=((1, 2), (3, 2), (3, 5), (1, 5)), **more):
    return Region(
        class_id=class_id, class_name=name, score=score, box=(1, 2, 3, 4), centroid=(2, 3.5),
        area_px=12, length_px=4, width_px=3, diameter_px=3.9, polygon=list(polygon), **more,
    )  # fmt: skip


def image(part="a", view="", regions=(), **values):
    name = f"in/{part}_{view}.png"
    values = {"image": name, "sha256": f"sha of {name}", "model": "m1", **values}
    return ImageInspection(part=part, view=view, regions=list(regions), **values)


def verdict(part="a", value=Verdict.PASS, regions=()):
    reasons = [Reason(verdict=value, rule="size", text="9 mm long", regions=list(regions))]
    return PartVerdict(
        part=part, verdict=value, rules="r1", reasons=reasons if value.severity else []
    )


def record(store, part="a", value=Verdict.PASS, regions=(), take="", **values):
    """Record a part with one image; return its sequence number."""
    seen = image(part, regions=regions, sha256=f"sha of {part}{take}")
    return store.record(verdict(part, value), [seen], **values)


def dated(store, number, time):
    """Put a recorded part at another time."""
    with store.transaction() as session:
        session.get(PartRow, number).finished_at = time
