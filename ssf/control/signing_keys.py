"""The signing keys of a project: loaded once at start, made when there is none."""

import asyncio
from collections.abc import Sequence

from keys.keyring import Keyring, KeyState, SigningKey, generate_signing_key, load_signing_key
from keys.secret_box import SecretBox
from ssf.clock import Clock
from ssf.store import signing_keys
from ssf.store.database import Database
from ssf.store.signing_keys import SealedSigningKey


class SigningKeys:
    """Keeps the keyring of one project.

    Attributes:
        keyring: The keys as they were last loaded; empty before `load`.
    """

    def __init__(
        self, database: Database, clock: Clock, secrets: SecretBox, *, project_id: int
    ) -> None:
        self._database = database
        self._clock = clock
        self._secrets = secrets
        self._project_id = project_id
        self.keyring = Keyring([])

    async def load(self, algorithm: str) -> None:
        """Loads the keys; makes one for `algorithm` when the project signs with none yet.

        Raises:
            WrongSecretKey: The keys were encrypted with another secret.
        """
        stored = await self._stored()
        if not any(key.algorithm == algorithm and key.state == "signing" for key in stored):
            # Made outside of the transaction; of two nodes that start at once, one is the first
            # to write and the other one loads what that one wrote.
            made = await asyncio.to_thread(
                generate_signing_key, algorithm, created_at=self._clock.now()
            )
            async with self._database.transaction() as transaction:
                await signing_keys.add_signing_key(
                    transaction, self._seal(made), project_id=self._project_id
                )
            stored = await self._stored()
        self.keyring = Keyring([await asyncio.to_thread(self._open, key) for key in stored])

    async def _stored(self) -> Sequence[SealedSigningKey]:
        async with self._database.reading() as connection:
            return await signing_keys.list_signing_keys(connection, project_id=self._project_id)

    def _seal(self, key: SigningKey) -> SealedSigningKey:
        return SealedSigningKey(
            kid=key.kid,
            algorithm=key.algorithm,
            state=key.state.value,
            private_key_sealed=self._secrets.encrypt(key.private_pem(), context=_context(key.kid)),
            created_at=key.created_at,
        )

    def _open(self, sealed: SealedSigningKey) -> SigningKey:
        return load_signing_key(
            self._secrets.decrypt(sealed.private_key_sealed, context=_context(sealed.kid)),
            kid=sealed.kid,
            algorithm=sealed.algorithm,
            state=KeyState(sealed.state),
            created_at=sealed.created_at,
        )


def _context(kid: str) -> str:
    return f"signing_keys/{kid}/private_key"
