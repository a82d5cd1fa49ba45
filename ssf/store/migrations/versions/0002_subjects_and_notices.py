"""Subjects, event types of operators, notices, inactivity, and how SETs of a target look."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "deleted_targets",
        sa.Column(
            "target_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("deleted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("target_id"),
    )
    op.create_table(
        "subject_shapes",
        sa.Column("target_id", sa.BigInteger(), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("subjects", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("target_id", "shape"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "subjects",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("target_id", sa.BigInteger(), nullable=False),
        sa.Column("subject_key", sa.LargeBinary(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("is_added", sa.Boolean(), nullable=False),
        sa.Column("is_verified", sa.Boolean(), nullable=False),
        sa.Column("removal_at", sa.BigInteger(), nullable=True),
        sa.Column("purge_at", sa.BigInteger(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_subjects_purge",
        "subjects",
        ["purge_at"],
        unique=False,
        sqlite_where=sa.text("purge_at IS NOT NULL"),
        postgresql_where=sa.text("purge_at IS NOT NULL"),
    )
    op.create_index("ix_subjects_target", "subjects", ["target_id", "id"], unique=False)
    op.create_index(
        "uq_subjects_key", "subjects", ["subject_key", "target_id", "is_added"], unique=True
    )
    op.create_table(
        "event_types",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("schema", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("project_id", "name", name="uq_event_types_name"),
        sa.UniqueConstraint("project_id", "uri", name="uq_event_types_uri"),
    )
    op.create_table(
        "subject_projections",
        sa.Column("target_id", sa.BigInteger(), nullable=False),
        sa.Column("projection_key", sa.LargeBinary(), nullable=False),
        sa.Column(
            "subject_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.ForeignKeyConstraint(["subject_id"], ["subjects.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("target_id", "projection_key", "subject_id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_subject_projections_subject", "subject_projections", ["subject_id"], unique=False
    )
    op.add_column(
        "deliveries",
        sa.Column("kind", sa.Text(), server_default=sa.text("'event'"), nullable=False),
    )
    op.add_column("deliveries", sa.Column("matched_subject_id", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_deliveries_verifications",
        "deliveries",
        ["target_id", "id"],
        unique=False,
        sqlite_where=sa.text("kind = 'verification'"),
        postgresql_where=sa.text("kind = 'verification'"),
    )
    op.create_index(
        "ix_deliveries_waiting_notices",
        "deliveries",
        ["target_id", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting' AND kind = 'notice'"),
        postgresql_where=sa.text("state = 'waiting' AND kind = 'notice'"),
    )
    op.add_column("events", sa.Column("audience", sa.Text(), nullable=True))
    op.add_column("lanes", sa.Column("notice_due_at", sa.BigInteger(), nullable=True))
    op.add_column(
        "lanes", sa.Column("dropped", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.create_index(
        "ix_lanes_notice_due",
        "lanes",
        ["notice_due_at"],
        unique=False,
        sqlite_where=sa.text("notice_due_at IS NOT NULL"),
        postgresql_where=sa.text("notice_due_at IS NOT NULL"),
    )
    op.add_column(
        "receivers",
        sa.Column("default_subjects", sa.Text(), server_default=sa.text("'ALL'"), nullable=False),
    )
    op.add_column("receivers", sa.Column("inactivity_timeout_seconds", sa.Integer(), nullable=True))
    op.add_column(
        "receivers",
        sa.Column("legacy_event_uris", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.add_column("receivers", sa.Column("subject_in_event", sa.Boolean(), nullable=True))
    op.add_column("streams", sa.Column("inactive_at", sa.BigInteger(), nullable=True))
    op.add_column("streams", sa.Column("probe_interval_seconds", sa.Integer(), nullable=True))
    op.add_column("streams", sa.Column("probe_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_streams_inactive",
        "streams",
        ["inactive_at"],
        unique=False,
        sqlite_where=sa.text("inactive_at IS NOT NULL"),
        postgresql_where=sa.text("inactive_at IS NOT NULL"),
    )
    op.create_index(
        "ix_streams_probe",
        "streams",
        ["probe_at"],
        unique=False,
        sqlite_where=sa.text("probe_at IS NOT NULL"),
        postgresql_where=sa.text("probe_at IS NOT NULL"),
    )
    op.add_column(
        "targets",
        sa.Column("default_subjects", sa.Text(), server_default=sa.text("'ALL'"), nullable=False),
    )
    op.add_column("targets", sa.Column("subject_format", sa.Text(), nullable=True))
    op.add_column(
        "targets",
        sa.Column("legacy_event_uris", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.add_column(
        "targets",
        sa.Column("subject_in_event", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    _move_formats()
    _mark_verifications()
    _make_routes_anew()


def _move_formats() -> None:
    """How SETs look is said on the target now; the older profile puts the subject into events."""
    op.execute(
        "UPDATE targets SET subject_format ="
        " (SELECT streams.format FROM streams WHERE streams.id = targets.id)"
    )
    op.execute(
        "UPDATE targets SET subject_in_event = TRUE"
        " WHERE id IN (SELECT id FROM streams WHERE profile = 'sse')"
    )
    op.drop_column("streams", "format")


def _mark_verifications() -> None:
    op.execute(
        "UPDATE deliveries SET kind = 'verification' WHERE event_row IN (SELECT id FROM events"
        " WHERE event_type = 'https://schemas.openid.net/secevent/ssf/event-type/verification')"
    )


def _make_routes_anew() -> None:
    """Routes follow from the streams, so they are written again instead of changed."""
    op.drop_table("routes")
    routes = op.create_table(
        "routes",
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("default_subjects", sa.Text(), nullable=False),
        sa.Column(
            "target_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "event_type", "default_subjects", "target_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_routes_target", "routes", ["target_id"])
    found = op.get_bind().execute(
        sa.text(
            "SELECT targets.project_id, streams.id, streams.events_requested,"
            " receivers.events_supported FROM streams"
            " JOIN targets ON targets.id = streams.id"
            " JOIN receivers ON receivers.id = streams.receiver_id"
            " WHERE streams.events_requested IS NOT NULL"
        )
    )
    rows: list[dict[str, Any]] = []
    for project_id, target_id, requested, supported in found:
        offered = None if supported is None else set(json.loads(supported))
        rows += [
            {
                "project_id": project_id,
                "event_type": uri,
                "default_subjects": "ALL",
                "target_id": target_id,
            }
            for uri in dict.fromkeys(json.loads(requested))
            if offered is None or uri in offered
        ]
    if rows:
        op.bulk_insert(routes, rows)
