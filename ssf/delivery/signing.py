"""From a delivery to its token: late, with the key that is current at that moment.

The claims come from the delivery row alone, so a repeat carries the same ones whatever key signs
it, and a key that was rotated or revoked strands nothing that waits. Only the audience and the
shape (`ssf.rules.set_shape`) are the target's, as they are at that moment.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from keys.keyring import Keyring
from keys.signer import sign_set
from ssf.protocol.security_event_token import SecurityEventToken
from ssf.protocol.subject_conversion import FormatFallback
from ssf.rules.deliveries import DueDelivery
from ssf.rules.set_shape import shaped
from ssf.rules.targets import PLAIN_SHAPE, SetShape


class SetSigner:
    """Signs SETs for one issuer."""

    def __init__(
        self,
        *,
        issuer: str,
        keyring: Callable[[], Keyring],
        algorithm: str,
        format_fallback: FormatFallback,
    ) -> None:
        """Prepares to sign.

        Args:
            issuer: The `iss`.
            keyring: Returns the keys as they are now.
            algorithm: JWS algorithm, such as RS256.
            format_fallback: What is sent when the format that a target wants cannot be made.
        """
        self._issuer = issuer
        self._keyring = keyring
        self._algorithm = algorithm
        self._format_fallback = format_fallback

    def token(self, delivery: DueDelivery, audience: tuple[str, ...], shape: SetShape) -> str:
        """The compact SET of a delivery (RFC 8417, SSF 1.0 §4).

        Args:
            delivery: What is to be sent.
            audience: The `aud`.
            shape: How the SETs of the target look.

        Raises:
            UnusableKey: No key of the algorithm is in the state signing.
        """
        sub_id: Mapping[str, Any] = json.loads(delivery.subject)
        payload: Mapping[str, Any] = json.loads(delivery.payload)
        events: Mapping[str, Mapping[str, Any]] = {delivery.event_type: payload}
        if shape != PLAIN_SHAPE:
            sub_id, events = shaped(
                delivery.event_type, sub_id, payload, shape, self._format_fallback
            )
        token = SecurityEventToken(
            iss=self._issuer,
            aud=audience,
            iat=delivery.iat,
            jti=delivery.jti,
            txn=delivery.txn,
            toe=None if delivery.toe is None else json.loads(delivery.toe),
            sub_id=sub_id,
            events=events,
        )
        return sign_set(token.to_claims(), self._keyring().signing_key(self._algorithm))
