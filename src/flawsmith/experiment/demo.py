"""The demo: simulated pouch cells, few and unevenly spread defects, with and without synthesis."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flawsmith.data.pouch import PouchSettings, write_pouch
from flawsmith.data.schema import SCHEMA_FILE
from flawsmith.experiment.pipeline import Pipeline
from flawsmith.experiment.plant import PlantAssumptions
from flawsmith.training.loop import Hooks

DATA = PouchSettings(
    good_parts=150, defective_parts=150, min_parts_per_class=8, views=2, tile_size=128
)


FORMAT = ('training.channels_last="yes"', 'training.precision="fp32"')
"""Not the faster one of the moment: models that are compared are computed alike, and the figures
are the same again on the same processor."""

NETWORK = "fc_hardnet70"
"""The inspection model of the seed paper."""

SYNTHESIZER = "dbs_gan_exemplar"
"""The one to start with. With `dbs_gan`, which learns the surface too, the model got worse."""


@dataclass(frozen=True)
class DemoPlan:
    """How much the demo makes and trains; fixed numbers, so that it is the same everywhere.

    Attributes:
        folds: with two, half of the parts test: an interval needs many.
        synthesizer_images: training tiles of the synthesizer.
        model_images: training tiles of each inspection model.
    """

    data: PouchSettings = DATA
    folds: int = 2
    preset: str = "small"
    synthesizer_images: int = 800
    model_images: int = 5_600


@dataclass(frozen=True)
class DemoResult:
    """Where the demo's report is and how long it took."""

    report: Path
    seconds: float


def run_demo(
    out: Path, hooks: Hooks, say: Callable[[str], None], plan: DemoPlan | None = None
) -> DemoResult:
    """Run the main job on simulated images with fixed numbers of training images.

    A demo that was stopped goes on where it was; one that is complete is only reported again.
    """
    plan = plan or DemoPlan()
    start = time.perf_counter()
    pipeline = Pipeline(out=out, fold=0, hooks=hooks, say=say, preset=plan.preset)
    if not (pipeline.data / SCHEMA_FILE).is_file():
        say(f"simulated pouch cells into {pipeline.data}")
        write_pouch(pipeline.data, plan.data)
    pipeline.split(folds=plan.folds)
    model = [f"training.total_images={plan.model_images}", *FORMAT]
    machine_vision = pipeline.machine_vision()
    before = pipeline.inspection_model("real", network=NETWORK, overrides=model)
    synthesizer = pipeline.synthesizer(
        SYNTHESIZER, overrides=[f"training.total_images={plan.synthesizer_images}", *FORMAT]
    )
    synthetic = pipeline.balance(synthesizer)
    after = pipeline.inspection_model(
        f"real+{SYNTHESIZER}", network=NETWORK, synthetic=[synthetic], overrides=model
    )
    result = pipeline.report(
        [machine_vision, before, after],
        synthesizer=synthesizer,
        plant=PlantAssumptions(),
        title="Simulated pouch cells: does synthesis help?",
    )
    return DemoResult(result.html, time.perf_counter() - start)
