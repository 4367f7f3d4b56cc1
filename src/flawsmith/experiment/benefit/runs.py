"""The benefit test at work: the first step that is not done, then the next, until time is up.

A finished inspection model is a line of the ledger and is never trained again; a synthesizer or a
synthetic set that is complete has a small file that says so. What a kill left half done goes on
from its checkpoint.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.folds import part_defects
from flawsmith.data.tiles import DataConfig, SyntheticShare
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.balance import balance
from flawsmith.experiment.benefit.finished import (
    FINISHED_FILE,
    finish,
    finished_seconds,
    trained_seconds,
)
from flawsmith.experiment.benefit.hours import (
    Hours,
    PlannedStep,
    model_workload,
    synthesizer_workload,
)
from flawsmith.experiment.benefit.identity import Identity
from flawsmith.experiment.benefit.mix import FALLBACK_MIX, Mix, Tried, best_mix, best_of_each
from flawsmith.experiment.benefit.plan import (
    REAL,
    BenefitSettings,
    Level,
    Step,
    class_amounts,
    complete,
    make_arms,
    make_steps,
    require_folds,
)
from flawsmith.experiment.ledger import append_line, ledger_line, part_figures, read_lines
from flawsmith.experiment.synthesis import synthesis_records, synthesize
from flawsmith.experiment.train_model import evaluate_run, train_model
from flawsmith.experiment.train_synthesizer import train_synthesizer
from flawsmith.experiment.training_data import training_records
from flawsmith.metrics.evaluation import EVALUATION_FILE, Evaluation
from flawsmith.models.classifiers import CLASSIFIERS
from flawsmith.storage import exclusive
from flawsmith.training import checkpoint as ckpt
from flawsmith.training.config import CONFIG_FILE
from flawsmith.training.logs import read_metrics
from flawsmith.training.loop import Hooks

LEDGER_FILE = "ledger.jsonl"
VALIDATION: dict[Level, str] = {
    "pixel": "validation_macro_iou",
    "image": "validation_macro_average_precision",
}
"""Name in the ledger of what chooses amount and schedule."""
VALIDATION_CLASSES = "validation_classes"
"""Name in the ledger of the same for each class."""
CLASS_FIGURES: dict[Level, str] = {"pixel": "val/iou_", "image": "val/average_precision_"}
"""What the figure of a class is called in a run's metrics."""
Line = dict[str, Any]


class BenefitTest:
    """One benefit test: data, settings, and what the ledger knows of it already.

    Args:
        data: the defect data set with frozen folds.
        out: folder for runs, synthetic sets and the report; nothing is written before `run`.
        settings: what is asked for.
        ledger: where finished runs are found and entered; default ``out/ledger.jsonl``.

    Raises:
        FlawsmithError: if data and settings do not fit together.
    """

    def __init__(
        self, data: Path, out: Path, settings: BenefitSettings, ledger: Path | None = None
    ) -> None:
        dataset = DefectDataset.open(data)
        settings = complete(settings, data)
        self.out, self.settings, self.ledger = out, settings, ledger or out / LEDGER_FILE
        self.folds = require_folds(dataset, settings.folds)
        self.arms = make_arms(settings, dataset)
        arms = {arm.name: arm for arm in self.arms}
        self.identity = Identity(dataset, dataset.fingerprint(), out, settings, arms)
        self.dataset = dataset
        self.class_amounts = class_amounts(settings, dataset.schema)
        self.level: Level = "image" if settings.models[0] in CLASSIFIERS else "pixel"
        self.steps = make_steps(settings, self.arms, self.folds)
        self.lines = {line["key"]: line for line in read_lines(self.ledger) if "key" in line}
        self.hours = Hours(dataset.schema)
        for step in self.steps:
            self._require_valid(step)
            if self.is_done(step):
                self._note_time(step)

    def _require_valid(self, step: Step) -> None:
        if step.kind == "synthesizer":
            self.identity.synthesizer_config(step)
        elif step.kind != "synthesis":
            config = self.identity.model_config(step, FALLBACK_MIX)
            training_records(self.dataset, config.data)

    def run(self, hooks: Hooks, say: Callable[[str], None], *, hours: float | None = None) -> bool:
        """Do the missing steps in order; return whether all are done.

        Args:
            hooks: progress bars and lines of what is trained.
            say: prints the title of a step.
            hours: stop before the first step that would end later than that.
        """
        if not any(self._is_needed(step) for step in self.steps):
            return True
        self.out.mkdir(parents=True, exist_ok=True)
        with exclusive(self.out, what="benefit test"):
            return self._run(hooks, say, hours)

    def _run(self, hooks: Hooks, say: Callable[[str], None], hours: float | None) -> bool:
        begin = time.perf_counter()
        for step in self.steps:
            if not self._is_needed(step):
                continue
            used, seconds = time.perf_counter() - begin, self.seconds(step)
            if hours is not None and used + seconds > hours * 3600:
                say(
                    f"stops before: {step.title} (about {seconds / 3600:.2f} h, "
                    f"{max(0.0, hours - used / 3600):.2f} h left); "
                    "the same command goes on"
                )
                return False
            say(step.title)
            self._do(step, hooks)
            self._note_time(step)
        return True

    def plan(self) -> Iterator[PlannedStep[Step]]:
        """Yield every step with what it will take; writes nothing."""
        for step in self.steps:
            needed = self._is_needed(step)
            measured = self.hours.measured(self._workload(step))
            yield PlannedStep(step, not needed, self.seconds(step) if needed else 0.0, measured)

    def mix(self, arm: str) -> Mix | None:
        """Return amount and schedule of an arm; None while short runs that choose are missing."""
        settings = self.settings
        if not settings.chooses:
            given = self.class_amounts or settings.amounts[0]
            return Mix(amount=given, schedule=settings.schedules[0])
        tried = self.screened(arm)
        if tried is None:
            return None
        amount: SyntheticShare = self.class_amounts or FALLBACK_MIX.amount
        if settings.each_class and tried:
            amount = best_of_each(tried, self.dataset.schema.defect_names)
            tried = [one for one in tried if one.mix is not None and one.mix.amount == amount]
        fallback = Mix(amount=amount, schedule=FALLBACK_MIX.schedule)
        return best_mix(tried, settings.schedules) or fallback

    def screened(self, arm: str) -> list[Tried] | None:
        """Return what was tried for an arm, nothing if no fold chooses; None while some miss."""
        if not any(step.kind == "screen" and step.arm == arm for step in self.steps):
            return []
        found = []
        for step in self.steps:
            if step.kind == "screen" and step.arm in (arm, REAL):
                one = self._tried(step)
                if one is None:
                    return None
                found.append(one)
        return found

    def _tried(self, step: Step) -> Tried | None:
        line = self._line(step)
        if line is None:
            return None
        return Tried(
            mix=self.step_mix(step),
            value=line[VALIDATION[self.level]],
            classes=line.get(VALIDATION_CLASSES, {}),
        )

    def results(self) -> list[tuple[Step, Line]]:
        """Return the tested inspection models of this test, each with the mix of its own arm.

        An arm without any synthetic image has the lines of ``real``.
        """
        found = []
        for step in self.steps:
            if step.kind == "model" and (line := self._line(step)) is not None:
                mix = self.step_mix(step)
                found.append((step, line | {"mix": None if mix is None else mix.model_dump()}))
        return found

    def is_done(self, step: Step) -> bool:
        """Whether a step's result is there."""
        if step.kind == "synthesizer":
            return (self.identity.synthesizer_folder(step) / FINISHED_FILE).is_file()
        if step.kind == "synthesis":
            return (self.identity.synthetic_folder(step) / FINISHED_FILE).is_file()
        return self._line(step) is not None

    def _line(self, step: Step) -> Line | None:
        mix = self.step_mix(step)
        if step.arm != REAL and mix is None:
            return None
        return self.lines.get(self.identity.model_key(step, mix))

    def step_mix(self, step: Step) -> Mix | None:
        """Return the mix that a step trains with; None for ``real``, or if it is still open."""
        if step.arm == REAL:
            return None
        return self._screen_mix(step) if step.kind == "screen" else self.mix(step.arm)

    def _screen_mix(self, step: Step) -> Mix | None:
        """Return what a short run tries: a later schedule takes the best amount of the first."""
        if step.amount is not None:
            return Mix(amount=step.amount, schedule=step.schedule)
        settings = self.settings
        if self.class_amounts:
            return Mix(amount=self.class_amounts, schedule=step.schedule)
        first = [
            self._tried(other)
            for other in self.steps
            if other.kind == "screen"
            and (other.arm == REAL or (other.arm == step.arm and other.amount is not None))
        ]
        tried = [one for one in first if one is not None]
        if len(tried) < len(first):
            return None
        if settings.each_class:
            amount = best_of_each(tried, self.dataset.schema.defect_names)
            return Mix(amount=amount, schedule=step.schedule)
        best = best_mix(tried, settings.schedules) or FALLBACK_MIX
        return Mix(amount=best.amount, schedule=step.schedule)

    def _is_needed(self, step: Step) -> bool:
        """Whether a step is to be done: not done yet, and asked for by one that is not done."""
        if self.is_done(step):
            return False
        if step.kind in ("screen", "model"):
            return True
        place = (step.arm, step.fold, step.share, step.draw)
        return any(
            other.kind in ("screen", "model")
            and (other.arm, other.fold, other.share, other.draw) == place
            and not self.is_done(other)
            and not self.is_empty(other)
            for other in self.steps
        )

    def is_empty(self, step: Step) -> bool:
        """Whether a step of an arm is known to add no synthetic image, so that it is ``real``'s."""
        mix = self.step_mix(step)
        return mix is not None and mix.is_empty

    def seconds(self, step: Step) -> float:
        """Return the seconds that a step will take."""
        if step.kind == "synthesizer":
            return self.hours.synthesizer(self.identity.synthesizer_config(step))
        if step.kind == "synthesis":
            return self.hours.synthesis(self.identity.arms[step.arm].system, self._set_size(step))
        return self.hours.model(self.identity.model_config(step, self._likely_mix(step)))

    def _likely_mix(self, step: Step) -> Mix | None:
        return None if step.arm == REAL else self.step_mix(step) or FALLBACK_MIX

    def _set_size(self, step: Step) -> int:
        return self.settings.per_class * (1 if step.only else self.dataset.schema.num_defects)

    def _workload(self, step: Step) -> tuple[str, str, int]:
        if step.kind == "synthesizer":
            return synthesizer_workload(self.identity.synthesizer_config(step))
        if step.kind == "synthesis":
            return "synthesis", self.identity.arms[step.arm].system, self._set_size(step)
        return model_workload(self.identity.model_config(step, self._likely_mix(step)))

    def finished_seconds(self, step: Step) -> float | None:
        """Return what a step took; None if it is not done."""
        if step.kind == "synthesizer":
            return finished_seconds(self.identity.synthesizer_folder(step))
        if step.kind == "synthesis":
            return finished_seconds(self.identity.synthetic_folder(step))
        line = self._line(step)
        return None if line is None else float(line["seconds"])

    def _note_time(self, step: Step) -> None:
        seconds = self.finished_seconds(step)
        if seconds is not None:
            self.hours.add(self._workload(step), seconds)

    def _do(self, step: Step, hooks: Hooks) -> None:
        if step.kind == "synthesizer":
            self._train_synthesizer(step, hooks)
        elif step.kind == "synthesis":
            self._synthesize(step, hooks)
        else:
            self._train_model(step, hooks)

    def _train_synthesizer(self, step: Step, hooks: Hooks) -> None:
        run = self.identity.synthesizer_folder(step)
        begin, before = time.perf_counter(), trained_seconds(run)
        config = self.identity.synthesizer_config(step)
        train_synthesizer(config, run, hooks, resume=(run / CONFIG_FILE).is_file())
        finish(run, before + time.perf_counter() - begin)

    def _synthesize(self, step: Step, hooks: Hooks) -> None:
        run, out = self.identity.synthesizer_folder(step), self.identity.synthetic_folder(step)
        records = synthesis_records(run, self.dataset)
        labels = self.identity.synthesizer_config(step).data.labels
        wanted = balance(records, self.dataset.schema, None, labels=labels)
        plan = {
            name: self.settings.per_class
            for name, count in wanted.before.items()
            if count and name not in wanted.without_masks and step.only in ("", name)
        }
        begin = time.perf_counter()
        with hooks.bar("synthesize", sum(plan.values())) as advance:
            synthesize(run, self.dataset, out, plan=plan, advance=advance)
        finish(out, time.perf_counter() - begin)

    def _train_model(self, step: Step, hooks: Hooks) -> None:
        mix = self.step_mix(step)
        config, key = self.identity.model_config(step, mix), self.identity.model_key(step, mix)
        run = self.identity.model_folder(step, mix)
        begin, before = time.perf_counter(), trained_seconds(run)
        train_model(config, run, hooks, resume=(run / CONFIG_FILE).is_file())
        line: Line = {
            "kind": step.kind,
            "key": key,
            "seed": step.seed,
            "share": step.share,
            "draw": step.draw,
            "mix": None if mix is None else mix.model_dump(),
        }
        if step.kind == "screen":
            line |= {"arm": step.arm, "model": step.network, "fold": step.fold}
            line |= _validation_figures(run, self.level)
        else:
            if not (run / EVALUATION_FILE).is_file():
                evaluate_run(run, hooks)
            line |= ledger_line(run)
            line["real_parts"] = real_parts(self.dataset, config.data)
            line["parts"] = part_figures(Evaluation.load(run))
        line["seconds"] = round(before + time.perf_counter() - begin, 1)
        append_line(self.ledger, line)
        self.lines[key] = line


def real_parts(dataset: DefectDataset, data: DataConfig) -> int:
    """Return the number of defective real parts that a run might see."""
    training, validation = training_records(dataset, data)
    return sum(bool(names) for names in part_defects([*training, *validation]).values())


def _validation_figures(run: Path, level: Level) -> Line:
    """Return the best macro figure on the inner validation parts, and of each class beside it."""
    saved = ckpt.checkpoints(run)
    if not saved:
        raise FlawsmithError(f"{run} has no checkpoint; remove it and try again")
    progress = ckpt.read_state(saved[-1])["progress"]
    value = progress["best_value"]
    if value is None:
        return {VALIDATION[level]: None, VALIDATION_CLASSES: {}}
    prefix = CLASS_FIGURES[level]
    classes = {
        name.removeprefix(prefix): round(figure, 4)
        for line in read_metrics(run)
        if line["images"] == progress["best_images"]
        for name, figure in line.items()
        if name.startswith(prefix)
    }
    return {VALIDATION[level]: round(float(value), 4), VALIDATION_CLASSES: classes}
