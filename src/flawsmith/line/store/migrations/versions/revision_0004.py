"""Views that wait for others of their part, and messages that a person gave up."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add them; what waited before was in memory alone, and nothing could be given up."""
    op.add_column("deliveries", sa.Column("skipped_at", sa.DateTime(timezone=True)))
    op.create_table(
        "waiting",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("part", sa.String, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("refusal", sa.String, nullable=False),
        sa.Column("inspection", sa.JSON, nullable=False),
    )
    op.create_index("ix_waiting_holder_part", "waiting", ["holder", "part"])
