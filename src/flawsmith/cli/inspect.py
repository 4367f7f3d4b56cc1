"""``flawsmith inspect``: images in, verdicts of parts out."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flawsmith.cli.sinks import SinkUrls, delivering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flawsmith.data.schema import Schema
    from flawsmith.inspection.zones import FindsRegions
    from flawsmith.line.inspector import Inspector, OpenPart
    from flawsmith.line.line_run import LineRun
    from flawsmith.line.part_pattern import PartPattern
    from flawsmith.line.rules import AcceptanceRules
    from flawsmith.line.store import Store
    from flawsmith.line.store.part_record import PartRecord

DEFAULT_WATCH_PATTERN = "{part}.*"

NOTHING_KEPT = (
    "--audit draws parts for a person, who will have no picture to look at: give --keep-images "
    "FOLDER too"
)


Images = Annotated[
    list[str] | None, typer.Argument(help="Images, folders, patterns such as 'in/*.png'.")
]
ModelFolder = Annotated[Path | None, typer.Option(help="Exported model (flawsmith export).")]
RulesFile = Annotated[
    Path | None, typer.Option(help="Acceptance rules (TOML); without, any defect fails the part.")
]
Watch = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Inspect what comes into this folder.")
]
Stdin = Annotated[bool, typer.Option("--stdin", help="Inspect frames from standard input.")]
Pattern = Annotated[
    str | None,
    typer.Option(metavar="PATTERN", help="Part and view in a path: '{part}_{view}.png'."),
]
StoreFile = Annotated[str, typer.Option(help="Results store: file or URL; made if absent.")]
Out = Annotated[
    Path | None, typer.Option(help="Folder for the lines of results, and for overlays.")
]
Format = Annotated[
    str, typer.Option("--format", metavar="json|csv", help="Of the lines on standard output.")
]
Overlays = Annotated[
    bool, typer.Option("--overlays", help="Draw what was found on each image, into --out.")
]
Deadline = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="A part that takes longer is REVIEW.", min=0.001),
]
ViewTimeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="How long a part waits for a view; default: as the rules say, or 30.",
        min=0.001,
    ),
]
Audit = Annotated[
    float, typer.Option(metavar="SHARE", help="Of passed parts that a person sees too.")
]
Beat = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Replaced each second while it runs.")
]
LayoutFile = Annotated[
    Path | None, typer.Option(help="Where zones and masks lie on the part (TOML).")
]
KeepImages = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Keep images that come without a file, for reviews."),
]
Device = Annotated[str, typer.Option(help="CPU, GPU, ... as the backend calls it.")]


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("inspect")(inspect)


def inspect(
    images: Images = None,
    model: ModelFolder = None,
    rules: RulesFile = None,
    watch: Watch = None,
    stdin: Stdin = False,
    part_pattern: Pattern = None,
    store: StoreFile = "results.db",
    out: Out = None,
    line_format: Format = "json",
    overlays: Overlays = False,
    deadline: Deadline = None,
    view_timeout: ViewTimeout = None,
    audit: Audit = 0.0,
    heartbeat: Beat = None,
    part_layout: LayoutFile = None,
    sink: SinkUrls = None,
    device: Device = "CPU",
    keep_images: KeepImages = None,
) -> None:
    """Inspect images: one line for each part, after its verdict is in the results store."""
    from flawsmith.errors import FlawsmithError, InterruptionError
    from flawsmith.line.announcer import Announcer
    from flawsmith.line.heartbeat import Heartbeat
    from flawsmith.line.line_run import LineRun, group_files, stop_on_signals
    from flawsmith.line.part_pattern import PartPattern, require_views
    from flawsmith.line.store import Store

    _require_one_source(images, watch, stdin=stdin)
    if overlays and out is None:
        raise FlawsmithError("--overlays needs a place for the pictures: give --out FOLDER")
    _check_kept(keep_images, audit, stdin=stdin)
    pattern = PartPattern(part_pattern) if part_pattern else None
    files = group_files(_files(images), pattern) if images else []
    with Store(store) as opened, delivering(opened, sink) as told, stop_on_signals() as stop:
        inspector, schema = open_inspector(
            opened, model, rules, device=device, layout=part_layout, deadline_seconds=deadline,
            audit=audit, sinks=told, once=watch is not None, keep_pixels=overlays,
        )  # fmt: skip
        if not stdin:
            require_views(pattern, inspector.rules.expected_views)
        announcer = Announcer(
            sys.stdout, line_format, out=out, schema=schema if overlays else None, warn=_warn
        )
        beat = Heartbeat(heartbeat)
        with _shown(announcer.tell, len(files) or None) as tell:
            run = LineRun(inspector, tell, beat, stop)
            if watch is not None:
                _watch(run, inspector, watch, pattern, view_timeout)
            elif stdin:
                _stream(run, inspector, view_timeout, keep_images)
            done = run.files(files)
        beat.beat(stopped=True)
    if done < len(files):
        raise InterruptionError(
            f"stopped after {done} of {len(files)} parts; their results are in {store}"
        )


def _watch(
    run: LineRun,
    inspector: Inspector,
    folder: Path,
    pattern: PartPattern | None,
    view_timeout: float | None,
) -> None:
    from flawsmith.line.part_pattern import PartPattern
    from flawsmith.line.watch import FolderWatch

    watch = FolderWatch(
        folder,
        inspector,
        pattern or PartPattern(DEFAULT_WATCH_PATTERN),
        view_timeout_seconds=view_timeout,
        on_copy=_warn,
    )
    run.folder(watch, warn=_warn)


def _stream(
    run: LineRun, inspector: Inspector, view_timeout: float | None, keep_images: Path | None
) -> None:
    from flawsmith.line.assembler import PartAssembler
    from flawsmith.line.image_archive import ImageArchive

    archive = ImageArchive(keep_images, inspector.store) if keep_images is not None else None
    # Unbuffered: Python cannot end while a thread waits in the lock of a buffer.
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as frames:
        run.stream(frames, PartAssembler(inspector, timeout_seconds=view_timeout), archive)


def _require_one_source(images: list[str] | None, watch: Path | None, *, stdin: bool) -> None:
    from flawsmith.errors import FlawsmithError

    if bool(images) + (watch is not None) + stdin != 1:
        raise FlawsmithError(
            "give images, or --watch FOLDER, or --stdin: one of the three says what to inspect"
        )


def _check_kept(keep_images: Path | None, audit: float, *, stdin: bool) -> None:
    from flawsmith.errors import FlawsmithError

    if keep_images is not None and not stdin:
        raise FlawsmithError("--keep-images is for --stdin: all other images are files already")
    if audit and stdin and keep_images is None:
        _warn(NOTHING_KEPT)


def _files(given: list[str]) -> list[Path]:
    """Return the image files that the user means, each once.

    Raises:
        FlawsmithError: for a name that stands for no image.
    """
    import glob

    from flawsmith.data.images import is_image_file
    from flawsmith.errors import FlawsmithError

    found: dict[Path, None] = {}
    for name in given:
        path = Path(name)
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if is_image_file(p) and not p.is_dir())
        elif path.exists():
            files = [path]
        else:
            files = sorted(Path(p) for p in glob.glob(name, recursive=True) if Path(p).is_file())
        if not files:
            raise FlawsmithError(f"there is no image at {name}")
        found |= dict.fromkeys(files)
    return list(found)


def open_inspector(
    store: Store,
    model: Path | None,
    rules: Path | None,
    *,
    device: str,
    layout: Path | None = None,
    deadline_seconds: float | None = None,
    audit: float = 0.0,
    sinks: Sequence[str] = (),
    once: bool = False,
    keep_pixels: bool = False,
) -> tuple[Inspector, Schema]:
    """Return an inspector of an exported model, and the model's schema."""
    from flawsmith.line.inspector import Inspector
    from flawsmith.line.reviews.audit import AuditLot

    placed, identity, accepted, schema = load_model(model, rules, device=device, layout=layout)
    lot = AuditLot(store, audit) if audit else None
    inspector = Inspector(
        placed, identity, accepted, store, deadline_seconds=deadline_seconds, sinks=sinks,
        audit=lot.rate_for if lot else None, once=once, keep_pixels=keep_pixels,
    )  # fmt: skip
    return inspector, schema


def load_model(
    model: Path | None, rules: Path | None, *, device: str, layout: Path | None
) -> tuple[FindsRegions, str, AcceptanceRules, Schema]:
    """Return an exported model with the part's layout, its identity, its rules, its schema."""
    from flawsmith.errors import FlawsmithError
    from flawsmith.inspection.exported import ExportedModel
    from flawsmith.inspection.runtime import Runtime
    from flawsmith.inspection.zones import with_zones
    from flawsmith.line.rules import AcceptanceRules

    if model is None:
        raise FlawsmithError("which model? give --model FOLDER, made by: flawsmith export RUN")
    exported = ExportedModel.load(model)
    schema = exported.schema
    thresholds = exported.thresholds
    if rules is None:
        accepted = AcceptanceRules.default(schema, thresholds)
    else:
        accepted = AcceptanceRules.load(rules, schema)
        thresholds = accepted.first_stage(thresholds)
    if layout is not None:
        accepted.require_layout(layout)
    runtime = Runtime(exported, device=device, thresholds=thresholds)
    placed, identity = with_zones(runtime, exported.identity, layout, schema.pixel_size_mm)
    return placed, identity, accepted, schema


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)


@contextmanager
def _shown(
    tell: Callable[[OpenPart, PartRecord], None], total: int | None
) -> Iterator[Callable[[OpenPart, PartRecord], None]]:
    """Count the parts on standard error, if that is a terminal."""
    from rich.console import Console
    from rich.markup import escape

    from flawsmith.cli.console import progress

    with progress("inspect", total, unit="parts", on=Console(stderr=True)) as advance:

        def tell_and_show(part: OpenPart, record: PartRecord) -> None:
            tell(part, record)
            advance(note=escape(f"{record.verdict.verdict} {record.verdict.part}"))

        yield tell_and_show
