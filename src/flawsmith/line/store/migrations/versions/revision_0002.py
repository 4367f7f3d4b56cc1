"""Passed parts that are audited, and the outbox of the sinks."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables; parts that were recorded before are in neither."""
    op.create_table(
        "audit",
        sa.Column(
            "part_id", sa.Integer, sa.ForeignKey("parts.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("rate", sa.Float, nullable=False),
        sa.Column("sampled_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "part_id", sa.Integer, sa.ForeignKey("parts.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("sink", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True)),
        sa.Column("last_error", sa.String),
    )
    op.create_index("ix_deliveries_part_id_sink", "deliveries", ["part_id", "sink"], unique=True)
    op.create_index(
        "ix_deliveries_delivered_at_next_try_at", "deliveries", ["delivered_at", "next_try_at"]
    )
