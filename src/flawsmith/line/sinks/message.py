"""What a receiver is told of a part: one JSON object, the same for every sink."""

import json

from flawsmith.line.sinks.base import Message
from flawsmith.line.store.part_record import PartRecord

MAX_REGIONS = 100
"""Regions in a message; the store has all of them, and ``region_count`` says how many."""

_REGION_VALUES = {
    "class_name", "score", "box", "length_px", "width_px", "area_px", "length_mm", "width_mm",
    "area_mm2", "zone",
}  # fmt: skip


def build_message(record: PartRecord, key: str) -> Message:
    """Return the message about a stored part.

    Args:
        record: of the part.
        key: hash of the handling, unique in every store; it makes the id.
    """
    verdict = record.verdict
    regions = [
        {"view": image.view, **region.model_dump(mode="json", include=_REGION_VALUES)}
        for image in record.images
        for region in image.regions
    ]
    identity = key[:32]
    values = {
        "id": identity,
        "sequence": record.id,
        "part": verdict.part,
        "verdict": verdict.verdict.value,
        "reasons": [
            reason.model_dump(mode="json", exclude={"regions"}) for reason in verdict.reasons
        ],
        "views": [image.view for image in record.images],
        "region_count": len(regions),
        "regions": regions[:MAX_REGIONS],
        "rules": verdict.rules,
        "models": sorted({image.model for image in record.images if image.model}),
        "finished_at": record.finished_at.isoformat(),
        "seconds": record.seconds,
    }
    return Message(
        id=identity,
        sequence=record.id,
        part=verdict.part,
        verdict=verdict.verdict,
        body=json.dumps(values, ensure_ascii=False).encode("utf-8"),
    )
