"""The arms of a benefit test beside ``real``: who makes their images, or where these are."""

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from flawsmith.data.dataset import DefectDataset
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.benefit.settings import REAL, BenefitSettings, complete
from flawsmith.experiment.synthesis import SETTINGS_FILE, SynthesisSettings
from flawsmith.experiment.train_synthesizer import configure
from flawsmith.experiment.whole_image_synthesis import unlabelled
from flawsmith.systems import SYSTEMS

SELECTED = "_selected"
"""Ends the name of an arm with the recognised images of another."""


@dataclass(frozen=True)
class Arm:
    """One training mix beside ``real``.

    Attributes:
        system: that makes the images in every fold; empty for a given set.
        folders: of a given set: fold -> folder.
        overrides: of the system's configuration, for this arm alone.
        classes: defects of which the system, which takes no class, needs a training each.
        source: the arm whose images it has, of which it keeps those that are recognised; empty for
            an arm with images of its own.
    """

    name: str
    system: str = ""
    folders: tuple[tuple[int, str], ...] = ()
    overrides: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    source: str = ""

    def folder(self, fold: int) -> str | None:
        """Return the given set of a fold."""
        return dict(self.folders).get(fold)


def make_arms(settings: BenefitSettings, dataset: DefectDataset) -> list[Arm]:
    """Return the arms beside ``real``.

    Raises:
        FlawsmithError: for an unknown system, one of which no image could be labelled, a given
            set that does not say what it left out, or an unknown arm to select from.
    """
    arms: list[Arm] = []
    for text in dict.fromkeys(complete(settings, dataset.root).systems or []):
        arm = _trained_arm(text)
        if arm.name in {other.name for other in arms}:
            raise FlawsmithError(
                f"there are two arms called {arm.name}; name one: --arm 'NAME={arm.system}'"
            )
        arms.append(replace(arm, classes=_classes_alone(arm, settings, dataset)))
    folders: dict[str, dict[int, str]] = {}
    for name, folder in settings.given:
        made = _read_settings(Path(folder))
        if made.fold is None:
            raise FlawsmithError(
                f"{folder} was made without leaving out a fold, so its images may show what is "
                "tested; synthesize one for each fold"
            )
        if made.data != dataset.fingerprint():
            raise FlawsmithError(
                f"{folder} was made from other data or other folds than {dataset.root} has now "
                f"({made.data}, not {dataset.fingerprint()}); synthesize it again"
            )
        of_arm = folders.setdefault(name or f"given_{made.system}", {})
        if made.fold in of_arm:
            raise FlawsmithError(
                f"{of_arm[made.fold]} and {folder} are both for fold {made.fold}; name their arms: "
                "--synthetic NAME=FOLDER"
            )
        of_arm[made.fold] = folder
    for name, of_fold in folders.items():
        if name == REAL or any(arm.name == name for arm in arms):
            raise FlawsmithError(f"there are two arms called {name}; --synthetic NAME=FOLDER")
        arms.append(Arm(name, folders=tuple(sorted(of_fold.items()))))
    return arms + _selected_arms(settings, arms)


def _selected_arms(settings: BenefitSettings, arms: list[Arm]) -> list[Arm]:
    """Return an arm for each that is tested once more with what is recognised of its images."""
    known = {arm.name: arm for arm in arms}
    selected = []
    for name in dict.fromkeys(settings.select):
        if name not in known:
            raise FlawsmithError(
                f"--select {name}: no arm of this test with synthetic images; it has "
                f"{', '.join(known) or 'none'}"
            )
        own = f"{name}{SELECTED}"
        if own in known:
            raise FlawsmithError(f"there are two arms called {own}; name the other one otherwise")
        selected.append(replace(known[name], name=own, source=name))
    return selected


def _trained_arm(text: str) -> Arm:
    """Return the arm of SYSTEM or NAME=SYSTEM, with key=value after it."""
    try:
        head, *overrides = shlex.split(text) or [""]
    except ValueError as error:
        raise FlawsmithError(f"--arm {text}: {error}; close the quotes") from None
    name, named, system = head.partition("=")
    if not named:
        name = system = head
    SYSTEMS.get(system)
    if overrides and not named:
        raise FlawsmithError(
            f"--arm '{text}': an arm with settings of its own needs a name: --arm 'NAME={text}'"
        )
    wrong = [override for override in overrides if not re.match(r"[\w.]+=.", override)]
    if wrong or name == REAL or not re.fullmatch(r"[\w.-]+", name):
        raise FlawsmithError(
            f"--arm '{text}': expected 'NAME=SYSTEM key=value ...' with a name of letters, digits "
            f"and _ that is not {REAL}, such as 'uniform=bagan_gp loss.wrong_label=uniform'"
        )
    return Arm(name, system=system, overrides=tuple(overrides))


def _classes_alone(arm: Arm, settings: BenefitSettings, dataset: DefectDataset) -> tuple[str, ...]:
    """Return the defects of which an arm needs a training each, so that its images have a label.

    Raises:
        FlawsmithError: if its images cannot be labelled whatever it is trained on.
    """
    given = [*settings.synthesizer_overrides, *arm.overrides]
    config = configure(arm.system, settings.preset, dataset.root, fold=None, overrides=given)
    if config.data.labels == "pixel":
        return ()
    records = dataset.usable().records
    reason = unlabelled(config, dataset.schema, records)
    if reason is None:
        return ()
    if getattr(config, "only", "") is not None:
        raise FlawsmithError(f"--arm {arm.name}: {reason}")
    shown = {label for record in records for label in record.labels}
    return tuple(name for name in dataset.schema.defect_names if name in shown)


def _read_settings(folder: Path) -> SynthesisSettings:
    settings = SynthesisSettings.load(folder)
    if settings is None:
        raise FlawsmithError(
            f"{folder} has no {SETTINGS_FILE}, so nobody knows which fold it left out; expected "
            "a folder that flawsmith synthesize made"
        )
    return settings
