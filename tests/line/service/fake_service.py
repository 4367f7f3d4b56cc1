"""A service in a process of its own whose model is fake: a pixel of 255 is a scratch.

Called with the results store and a JSON object of options; prints its URL.
"""

import json
import logging
import sys
import time
from pathlib import Path

from flawsmith.errors import FlawsmithError
from flawsmith.inspection.findings import Findings
from flawsmith.inspection.regions import Region
from flawsmith.line.image_archive import ImageArchive
from flawsmith.line.inspector import Inspector
from flawsmith.line.rules import AcceptanceRules
from flawsmith.line.rules.rule_file import RuleFile
from flawsmith.line.service.service import Service, ServiceSettings
from flawsmith.line.sinks import open_sink
from flawsmith.line.sinks.courier import Patience
from flawsmith.line.store import Store


class FakeModel:
    """Takes some seconds for each image; refuses colours, breaks where all is 7."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def inspect(self, image) -> Findings:
        time.sleep(self.seconds)
        if image.ndim == 3:
            raise FlawsmithError("the model takes grey images; this one has colours")
        if (image == 7).all():
            raise RuntimeError("broken")
        height, width = image.shape
        region = Region(
            class_id=1, class_name="scratch", score=0.9, box=(0, 0, 4, 1), centroid=(1.5, 0.0),
            area_px=4, length_px=4.0, width_px=1.0, diameter_px=2.3,
        )  # fmt: skip
        return Findings([region] if (image == 255).any() else [], width, height)


def fail_any(views=(), timeout=None) -> AcceptanceRules:
    """Return rules that fail a part with any defect."""
    part = {"views": list(views)} | ({"timeout_seconds": timeout} if timeout else {})
    content = {"part": part, "rules": [{"name": "any defect", "verdict": "FAIL"}]}
    return AcceptanceRules(RuleFile.model_validate(content))


def build(store: Store, options: dict) -> Service:
    """Return a service; what `ServiceSettings` has not is for model, rules and sinks."""
    rules = fail_any(options.pop("views", []), options.pop("timeout", None))
    sinks = [open_sink(sink) for sink in options.pop("sinks", [])]
    model = FakeModel(options.pop("seconds", 0.0))
    inspector = Inspector(
        model, "fake", rules, store, sinks=[sink.name for sink in sinks], holder="line 1"
    )
    kept = options.pop("keep", None)
    settings = ServiceSettings(**{"port": 0, **options})
    archive = ImageArchive(Path(kept), store) if kept else None
    patience = Patience(first=0.1, longest=0.5, poll=0.1)
    return Service(inspector, settings, sinks, patience, archive)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    with Store(sys.argv[1]) as store:
        service = build(store, json.loads(sys.argv[2]))
        service.run(lambda where: print(where, flush=True))
