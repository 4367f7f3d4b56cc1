"""What each step of a comparison does; every function returns the figures for its ledger line."""

import json
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

from flawsmith.data.dataset import DefectDataset
from flawsmith.experiment.balance import balance
from flawsmith.experiment.benefit.finished import finish, trained_seconds
from flawsmith.experiment.benefit.work import real_parts
from flawsmith.experiment.compare.balanced_set import balanced_plan, mask_is_known
from flawsmith.experiment.compare.memory import peak_mib, reset_peak
from flawsmith.experiment.inspection_model import ModelConfig
from flawsmith.experiment.ledger import ledger_line, part_figures
from flawsmith.experiment.score.facts import ClassScore, Estimate, VariantFigures
from flawsmith.experiment.score.page import write_score
from flawsmith.experiment.score.request import prepare
from flawsmith.experiment.score.scoring import score
from flawsmith.experiment.synthesis import synthesis_records, synthesize
from flawsmith.experiment.train_model import evaluate_run, train_model
from flawsmith.experiment.train_synthesizer import build_system, train_synthesizer
from flawsmith.experiment.training_data import training_records
from flawsmith.metrics.evaluation import EVALUATION_FILE, Evaluation
from flawsmith.systems.base import System
from flawsmith.training.config import CONFIG_FILE, RunConfig
from flawsmith.training.logs import METRICS_FILE
from flawsmith.training.loop import Hooks

Line = dict[str, Any]
TRIAL_STEPS = 32
"""Enough for what a system does only now and then, and for each of its phases."""
NEAR, WHOLE = "in_mask", "whole_tile"


def time_steps(config: RunConfig, folder: Path, hooks: Hooks) -> tuple[float, float]:
    """Return images a second of a short run of its own, and the seconds that it took in all."""
    begin = time.perf_counter()
    training = config.training
    total = TRIAL_STEPS * training.batch_size
    short = {"total_images": total, "checkpoint_every_images": total, "sample_every_images": total}
    trial = config.model_copy(update={"training": training.model_copy(update=short)})
    shutil.rmtree(folder, ignore_errors=True)
    train_synthesizer(trial, folder, hooks, resume=False)
    log = (folder / METRICS_FILE).read_text(encoding="utf-8").splitlines()
    points = [(line["images"], line["seconds"]) for line in map(json.loads, log)]
    shutil.rmtree(folder)
    (first, start), (last, end) = points[0], points[-1]  # the first step warms up
    return (last - first) / (end - start), time.perf_counter() - begin


def images_in(seconds: float, rate: float, batch_size: int) -> int:
    """Return the images of whole batches that a system sees in a time; one batch at least."""
    return max(1, int(seconds * rate / batch_size)) * batch_size


def train(config: RunConfig, run: Path, hooks: Hooks) -> Line:
    """Train a synthesizer, or go on with it; return its size, its time and its memory."""
    before, begin = trained_seconds(run), time.perf_counter()
    measured = reset_peak()
    done = train_synthesizer(config, run, hooks, resume=(run / CONFIG_FILE).is_file())
    seconds = before + time.perf_counter() - begin
    finish(run, seconds)
    dataset = DefectDataset.open(Path(config.data.path))
    records, _ = training_records(dataset, config.data)
    return {
        "images": done.images,
        "training_seconds": round(done.seconds, 1),
        "peak_mib": peak_mib() if measured and done.images else None,
        "defect_images": sum(bool(r.labels) for r in records),
        "networks": network_sizes(build_system(config, dataset.schema)),
        "tile_size": config.training.tile_size,
        "batch_size": config.training.batch_size,
        "good_share": config.data.good_share,
        "seconds": round(seconds, 1),
    }


def network_sizes(system: System) -> dict[str, list[int]]:
    """Return name -> [parameters, bytes of all weights and buffers, 1 if it is used to sample].

    What has no parameters is left out: such "networks" only remember something of the training.
    """
    sampling = set(system.averaged())
    sizes = {
        name: [
            sum(p.numel() for p in network.parameters()),
            sum(t.numel() * t.element_size() for t in network.state_dict().values()),
            int(name in sampling),
        ]
        for name, network in system.networks().items()
    }
    return {name: size for name, size in sizes.items() if size[0]}


def make_set(run: Path, dataset: DefectDataset, out: Path, per_class: int, hooks: Hooks) -> Line:
    """Make the balanced set of a system and count what it shows.

    Returns:
        ``made``: images asked for by class; ``shown``: images whose made mask has the class;
        ``unknown``: images whose mask is not known at all; ``images_per_second``: None where a
        stopped command had made all of them.
    """
    records = synthesis_records(run, dataset)
    plan = balanced_plan(balance(records, dataset.schema, per_class), per_class)
    begin = time.perf_counter()
    with hooks.bar("synthesize", sum(plan.values())) as advance:
        done = synthesize(run, dataset, out, plan=plan, advance=advance)
    made = DefectDataset.open(out)
    shown = Counter(name for record in made for name in set(record.labels))
    sources = Counter(record.mask_source for record in made)
    return {
        "made": plan,
        "shown": {name: shown[name] for name in plan},
        "unknown": sum(not mask_is_known(record) for record in made),
        "mask_source": sources.most_common(1)[0][0],
        "images_per_second": round(done.images_per_second, 2) if done.new_images else None,
        "seconds": round(time.perf_counter() - begin, 1),
    }


def compare_with_real(whole: Path, data: Path, run: Path, out: Path, hooks: Hooks) -> Line:
    """Score a balanced set against held-out real images; write its page too."""
    begin = time.perf_counter()
    request = prepare(whole, data)
    with hooks.bar("score", request.images) as advance:
        scored = score(request, advance=advance)
    page = write_score(request, scored, out)
    result = scored.score
    return {
        "features": result.features,
        "page": page.name,
        "classes": {c.name: _distances(c) for c in result.classes if c.synthetic},
        "all": _distances(result.overall),
        "run": run.name,
        "seconds": round(time.perf_counter() - begin, 1),
    }


def _distances(row: ClassScore) -> Line:
    """Return what Table 4 has of one class: counts, kernel and Fréchet distances, their floors."""
    near = row.variant(NEAR) or VariantFigures(name=NEAR)
    whole = row.variant(WHOLE) or VariantFigures(name=WHOLE)
    return {
        "counts": [row.synthetic, row.held_out, row.held_out_parts],
        "kid": _ranged(near.kid),
        "kid_floor": _ranged(near.kid_floor),
        "frechet": _rounded(near.frechet),
        "frechet_floor": _rounded(near.frechet_floor),
        "frechet_tile": _rounded(whole.frechet),
        "frechet_tile_floor": _rounded(whole.frechet_floor),
        "small": near.frechet_small or whole.frechet_small,
    }


def _ranged(estimate: Estimate | None) -> list[float] | None:
    if estimate is None:
        return None
    ends = [] if estimate.interval is None else [estimate.interval.low, estimate.interval.high]
    return [round(value, 6) for value in (estimate.value, *ends)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def train_and_test(config: ModelConfig, run: Path, hooks: Hooks) -> Line:
    """Train and test an inspection model, or go on with it; return its figures by part.

    A benefit test that is given the same ledger finds ``real`` in it, so its figures are there too.
    """
    before, begin = trained_seconds(run), time.perf_counter()
    train_model(config, run, hooks, resume=(run / CONFIG_FILE).is_file())
    if not (run / EVALUATION_FILE).is_file():
        evaluate_run(run, hooks)
    evaluation = Evaluation.load(run)
    found = [c.defect_recall for c in evaluation.classes if c.defect_recall is not None]
    pixels = evaluation.pixel_accuracy
    return ledger_line(run) | {
        "share": 1.0,
        "draw": 0,
        "real_parts": real_parts(DefectDataset.open(Path(config.data.path)), config.data),
        "parts": part_figures(evaluation),
        "defects_found": [sum(r.count for r in found), sum(r.total for r in found)],
        "pixel_accuracy": None if pixels is None else round(pixels, 5),
        "seconds": round(before + time.perf_counter() - begin, 1),
    }
