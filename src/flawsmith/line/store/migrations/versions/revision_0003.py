"""The key of the audit's lot, and the brightness of images."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add them; the brightness of images that were recorded before is not known."""
    op.create_table(
        "keys",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.String, nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
    )
    for column in ("mean", "spread"):
        op.add_column("images", sa.Column(column, sa.Float))
