"""``flawsmith export``: a trained run as the folder that a line PC needs."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flawsmith.cli.console import console
from flawsmith.errors import FlawsmithError

if TYPE_CHECKING:
    from flawsmith.inspection.exported import Calibration, ExportedModel

DATES = ["%Y-%m-%d"]


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command()(export)


def export(
    run: Annotated[Path, typer.Argument(help="Run folder of a segmentation network.")],
    to: Annotated[str, typer.Option("--to", help="openvino (CPU, Intel) or onnx (also NVIDIA).")],
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise to 8 bits, calibrated on training tiles.")
    ] = False,
    fp32: Annotated[
        bool, typer.Option("--fp32", help="Never compute in bf16, whatever the processor has.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder to make. [RUN-openvino]")] = None,
    window: Annotated[
        int | None,
        typer.Option(help="Side of the largest window in pixels. [the fastest, measured]"),
    ] = None,
    mm_per_pixel: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="X Y", help="Size of a pixel across and along the scan."),
    ] = None,
    uncertainty: Annotated[
        float | None, typer.Option(metavar="PERCENT", help="Of that size, expanded (k = 2).")
    ] = None,
    calibrated: Annotated[
        datetime.datetime | None, typer.Option(formats=DATES, help="Day of the calibration.")
    ] = None,
    valid_until: Annotated[
        datetime.datetime | None, typer.Option(formats=DATES, help="Its last valid day (UTC).")
    ] = None,
    max_flips: Annotated[
        int, typer.Option(min=0, help="Validation parts whose verdict may change.")
    ] = 0,
    novelty: Annotated[Path | None, typer.Option(metavar="RUN", help="Of patchcore.")] = None,
    review_rate: Annotated[
        float, typer.Option(help="Share of good parts that may go to a person for novelty.")
    ] = 0.05,
    threads: Annotated[int | None, typer.Option(min=1, help="Of the processor. [all]")] = None,
) -> None:
    """Write one folder with network, schema, thresholds and hashes; refuse if verdicts change."""
    from flawsmith.cli.train import training_hooks
    from flawsmith.experiment.export import ExportSettings, export_run

    if to not in ("openvino", "onnx"):
        raise FlawsmithError(f"--to {to}: expected openvino or onnx")
    if int8 and fp32:
        raise FlawsmithError("--int8 and --fp32 exclude each other; give one")
    settings = ExportSettings(
        backend="onnx" if to == "onnx" else "openvino",
        precision="int8" if int8 else "fp32" if fp32 else "auto",
        window=window,
        calibration=_calibration(mm_per_pixel, uncertainty, calibrated, valid_until),
        max_flips=max_flips,
        novelty=novelty,
        review_rate=review_rate,
        threads=threads,
    )
    suffix = f"-{to}" + ("-int8" if int8 else "")
    folder = out or run.with_name(run.resolve().name + suffix)
    _print(export_run(run, folder, settings, training_hooks()))


def _calibration(
    mm_per_pixel: tuple[float, float] | None,
    uncertainty: float | None,
    calibrated: datetime.datetime | None,
    valid_until: datetime.datetime | None,
) -> Calibration | None:
    """Return the calibration record, whole or not at all.

    Raises:
        FlawsmithError: if a part of it is missing or impossible.
    """
    from flawsmith.config import validate
    from flawsmith.inspection.exported import Calibration

    given = {
        "--mm-per-pixel": mm_per_pixel,
        "--uncertainty": uncertainty,
        "--calibrated": calibrated,
        "--valid-until": valid_until,
    }
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(given):
        return None
    if mm_per_pixel is None or uncertainty is None or calibrated is None or valid_until is None:
        raise FlawsmithError(
            f"a calibration is complete or absent; {', '.join(missing)} is missing: give all of "
            f"{', '.join(given)}, or none for sizes in pixels"
        )
    values = {
        "mm_per_pixel": {"x": mm_per_pixel[0], "y": mm_per_pixel[1]},
        "relative_uncertainty": uncertainty / 100,
        "date": calibrated.date(),
        "valid_until": valid_until.date(),
    }
    return validate(Calibration, values, source="calibration")


def _print(exported: ExportedModel) -> None:
    card = exported.card
    rows, columns = card.window
    console.print(
        f"model: {exported.folder}\nidentity: {exported.identity[:16]}\n"
        f"{card.backend}, {card.precision}, windows up to {rows} x {columns} px, overlap "
        f"{card.overlap} px",
        markup=False,
    )
    if card.calibration is None:
        console.print("no calibration record: nothing is measured in mm")
    console.print(f"next: flawsmith inspect IMAGES --model {exported.folder}", markup=False)
