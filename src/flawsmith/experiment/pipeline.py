"""The main job from data to report, one step after the other; each step that is done stays done.

A killed pipeline is started again with the same command: finished steps are recognised by their
files, a half-trained run goes on from its last checkpoint.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.folds import split_folds
from flawsmith.data.freezing import freeze_folds
from flawsmith.data.parts import dataset_views, join_parts, need_comparison
from flawsmith.experiment.balance import balance
from flawsmith.experiment.plant import PlantAssumptions
from flawsmith.experiment.report import ReportResult, build_report
from flawsmith.experiment.synthesis import synthesis_records, synthesize
from flawsmith.experiment.train_model import (
    MACHINE_VISION,
    configure_any_model,
    evaluate_run,
    train_model,
)
from flawsmith.experiment.train_synthesizer import configure, train_synthesizer
from flawsmith.metrics.evaluation import EVALUATION_FILE
from flawsmith.training.config import CONFIG_FILE
from flawsmith.training.loop import Hooks


@dataclass
class Pipeline:
    """Names of the folders below ``out`` and the steps that fill them.

    Attributes:
        out: everything is written below it.
        fold: the test fold.
        preset: of everything that is trained.
        hooks: progress and printed lines.
        say: prints the title of a step.
    """

    out: Path
    fold: int
    hooks: Hooks
    say: Callable[[str], None]
    preset: str = "small"

    @property
    def data(self) -> Path:
        """The defect data set."""
        return self.out / "data"

    @property
    def synthetic(self) -> Path:
        """The synthetic data set."""
        return self.out / "synthetic"

    def run(self, name: str) -> Path:
        """Return the run folder called ``name``."""
        return self.out / "runs" / name

    def split(self, *, folds: int, seed: int = 0) -> DefectDataset:
        """Freeze folds unless the data set has them; images of one piece stay together."""
        dataset = DefectDataset.open(self.data)
        opened = dataset.fingerprint()
        if any(record.fold is None for record in dataset.usable()):
            if need_comparison(dataset):
                self.say("comparing the images: which show one piece?")
                grouping = join_parts(dataset.records, dataset_views(dataset).groups())
                self.say(f"{len(grouping.groups)} pieces have several images; they stay together")
                dataset = dataset.with_records(grouping.records)
            dataset = dataset.with_records(split_folds(dataset, k=folds, seed=seed))
            freeze_folds(dataset, opened, [f"--folds={folds}", f"--seed={seed}"])
        return dataset

    def inspection_model(
        self,
        name: str,
        *,
        network: str,
        synthetic: list[Path] | None = None,
        overrides: list[str] | None = None,
    ) -> Path:
        """Train an inspection model and test it on the real parts of the test fold.

        Classification networks learn from labels of whole images, all others from masks.
        """
        run = self.run(name)
        if (run / EVALUATION_FILE).is_file():
            self.say(f"{name}: tested already, see {run}")
            return run
        self.say(f"inspection model '{name}' ({network})")
        config = configure_any_model(
            network, self.preset, self.data, fold=self.fold, synthetic=synthetic or [], arm=None,
            overrides=overrides or [],
        )  # fmt: skip
        train_model(config, run, self.hooks, resume=(run / CONFIG_FILE).is_file())
        evaluate_run(run, self.hooks)
        return run

    def machine_vision(self) -> Path:
        """Fit and test the fixed-parameter baseline of Table 7."""
        return self.inspection_model(MACHINE_VISION, network=MACHINE_VISION)

    def synthesizer(self, system: str, *, overrides: list[str] | None = None) -> Path:
        """Train a synthesizer."""
        run = self.run(system)
        self.say(f"synthesizer '{system}'")
        config = configure(
            system, self.preset, self.data, fold=self.fold, overrides=overrides or []
        )
        train_synthesizer(config, run, self.hooks, resume=(run / CONFIG_FILE).is_file())
        return run

    def balance(self, synthesizer: Path, *, per_class: int | None = None) -> Path:
        """Fill every class of the training parts to the same number of synthetic images."""
        dataset = DefectDataset.open(self.data)
        records = synthesis_records(synthesizer, dataset)
        wanted = balance(records, dataset.schema, per_class)
        self.say(f"synthesis: {wanted.total:,} images, {_listed(wanted.added)}")
        with self.hooks.bar("synthesize", wanted.total) as advance:
            synthesize(synthesizer, dataset, self.synthetic, plan=wanted.added, advance=advance)
        return self.synthetic

    def report(self, runs: list[Path], *, synthesizer: Path | None, plant: PlantAssumptions,
               title: str) -> ReportResult:  # fmt: skip
        """Write ``report.html`` and ``report.json``."""
        self.say("report")
        return build_report(
            runs,
            self.out / "report.html",
            synthesizer=synthesizer,
            synthetic=self.synthetic if synthesizer else None,
            plant=plant,
            title=title,
        )


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} +{count:,}" for name, count in counts.items())
