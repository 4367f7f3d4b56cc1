"""The table from which parts and folds can be read: image, part, fold, note."""

import csv
import io
from pathlib import Path, PurePosixPath

from pydantic import Field

from flawsmith.config import StrictModel, validate
from flawsmith.errors import FlawsmithError


class FoldRow(StrictModel):
    """One row. ``part`` is None if the table has no such column; a ``note`` excludes the image."""

    image: str = Field(min_length=1)
    part: str | None = Field(default=None, min_length=1)
    fold: int = Field(ge=0)
    note: str = ""


def read_fold_rows(path: Path) -> dict[str, FoldRow]:
    """Return the rows by image path, with ``/`` between folders; other columns are not read.

    Comma, semicolon or tab separates the columns.

    Raises:
        FlawsmithError: naming the row, if a value is wrong or an image has two different rows.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        separator = max(",;\t", key=text.partition("\n")[0].count)
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
        columns = list(reader.fieldnames or [])
        raw_rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FlawsmithError(f"cannot read {path}: {error}") from None
    if not {"image", "fold"} <= set(columns):
        raise FlawsmithError(
            f"{path} has the columns {', '.join(columns) or '(none)'}; "
            "expected image, part, fold and, if wanted, note"
        )
    rows: dict[str, FoldRow] = {}
    for number, raw in enumerate(raw_rows, start=2):
        values = {key: (raw[key] or "").strip() for key in FoldRow.model_fields if key in columns}
        values["image"] = str(PurePosixPath(values["image"].replace("\\", "/")))
        where = f"{path}, row {number}"
        row = validate(FoldRow, values, source=where)
        if rows.setdefault(row.image, row) != row:
            raise FlawsmithError(f"{where}: {row.image} has a second, different row; keep one")
    if not rows:
        raise FlawsmithError(f"{path} has no rows; expected one for each image")
    return rows
