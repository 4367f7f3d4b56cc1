"""What makes two runs the same: data, configuration without paths, code and seed, in one hash."""

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flawsmith.data.dataset import DefectDataset
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.benefit.arms import Arm
from flawsmith.experiment.benefit.mix import Mix
from flawsmith.experiment.benefit.plan import Step
from flawsmith.experiment.benefit.settings import REAL, BenefitSettings
from flawsmith.experiment.inspection_model import ModelConfig
from flawsmith.experiment.selection.page import ACCEPTED
from flawsmith.experiment.source import code_hash
from flawsmith.experiment.synthesis import SETTINGS_FILE
from flawsmith.experiment.train_model import configure_any_model
from flawsmith.experiment.train_synthesizer import configure
from flawsmith.models import NETWORKS
from flawsmith.models.classifiers import CLASSIFIERS
from flawsmith.systems import SYSTEMS
from flawsmith.training.config import RunConfig

TRAINING_CODE = (
    "data/dataset.py",
    "data/folds.py",
    "data/images.py",
    "data/schema.py",
    "data/tiles.py",
    "data/transforms.py",
    "experiment/training_data.py",
    "nn/ema.py",
    "training/config.py",
    "training/engine.py",
    "training/loop.py",
    "training/precision.py",
)
"""What everything follows from that is trained on tiles."""
MODEL_CODE = (
    *TRAINING_CODE,
    "experiment/fitting.py",
    "experiment/inspection_model.py",
    "experiment/train_model.py",
    "inspection/region_runs.py",
    "inspection/regions.py",
    "inspection/thresholds.py",
    "inspection/tiling.py",
    "losses/segmentation.py",
    "metrics/segmentation.py",
    "metrics/testing.py",
    "systems/base.py",
    "systems/inspection_optimizer.py",
    "systems/segmentation.py",
)
"""What the figures of an inspection model follow from, beside its network.

Pages, commands and other networks may change freely.
"""
CLASSIFICATION_CODE = (
    *TRAINING_CODE,
    "data/whole_images.py",
    "experiment/classification_model.py",
    "experiment/fitting.py",
    "experiment/inspection_model.py",
    "experiment/train_classifier.py",
    "experiment/train_model.py",
    "inspection/thresholds.py",
    "metrics/classification.py",
    "metrics/image_testing.py",
    "systems/base.py",
    "systems/classification.py",
    "systems/inspection_optimizer.py",
)
"""The same of a classification model."""
SYNTHESIS_CODE = (
    *TRAINING_CODE,
    "data/background_bank.py",
    "data/defect_removal.py",
    "data/latent.py",
    "data/mask_bank",
    "experiment/drawing.py",
    "experiment/synthesis.py",
    "experiment/train_synthesizer.py",
)
SELECTION_CODE = (
    "data/mask_bank/shapes.py",
    "experiment/report/pictures.py",
    "experiment/selection/figures.py",
    "experiment/selection/real_defects.py",
    "experiment/selection/selecting.py",
    "experiment/selection/surroundings.py",
)
"""What the choice among synthetic images follows from, beside the model that recognises them."""
WHOLE_IMAGE_CODE = ("data/whole_images.py", "experiment/whole_image_synthesis.py")
"""Beside it, where labels are for whole images."""


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
        arm = self.arms[step.arm]
        given = [*self.settings.synthesizer_overrides, *arm.overrides]
        return configure(
            arm.system,
            self.settings.preset,
            self.dataset.root,
            fold=step.fold,
            overrides=[*_only_overrides(step), *given, *_part_overrides(step)],
        )

    def model_config(self, step: Step, mix: Mix | None) -> ModelConfig:
        """Return the configuration of an inspection model; the arms differ in ``data`` alone.

        Raises:
            FlawsmithError: for an unknown network, or one that learns from good images only.
        """
        if step.network not in NETWORKS and step.network not in CLASSIFIERS:
            raise FlawsmithError(
                f"--model {step.network}: not a network that is trained on defect images; "
                "give one such as fc_hardnet70 or efficientnet_lite0, for labels of whole images "
                "efficientnet_classifier"
            )
        overrides = [*self.settings.overrides, *_part_overrides(step)]
        overrides.append(f"training.seed={step.seed}")
        synthetic = []
        added = _added(step, mix)
        if added is not None:
            synthetic = self.synthetic_folders(step)
            overrides += added.overrides()
        config = configure_any_model(
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
        is_image = config["data"]["labels"] == "image"
        code = (*SYNTHESIS_CODE, *(WHOLE_IMAGE_CODE if is_image else ()))
        return short_hash(self.fingerprint, config, code_of(code, SYSTEMS.get(config["system"])))

    def set_key(self, step: Step) -> str:
        """Return the key of the synthetic set of a step's arm and fold."""
        if self.arms[step.arm].source:
            judge = self.model_key(self.judge(step), None)
            return short_hash(self.set_key(self.source(step)), judge, code_of(SELECTION_CODE))
        given = self.arms[step.arm].folder(step.fold)
        if given is not None:
            made = (Path(given) / SETTINGS_FILE).read_text(encoding="utf-8")
            return short_hash(made, DefectDataset.open(Path(given)).fingerprint())
        alone = self.steps_alone(step)
        if alone:
            return short_hash(*(self.set_key(one) for one in alone))
        return short_hash(self.synthesizer_key(step), self.settings.per_class)

    def source(self, step: Step) -> Step:
        """Return a step of the arm whose images that of a selection has."""
        return replace(step, kind="synthesis", arm=self.arms[step.arm].source)

    def judge(self, step: Step) -> Step:
        """Return the training of ``real`` whose model selects for a step's arm."""
        network = self.settings.models[0]
        return Step("model", REAL, step.fold, network, share=step.share, draw=step.draw)

    def steps_alone(self, step: Step) -> list[Step]:
        """Return a step for each class, where the system of its arm is trained on one at a time."""
        classes = () if step.only else self.arms[step.arm].classes
        return [replace(step, only=name) for name in classes]

    def model_key(self, step: Step, mix: Mix | None) -> str:
        """Return the key of an inspection model's run; ``real``'s, if it has only real images."""
        config = without_paths(self.model_config(step, mix))
        made = "" if _added(step, mix) is None else self.set_key(step)
        if step.network in CLASSIFIERS:
            code = code_of(CLASSIFICATION_CODE, CLASSIFIERS.get(step.network))
        else:
            code = code_of(MODEL_CODE, NETWORKS.get(step.network))
        return short_hash(step.kind, self.fingerprint, config, made, code)

    def synthesizer_folder(self, step: Step) -> Path:
        """Return the run folder of the synthesizer of a step's arm, fold and class."""
        return (
            self.out / "runs" / f"{self._name(step)}-synthesizer-{self.synthesizer_key(step)[:8]}"
        )

    def synthetic_folder(self, step: Step) -> Path:
        """Return the synthetic set of a step's arm, fold and class."""
        if self.arms[step.arm].source:
            return self.selection_folder(step) / ACCEPTED
        given = self.arms[step.arm].folder(step.fold)
        if given is not None:
            return Path(given)
        return self.out / "synthetic" / f"{self._name(step)}-{self.set_key(step)[:8]}"

    def synthetic_folders(self, step: Step) -> list[Path]:
        """Return all synthetic sets of a step's arm and fold: one, or one of each class."""
        return [self.synthetic_folder(one) for one in self.steps_alone(step) or [step]]

    def folder(self, step: Step) -> Path:
        """Return what a step that makes images, or helps to, leaves behind."""
        if step.kind == "synthesizer":
            return self.synthesizer_folder(step)
        if step.kind == "selection":
            return self.selection_folder(step)
        return self.synthetic_folder(step)

    def selection_folder(self, step: Step) -> Path:
        """Return where an arm's images are that were kept of another's, and the rejected ones."""
        return self.out / "selected" / f"{self._name(step)}-{self.set_key(step)[:8]}"

    def judge_folder(self, step: Step) -> Path:
        """Return the run folder of the model that selects for a step's arm."""
        return self.model_folder(self.judge(step), None)

    def model_folder(self, step: Step, mix: Mix | None) -> Path:
        """Return the run folder of an inspection model."""
        kind = "-screen" if step.kind == "screen" else ""
        name = f"{self._name(step)}-{step.network}-seed{step.seed}{kind}"
        return self.out / "runs" / f"{name}-{self.model_key(step, mix)[:8]}"

    def _name(self, step: Step) -> str:
        share = "" if step.share == 1.0 else f"-share{step.share:g}-draw{step.draw}"
        # Names of classes may hold what names of folders cannot.
        only = f"-class{self.dataset.schema.defect(step.only).id}" if step.only else ""
        return f"{step.arm}-fold{step.fold}{share}{only}"


def _added(step: Step, mix: Mix | None) -> Mix | None:
    """Return the mix of a step that has synthetic images."""
    return None if step.arm == REAL or mix is None or mix.is_empty else mix


def _only_overrides(step: Step) -> list[str]:
    """Return what a training on one class alone is told; good images would only pass by."""
    if not step.only:
        return []
    return [f"only={json.dumps(step.only, ensure_ascii=False)}", "data.good_share=0.0"]


def _part_overrides(step: Step) -> list[str]:
    if step.share == 1.0:
        return []
    return [f"data.part_share={step.share}", f"data.part_draw={step.draw}"]


def _shortened(config: ModelConfig, share: float) -> ModelConfig:
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
