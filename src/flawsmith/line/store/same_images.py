"""Images that came before."""

import sqlalchemy as sa

from flawsmith.line.store.store import Store
from flawsmith.line.store.tables import ImageRow, PartRow


def first_with_image(
    store: Store, sha256: str, *, before: int | None = None
) -> tuple[str, str] | None:
    """Return part and view of the first image with exactly this content; None: there is none.

    Args:
        store: of results.
        sha256: of the image.
        before: only results with a lower number count; None: all.
    """
    found = (
        sa.select(PartRow.part, ImageRow.view)
        .join(PartRow.images)
        .where(ImageRow.sha256 == sha256)
        .order_by(PartRow.id)
    )
    if before is not None:
        found = found.where(PartRow.id < before)
    with store.reading() as session:
        row = session.execute(found.limit(1)).first()
    return None if row is None else (row[0], row[1])
