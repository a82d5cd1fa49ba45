"""From a delivery to its token: late, with the key that is current at that moment.

The claims come from the delivery row alone, so a repeat carries the same ones whatever key signs
it, and a key that was rotated or revoked strands nothing that waits.
"""

import json
from collections.abc import Callable

from keys.keyring import Keyring
from keys.signer import sign_set
from ssf.protocol.security_event_token import SecurityEventToken
from ssf.rules.deliveries import DueDelivery


class SetSigner:
    """Signs SETs for one issuer."""

    def __init__(self, *, issuer: str, keyring: Callable[[], Keyring], algorithm: str) -> None:
        """Prepares to sign.

        Args:
            issuer: The `iss`.
            keyring: Returns the keys as they are now.
            algorithm: JWS algorithm, such as RS256.
        """
        self._issuer = issuer
        self._keyring = keyring
        self._algorithm = algorithm

    def token(self, delivery: DueDelivery, audience: tuple[str, ...]) -> str:
        """The compact SET of a delivery (RFC 8417, SSF 1.0 §4).

        Raises:
            UnusableKey: No key of the algorithm is in the state signing.
        """
        token = SecurityEventToken(
            iss=self._issuer,
            aud=audience,
            iat=delivery.iat,
            jti=delivery.jti,
            txn=delivery.txn,
            toe=None if delivery.toe is None else json.loads(delivery.toe),
            sub_id=json.loads(delivery.subject),
            events={delivery.event_type: json.loads(delivery.payload)},
        )
        return sign_set(token.to_claims(), self._keyring().signing_key(self._algorithm))
