"""Everything that keys and tokens can refuse.

    KeysError
    |-- InvalidJson                 text that is not the strict JSON we accept
    |-- InvalidJwks                 a JWK Set document that holds nothing to verify with
    |-- TokenRejected               a token that must not be believed; `err` is the RFC 8935 code
    |   |-- MalformedToken          invalid_request   not a JWS in compact form, or not JSON inside
    |   |-- UnacceptableType        invalid_request   `typ` does not say Security Event Token
    |   |-- UnacceptableHeader      invalid_request   a header member we must not obey, or no `kid`
    |   |-- UnacceptableAlgorithm   invalid_key       `alg` not allowed, or not fit for the key
    |   |-- UnknownKey              invalid_key       `kid` names no key of the issuer
    |   |-- BadSignature            invalid_key       the signature is not by that key
    |   `-- KeysUnavailable         invalid_key       temporary: the issuer's keys cannot be had now
    |-- UnusableKey                 a key of our own that is too short, of the wrong type, not due
    `-- WrongSecretKey              a sealed secret that our secret keys do not open

Nothing of joserfc, cryptography or httpx crosses the border of this package.
"""

from typing import ClassVar, Final, Literal

JsonRefusal = Literal["invalid_json", "too_large", "too_deep", "invalid_string", "duplicate_key"]

INVALID_JSON: Final = "invalid_json"


class KeysError(Exception):
    """Base of every error that this package raises for something it was given."""


class InvalidJson(KeysError):
    """Text that is not the strict JSON we accept.

    Attributes:
        reason: What is wrong, in English. Never holds a piece of the text itself, which may be
            a token or a secret.
        code: Stable word for programs: `too_large` (bytes or members), `too_deep`,
            `duplicate_key`, `invalid_string` (U+0000 or a lone surrogate), or `invalid_json`
            for all else.
    """

    def __init__(self, reason: str, code: JsonRefusal = INVALID_JSON) -> None:
        self.reason = reason
        self.code: JsonRefusal = code
        super().__init__(reason)


class InvalidJwks(KeysError):
    """A document that is no JWK Set (RFC 7517 §5), or holds no key that we could use."""


class TokenRejected(KeysError):
    """A token that must not be believed.

    Attributes:
        err: Error code of RFC 8935 §2.4, for the answer to the transmitter.
        description: English sentence that may be sent to anybody: it holds no piece of the token
            and none of the values that would have been accepted.
        temporary: True when the trouble is ours and the same token may pass later. Then no
            RFC 8935 error must be answered (the transmitter would drop the event), but a 503.
    """

    err: ClassVar[str] = "invalid_request"
    temporary: ClassVar[bool] = False

    def __init__(self, description: str) -> None:
        self.description = description
        super().__init__(description)


class MalformedToken(TokenRejected):
    """Not a JWS in compact serialization (RFC 7515 §7.1), or not strict JSON inside."""


class UnacceptableType(TokenRejected):
    """The header's `typ` is missing or names something else (RFC 8417 §2.3)."""


class UnacceptableHeader(TokenRejected):
    """The header carries a member that we must not obey, or lacks a usable `kid`."""


class UnacceptableAlgorithm(TokenRejected):
    """The header's `alg` is not allowed, or is not what the key is for."""

    err: ClassVar[str] = "invalid_key"


class UnknownKey(TokenRejected):
    """The issuer publishes no usable key of that `kid`."""

    err: ClassVar[str] = "invalid_key"


class BadSignature(TokenRejected):
    """The signature was not made over these bytes by this key."""

    err: ClassVar[str] = "invalid_key"


class KeysUnavailable(TokenRejected):
    """The issuer's keys cannot be had now, so nothing can be said about the token."""

    err: ClassVar[str] = "invalid_key"
    temporary: ClassVar[bool] = True


class UnusableKey(KeysError):
    """A key that cannot do what is asked: RSA below 2048 bit, wrong type, wrong state, absent."""


class WrongSecretKey(KeysError):
    """A sealed secret that none of our secret keys opens in this context."""
