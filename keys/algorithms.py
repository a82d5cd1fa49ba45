"""Which signature algorithms exist for us, and what key each of them takes.

Only asymmetric ones: no table entry means no way to ask for `none` or an HMAC.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

from joserfc.errors import UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jws import JWSRegistry

from keys.errors import UnusableKey

MIN_RSA_BITS: Final = 2048  # RFC 7518 §3.3
MAX_RSA_BITS: Final = 8192  # verifying costs the square of this, and a peer chooses it


class KeyFit(NamedTuple):
    """What an algorithm asks of a key.

    Attributes:
        kty: JWK key type (RFC 7518 §6.1, RFC 8037 §2).
        curve: JWK `crv`; None for RSA, which has none.
    """

    kty: str
    curve: str | None


_RSA: Final = KeyFit("RSA", None)

# Beyond the four that we sign with: what honest transmitters sign with and we can check.
KEY_FITS: Final[dict[str, KeyFit]] = {
    "RS256": _RSA,
    "RS384": _RSA,
    "RS512": _RSA,
    "PS256": _RSA,
    "PS384": _RSA,
    "PS512": _RSA,
    "ES256": KeyFit("EC", "P-256"),
    "ES384": KeyFit("EC", "P-384"),
    "ES512": KeyFit("EC", "P-521"),
    "EdDSA": KeyFit("OKP", "Ed25519"),
    "Ed25519": KeyFit("OKP", "Ed25519"),
}
SIGNING_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")


def check_rsa_bits(bits: int) -> None:
    """Refuse an RSA modulus outside 2048 to 8192 bits.

    Raises:
        UnusableKey: Too short to be safe, or too long to be worth verifying with.
    """
    if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
        raise UnusableKey(f"an RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, not {bits}")


def checked_algorithms(algorithms: Collection[str]) -> frozenset[str]:
    """Turn a caller's allow-list into one that can be trusted.

    Raises:
        ValueError: Empty, or naming something that is not an asymmetric signature algorithm. An
            empty list is refused because joserfc takes it for "the recommended ones", HS256
            among them.
    """
    chosen = frozenset(algorithms)
    if isinstance(algorithms, str) or not chosen or not chosen <= KEY_FITS.keys():
        raise ValueError(f"algorithms must be some of {', '.join(KEY_FITS)}")
    return chosen


class _OneAlgorithm(JWSRegistry):
    """joserfc's registry, narrowed to one algorithm.

    Its own lookup warns on each use of EdDSA, because RFC 9864 wants the name Ed25519; receivers
    in the field know only the older name, so the warning would be noise for ever.
    """

    def __init__(self, algorithm: str) -> None:
        # Header members have been judged by us before; unknown ones are harmless (RFC 7515 §4).
        super().__init__(algorithms=(algorithm,), strict_check_header=False)
        self._only = algorithm
        self._model = self.algorithms[algorithm]

    # `typing.override` comes with Python 3.12.
    def get_alg(self, name: str) -> JWSAlgModel:  # type: ignore[explicit-override]
        """The algorithm, when it is the one.

        Raises:
            UnsupportedAlgorithmError: It is another one.
        """
        if name != self._only:
            raise UnsupportedAlgorithmError("another algorithm")
        return self._model


_REGISTRIES: Final = {name: _OneAlgorithm(name) for name in KEY_FITS}


def registry_for(algorithm: str) -> JWSRegistry:
    """The joserfc registry that knows this algorithm and no other.

    Raises:
        KeyError: Not one of `KEY_FITS`.
    """
    return _REGISTRIES[algorithm]
