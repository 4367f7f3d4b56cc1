"""Which recipe of PatchCore suits magnetic tiles? Chosen without the folds that test it.

Without ``--test``: every variant below on folds 1, 2 and 3, each inspected by a bank of good tiles
of the other two; two views of each part. One line a variant goes to
benchmarks/ledger/anomaly_magnetic_tile.jsonl, variants that are in it are not computed again.
With ``--test FOLD`` (0 or 4): the shipped recipe as `flawsmith model train --network patchcore`
runs it, tested on that fold. About ten minutes of one core for all.

    python benchmarks/anomaly.py FOLDER_OF_MAGNETIC_TILE OUT [--only NAME...]
    python benchmarks/anomaly.py FOLDER_OF_MAGNETIC_TILE OUT --test 0
"""

import argparse
import functools
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from flawsmith.cli.console import console
from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.formats import import_folder
from flawsmith.data.schema import IGNORE, SCHEMA_FILE
from flawsmith.experiment.anomaly_model import signed
from flawsmith.experiment.ledger import append_line, ledger_line, read_lines
from flawsmith.experiment.source import code_hash
from flawsmith.experiment.train_model import configure_model, evaluate_run, train_model
from flawsmith.inspection.patchcore import (
    BANDS,
    MARGIN,
    BorderStatistics,
    PatchCore,
    border_cells,
    k_center,
    patch_features,
    with_margin,
)
from flawsmith.models.efficientnet_lite0 import load_pretrained, to_rgb
from flawsmith.training.loop import Hooks

LEDGER = Path(__file__).parent / "ledger" / "anomaly_magnetic_tile.jsonl"
FOLDS = (1, 2, 3)
VIEWS = 2
CANDIDATES_PER_IMAGE = 150
OVERKILL = 0.05


@dataclass(frozen=True)
class Bank:
    """What heat maps follow from; several variants share them."""

    strides: tuple[int, ...] = (8, 16)
    size: int = 2000
    random: bool = False
    flat_light: bool = False


@dataclass(frozen=True)
class Variant:
    """A bank, and what becomes of its distances."""

    bank: Bank = Bank()
    smoothing: float = 4.0
    border: str = "expected"
    image_median: bool = False
    top_share: float = 0.0
    views: str = "max"


VARIANTS = {
    "no correction of the border": Variant(border="none"),
    "24 px at the border left out": Variant(border="cut"),
    "shipped": Variant(),
    "blur of 2 px": Variant(smoothing=2.0),
    "blur of 8 px": Variant(smoothing=8.0),
    "image's median subtracted, no correction": Variant(border="none", image_median=True),
    "image's median subtracted": Variant(image_median=True),
    "mean of the highest 1 %": Variant(top_share=0.01),
    "median of the views": Variant(views="median"),
    "lowest of the views": Variant(views="min"),
    "stride 4 as well": Variant(Bank(strides=(4, 8, 16))),
    "bank of random patches": Variant(Bank(random=True)),
    "bank of 6000": Variant(Bank(size=6000)),
    "brightness evened out": Variant(Bank(flat_light=True)),
}


def main() -> None:
    """Compare the variants, or test the shipped one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--test", type=int, choices=(0, 4))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = arguments.out / "data"
    if not (data / SCHEMA_FILE).is_file():
        import_folder(arguments.source, data, format="magnetic_tile")
    if arguments.test is not None:
        _test(data, arguments.out, arguments.test)
        return
    comparison = Comparison(DefectDataset.open(data), arguments.out / "features")
    for name in arguments.only:
        line = {"variant": name, **asdict(VARIANTS[name]), "data": comparison.data}
        if not any(line.items() <= known.items() for known in _comparable(read_lines(LEDGER))):
            line |= comparison.figures(VARIANTS[name])
            append_line(LEDGER, line)
            console.print(line)


def _comparable(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the lines with lists as tuples, as the variants have them."""
    for line in lines:
        if "bank" in line:
            line["bank"]["strides"] = tuple(line["bank"]["strides"])
    return lines


def _test(data: Path, out: Path, fold: int) -> None:
    """Train and test as the command does; time is that of the processor, on one thread."""
    run = out / f"patchcore-fold{fold}"
    config = configure_model(
        "patchcore", "small", data, fold=fold, synthetic=[], arm=None, overrides=[]
    )
    start = time.process_time()
    train_model(config, run, Hooks(report=console.print), resume=False)
    fitted = time.process_time()
    evaluation = evaluate_run(run, Hooks())
    seconds = {
        "fit_cpu_seconds": round(fitted - start, 1),
        "test_cpu_seconds": round(time.process_time() - fitted, 1),
        "test_images": len(evaluation.predictions),
    }
    line = ledger_line(run) | seconds
    append_line(LEDGER, line)
    console.print(line)


class Comparison:
    """The inner folds: good tiles to learn from, all tiles to inspect."""

    def __init__(self, dataset: DefectDataset, cache: Path) -> None:
        self.dataset, self.cache = dataset, cache
        self.data = dataset.fingerprint()
        self.encoder = load_pretrained()
        parts: dict[str, list[ImageRecord]] = {}
        for record in dataset.usable():
            if record.fold in FOLDS:
                parts.setdefault(record.part, []).append(record)
        self.parts = {part: _spread(records) for part, records in parts.items()}
        self.heat_maps = functools.lru_cache(maxsize=1)(self._heat_maps)

    def figures(self, variant: Variant) -> dict[str, Any]:
        """Return the figures of a variant; those of parts are means over the folds."""
        heats = {
            name: cv2.GaussianBlur(heat, (0, 0), variant.smoothing)
            for name, heat in self.heat_maps(variant.bank).items()
        }
        scores: dict[str, float] = {}
        truth, found = [], []
        for fold in FOLDS:
            corrected = self._corrected(variant, heats, fold)
            for part, records in self.parts.items():
                if records[0].fold == fold:
                    views = [_image_score(corrected[r.file_name], variant) for r in records]
                    scores[part] = float(getattr(np, variant.views)(views))
            for record in (r for views in self.parts.values() for r in views):
                if record.fold == fold and not record.is_good:
                    labels = self.dataset.label_map(record).defects[::4, ::4]
                    truth.append(labels[labels != IGNORE] > 0)
                    found.append(corrected[record.file_name][::4, ::4][labels != IGNORE])
        return self._part_figures(scores) | {
            "pixel_average_precision": round(
                float(average_precision_score(np.concatenate(truth), np.concatenate(found))), 3
            ),
            "code": code_hash(("inspection/patchcore.py",)),
        }

    def _part_figures(self, scores: dict[str, float]) -> dict[str, Any]:
        aurocs, missed, defective = [], 0, 0
        for fold in FOLDS:
            good, bad = (
                np.array(
                    [scores[p] for p, r in self.parts.items() if r[0].fold == fold and test(r)]
                )
                for test in (lambda r: r[0].is_good, lambda r: not r[0].is_good)
            )
            labels = np.repeat([0, 1], [len(good), len(bad)])
            aurocs.append(round(float(roc_auc_score(labels, np.concatenate([good, bad]))), 3))
            place = min(int(np.ceil((len(good) + 1) * (1 - OVERKILL))), len(good))
            missed += int((bad <= np.sort(good)[place - 1]).sum())
            defective += len(bad)
        return {
            "part_auroc": round(float(np.mean(aurocs)), 3),
            "part_auroc_of_folds": aurocs,
            "missed_at_5_percent_overkill": [missed, defective],
        }

    def _corrected(
        self, variant: Variant, heats: dict[str, Any], fold: int
    ) -> dict[str, np.ndarray]:
        """Return the heat maps of a fold, by what the good tiles of the other folds have."""
        others, own = [], []
        for record in (r for views in self.parts.values() for r in views):
            (own if record.fold == fold else others).append(record)
        expected = np.repeat([[0.0], [1.0]], BANDS**2, axis=1)
        if variant.border == "expected":
            found = (BorderStatistics.of(heats[r.file_name]) for r in others if r.is_good)
            expected = sum(found, BorderStatistics()).expected()
        result = {}
        for record in own:
            heat = heats[record.file_name]
            mean, deviation = expected[:, border_cells(*heat.shape)]
            heat = (heat - mean) / deviation
            heat = heat - np.median(heat) if variant.image_median else heat
            if variant.border == "cut":
                inside = heat[24:-24, 24:-24]
                heat = np.pad(inside, 24, constant_values=inside.min())
            result[record.file_name] = heat
        return result

    def _heat_maps(self, bank: Bank) -> dict[str, np.ndarray]:
        """Return the distances of all images of all folds, each from its own fold's bank."""
        heats = {}
        for fold in FOLDS:
            rng = np.random.default_rng(0)
            rows = []
            for record in (r for views in self.parts.values() for r in views):
                if record.fold != fold and record.is_good:
                    patches = patch_features(self._maps(record, bank), 3)[0]
                    edge = MARGIN // 8
                    inside = patches[edge:, edge:][
                        : -(-record.height // 8), : -(-record.width // 8)
                    ]
                    flat = inside.reshape(-1, inside.shape[-1])
                    rows.append(flat[rng.permutation(len(flat))[:CANDIDATES_PER_IMAGE]])
            candidates = np.concatenate(rows)
            mean, deviation = candidates.mean(axis=0), candidates.std(axis=0) + np.float32(1e-6)
            candidates = (candidates - mean) / deviation
            chosen = rng.permutation(len(candidates))[: bank.size]
            if not bank.random:
                chosen = k_center(candidates, bank.size)
            core = PatchCore(candidates[chosen], mean, deviation, 3, 1.0)
            for record in (r for views in self.parts.values() for r in views):
                if record.fold == fold:
                    distance = core.distances(self._maps(record, bank))[0]
                    large = cv2.resize(distance, None, fx=8, fy=8)
                    inside = large[MARGIN:, MARGIN:][: record.height, : record.width]
                    heats[record.file_name] = inside
        return heats

    def _maps(self, record: ImageRecord, bank: Bank) -> list[np.ndarray]:
        """Return the encoder's maps of an image with its margin, stride 4 averaged to 8."""
        name = f"{Path(record.file_name).stem}{'-flat' if bank.flat_light else ''}.npz"
        if not (self.cache / name).is_file():
            self._compute_maps(record, bank.flat_light, self.cache / name)
        with np.load(self.cache / name) as archive:
            return [archive[f"stride{s}"].astype(np.float32)[None] for s in bank.strides]

    @torch.inference_mode()
    def _compute_maps(self, record: ImageRecord, flat_light: bool, path: Path) -> None:
        image = signed(self.dataset.image(record), self.dataset.schema)
        image = with_margin(_even_light(image) if flat_light else image)
        padding = [(0, -image.shape[0] % 32), (0, -image.shape[1] % 32), (0, 0)]
        image = np.pad(image, padding, mode="reflect").transpose(2, 0, 1)[None]
        maps = self.encoder(to_rgb(torch.from_numpy(np.ascontiguousarray(image))))[1:4]
        maps[0] = torch.nn.functional.avg_pool2d(maps[0], 2)
        arrays = {
            f"stride{stride}": values[0].permute(1, 2, 0).half().numpy()
            for stride, values in zip((4, 8, 16), maps, strict=True)
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **arrays)


def _spread(records: list[ImageRecord]) -> list[ImageRecord]:
    """Return two views, defective ones first, evenly over the rest."""
    ordered = sorted(records, key=lambda record: (record.is_good, record.view))
    return ordered[:: max(len(ordered) // VIEWS, 1)][:VIEWS]


def _image_score(heat: np.ndarray, variant: Variant) -> float:
    if not variant.top_share:
        return float(heat.max())
    count = max(int(variant.top_share * heat.size), 1)
    return float(np.partition(heat.ravel(), -count)[-count:].mean())


def _even_light(image: np.ndarray) -> np.ndarray:
    """Subtract the brightness around each pixel, divide by the contrast around it."""
    plane = image[..., 0]
    difference = plane - cv2.GaussianBlur(plane, (0, 0), 24, borderType=cv2.BORDER_REFLECT)
    contrast = np.sqrt(cv2.GaussianBlur(difference**2, (0, 0), 48, borderType=cv2.BORDER_REFLECT))
    return np.clip(difference / (3 * contrast + 0.01), -1.5, 1.5)[..., None].astype(np.float32)


if __name__ == "__main__":
    main()
