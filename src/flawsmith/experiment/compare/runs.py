"""A comparison at work: the first step that is not done, then the next, until time is up.

A finished step is a line of the ledger and is never done again. A system that fails is recorded
with its reason; the others go on.
"""

import functools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.whole_images import kind_of_labels
from flawsmith.errors import FlawsmithError, InterruptionError
from flawsmith.experiment.balance import Balance, balance
from flawsmith.experiment.benefit.arms import Arm
from flawsmith.experiment.benefit.finished import finish, finished_seconds
from flawsmith.experiment.benefit.hours import (
    Hours,
    PlannedStep,
    model_workload,
    synthesizer_workload,
)
from flawsmith.experiment.benefit.mix import FALLBACK_MIX, Mix
from flawsmith.experiment.benefit.plan import Step as TestStep
from flawsmith.experiment.benefit.plan import require_folds
from flawsmith.experiment.benefit.settings import REAL
from flawsmith.experiment.compare import work
from flawsmith.experiment.compare.balanced_set import balanced_plan, keep_known
from flawsmith.experiment.compare.examples import collect_banks, draw_examples
from flawsmith.experiment.compare.failures import Failures, read_object
from flawsmith.experiment.compare.identity import CompareIdentity
from flawsmith.experiment.compare.plan import MINUTES, CompareSettings, Step, is_trained, make_steps
from flawsmith.experiment.drawing import Banks
from flawsmith.experiment.ledger import append_line, read_lines
from flawsmith.experiment.training_data import training_records
from flawsmith.storage import exclusive, write_text
from flawsmith.training.loop import Hooks

LEDGER_FILE = "ledger.jsonl"
PLAN_FILE = "plan.json"
TRIAL_SECONDS = 60.0
"""Of timing a budget, until one was timed."""
SCORED_PER_SECOND = 8.0
"""Images, until a set was scored."""
RULES_SECONDS = 60.0
Line = work.Line


class SystemComparison:
    """One comparison: data, settings, and what the ledger knows of it already.

    Args:
        data: the defect data set with frozen folds.
        out: folder for runs, synthetic sets and the page; nothing is written before `run`.
        settings: what is asked for.
        ledger: where finished steps are found and entered; default ``out/ledger.jsonl``.

    Raises:
        FlawsmithError: if data and settings do not fit together.
    """

    def __init__(
        self, data: Path, out: Path, settings: CompareSettings, ledger: Path | None = None
    ) -> None:
        self.dataset = DefectDataset.open(data)
        if kind_of_labels(data) == "image":
            raise FlawsmithError(
                f"the labels of {data} are for whole images; systems are compared by models that "
                "find defects pixel by pixel, which needs masks: draw some, or compare systems "
                f"with: flawsmith benefit {data} --arm bagan_gp --out FOLDER"
            )
        self.out, self.settings, self.ledger = out, settings, ledger or out / LEDGER_FILE
        require_folds(self.dataset, [settings.fold])
        self.steps = make_steps(settings)
        self.lines = {line["key"]: line for line in read_lines(self.ledger) if "key" in line}
        arms = {name: Arm(name, system=name) for name in settings.systems}
        self.identity = CompareIdentity(
            self.dataset,
            self.dataset.fingerprint(),
            out,
            settings.for_test(),
            arms,
            settings,
        )
        self._require_valid()
        self.balance = self._balance()
        self.identity.budgets.update(self._known_budgets())
        missing = {s.title(settings.model) for s in self.steps if self.line(s) is None}
        self.failures = Failures(out, missing)
        self.hours = Hours(self.dataset.schema)
        for step in self.steps:
            self._note_time(step)

    def _require_valid(self) -> None:
        model = TestStep("model", REAL, self.settings.fold, self.settings.model)
        self.identity.segmentation_config(model, None)
        sizes = {
            system: self.identity.synthesizer_config(self._as_test(system)).training.tile_size
            for system in self.settings.systems
        }
        if len(set(sizes.values())) > 1:
            raise FlawsmithError(
                "systems are compared at one resolution, these have tiles of "
                f"{', '.join(f'{size} px ({name})' for name, size in sizes.items())}; give "
                f"--system-set {max(sizes, key=lambda n: sizes[n])}.training.tile_size="
                f"{min(sizes.values())}"
            )
        self.tile_size = next(iter(sizes.values()))

    def _balance(self) -> Balance:
        first = self.identity.synthesizer_config(self._as_test(self.settings.systems[0]))
        records, _ = training_records(self.dataset, first.data)
        if not any(record.mask_file_name for record in records):
            raise FlawsmithError(
                f"no training image of {self.dataset.root} has a mask; systems are compared by "
                "models that find defects pixel by pixel: label some masks"
            )
        found = balance(records, self.dataset.schema, self.settings.per_class)
        balanced_plan(found, self.settings.per_class)
        return found

    def _known_budgets(self) -> dict[str, int]:
        """Return the images of each trained system as far as they are fixed."""
        settings, found = self.settings, {}
        saved = read_object(self.out / PLAN_FILE).get("budgets", {})
        for system in filter(is_trained, settings.systems):
            step = self._as_test(system)
            if settings.images is not None:
                batch = self.identity.synthesizer_config(step).training.batch_size
                found[system] = max(1, round(settings.images / batch)) * batch
                continue
            key = self.identity.budget_key(step)
            line = self.lines.get(key)
            if line is None and saved.get(system, {}).get("key") == key:
                line = self.lines[key] = saved[system]
            if line is not None:
                found[system] = int(line["images"])
        return found

    def _as_test(self, arm: str, seed: int = 0) -> TestStep:
        return Step("synthesizer", arm, seed).as_test(self.settings)

    def key(self, step: Step) -> str | None:
        """Return the key of a step; None where it follows from a budget that is not fixed yet."""
        test, identity = step.as_test(self.settings), self.identity
        if step.kind == "machine_vision":
            return identity.rules_key()
        if step.kind == "budget":
            return identity.budget_key(test)
        if step.arm == REAL:
            return identity.model_key(test, None)
        if is_trained(step.arm) and step.arm not in identity.budgets:
            return None
        if step.kind == "synthesizer":
            return identity.synthesizer_key(test)
        if step.kind == "synthesis":
            return identity.set_key(test)
        return identity.score_key(test) if step.kind == "score" else identity.model_key(test, MIX)

    def line(self, step: Step) -> Line | None:
        """Return the ledger line of a finished step.

        A benefit test may have trained the same model, but its line has no counts of defects.
        """
        key = self.key(step)
        line = None if key is None else self.lines.get(key)
        if line is None or (step.kind == "model" and "defects_found" not in line):
            return None
        return line

    def is_needed(self, step: Step) -> bool:
        """Whether a step is to be done: it has no line, or what it made is needed and is gone."""
        if self.line(step) is None:
            return True
        if step.kind == "synthesis":
            users = [s for s in self.steps if s.arm == step.arm and s.kind in ("score", "model")]
            missing = any(self.line(user) is None for user in users)
            return missing and not self._has_set(step.arm)
        if step.kind == "synthesizer":
            made = self.identity.synthesizer_folder(self._as_test(step.arm))
            return self.is_needed(Step("synthesis", step.arm)) and finished_seconds(made) is None
        return False

    def _has_set(self, arm: str) -> bool:
        return finished_seconds(self.identity.whole_folder(self._as_test(arm))) is not None

    def run(self, hooks: Hooks, say: Callable[[str], None], *, hours: float | None = None) -> bool:
        """Do the missing steps in order; return whether all are done that did not fail.

        Args:
            hooks: progress bars and lines of what is trained.
            say: prints the title of a step.
            hours: stop before the first step that would end later than that.
        """
        if not any(self.is_needed(step) for step in self.steps):
            return True
        self.out.mkdir(parents=True, exist_ok=True)
        with exclusive(self.out, what="comparison"):
            self._save_plan()
            return self._run(hooks, say, hours)

    def _run(self, hooks: Hooks, say: Callable[[str], None], hours: float | None) -> bool:
        begin, failed = time.perf_counter(), set[str]()
        for step in self.steps:
            if step.arm in failed or not self.is_needed(step):
                continue
            title = step.title(self.settings.model)
            if hours is not None:
                left, seconds = hours - (time.perf_counter() - begin) / 3600, self.seconds(step)
                if seconds / 3600 > left:
                    say(
                        f"stops before: {title} (about {seconds / 3600:.2f} h, "
                        f"{max(0.0, left):.2f} h left); the same command goes on"
                    )
                    return False
            say(title)
            try:
                self._do(step, hooks)
            except InterruptionError:
                raise
            except Exception as error:
                # Whatever one system does wrong, hours of the others must not be lost.
                if step.arm == REAL:
                    raise
                if step.kind != "score":  # without it an inspection model can be trained
                    failed.add(step.arm)
                self.failures.note(step.arm, title, error)
                say(f"{step.arm} failed: {self.failures[step.arm]['reason']}")
                continue
            self._note_time(step)
            self.failures.end(step.arm, title)
        return True

    def _do(self, step: Step, hooks: Hooks) -> None:
        test, identity = step.as_test(self.settings), self.identity
        if step.kind == "budget":
            line = self._fix_budget(step, test, hooks)
        elif step.kind == "synthesizer":
            run = identity.synthesizer_folder(test)
            line = work.train(identity.synthesizer_config(test), run, hooks)
        elif step.kind == "synthesis":
            line = self._make_set(test, hooks)
        elif step.kind == "score":
            line = work.compare_with_real(
                identity.whole_folder(test),
                self.dataset.root,
                identity.synthesizer_folder(test),
                identity.score_folder(test),
                hooks,
            )
        elif step.kind == "machine_vision":
            line = work.train_and_test(identity.rules_config(), identity.rules_folder(), hooks)
        else:
            self._keep_known(step.arm, test)
            mix = self.mix(step.arm)
            config, run = identity.segmentation_config(test, mix), identity.model_folder(test, mix)
            line = work.train_and_test(config, run, hooks)
            line |= {"seed": step.seed, "mix": None if mix is None else mix.model_dump()}
        self._enter(step, line)

    def _enter(self, step: Step, line: Line) -> None:
        key = self.key(step)
        assert key is not None  # its budget is fixed by now
        known = {"kind": step.kind, "key": key, "arm": step.arm, "fold": self.settings.fold}
        self.lines[key] = known | {"data": self.identity.fingerprint} | line
        append_line(self.ledger, self.lines[key])
        if step.kind == "budget":
            self._save_plan()

    def _fix_budget(self, step: Step, test: TestStep, hooks: Hooks) -> Line:
        config = self.identity.synthesizer_config(test)
        folder = self.out / "trials" / step.arm
        rate, seconds = work.time_steps(config, folder, hooks)
        wanted = 60.0 * (self.settings.minutes or MINUTES)
        images = work.images_in(wanted, rate, config.training.batch_size)
        self.identity.budgets[step.arm] = images
        hooks.report(f"{step.arm}: {rate:.2f} images/s, so {images:,} images")
        return {
            "images": images,
            "images_per_second": round(rate, 3),
            "minutes": self.settings.minutes or MINUTES,
            "seconds": round(seconds, 1),
        }

    def _make_set(self, test: TestStep, hooks: Hooks) -> Line:
        identity = self.identity
        run, whole = identity.synthesizer_folder(test), identity.whole_folder(test)
        line = work.make_set(run, self.dataset, whole, self.settings.per_class, hooks)
        draw_examples(run, self.banks, identity.examples_folder(test))
        finish(whole, line["seconds"])
        return line

    def _keep_known(self, arm: str, test: TestStep) -> None:
        """Make the part of a set that models are trained with again, where that alone is gone."""
        made = self.line(Step("synthesis", arm)) if arm != REAL else None
        if made is not None:
            identity = self.identity
            keep_known(identity.whole_folder(test), identity.known_folder(test), made["unknown"])

    @functools.cached_property
    def banks(self) -> Banks:
        """Where the label maps of the example pictures come from, the same for all systems."""
        config = self.identity.synthesizer_config(self._as_test(self.settings.systems[0]))
        records, _ = training_records(self.dataset, config.data)
        return collect_banks(self.dataset, [r for r in records if r.source == "real"])

    def _save_plan(self) -> None:
        """Write what is asked for, and the images that each budget is fixed to."""
        budgets = {}
        for system in filter(is_trained, self.settings.systems):
            line = self.line(Step("budget", system)) if self.settings.images is None else None
            if line is not None:
                budgets[system] = line
            elif system in self.identity.budgets:
                budgets[system] = {"images": self.identity.budgets[system]}
        plan = {
            "data": self.identity.fingerprint,
            "settings": self.settings.model_dump(),
            "budgets": budgets,
        }
        write_text(self.out / PLAN_FILE, json.dumps(plan, indent=1) + "\n")

    def mix(self, arm: str) -> Mix | None:
        """Return the training mix of an arm; None for ``real``."""
        return None if arm == REAL else MIX

    def plan(self) -> Iterator[PlannedStep[Step]]:
        """Yield every step with what it will take; writes nothing."""
        for step in self.steps:
            needed = self.is_needed(step)
            measured = self.hours.measured(self._workload(step))
            yield PlannedStep(step, not needed, self.seconds(step) if needed else 0.0, measured)

    def seconds(self, step: Step) -> float:
        """Return the seconds that a step will take."""
        test = step.as_test(self.settings)
        made = sum(self.balance.added.values())
        if step.kind == "model":
            return self.hours.model(self.identity.segmentation_config(test, self.mix(step.arm)))
        if step.kind == "synthesis":
            return self.hours.synthesis(step.arm, made)
        if step.kind == "synthesizer":
            if is_trained(step.arm) and self.settings.images is None:
                return 60.0 * (self.settings.minutes or MINUTES)
            return self.hours.synthesizer(self.identity.synthesizer_config(test))
        guesses = {"budget": TRIAL_SECONDS, "machine_vision": RULES_SECONDS}
        guess = guesses.get(step.kind, made / SCORED_PER_SECOND)
        return self.hours.seconds_of(self._workload(step), lambda: guess)

    def _note_time(self, step: Step) -> None:
        line = self.line(step)
        if line is not None:
            self.hours.add(self._workload(step), float(line["seconds"]))

    def _workload(self, step: Step) -> tuple[str, str, int]:
        test = step.as_test(self.settings)
        if step.kind == "model":
            return model_workload(self.identity.segmentation_config(test, self.mix(step.arm)))
        if step.kind == "synthesizer":
            return synthesizer_workload(self.identity.synthesizer_config(test))
        # Timing and fitting differ between systems; a score takes as long for each.
        images = sum(self.balance.added.values()) if step.kind in ("synthesis", "score") else 0
        return step.kind, "" if step.kind == "score" else step.arm, images


MIX = FALLBACK_MIX
"""A quarter of each class's crops is synthetic, over the whole run."""
