"""What makes two runs the same: data, configuration without paths, code and seed, in one hash."""

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flawsmith.data.dataset import DefectDataset
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.benefit.plan import REAL, Arm, BenefitSettings, Mix, Step
from flawsmith.experiment.source import code_hash
from flawsmith.experiment.synthesis import SETTINGS_FILE
from flawsmith.experiment.train_model import configure_model
from flawsmith.experiment.train_synthesizer import configure
from flawsmith.models import NETWORKS
from flawsmith.systems import SYSTEMS
from flawsmith.systems.segmentation import InspectionModelConfig
from flawsmith.training.config import RunConfig

MODEL_CODE = (
    "data/dataset.py",
    "data/folds.py",
    "data/images.py",
    "data/schema.py",
    "data/tiles.py",
    "data/transforms.py",
    "experiment/inspection_model.py",
    "experiment/train_model.py",
    "experiment/training_data.py",
    "inspection/regions.py",
    "inspection/thresholds.py",
    "inspection/tiling.py",
    "losses/segmentation.py",
    "metrics/segmentation.py",
    "metrics/testing.py",
    "systems/base.py",
    "systems/segmentation.py",
    "training/config.py",
    "training/engine.py",
    "training/loop.py",
    "training/precision.py",
)
"""What the figures of an inspection model follow from, beside its network.

Pages, commands and other networks may change freely.
"""
SYNTHESIS_CODE = (
    "data/background_bank.py",
    "data/dataset.py",
    "data/defect_removal.py",
    "data/folds.py",
    "data/images.py",
    "data/latent.py",
    "data/mask_bank",
    "data/schema.py",
    "data/tiles.py",
    "data/transforms.py",
    "experiment/drawing.py",
    "experiment/synthesis.py",
    "experiment/train_synthesizer.py",
    "experiment/training_data.py",
    "training/config.py",
    "training/engine.py",
    "training/loop.py",
    "training/precision.py",
)


@dataclass(frozen=True)
class Identity:
    """Configurations, keys and folders of the steps of one benefit test.

    Attributes:
        fingerprint: of the data set; taken once, as it reads every record.
    """

    dataset: DefectDataset
    fingerprint: str
    out: Path
    settings: BenefitSettings
    arms: dict[str, Arm]

    def synthesizer_config(self, step: Step) -> RunConfig:
        """Return the configuration of the synthesizer that a step trains or needs."""
        return configure(
            self.arms[step.arm].system,
            self.settings.preset,
            self.dataset.root,
            fold=step.fold,
            overrides=[*self.settings.synthesizer_overrides, *_part_overrides(step)],
        )

    def model_config(self, step: Step, mix: Mix | None) -> InspectionModelConfig:
        """Return the configuration of an inspection model; the arms differ in ``data`` alone.

        Raises:
            FlawsmithError: for an unknown network, or one that learns from good images only.
        """
        if step.network not in NETWORKS:
            raise FlawsmithError(
                f"--model {step.network}: not a network that is trained on defect images; "
                "give one such as fc_hardnet70 or efficientnet_lite0"
            )
        overrides = [*self.settings.overrides, *_part_overrides(step)]
        overrides.append(f"training.seed={step.seed}")
        synthetic = []
        if step.arm != REAL and mix is not None:
            synthetic = [self.synthetic_folder(step)]
            overrides += mix.overrides()
        config = configure_model(
            step.network,
            self.settings.preset,
            self.dataset.root,
            fold=step.fold,
            synthetic=synthetic,
            arm=step.arm,
            overrides=overrides,
        )
        return _shortened(config, self.settings.screen_share) if step.kind == "screen" else config

    def synthesizer_key(self, step: Step) -> str:
        """Return the key of the synthesizer of a step's arm and fold."""
        config = without_paths(self.synthesizer_config(step))
        return short_hash(
            self.fingerprint, config, code_of(SYNTHESIS_CODE, SYSTEMS.get(config["system"]))
        )

    def set_key(self, step: Step) -> str:
        """Return the key of the synthetic set of a step's arm and fold."""
        given = self.arms[step.arm].folder(step.fold)
        if given is not None:
            made = (Path(given) / SETTINGS_FILE).read_text(encoding="utf-8")
            return short_hash(made, DefectDataset.open(Path(given)).fingerprint())
        return short_hash(self.synthesizer_key(step), self.settings.per_class)

    def model_key(self, step: Step, mix: Mix | None) -> str:
        """Return the key of an inspection model's run."""
        config = without_paths(self.model_config(step, mix))
        made = "" if step.arm == REAL else self.set_key(step)
        code = code_of(MODEL_CODE, NETWORKS.get(step.network))
        return short_hash(step.kind, self.fingerprint, config, made, code)

    def synthesizer_folder(self, step: Step) -> Path:
        """Return the run folder of the synthesizer of a step's arm and fold."""
        return self.out / "runs" / f"{_name(step)}-synthesizer-{self.synthesizer_key(step)[:8]}"

    def synthetic_folder(self, step: Step) -> Path:
        """Return the synthetic set of a step's arm and fold."""
        given = self.arms[step.arm].folder(step.fold)
        if given is not None:
            return Path(given)
        return self.out / "synthetic" / f"{_name(step)}-{self.set_key(step)[:8]}"

    def model_folder(self, step: Step, mix: Mix | None) -> Path:
        """Return the run folder of an inspection model."""
        kind = "-screen" if step.kind == "screen" else ""
        name = f"{_name(step)}-{step.network}-seed{step.seed}{kind}"
        return self.out / "runs" / f"{name}-{self.model_key(step, mix)[:8]}"


def _name(step: Step) -> str:
    share = "" if step.share == 1.0 else f"-share{step.share:g}-draw{step.draw}"
    return f"{step.arm}-fold{step.fold}{share}"


def _part_overrides(step: Step) -> list[str]:
    if step.share == 1.0:
        return []
    return [f"data.part_share={step.share}", f"data.part_draw={step.draw}"]


def _shortened(config: InspectionModelConfig, share: float) -> InspectionModelConfig:
    training = config.training
    steps = max(1, round(training.total_images * share / training.batch_size))
    shorter = training.model_copy(update={"total_images": steps * training.batch_size})
    return config.model_copy(update={"training": shorter})


def without_paths(config: RunConfig) -> dict[str, Any]:
    """Return a configuration as plain values, without what changes nothing that is computed."""
    values = config.model_dump(mode="json")
    values.pop("arm", None)
    values["data"] = {k: v for k, v in values["data"].items() if k not in ("path", "synthetic")}
    return values


def short_hash(*what: object) -> str:
    """Return a key of plain values: 16 hexadecimal digits."""
    text = json.dumps(what, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.cache
def code_of(parts: tuple[str, ...], entry: Callable[..., object] | None = None) -> str:
    """Return the hash of files and of a registered entry; read once, as code does not change."""
    return code_hash(parts, entry)
