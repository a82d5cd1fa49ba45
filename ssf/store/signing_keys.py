"""Rows of signing keys; the private part is sealed before it comes here."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from ssf.store.database import Connection, insert_or
from ssf.store.schema import signing_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSigningKey:
    """A signing key as it is stored.

    Attributes:
        private_key_sealed: The encrypted PEM.
    """

    kid: str
    algorithm: str
    state: str
    private_key_sealed: str = field(repr=False)
    created_at: int


async def list_signing_keys(
    connection: Connection, *, project_id: int
) -> Sequence[SealedSigningKey]:
    """The keys of a project that are not removed, oldest first."""
    found = await connection.execute(
        select(signing_keys)
        .where(signing_keys.c.project_id == project_id, signing_keys.c.state != "removed")
        .order_by(signing_keys.c.id)
    )
    return [
        SealedSigningKey(
            kid=row.kid,
            algorithm=row.algorithm,
            state=row.state,
            private_key_sealed=row.private_key_sealed,
            created_at=row.created_at,
        )
        for row in found
    ]


async def add_signing_key(
    connection: Connection, key: SealedSigningKey, *, project_id: int
) -> None:
    """Writes a key, unless the project signs with another one of this algorithm already."""
    await connection.execute(
        insert_or(connection, signing_keys)
        .values(
            project_id=project_id,
            kid=key.kid,
            algorithm=key.algorithm,
            state=key.state,
            private_key_sealed=key.private_key_sealed,
            created_at=key.created_at,
        )
        .on_conflict_do_nothing()
    )
