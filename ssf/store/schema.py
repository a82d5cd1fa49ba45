"""The tables. Times are integer microseconds UTC, except `iat`, which is the token's seconds.

A target is whatever events are delivered to; an SSF stream is one kind of target, and the row of
`streams` with the same id says what is special about it. Deliveries, lanes and routes know
targets only, so that another dialect brings a table of its own and nothing else.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    inspect,
    literal_column,
    text,
)

metadata = MetaData()

MIGRATION_LOCK = 7_305_261
"""PostgreSQL advisory lock: of several nodes that make tables at once, one does, others wait."""

_ID = BigInteger().with_variant(Integer, "sqlite")
"""SQLite gives rows a number of its own only to a column of type INTEGER."""

projects = Table(
    "projects",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
)

receivers = Table(
    "receivers",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("client_id", Text, nullable=False, unique=True),
    Column("client_secret_hash", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("events_supported", Text),
    Column("min_verification_interval_seconds", Integer, nullable=False),
    Column("max_streams", Integer),
    Column("created_at", BigInteger, nullable=False),
    Column("default_subjects", Text, nullable=False, server_default=text("'ALL'")),
    Column("inactivity_timeout_seconds", Integer),
    Column("legacy_event_uris", Boolean, nullable=False, server_default=false()),
    Column("subject_in_event", Boolean),
    UniqueConstraint("project_id", "name", name="uq_receivers_name"),
)

access_tokens = Table(
    "access_tokens",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("receiver_id", ForeignKey("receivers.id", ondelete="CASCADE"), nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("scopes", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_access_tokens_receiver", "receiver_id"),
)

targets = Table(
    "targets",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False, unique=True),
    Column("method", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("endpoint_url", Text),
    Column("authorization_sealed", Text),
    Column("audience", Text, nullable=False),
    Column("default_subjects", Text, nullable=False, server_default=text("'ALL'")),
    Column("subject_format", Text),
    Column("legacy_event_uris", Boolean, nullable=False, server_default=false()),
    Column("subject_in_event", Boolean, nullable=False, server_default=false()),
    CheckConstraint("method IN ('push', 'poll')", name="ck_targets_method"),
    CheckConstraint("status IN ('enabled', 'paused', 'disabled')", name="ck_targets_status"),
    CheckConstraint(
        "(method = 'push') = (endpoint_url IS NOT NULL)", name="ck_targets_endpoint_url"
    ),
    # A deleted target's number must never name another one: deliveries outlive their target.
    sqlite_autoincrement=True,
)

streams = Table(
    "streams",
    metadata,
    Column(
        "id",
        _ID,
        ForeignKey("targets.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("receiver_id", ForeignKey("receivers.id"), nullable=False),
    Column("profile", Text, nullable=False),
    Column("reason", Text),
    Column("events_requested", Text),
    Column("description", Text),
    Column("last_verification_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("inactive_at", BigInteger),
    Column("probe_interval_seconds", Integer),
    Column("probe_at", BigInteger),
    CheckConstraint("profile IN ('ssf', 'sse')", name="ck_streams_profile"),
    Index("ix_streams_receiver", "receiver_id"),
    Index(
        "ix_streams_inactive",
        "inactive_at",
        sqlite_where=text("inactive_at IS NOT NULL"),
        postgresql_where=text("inactive_at IS NOT NULL"),
    ),
    Index(
        "ix_streams_probe",
        "probe_at",
        sqlite_where=text("probe_at IS NOT NULL"),
        postgresql_where=text("probe_at IS NOT NULL"),
    ),
)

routes = Table(
    "routes",
    metadata,
    Column("project_id", BigInteger, primary_key=True),
    Column("event_type", Text, primary_key=True),
    # Before the target, so that targets that want listed subjects only are not read one by one.
    Column("default_subjects", Text, primary_key=True),
    Column("target_id", ForeignKey("targets.id", ondelete="CASCADE"), primary_key=True),
    Index("ix_routes_target", "target_id"),
    sqlite_with_rowid=False,
)
"""What each target asked for and may have, whether or not there is such an event type yet."""

subjects = Table(
    "subjects",
    metadata,
    Column("id", _ID, primary_key=True),
    # Without a foreign key: a target is deleted at once, its million subjects little by little.
    Column("target_id", BigInteger, nullable=False),
    Column("subject_key", LargeBinary, nullable=False),
    Column("identifier", Text, nullable=False),
    Column("is_added", Boolean, nullable=False),
    Column("is_verified", Boolean, nullable=False),
    Column("removal_at", BigInteger),
    Column("purge_at", BigInteger),
    Column("changed_at", BigInteger, nullable=False),
    # Two rows while the grace of a removal runs: what was added holds until the removal comes.
    Index("uq_subjects_key", "subject_key", "target_id", "is_added", unique=True),
    Index("ix_subjects_target", "target_id", "id"),
    Index(
        "ix_subjects_purge",
        "purge_at",
        sqlite_where=text("purge_at IS NOT NULL"),
        postgresql_where=text("purge_at IS NOT NULL"),
    ),
    # A later change has the larger number, also when a row was deleted in between.
    sqlite_autoincrement=True,
)

subject_shapes = Table(
    "subject_shapes",
    metadata,
    Column("target_id", BigInteger, primary_key=True),
    Column("shape", Text, primary_key=True),
    Column("subjects", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""How many subjects of each shape a target has; `ssf.rules.subject_projections` says what that is."""

subject_projections = Table(
    "subject_projections",
    metadata,
    Column("target_id", BigInteger, primary_key=True),
    Column("projection_key", LargeBinary, primary_key=True),
    Column("subject_id", ForeignKey("subjects.id", ondelete="CASCADE"), primary_key=True),
    Index("ix_subject_projections_subject", "subject_id"),
    sqlite_with_rowid=False,
)

deleted_targets = Table(
    "deleted_targets",
    metadata,
    Column("target_id", _ID, primary_key=True, autoincrement=False),
    Column("deleted_at", BigInteger, nullable=False),
)
"""Targets of which something is left to be deleted."""

event_types = Table(
    "event_types",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("uri", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("schema", Text),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("project_id", "uri", name="uq_event_types_uri"),
    UniqueConstraint("project_id", "name", name="uq_event_types_name"),
)
"""Event types that an operator registered beside those of the specifications."""

lanes = Table(
    "lanes",
    metadata,
    Column(
        "target_id",
        _ID,
        ForeignKey("targets.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("due_at", BigInteger),
    Column("gate_until", BigInteger, nullable=False, server_default=text("0")),
    Column("lease_owner", Text),
    Column("lease_expires_at", BigInteger, nullable=False, server_default=text("0")),
    Column("fencing_token", BigInteger, nullable=False, server_default=text("0")),
    Column("resumed_at", BigInteger, nullable=False, server_default=text("0")),
    Column("notice_due_at", BigInteger),
    Column("dropped", BigInteger, nullable=False, server_default=text("0")),
    Index(
        "ix_lanes_due",
        "due_at",
        sqlite_where=text("due_at IS NOT NULL"),
        postgresql_where=text("due_at IS NOT NULL"),
    ),
    Index(
        "ix_lanes_notice_due",
        "notice_due_at",
        sqlite_where=text("notice_due_at IS NOT NULL"),
        postgresql_where=text("notice_due_at IS NOT NULL"),
    ),
)

events = Table(
    "events",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("project_id", BigInteger, nullable=False),
    Column("event_id", Text, nullable=False, unique=True),
    Column("event_type", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("subject_key", LargeBinary, nullable=False),
    Column("payload", Text, nullable=False),
    Column("txn", Text),
    Column("toe", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("audience", Text),
)

WAITING: ColumnElement[str] = literal_column("'waiting'")
"""Part of the statement's text, never a parameter: no less makes SQLite use a partial index."""

_WAITING = text("state = 'waiting'")

NOTICE: ColumnElement[str] = literal_column("'notice'")
VERIFICATION: ColumnElement[str] = literal_column("'verification'")
_WAITING_NOTICE = text("state = 'waiting' AND kind = 'notice'")
_VERIFICATION = text("kind = 'verification'")

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("target_id", BigInteger, nullable=False),
    Column("event_row", ForeignKey("events.id"), nullable=False),
    Column("jti", Text, nullable=False, unique=True),
    Column("iat", BigInteger, nullable=False),
    Column("subject_key", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("invalid_key_count", Integer, nullable=False, server_default=text("0")),
    Column("first_due_at", BigInteger, nullable=False),
    Column("next_attempt_at", BigInteger, nullable=False),
    Column("last_outcome", Text),
    Column("last_status", Integer),
    Column("last_description", Text),
    Column("updated_at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False, server_default=text("'event'")),
    Column("matched_subject_id", BigInteger),
    CheckConstraint(
        "state IN ('waiting', 'delivered', 'dead', 'dropped')", name="ck_deliveries_state"
    ),
    Index("ix_deliveries_event", "event_row"),
    Index(
        "ix_deliveries_waiting_notices",
        "target_id",
        "id",
        sqlite_where=_WAITING_NOTICE,
        postgresql_where=_WAITING_NOTICE,
    ),
    Index(
        "ix_deliveries_verifications",
        "target_id",
        "id",
        sqlite_where=_VERIFICATION,
        postgresql_where=_VERIFICATION,
    ),
    Index(
        "ix_deliveries_waiting",
        "target_id",
        "id",
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    ),
    Index(
        "ix_deliveries_waiting_subject",
        "target_id",
        "subject_key",
        "id",
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    ),
    Index(
        "ix_deliveries_waiting_until",
        "target_id",
        "next_attempt_at",
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    ),
    sqlite_autoincrement=True,
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("project_id", BigInteger, primary_key=True),
    Column("caller", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", LargeBinary, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("matched", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("kid", Text, nullable=False, unique=True),
    Column("algorithm", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("private_key_sealed", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    CheckConstraint(
        "state IN ('upcoming', 'signing', 'retired', 'removed')", name="ck_signing_keys_state"
    ),
    # Two nodes that start on an empty database at once make one key, not two.
    Index(
        "uq_signing_keys_signing",
        "project_id",
        "algorithm",
        unique=True,
        sqlite_where=text("state = 'signing'"),
        postgresql_where=text("state = 'signing'"),
    ),
)


def create_tables(connection: Connection, revision: str) -> None:
    """Makes all tables in an empty database and says which migration they correspond to.

    Of two processes that do so at once on PostgreSQL, one waits and then finds it done.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
    version = Table(
        "alembic_version", MetaData(), Column("version_num", String(32), primary_key=True)
    )
    if inspect(connection).has_table(version.name):
        return
    metadata.create_all(connection)
    version.create(connection)
    connection.execute(version.insert().values(version_num=revision))
