"""The benefit test at work: the first step that is not done, then the next, until time is up.

A finished inspection model is a line of the ledger and is never trained again; a synthesizer or a
synthetic set that is complete has a small file that says so. What a kill left half done goes on
from its checkpoint.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.tiles import SyntheticShare
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.benefit import work
from flawsmith.experiment.benefit.arms import make_arms
from flawsmith.experiment.benefit.finished import (
    FINISHED_FILE,
    finished_seconds,
    trained_share,
)
from flawsmith.experiment.benefit.hours import (
    Hours,
    PlannedStep,
    model_workload,
    synthesizer_workload,
)
from flawsmith.experiment.benefit.identity import Identity
from flawsmith.experiment.benefit.mix import FALLBACK_MIX, Mix, Tried, best_mix, best_of_each
from flawsmith.experiment.benefit.plan import Step, make_steps, require_folds
from flawsmith.experiment.benefit.settings import (
    ALWAYS,
    REAL,
    BenefitSettings,
    Level,
    class_amounts,
    complete,
)
from flawsmith.experiment.benefit.work import VALIDATION, VALIDATION_CLASSES, Line, has_weights
from flawsmith.experiment.ledger import append_line, read_lines
from flawsmith.experiment.training_data import training_records
from flawsmith.models.classifiers import CLASSIFIERS
from flawsmith.storage import exclusive
from flawsmith.training.loop import Hooks

LEDGER_FILE = "ledger.jsonl"


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
        if settings.select and self.level == "image":
            raise FlawsmithError(
                f"--select {settings.select[0]}: {settings.models[0]} scores whole images, and "
                "what is kept is recognised inside its mask; leave --select out, or give masks and "
                "a network such as efficientnet_lite0"
            )
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
            if hours is not None:
                left, seconds = hours - (time.perf_counter() - begin) / 3600, self.seconds(step)
                if seconds / 3600 > left:
                    say(
                        f"stops before: {step.title} (about {seconds / 3600:.2f} h, "
                        f"{max(0.0, left):.2f} h left); the same command goes on"
                    )
                    return False
            say(step.title)
            self._do(step, hooks)
            self._note_time(step)
        return True

    def plan(self) -> Iterator[PlannedStep[Step]]:
        """Yield every step with what it will take; writes nothing."""
        counted = set()
        for step in self.steps:
            done, needed = self.is_done(step), self._is_needed(step)
            if needed and step.kind in ("screen", "model"):
                key = self.identity.model_key(step, self._likely_mix(step))
                needed = key not in counted
                counted.add(key)
            measured = self.hours.measured(self._workload(step))
            seconds = self.seconds(step) if needed else 0.0
            yield PlannedStep(step, done, seconds, measured, needed or done)

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
        fold, found = self.choosing_fold(arm), []
        for step in self.steps:
            if step.kind == "screen" and step.fold == fold and step.arm in (arm, REAL):
                one = self._tried(step)
                if one is None:
                    return None
                found.append(one)
        return found

    def choosing_fold(self, arm: str) -> int | None:
        """Return the fold in which amount and schedule of an arm are chosen; None: in none."""
        folds = [step.fold for step in self.steps if step.kind == "screen" and step.arm == arm]
        return folds[0] if folds else None

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
        if step.kind in ("screen", "model"):
            return self._line(step) is not None
        return (self.identity.folder(step) / FINISHED_FILE).is_file()

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
            and other.fold == step.fold
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
        return any(
            self._is_needed(other) and not self.is_empty(other) for other in self._users(step)
        )

    def _users(self, step: Step) -> Iterator[Step]:
        """Yield what needs the images that a step makes, or helps to make."""
        place = (step.fold, step.share, step.draw)
        for other in self.steps:
            arm = other.arm if other.kind in ("screen", "model") else ""
            if other.kind == "selection" and step.kind != "selection":
                arm = self.identity.arms[other.arm].source
            if arm == step.arm and (other.fold, other.share, other.draw) == place:
                yield other

    def is_empty(self, step: Step) -> bool:
        """Whether a step of an arm is known to add no synthetic image, so that it is ``real``'s."""
        mix = self.step_mix(step)
        return mix is not None and mix.is_empty

    def seconds(self, step: Step) -> float:
        """Return the seconds that a step will take, or its rest where a kill left it half done."""
        if step.kind == "synthesizer":
            config = self.identity.synthesizer_config(step)
            run = self.identity.synthesizer_folder(step)
            return self.hours.synthesizer(config, trained_share(run, config.training.total_images))
        if step.kind == "synthesis":
            return self.hours.synthesis(self.identity.arms[step.arm].system, self._set_size(step))
        if step.kind == "selection":
            return self._selection_seconds(step)
        return self._model_seconds(step, self._likely_mix(step))

    def _model_seconds(self, step: Step, mix: Mix | None) -> float:
        config, run = self.identity.model_config(step, mix), self.identity.model_folder(step, mix)
        return self.hours.model(config, trained_share(run, config.training.total_images))

    def _selection_seconds(self, step: Step) -> float:
        judge = self.identity.judge(step)
        seconds = self.hours.synthesis("selection", self._set_size(step))
        if self.is_done(judge) and not has_weights(self.identity.judge_folder(step)):
            seconds += self._model_seconds(judge, None)  # its figures came from a ledger
        return seconds

    def _likely_mix(self, step: Step) -> Mix | None:
        return None if step.arm == REAL else self.step_mix(step) or FALLBACK_MIX

    def _set_size(self, step: Step) -> int:
        return self.settings.per_class * (1 if step.only else self.dataset.schema.num_defects)

    def _workload(self, step: Step) -> tuple[str, str, int]:
        if step.kind == "synthesizer":
            return synthesizer_workload(self.identity.synthesizer_config(step))
        if step.kind == "synthesis":
            return "synthesis", self.identity.arms[step.arm].system, self._set_size(step)
        if step.kind == "selection":
            return "synthesis", "selection", self._set_size(step)
        return model_workload(self.identity.model_config(step, self._likely_mix(step)))

    def finished_seconds(self, step: Step) -> float | None:
        """Return what a step took; None if it is not done."""
        if step.kind not in ("screen", "model"):
            return finished_seconds(self.identity.folder(step))
        line = self._line(step)
        return None if line is None else float(line["seconds"])

    def _note_time(self, step: Step) -> None:
        seconds = self.finished_seconds(step)
        if seconds is not None:
            self.hours.add(self._workload(step), seconds)

    def _do(self, step: Step, hooks: Hooks) -> None:
        identity, mix = self.identity, self.step_mix(step)
        if step.kind in ("synthesizer", "synthesis"):
            make = work.train_system if step.kind == "synthesizer" else work.make_images
            try:
                make(identity, step, hooks)
            except FlawsmithError as error:
                if step.arm not in ALWAYS[self.level]:
                    raise
                text = f"{error}; to test the other arms alone give --without {step.arm}"
                raise FlawsmithError(text) from None
        elif step.kind == "selection":
            work.select_images(identity, step, hooks)
        else:
            line = work.train_and_test(identity, step, mix, self.level, hooks)
            append_line(self.ledger, line)
            self.lines[line["key"]] = line
