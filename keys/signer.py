"""Making Security Event Tokens: the only place that signs."""

from collections.abc import Mapping
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError

from keys.algorithms import registry_for
from keys.errors import UnusableKey
from keys.keyring import KeyState, SigningKey
from keys.strict_json import dumps
from keys.verifier import SET_TYPE


def sign_set(claims: Mapping[str, Any], key: SigningKey) -> str:
    """Sign claims into a SET in JWS compact serialization (RFC 7515 §7.1, RFC 8417).

    Which claims a SET must have is not looked at here.

    Args:
        claims: Written as they are, in their order; never changed. joserfc's `jwt.encode` is not
            used because it changes the caller's dictionary and names the wrong `typ`.
        key: A key in state signing.

    Returns:
        The token; its header holds exactly `typ` (secevent+jwt), `alg` and `kid`.

    Raises:
        InvalidJson: NaN, U+0000 and whatever else `strict_json.dumps` refuses.
        UnusableKey: The key is not in state signing, or cannot sign.
    """
    if key.state is not KeyState.SIGNING:
        raise UnusableKey(f"a key that is {key.state} does not sign")
    payload = dumps(claims if isinstance(claims, dict) else dict(claims)).encode()
    header = {"typ": SET_TYPE, "alg": key.algorithm, "kid": key.kid}
    try:
        return jws.serialize_compact(
            header, payload, key.loaded, registry=registry_for(key.algorithm)
        )
    except (JoseError, ValueError, TypeError) as exc:
        raise UnusableKey(f"the key cannot sign with {key.algorithm}") from exc
