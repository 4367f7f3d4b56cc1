"""A picture that came before is found by its content."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_images_sha256", "images", ["sha256"])
