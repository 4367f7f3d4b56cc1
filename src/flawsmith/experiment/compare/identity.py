"""Configurations, keys and folders of a comparison: those of a benefit test, and one budget."""

from dataclasses import dataclass, field
from pathlib import Path

from flawsmith.errors import FlawsmithError
from flawsmith.experiment.benefit.identity import (
    MODEL_CODE,
    SYNTHESIS_CODE,
    Identity,
    code_of,
    short_hash,
    without_paths,
)
from flawsmith.experiment.benefit.mix import Mix
from flawsmith.experiment.benefit.plan import Step as TestStep
from flawsmith.experiment.compare.plan import MACHINE_VISION, TOTAL, CompareSettings
from flawsmith.experiment.train_model import configure_model
from flawsmith.experiment.train_synthesizer import configure
from flawsmith.systems.segmentation import InspectionModelConfig
from flawsmith.training.config import RunConfig

SCORE_CODE = (
    *SYNTHESIS_CODE,
    "experiment/score/crops.py",
    "experiment/score/figures.py",
    "experiment/score/request.py",
    "experiment/score/scoring.py",
    "experiment/report/pictures.py",
    "experiment/score/table.py",
    "metrics/generation",
    "metrics/intervals.py",
)
SET_CODE = ("experiment/balance.py", "experiment/compare/balanced_set.py")
"""What a balanced set follows from, beside its synthesizer."""
RULES_CODE = (*MODEL_CODE, "inspection/blobs.py", "inspection/machine_vision.py")


@dataclass(frozen=True)
class CompareIdentity(Identity):
    """What makes two steps of a comparison the same.

    Attributes:
        compare: what is asked for.
        budgets: images of each trained system; one that is missing has not been timed yet.
    """

    compare: CompareSettings
    budgets: dict[str, int] = field(default_factory=dict)

    def synthesizer_config(self, step: TestStep) -> RunConfig:
        """Return the configuration of a system with its budget, if that is known."""
        own = [text for name, text in self.compare.system_overrides if name == step.arm]
        if step.arm in self.budgets:
            own.append(f"{TOTAL}={self.budgets[step.arm]}")
        return configure(
            self.arms[step.arm].system,
            self.settings.preset,
            self.dataset.root,
            fold=step.fold,
            overrides=own,
        )

    def segmentation_config(self, step: TestStep, mix: Mix | None) -> InspectionModelConfig:
        """Return the configuration of an inspection model.

        Raises:
            FlawsmithError: for a network that does not find defects pixel by pixel.
        """
        config = self.model_config(step, mix)
        if not isinstance(config, InspectionModelConfig):
            raise FlawsmithError(
                f"--model {step.network} does not find defects pixel by pixel, as the tables need; "
                "give one such as efficientnet_lite0"
            )
        return config

    def set_key(self, step: TestStep) -> str:
        """Return the key of a balanced set."""
        made = self.synthesizer_key(step), "balanced", self.compare.per_class
        return short_hash(*made, code_of(SET_CODE))

    def synthetic_folder(self, step: TestStep) -> Path:
        """Return what an inspection model is trained with: images whose masks are known."""
        known = self.known_folder(step)
        return known if known.is_dir() else self.whole_folder(step)

    def whole_folder(self, step: TestStep) -> Path:
        """Return the balanced set as it was made."""
        return super().synthetic_folder(step)

    def known_folder(self, step: TestStep) -> Path:
        """Return where the images with a known mask are, if some have none."""
        whole = self.whole_folder(step)
        return whole.with_name(f"{whole.name}-known")

    def examples_folder(self, step: TestStep) -> Path:
        """Return the pictures of a system for the page."""
        return self.out / "examples" / self.whole_folder(step).name

    def score_folder(self, step: TestStep) -> Path:
        """Return where the page of a score is."""
        return self.out / "scores" / self.whole_folder(step).name

    def budget_key(self, step: TestStep) -> str:
        """Return the key of a budget: a machine's speed is no code, so code does not count."""
        values = without_paths(self.synthesizer_config(step))
        values["training"].pop("total_images")
        return short_hash("budget", self.fingerprint, values, self.compare.minutes)

    def score_key(self, step: TestStep) -> str:
        """Return the key of a balanced set's score."""
        return short_hash("score", self.set_key(step), code_of(SCORE_CODE))

    def rules_config(self) -> InspectionModelConfig:
        """Return the configuration of machine vision, which takes no setting of a network."""
        return configure_model(
            MACHINE_VISION,
            self.settings.preset,
            self.dataset.root,
            fold=self.compare.fold,
            synthetic=[],
            arm=MACHINE_VISION,
            overrides=[text for text in self.settings.overrides if text.startswith("data.")],
        )

    def rules_key(self) -> str:
        """Return the key of machine vision."""
        config = without_paths(self.rules_config())
        return short_hash(MACHINE_VISION, self.fingerprint, config, code_of(RULES_CODE))

    def rules_folder(self) -> Path:
        """Return the run folder of machine vision."""
        name = f"{MACHINE_VISION}-fold{self.compare.fold}-{self.rules_key()[:8]}"
        return self.out / "runs" / name
