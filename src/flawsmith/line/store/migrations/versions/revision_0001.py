"""Parts, their images and regions, and what a person said of them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    counters = op.create_table(
        "counters",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.Integer, nullable=False),
    )
    op.bulk_insert(counters, [{"name": "part", "value": 0}])
    _parts()
    _images()
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "part_id", sa.Integer, sa.ForeignKey("parts.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("person", sa.String, nullable=False),
        sa.Column("verdict", sa.String, nullable=False),
        sa.Column("defect_class", sa.String),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_reviews_part_id", "reviews", ["part_id"])


def _parts() -> None:
    op.create_table(
        "parts",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("part", sa.String, nullable=False),
        sa.Column("verdict", sa.String, nullable=False),
        sa.Column("reasons", sa.JSON, nullable=False),
        sa.Column("hidden", sa.JSON, nullable=False),
        sa.Column("rules", sa.String, nullable=False),
        sa.Column("code_version", sa.String, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.UniqueConstraint("key", name="uq_parts_key"),
    )
    for column in ("part", "verdict", "finished_at"):
        op.create_index(f"ix_parts_{column}", "parts", [column])


def _images() -> None:
    op.create_table(
        "images",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "part_id", sa.Integer, sa.ForeignKey("parts.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("view", sa.String, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("problem", sa.String),
        sa.Column("warnings", sa.JSON, nullable=False),
        sa.Column("novelty_score", sa.Float),
        sa.Column("novelty_box", sa.JSON),
        sa.Column("seconds", sa.JSON, nullable=False),
    )
    op.create_index("ix_images_part_id", "images", ["part_id"])
    op.create_index("ix_images_path_sha256", "images", ["path", "sha256"])
    op.create_table(
        "regions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "image_id", sa.Integer, sa.ForeignKey("images.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("class_name", sa.String, nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("area_px", sa.Integer, nullable=False),
        sa.Column("length_px", sa.Float, nullable=False),
        sa.Column("length_mm", sa.Float),
        sa.Column("measures", sa.JSON, nullable=False),
    )
    op.create_index("ix_regions_image_id", "regions", ["image_id"])
    op.create_index("ix_regions_class_name", "regions", ["class_name"])
