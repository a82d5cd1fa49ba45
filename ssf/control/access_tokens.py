"""Access tokens: random, kept as a hash only (256 random bits need no slow hash)."""

import hashlib
import hmac
import re

from ssf.clock import Clock
from ssf.control.callers import Caller
from ssf.rules.access import ADMIN_SCOPES, RECEIVER_SCOPES
from ssf.rules.errors import MalformedCredentials, NotAuthenticated
from ssf.rules.identifiers import RandomBytes, new_secret
from ssf.store import receivers
from ssf.store.database import Connection, Database

_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8")).digest()


class AccessTokens:
    """Issues tokens to receivers and tells who a token belongs to."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        random_bytes: RandomBytes,
        *,
        project_id: int,
        admin_token: str | None,
    ) -> None:
        """Prepares.

        Args:
            admin_token: Opens the admin API; None: nothing opens it.
        """
        self._database = database
        self._clock = clock
        self._random_bytes = random_bytes
        self._project_id = project_id
        self._admin_digest = None if admin_token is None else _digest(admin_token)

    async def issue(self, connection: Connection, receiver_id: int) -> str:
        """A new token for a receiver, in the caller's transaction. It is shown once."""
        token = new_secret("ssft", self._random_bytes)
        await receivers.add_access_token(
            connection,
            receiver_id=receiver_id,
            token_hash=_digest(token),
            scopes=RECEIVER_SCOPES,
            now=self._clock.now(),
        )
        return token

    async def authenticate(self, authorization: str | None) -> Caller:
        """Who is calling, by the `Authorization` header (RFC 6750 §2.1).

        Args:
            authorization: The header's value; None when there is none.

        Raises:
            NotAuthenticated: No token, or none that we issued.
            MalformedCredentials: There is a `Bearer`, but no token can be read behind it.
        """
        if authorization is None:
            raise NotAuthenticated("This needs an access token.", presented=False)
        if authorization.partition(" ")[0].lower() != "bearer":
            raise NotAuthenticated("Send the token as: Authorization: Bearer …", presented=False)
        match = _BEARER.fullmatch(authorization)
        if match is None:
            raise MalformedCredentials(
                "After Bearer there must be one token and nothing else.", field="Authorization"
            )
        digest = _digest(match[1])
        if self._admin_digest is not None and hmac.compare_digest(digest, self._admin_digest):
            return Caller(
                name="admin", project_id=self._project_id, scopes=ADMIN_SCOPES, receiver=None
            )
        async with self._database.reading() as connection:
            found = await receivers.find_by_token_hash(connection, digest)
        if found is None:
            raise NotAuthenticated("The access token is not valid.", presented=True)
        receiver, scopes = found
        return Caller(
            name=receiver.client_id,
            project_id=receiver.project_id,
            scopes=scopes,
            receiver=receiver,
        )
